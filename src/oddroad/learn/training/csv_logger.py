"""The figures of a run while it trains, as lines ``step,figure,value`` that a resumed run continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers.logger import Logger

from oddroad.errors import InputError, why
from oddroad.files import write_whole
from oddroad.reporting.learning_curves import HEAD, read_curves

NOT_LOGGED = {"epoch"}


class CurveLogger(Logger):
    """Appends to one CSV file; nothing that was written is lost when the run is killed and goes on.

    Args:
        path: the file.
        step: the step that the run goes on from; later lines, of steps that are done again, are removed.
    """

    def __init__(self, path: Path, step: int):
        super().__init__()
        self.path = path
        if rank_zero_only.rank == 0:
            kept = [each for each in read_curves(path) if each[0] <= step] if path.is_file() else []
            write_whole(path, "".join([HEAD, *(line(*each) for each in kept)]).encode(), "learning curves")

    @property
    def name(self) -> str:
        """What Lightning calls the folder of the run."""
        return ""

    @property
    def version(self) -> str:
        """What Lightning calls the folder in it."""
        return "log"

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the recipe lies beside."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append figures of a step, counted from 0 by Lightning and from 1 here."""
        text = "".join(
            line((step or 0) + 1, name, float(value)) for name, value in metrics.items() if name not in NOT_LOGGED
        )
        try:
            with self.path.open("a") as opened:
                opened.write(text)
        except OSError as error:
            raise InputError(
                f"cannot write the learning curves to '{self.path.parent}': {why(error)}; the same command again goes "
                "on from the last state"
            ) from None


def line(step: int, name: str, value: float) -> str:
    """One line of the file."""
    return f"{step},{name},{value:.6g}\n"
