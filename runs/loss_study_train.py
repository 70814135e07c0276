"""Trains what the study of the losses compares, one run after the other in one process; done runs are left out.

    python runs/loss_study_train.py DATA OUT

Each run is what 'oddroad train --recipe recipes/laptop/ROW.yaml --recipe.seed SEED --init-from START
--reinit CLASSIFIER' does; one process spares importing PyTorch for each. A run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from oddroad.learn.checkpoints.convert import convert_file
from oddroad.learn.networks.erfnet import Encoder
from oddroad.learn.training.fit import fit
from oddroad.recipe import read_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "laptop"
LOSSES = ("ce", "ln", "ln_ce", "ln_fl", "eiml", "eiml_fl", "eiml_ce")
WEIGHTS = ("0.25", "4")
"""Of the second term; 1 is the row itself, 0 the row of the first term alone."""

STARTS = {
    "erfnet": ("erfnet_cityscapes_20.pth", ("decoder.output_conv", "encoder.output_conv")),
    "enet": ("enet_cityscapes_void_20.pth", ("transposed_conv",)),
}
"""Network -> published weights below DATA/weights, and the parts that begin anew: the classifiers."""

ALWAYS, NEVER = 20, 10**6


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: of its folder.
        recipe: name of the recipe.
        seed: the seed.
        start: key in STARTS, or "" for random weights.
        changes: dotted keys of the recipe and their values.
    """

    name: str
    recipe: str
    seed: int
    start: str = "erfnet"
    changes: Mapping[str, Any] = field(default_factory=dict)


class Memory:
    """What frozen encoders gave for a batch, for the next run that shows the same batch to the same weights.

    Runs of one seed see the same crops in the same order, and their encoders are the published one and are frozen, so
    that what is remembered is what would be computed. It halves the time of the study and changes no bit of it.
    """

    def __init__(self) -> None:
        self.kept: dict[bytes, Tensor] = {}
        self.weights: dict[int, bytes] = {}

    def attach(self) -> None:
        """Let every encoder ask here first."""
        compute, memory = Encoder.forward, self

        def forward(encoder: Encoder, images: Tensor) -> Tensor:
            if encoder.training or any(each.requires_grad for each in encoder.parameters()):
                return compute(encoder, images)
            if id(encoder) not in memory.weights:
                state = b"".join(each.numpy().tobytes() for each in encoder.state_dict().values())
                memory.weights = {id(encoder): hashlib.sha256(state).digest()}
            key = memory.weights[id(encoder)] + hashlib.sha256(images.contiguous().numpy().tobytes()).digest()
            if key not in memory.kept:
                memory.kept[key] = compute(encoder, images)
            return memory.kept[key]

        Encoder.forward = forward


def plan(seeds: Sequence[int], sweep: Sequence[int], rows: Sequence[str] = LOSSES, void: bool = True) -> list[Run]:
    """All runs: the rows seed by seed, the void classifiers, the sweep of weights."""
    runs = [Run(name, name, seed) for seed in seeds for name in rows]
    if void:
        runs += [Run("void_erfnet", "void_erfnet", 0), Run("void_enet", "void_enet", 0, "enet")]
        runs.append(Run("void_bisenetv2", "void_bisenetv2", 0, ""))
    for seed in sweep:
        for weight in WEIGHTS:
            focal, entropy = {"isomax": 1, "isomax_focal": weight}, {"logit_norm": 1, "cross_entropy": weight}
            runs.append(Run(f"eiml_fl_{weight}", "eiml_fl", seed, changes={"losses": focal}))
            runs.append(Run(f"ln_ce_{weight}", "ln_ce", seed, changes={"losses": entropy}))
    return runs


def main() -> None:
    """Train everything; the learning curves of the first seed have validations, the others none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sweep", type=int, nargs="*", default=[0], help="seeds of the sweep of weights")
    parser.add_argument("--rows", nargs="+", default=LOSSES, choices=LOSSES, help="rows of the losses to train")
    parser.add_argument("--no-void", action="store_true", help="leave out the void classifiers")
    parser.add_argument(
        "--changes", type=yaml.safe_load, default={}, help='changes of every recipe, such as "{optim.steps: 1}"'
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for network, (file, _) in STARTS.items():
        if not (given.out / f"{network}.ckpt").is_file():
            convert_file(given.data / "weights" / file, network, given.out / f"{network}.ckpt")
    counts = given.out / "class_counts.json"
    memory, before = Memory(), None
    memory.attach()
    for run in plan(given.seeds, given.sweep, given.rows, not given.no_void):
        folder = given.out / run.name / str(run.seed)
        if (folder / "model.ckpt").is_file():
            continue
        if run.seed != before:
            memory.kept, before = {}, run.seed
        memory.weights = {}
        began = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)
        if counts.is_file():  # of the same training scenes: one pass is enough
            shutil.copy(counts, folder / counts.name)
        recipe = read_recipe(RECIPES / f"{run.recipe}.yaml", {"seed": run.seed, **run.changes, **given.changes})
        fit(
            recipe,
            given.data,
            folder,
            validate_every=ALWAYS if run.seed == given.seeds[0] and not run.changes else NEVER,
            init_from=given.out / f"{run.start}.ckpt" if run.start else None,
            save_every=40,
            reinit=STARTS[run.start][1] if run.start else (),
            validation_scenes=8,
        )
        if not counts.is_file():
            shutil.copy(folder / counts.name, counts)
        print(
            f"\n{run.name} {run.seed}: {time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of CPU in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
