"""The process that reads: one target, many inputs, each told before and after; memory is bounded."""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

HEADROOM = 4 * 2**30
"""Bytes of addresses that an input may take beyond what the libraries took; real memory is measured."""

MOST = 2**30
"""Bytes of memory that reading an input may take."""


def peak() -> int:
    """Bytes of memory at the highest, since it was last forgotten."""
    return number_of("VmHWM")


def number_of(name: str) -> int:
    """A size of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith(f"{name}:"))


def forget_peak() -> None:
    """Let the highest memory be counted anew."""
    Path("/proc/self/clear_refs").write_text("5")


def make(target: Any, seeds: Any, seed: str, number: int) -> Any:
    """An input by its number."""
    return target.change(Random(f"{seed}/{target.name}/{number}"), seeds)


def tell_of(error: type[BaseException], value: BaseException, trace: Any) -> None:
    """Say on the kept standard error what is wrong with the target itself."""
    KEPT.write("".join(traceback.format_exception(error, value, trace)))
    KEPT.flush()


KEPT = os.fdopen(os.dup(2), "w")
"""The standard error, of which libraries know nothing."""


def main() -> None:
    """``python -m fuzz.child TARGET SEED FIRST LAST PLACE SKIPPED...``: lines of JSON on the standard output.

    The number of the input that is being read stands in the file PLACE, so that whoever watches knows it when this
    process hangs or dies; what became of the inputs is told now and then.
    """
    name, seed, first, last, place = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    skipped = set(map(int, sys.argv[6:]))
    out = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    faulthandler.enable(KEPT, all_threads=False)
    sys.excepthook = tell_of
    warnings.simplefilter("ignore")
    at = mmap.mmap(os.open(place, os.O_RDWR), 8)

    from fuzz.target import judged, quietly
    from fuzz.targets import EVERY

    target = EVERY[name]()
    seeds = target.seeds()
    quietly()
    counts: Counter[str] = Counter()
    failures: list[tuple[str, str, int]] = []
    told = time.monotonic()

    def tell(number: int) -> None:
        nonlocal told
        line = json.dumps({"next": number, "counts": counts, "failures": failures})
        os.write(out, line.encode() + b"\n")
        counts.clear()
        failures.clear()
        told = time.monotonic()

    with tempfile.TemporaryDirectory(
        prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    ) as made:
        folder = Path(made)
        judged(target, make(target, seeds, f"{seed}-warm", 0), folder)  # what loads libraries is no input's memory
        resource.setrlimit(resource.RLIMIT_AS, (number_of("VmSize") + HEADROOM,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        forget_peak()
        before = number_of("VmRSS")
        for number in range(first, last):
            if number in skipped:
                continue
            given = make(target, seeds, seed, number)
            at[:] = (number + 1).to_bytes(8, "little")
            how, what = judged(target, given, folder)
            at[:] = bytes(8)
            high = peak()
            if high - before > MOST:  # rare: look closer, as what came before may have left some
                if how != "fault":
                    how, what = "memory", f"{(high - before) / 2**30:.1f} GiB"
                forget_peak()
                before = number_of("VmRSS")
            counts[how] += 1
            if how not in ("read", "refused"):
                failures.append((how, what, number))
            if time.monotonic() - told > 0.5:
                tell(number + 1)
    tell(last)


if __name__ == "__main__":
    main()
