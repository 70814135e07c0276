"""What `make mutate` found, as a table, and each change that no test noticed.

    python benchmarks/mutation.py [--survivors] [--only metrics]

Reads the folder mutants/ that mutmut leaves. A change counts as killed if a test failed or ran out of time, as
survived if none did or no test reaches it.
"""

from __future__ import annotations

import argparse
import difflib
import json
from pathlib import Path

FOLDER = Path("mutants")
SURVIVED = ("survived", "no tests")


def statuses(meta: Path) -> dict[str, str]:
    """Name of each change of a file -> what became of it."""
    from mutmut.stats import status_by_exit_code

    found = json.loads(meta.read_text())["exit_code_by_key"]
    return {name: status_by_exit_code[code] for name, code in found.items()}


def change(source: str, name: str) -> str:
    """The lines of the original function that a change takes away and puts in."""
    from mutmut.mutation.data import MutantLineSpans

    spans = MutantLineSpans.load(source)
    assert spans is not None
    function, number = name.rsplit("__mutmut_", 1)
    function = function.rpartition(".")[2]
    pair = [f"{function}__mutmut_{which}" for which in ("orig", number)]
    before, after = (text.splitlines() for text in spans.read_function_sources(pair))
    lines = [line for line in difflib.ndiff(before, after) if line[0] in "+-" and "def " not in line]
    return "\n".join(lines)


def main() -> None:
    """Print the table, and the survivors where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--survivors", action="store_true", help="print each change that no test noticed")
    parser.add_argument("--only", default="", help="files whose path holds this")
    given = parser.parse_args()
    print("| Module | Changes | Killed | Survived | No test reaches | Not run | Survived of those run |")
    print("|---|---|---|---|---|---|---|")
    for meta in sorted(FOLDER.rglob("*.py.meta")):
        source = str(meta.relative_to(FOLDER)).removesuffix(".meta")
        found = statuses(meta)
        if not found or given.only not in source:
            continue
        survived, unreached = (sum(each == status for each in found.values()) for status in SURVIVED)
        not_run = sum(each == "not checked" for each in found.values())
        ran = len(found) - not_run
        share = f"{(survived + unreached) / ran:.1%}" if ran else "-"
        killed = ran - survived - unreached
        module = source.removeprefix("src/oddroad/")
        print(f"| {module} | {len(found)} | {killed} | {survived} | {unreached} | {not_run} | {share} |")
        if given.survivors:
            for name, status in found.items():
                if status in SURVIVED:
                    print(f"\n{name}: {status}\n{change(source, name)}")


if __name__ == "__main__":
    main()
