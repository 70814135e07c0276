"""Time of training steps with and without subnormal numbers counted as zero, in turn, from weights that have learned.

    python benchmarks/subnormals.py DATA CHECKPOINT --recipe laptop/ce --changes "{optim.batch: 8}"

Random weights have no numbers below 1.2e-38; weight decay makes them in dead channels, and the published ERFNet holds
2158. How many CHECKPOINT holds is said. Processor time of forward, losses, backward and optimiser, one thread; medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
import yaml

from oddroad.benchmarking.environment import processor
from oddroad.learn.checkpoints.format import read_checkpoint
from oddroad.learn.data.crops import Crops
from oddroad.learn.training.module import Training
from oddroad.recipe import read_recipe
from oddroad.shipped_recipes import find_recipe

LEAST = torch.finfo(torch.float32).tiny


def main() -> None:
    """Measure in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--recipe", default="laptop/ce")
    parser.add_argument("--changes", type=yaml.safe_load, default={}, help="of the recipe")
    parser.add_argument("--steps", type=int, default=5, help="in each turn")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(find_recipe(Path(given.recipe)), given.changes)
    module = Training(recipe).train()
    state = read_checkpoint(given.checkpoint)[0]
    tiny = sum(int(((each != 0) & (each.abs() < LEAST)).sum()) for each in state.values() if each.is_floating_point())
    print(f"{given.checkpoint} holds {tiny} subnormal numbers")
    batch, stride = recipe.optim.batch, recipe.scenes.loss_stride
    crops = Crops(given.data, recipe.scenes, recipe.outliers, batch * given.steps, recipe.seed)
    took: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(given.turns):
        for zero, times in took.items():
            torch.set_flush_denormal(False)
            module.network.load_state_dict(state)  # steps that count them as zero leave none
            optimiser = module.configure_optimizers()["optimizer"]
            torch.set_flush_denormal(zero)
            for step in range(given.steps):
                pairs = [crops[step * batch + at] for at in range(batch)]
                images, labels = (torch.stack(each) for each in zip(*pairs, strict=True))
                began = time.process_time()
                optimiser.zero_grad()
                module.loss(module(images), labels[:, stride // 2 :: stride, stride // 2 :: stride])[0].backward()
                optimiser.step()
                times.append(time.process_time() - began)
    torch.set_flush_denormal(False)
    kept, zero = (statistics.median(took[each]) for each in (False, True))
    print(f"{processor()['name']}, one thread, {batch} crops of {'x'.join(map(str, recipe.scenes.crop))}")
    print(f"a step, s: {kept:.2f} as they are, {zero:.2f} with subnormal numbers as zero: {kept / zero:.1f} times")


if __name__ == "__main__":
    main()
