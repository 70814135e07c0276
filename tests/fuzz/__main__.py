"""``python -m fuzz``: read mutated inputs for hours, with a seed and a budget; the end says what became of them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from fuzz.runner import run_target
from fuzz.targets import TARGETS


def main() -> int:
    """Run the targets in turn; returns 1 where an input failed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--count", type=int, default=1000, help="inputs of each target")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seconds", type=float, default=None, help="for each target at most")
    parser.add_argument("--seed", default="2026", help="another seed gives other inputs")
    parser.add_argument("--json", type=Path, default=None, help="where the counts go, a line a target")
    given = parser.parse_args()
    failed = False
    for name in given.targets:
        outcome = run_target(name, given.seed, given.first, given.first + given.count, given.seconds)
        print(outcome.line(), flush=True)
        for what, (count, number) in outcome.failures.items():
            print(f"    {count} x {what} (first: --first {number} --count 1)", flush=True)
        failed = failed or bool(outcome.failures)
        if given.json is not None:
            with given.json.open("a") as opened:
                values = {"target": name, "seed": given.seed, "first": given.first, "seconds": round(outcome.seconds),
                          "counts": outcome.counts, "failures": len(outcome.failures),
                          "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # fmt: skip
                opened.write(json.dumps(values) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
