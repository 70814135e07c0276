"""The study of the losses at real length: encoder trained too, 20,000 crops a run, stopped early, row by row.

    python runs/loss_study_long.py DATA OUT RESULTS [--minutes 90]

Each run is recipes/laptop/ROW.yaml with the changes in LONG: nothing is frozen, decoder and classifier begin anew and
the encoder begins with the published ERFNet's (ENet: its classifier begins anew; BiSeNetV2 begins anew). The mean IoU
of validation scenes decides when a run stops and which of its weights are kept; no benchmark is looked at before. All
runs are made in one process, which keeps the decoded scenes; a run that was killed goes on from its last 50 steps, and
each run that has ended is judged (loss_study.py) and written to RESULTS at once. First the budget is measured and told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from loss_study import SCENES, SETS, Frames, frames_of, judge, rounded
from loss_study_train import LOSSES, RECIPES, STARTS, Run, plan
from torch import Tensor

from oddroad.evaluation.evaluate import plain
from oddroad.files import write_whole
from oddroad.learn.checkpoints.convert import convert_file
from oddroad.learn.checkpoints.format import read_checkpoint
from oddroad.learn.data.scenes import Scene, SceneList
from oddroad.learn.training.fit import fit
from oddroad.learn.training.module import Training
from oddroad.recipe import Recipe, read_recipe
from oddroad.reporting.learning_curves import PLACE, read_curves

LONG: dict[str, Any] = {
    "optim.steps": 2500, "optim.batch": 8, "optim.warmup": 50, "optim.lr": 5e-4, "optim.frozen": [],
    "optim.lr_multipliers": {},
}  # fmt: skip
"""What makes a laptop recipe a long one: the optimiser of recipes/full, on 20,000 crops of 128x256."""

EVERY, PATIENCE, LEAST = 250, 3, 0.002
"""Steps between validations; validations without a gain of LEAST in mean IoU before a run stops."""

VALIDATION = 42
"""Validation scenes, evenly spread, at 256x512."""

REINIT = {"erfnet": ("decoder.", "encoder.output_conv"), "enet": STARTS["enet"][1], "": ()}
"""Start -> what begins anew."""

ORDER = ("ce", "eiml", "ln", "eiml_ce", "ln_ce", "eiml_fl", "ln_fl")
"""Of the rows within a seed: first those that a verdict of the short study rests on."""


class OutOfTimeError(Exception):
    """The minutes that were given are over."""


def keep_scenes() -> None:
    """Let all lists of scenes of this process share what they decoded."""
    make = SceneList.__init__
    decoded: dict[tuple[Any, ...], dict[Path, Scene]] = {}

    def shared(scenes: SceneList, root: Path, *words: Any, **more: Any) -> None:
        make(scenes, root, *words, **more)
        scenes.kept = decoded.setdefault((root, scenes.rows), {})

    SceneList.__init__ = shared


def recipe_of(run: Run, changes: dict[str, Any]) -> Recipe:
    """The recipe of a run."""
    own = {key: each for key, each in LONG.items() if run.start != "" or key in ("optim.steps", "optim.batch")}
    return read_recipe(RECIPES / f"{run.recipe}.yaml", {"seed": run.seed, **own, **run.changes, **changes})


def runs_of(seeds: Sequence[int], sweep: Sequence[int], rows: Sequence[str], void: Sequence[int]) -> list[Run]:
    """All runs in the order they are made: rows seed by seed, void classifiers, the sweep of weights."""
    main = plan(seeds, (), [each for each in ORDER if each in rows], void=False)
    starts = (("void_erfnet", "erfnet"), ("void_enet", "enet"), ("void_bisenetv2", ""))
    return main + [Run(name, name, seed, start) for seed in void for name, start in starts] + plan((), sweep, (), False)


def mean_ious(folder: Path) -> dict[int, float]:
    """Step -> mean IoU of the validation scenes."""
    curves = folder / PLACE
    return {step: each for step, name, each in read_curves(curves) if name == "miou"} if curves.is_file() else {}


def ended(found: dict[int, float], steps: int) -> bool:
    """Whether a run has done its steps, or has not gained LEAST over the best so far for PATIENCE validations."""
    best, without = -1.0, 0
    for each in found.values():
        best, without = (each, 0) if each >= best + LEAST else (best, without + 1)
    return without >= PATIENCE or max(found, default=0) >= steps


def seconds_a_crop(recipe: Recipe, repeats: int = 3) -> float:
    """Median time of forward, backward and step on one crop of random numbers, after two steps that do not count."""
    module, batch = Training(recipe).train(), recipe.optim.batch
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-4)
    images = torch.randint(0, 256, (batch, 3, *recipe.scenes.crop), dtype=torch.uint8)
    stride, spent = recipe.scenes.loss_stride, []
    labels = torch.randint(0, recipe.network.classes, (batch, *recipe.scenes.crop))
    labels = labels[:, stride // 2 :: stride, stride // 2 :: stride]
    for _ in range(repeats + 2):
        began = time.perf_counter()
        optimiser.zero_grad()
        total: Tensor = module.loss(module(images), labels)[0]
        total.backward()
        optimiser.step()
        spent.append(time.perf_counter() - began)
    return sorted(spent[2:])[repeats // 2] / batch


def tell_budget(runs: Sequence[Run], changes: dict[str, Any], results: Path) -> None:
    """Print what each network costs a crop, and what the runs that are left cost at most."""
    cost: dict[str, float] = {}
    total = 0.0
    left = [run for run in runs if not result_of(run, results).is_file()]
    for run in left:
        recipe = recipe_of(run, changes)
        name = recipe.network.name
        if name not in cost:
            cost[name] = seconds_a_crop(recipe)
            print(f"{name}: {1 / cost[name]:.1f} crops a second with {torch.get_num_threads()} threads", flush=True)
        total += cost[name] * recipe.optim.steps * recipe.optim.batch
    print(f"{len(left)} of {len(runs)} runs are left: {total / 3600:.1f} hours at most, by these rates", flush=True)


def result_of(run: Run, results: Path) -> Path:
    """Where the figures of a run go."""
    return results / f"{run.name}_{run.seed}.json"


def keep_best(parts: Path, folder: Path) -> None:
    """Keep the weights of the last validation where it is the best one."""
    found, made = mean_ious(parts), parts / "model.ckpt"
    if found and found[max(found)] >= max(found.values()) and read_checkpoint(made)[1]["origin"]["step"] == max(found):
        write_whole(folder / "model.ckpt", made.read_bytes(), "the best weights")


def train(run: Run, recipe: Recipe, data: Path, out: Path, every: int, tell: Any) -> Path:
    """Train a run to its end, keeping the weights of its best validation; the folder of what is kept."""
    folder = out / run.name / str(run.seed)
    parts, steps = folder / "parts", recipe.optim.steps
    parts.mkdir(parents=True, exist_ok=True)
    counts = out / "class_counts.json"
    if counts.is_file():  # of the same training scenes: one pass is enough
        shutil.copy(counts, parts / counts.name)
    while not ended(found := mean_ious(parts), steps):
        keep_best(parts, folder)
        step = (max(found, default=0) // every + 1) * every
        fit(
            recipe,
            data,
            parts,
            validate_every=every,
            init_from=out / f"{run.start}.ckpt" if run.start else None,
            save_every=min(50, every),
            until=step,
            reinit=REINIT[run.start],
            validation_scenes=VALIDATION,
            tell=tell,
        )
        if not counts.is_file():
            shutil.copy(parts / counts.name, counts)
        if (step := min(step, steps)) not in (after := mean_ious(parts)):
            raise SystemExit(f"{parts}: no validation at step {step}; delete this folder to begin the run again")
        print(f"{run.name} {run.seed}: step {step}, mean IoU {100 * after[step]:.1f}", flush=True)
    keep_best(parts, folder)
    shutil.copy(parts / "run.json", folder / "run.json")
    (folder / PLACE).parent.mkdir(exist_ok=True)
    shutil.copy(parts / PLACE, folder / PLACE)
    return folder


def write_result(run: Run, recipe: Recipe, folder: Path, sets: dict[str, Frames], results: Path) -> None:
    """Judge the kept weights of a run; its figures, recipe, learning curves and length go into the results."""
    found = mean_ious(folder)
    best = max(found, key=lambda step: (found[step], step))
    length = {
        "steps": max(found), "crops": max(found) * recipe.optim.batch, "kept_step": best, "kept_miou": found[best],
        "stopped_early": max(found) < recipe.optim.steps,
    }  # fmt: skip
    with torch.inference_mode():
        judged = judge(folder / "model.ckpt", sets, {})
    results.mkdir(parents=True, exist_ok=True)
    place = result_of(run, results)
    shutil.copy(folder / PLACE, place.with_suffix(".csv"))
    written = {"recipe": json.loads((folder / "run.json").read_text())["recipe"], "length": length, "results": judged}
    write_whole(place, (json.dumps(plain(rounded(written)), indent=1) + "\n").encode(), "results")


def main(arguments: Sequence[str] | None = None) -> None:
    """Tell the budget, then train and judge what has no result yet, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--void", type=int, nargs="*", default=[0, 1, 2], help="seeds of the void classifiers")
    parser.add_argument("--sweep", type=int, nargs="*", default=[0], help="seeds of the sweep of weights")
    parser.add_argument("--rows", nargs="+", default=LOSSES, choices=LOSSES, help="rows of the losses")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so many; 0 for the whole study")
    parser.add_argument("--budget", action="store_true", help="tell what it costs and stop")
    parser.add_argument("--every", type=int, default=EVERY, help="steps between validations")
    parser.add_argument("--images", type=int, default=0, help="of each set, to try the script")
    parser.add_argument(
        "--changes", type=yaml.safe_load, default={}, help='changes of every recipe, such as "{optim.steps: 1}"'
    )
    given = parser.parse_args(arguments)
    began = time.monotonic()

    def tell(*_: Any) -> None:
        if given.minutes and time.monotonic() - began > 60 * given.minutes:
            raise OutOfTimeError

    runs = runs_of(given.seeds, given.sweep, given.rows, given.void)
    tell_budget(runs, given.changes, given.results)
    if given.budget:
        return
    keep_scenes()
    given.out.mkdir(parents=True, exist_ok=True)
    for network in {run.start for run in runs} & STARTS.keys():
        if not (given.out / f"{network}.ckpt").is_file():
            convert_file(given.data / "weights" / STARTS[network][0], network, given.out / f"{network}.ckpt")
    sets: dict[str, Frames] = {}
    try:
        for run in runs:
            if result_of(run, given.results).is_file():
                continue
            tell()
            recipe = recipe_of(run, given.changes)
            folder = train(run, recipe, given.data, given.out, given.every, tell)
            sets = sets or {name: frames_of(name, given.data, given.images) for name in (SCENES, *SETS)}
            write_result(run, recipe, folder, sets, given.results)
            print(f"{run.name} {run.seed}: judged, {(time.monotonic() - began) / 60:.0f} minutes in all", flush=True)
    except OutOfTimeError:
        print(f"stopped after {given.minutes:g} minutes; the same command goes on from here", flush=True)


if __name__ == "__main__":
    main()
