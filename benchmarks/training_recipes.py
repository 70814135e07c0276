"""Crops a second of whole recipes: crops made, forward, all losses, backward, clipping, optimiser; in one run.

    python benchmarks/training_recipes.py DATA recipes/one.yaml recipes/other.yaml --steps 12 --json FILE

The recipes take turns, step by step, so that a disturbance hits each alike; medians are reported, and the ratio to the
first. Precision, frozen parts and batch are those of the recipe. Scenes are read once before, as in a run that goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from oddroad.benchmarking.environment import processor
from oddroad.learn.data.crops import Crops
from oddroad.learn.training.module import Training
from oddroad.recipe import read_recipe


def stepper(path: Path, root: Path, steps: int) -> tuple[Callable[[], tuple[float, float]], int]:
    """A function that makes one batch and trains one step, and says how long each took; and the size of a batch."""
    recipe = read_recipe(path)
    scenes = replace(recipe.scenes, class_balance=0.0)  # how scenes are drawn costs nothing, counting them does
    crops = Crops(root, scenes, recipe.outliers, recipe.optim.batch * (steps + 4), recipe.seed)
    module = Training(replace(recipe, class_weights=type(recipe.class_weights)()))
    module.train()
    for each in module.frozen:
        each.training = False
    optimiser = module.configure_optimizers()["optimizer"]
    batch, stride = recipe.optim.batch, scenes.loss_stride
    for number in range(len(crops)):  # decodes the scenes
        crops.scene_list[crops.draw_scene(np.random.default_rng((recipe.seed, number)))]
    at = 0

    def step() -> tuple[float, float]:
        nonlocal at
        start = time.perf_counter()
        pairs = [crops[at + each] for each in range(batch)]
        at += batch
        images, labels = (torch.stack(each) for each in zip(*pairs, strict=True))
        made = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.optim.precision == "bf16"):
            outputs = module(images)
            total, _ = module.loss(outputs, labels[:, stride // 2 :: stride, stride // 2 :: stride])
        total.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.optim.clip or 1e9)
        optimiser.step()
        optimiser.zero_grad()
        return made - start, time.perf_counter() - made

    return step, batch


def main() -> None:
    """Take turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("recipes", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs = {path.stem: stepper(path, given.data, given.steps) for path in given.recipes}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(given.steps + 2):
        for name, (step, _) in runs.items():
            found = step()
            if number >= 2:
                took[name].append(found)
    print(f"{processor()}, {torch.get_num_threads()} threads")
    rates = {}
    for name, (_, batch) in runs.items():
        crops, network = (statistics.median(each) for each in zip(*took[name], strict=True))
        rates[name] = batch / (crops + network)
        ratio = rates[name] / next(iter(rates.values()))
        parts = f"a step {network:.2f} s, its crops {crops:.2f} s"
        print(f"{name:<24}{rates[name]:6.1f} crops a second ({ratio:.2f}); {parts}")
    if given.json is not None:
        given.json.write_text(json.dumps(rates, indent=1) + "\n")


if __name__ == "__main__":
    main()
