"""The sweep: every verb, every kind of fault at every call, memory, and kills at random moments; figures as JSON.

python tests/reliability/sweep.py --out figures.json            # `make reliability`
python tests/reliability/sweep.py --verbs detect --kills 0      # a part of it
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]

from reliability import here_pool, shim, trials, verbs  # noqa: E402

KILLED = ("detect", "detect pictures", "detect --resume", "evaluate", "train", "calibrate", "export", "report", "mine")
"""Verbs that are killed at random moments."""


def options() -> argparse.Namespace:
    """What was asked for."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--verbs", nargs="*", help="which; by default all")
    words.add_argument("--rows", nargs="*", default=[""], help="kinds of faults, by how their names begin")
    words.add_argument("--most", type=int, default=12, help="numbers of a call at most, for each kind of fault")
    words.add_argument("--memory", type=int, default=40, help="trials of memory, for each verb and size")
    words.add_argument("--kills", type=int, default=100, help="kills of each verb")
    words.add_argument("--show", type=int, default=40, help="lines of what is wrong, for each verb")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--out", type=Path, help="file for the figures")
    words.add_argument("--light", action="store_true", help="without the verbs that need PyTorch")
    return words.parse_args()


def load(learn: bool) -> Any:
    """Import what the verbs import, so that a forked child need not; main of the command line."""
    import onnxruntime  # noqa: F401

    import oddroad.detection.pipeline
    import oddroad.evaluation.evaluate
    import oddroad.inference.model
    import oddroad.mining.driver
    import oddroad.mining.manifest
    from oddroad.cli.main import main

    if learn:
        import onnx  # noqa: F401
        import torch

        import oddroad.learn.checkpoints.convert
        import oddroad.learn.export.onnx
        import oddroad.learn.post_hoc
        import oddroad.learn.training.fit  # noqa: F401

        torch.set_num_threads(1)
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401

    gc.collect()
    gc.freeze()
    return main


def keep_parsed() -> None:
    """Words of a command, whose parsing takes half of a tiny run and touches no results, are parsed once and kept."""
    from oddroad.cli import main as command

    kept: dict[Any, Any] = {}
    plain = command.parse

    def parse(verb: str, words: Any) -> Any:
        key = verb, tuple(words)
        if key not in kept:
            kept[key] = plain(verb, words)
        return kept[key]

    command.parse = parse


def keep_traces(folder: Path) -> None:
    """The export's tracing, which takes seconds and touches no results, is done once for each score and kept here."""
    import onnx

    from oddroad.learn.export import onnx as exporter

    plain = exporter.trace

    def trace(detector: Any) -> Any:
        path = folder / f"traced-{'-'.join(detector.scores)}.onnx"
        if not path.is_file():
            onnx.save(plain(detector), path)
        return onnx.load(path)

    exporter.trace = trace


def main() -> int:
    """Run it; 1 where anything is wrong."""
    given = options()
    if os.environ.get("LD_PRELOAD", "").rpartition("/")[2] != "shim.so":
        with tempfile.TemporaryDirectory() as folder:
            made = shim.build(Path(folder))
            return os.spawnve(os.P_WAIT, sys.executable, [sys.executable, *sys.argv], shim.environment(made))
    draw, run, learn = random.Random(given.seed), load(not given.light), not given.light
    keep_parsed()
    here_pool.keep_here()
    figures: dict[str, Any] = {}
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if learn:
            keep_traces(folder)
        made = trials.in_child(lambda: verbs.make_inputs(folder / "in", learn) or 0, folder / "log", None, folder, None)
        if made.code or made.hung:
            raise SystemExit(f"the inputs could not be made: {made.said}")
        for title, verb in verbs.verbs(folder / "in", learn).items():
            if given.verbs and title not in given.verbs:
                continue
            began = time.monotonic()
            bench = trials.Bench(verb, folder / title.replace(" ", "_"), run)
            figures[title] = faults(bench, given, draw) | memory(bench, given, draw)
            if title in KILLED:
                figures[title] |= kills(bench, given, draw)
            figures[title]["seconds"] = round(time.monotonic() - began, 1)
            wrong = [line for key, each in figures[title].items() if key.endswith("wrong") for line in each]
            bad += len(wrong)
            told = {key: each for key, each in figures[title].items() if isinstance(each, (int, float))}
            print(f"{title}: {json.dumps(told)}; wrong: {len(wrong)}", flush=True)
            for line in wrong[: given.show]:
                print(f"   {line}", flush=True)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if bad else 0


def faults(bench: trials.Bench, given: argparse.Namespace, draw: random.Random) -> dict[str, Any]:
    """Figures of the faults of a verb."""
    found: dict[str, Any] = {"calls": bench.undisturbed.counts, "faults": 0, "fired": 0, "finished": 0, "wrong": []}
    rows = tuple(given.rows)
    every = trials.faults_for(bench.undisturbed.counts, given.most, draw)
    for fault in (each for each in every if each.name.startswith(rows)):
        ran, wrong = bench.trial(fault)
        found["faults"] += 1
        found["fired"] += ran.fired > 0
        found["finished"] += ran.fired > 0 and ran.code == 0
        found["wrong"] += [f"{fault.name} at {fault.number}: {each}" for each in wrong]
    return found


SIZES = {"large": 65536, "any": 512}
"""Bytes of a request of memory that counts."""


def memory(bench: trials.Bench, given: argparse.Namespace, draw: random.Random) -> dict[str, Any]:
    """Figures of requests of memory that fail: the large ones, and any; once, and from there on."""
    found: dict[str, Any] = {"memory": 0, "memory_fired": 0, "memory_finished": 0, "memory_died": 0,
                             "memory_died_in": [], "memory_wrong": []}  # fmt: skip
    for name, least in SIZES.items() if given.memory else ():
        bench.start()
        total = bench.go(bench.verb.words(bench.out), trials.Fault("none", number=0, least=least)).memory
        for number in sorted(draw.sample(range(1, total + 1), min(given.memory, total))):
            fault = trials.Fault(f"memory, {name}", number=number, least=least, stays=draw.random() < 0.5)
            ran, wrong = bench.trial(fault)
            found["memory"] += 1
            found["memory_fired"] += ran.fired > 0
            found["memory_finished"] += ran.fired > 0 and ran.code == 0
            found["memory_died"] += ran.code < 0
            if ran.code < 0:
                found["memory_died_in"].append(trials.died_in(ran))
            found["memory_wrong"] += [
                f"{fault.name}{', stays' * fault.stays} at {number} of {total}: {each}" for each in wrong
            ]
    return found


def kills(bench: trials.Bench, given: argparse.Namespace, draw: random.Random) -> dict[str, Any]:
    """Figures of kills at random moments of a run; those that came after its end do not count."""
    found: dict[str, Any] = {"kills": 0, "kills_too_late": 0, "kills_wrong": []}
    longest = bench.undisturbed.seconds
    while found["kills"] < given.kills and found["kills_too_late"] < 3 * given.kills:
        ran, wrong = bench.kill(draw.uniform(0, longest))
        if ran.code == 0:
            found["kills_too_late"] += 1
            longest = min(longest, ran.seconds)
            continue
        found["kills"] += 1
        found["kills_wrong"] += [f"killed after {ran.seconds:.3f} s: {each}" for each in wrong]
    return found


if __name__ == "__main__":
    sys.exit(main())
