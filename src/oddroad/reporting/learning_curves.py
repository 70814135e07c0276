"""Learning curves of a run: the lines ``step,figure,value`` that training writes."""

from __future__ import annotations

from pathlib import Path

from oddroad.errors import InputError

HEAD = "step,figure,value\n"


PLACE = Path("log") / "metrics.csv"
"""Where they lie in the folder of a run."""


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """Step, name and value of every figure; a last line that was cut off when the run was killed is left out.

    Raises:
        InputError: if the file is missing or holds something else.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(f"cannot read the curves '{path}': {error.strerror}") from None
    head, *lines = text.splitlines(keepends=True) or [""]
    if head != HEAD:
        raise InputError(f"'{path}' does not begin with '{HEAD.strip()}'; expected the log of a training run")
    found = []
    for number, line in enumerate(lines, 2):
        if not line.endswith("\n"):
            break
        step, _, rest = line.strip().partition(",")
        name, _, value = rest.rpartition(",")
        try:
            found.append((int(step), name, float(value)))
        except ValueError:
            raise InputError(f"line {number} of '{path}' is '{line.strip()}'; expected step,figure,value") from None
    return found
