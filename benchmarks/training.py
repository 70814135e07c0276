"""Seconds an image of training for each network, and the share of the time that it waits for data.

    python benchmarks/training.py --root DATA --json training.json

A step is what 'oddroad train' does: forward, cross-entropy, backward, clipping, Adam, on crops of real scenes with
pasted objects and distortions. Modes: float32 in the usual layout of memory, float32 channels_last (what training
uses), and bfloat16 autocast channels_last. The modes of a network take turns, so that a disturbance hits each alike;
medians are reported, and beside them the ratio to the first. Waiting is the time spent in ``next`` of the loader in a
loop of steps: with the crops prepared between the steps (workers 0), and by one process beside (workers 1). Time does
not depend on the weights, which are random.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from oddroad.benchmarking.environment import processor
from oddroad.learn.data.crops import Crops
from oddroad.learn.detector import NORMALISATION
from oddroad.learn.losses import LOSSES
from oddroad.learn.networks import NETWORKS
from oddroad.recipe import Outliers, Scenes

SMALL = ("erfnet", "enet", "bisenetv1", "bisenetv2", "ddrnet23_slim", "pidnet_s")
MODES = {"fp32": (False, False), "fp32 channels_last": (True, False), "bf16 channels_last": (True, True)}
"""Mode -> channels_last, bfloat16."""


def stepper(name: str, mode: str) -> Callable[[Tensor, Tensor], None]:
    """A function that trains one step on images (N, 3, H, W) uint8 and labels (N, H, W)."""
    last, half = MODES[mode]
    layout = torch.channels_last if last else torch.contiguous_format
    network = NETWORKS[name](classes=19, auxiliary=True).train().to(memory_format=layout)  # pyright: ignore
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) * 255 for each in NORMALISATION["imagenet"])

    def step(images: Tensor, labels: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = network(((images - mean) / std).contiguous(memory_format=layout))
            loss = LOSSES["cross_entropy"](outputs, labels) + 0.4 * LOSSES["auxiliary_cross_entropy"](outputs, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def timed(step: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def waiting(step: Callable[[Tensor, Tensor], None], crops: Crops, batch: int, workers: int, steps: int) -> float:
    """Share of the time in the loader, over some steps after a first one."""
    loader = DataLoader(crops, batch, num_workers=workers, drop_last=True)
    waited = worked = 0.0
    stream = iter(loader)
    for number in range(steps + 1):
        began = time.perf_counter()
        images, labels = next(stream)
        half_way = time.perf_counter()
        step(images, labels)
        if number:
            waited, worked = waited + half_way - began, worked + time.perf_counter() - half_way
    return waited / (waited + worked)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="holds cityscapes_small and coco128-seg")
    parser.add_argument("--networks", nargs="+", default=list(SMALL))
    parser.add_argument("--size", default="256x512")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1], help="processes that prepare crops beside")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    height, width = (int(each) for each in given.size.split("x"))
    scenes = Scenes(sets=("cityscapes_small",), crop=(height, width))
    crops = Crops(given.root, scenes, Outliers(), given.batch * (given.repeats + 2), seed=0)
    preparing = statistics.median(timed(lambda i=i: crops[i]) for i in range(len(crops)))
    images, labels = next(iter(DataLoader(crops, given.batch)))
    results: list[dict[str, Any]] = []
    print(f"preparing a crop of {given.size}: {1e3 * preparing:.1f} ms; {torch.get_num_threads()} threads")
    for name in given.networks:
        steps = {mode: stepper(name, mode) for mode in MODES}
        spent: dict[str, list[float]] = {mode: [] for mode in MODES}
        for repeat in range(given.repeats + 1):
            for mode, step in steps.items():
                seconds = timed(lambda step=step: step(images, labels)) / given.batch
                spent[mode] += [seconds] if repeat else []
        median = {mode: statistics.median(times) for mode, times in spent.items()}
        usual = steps["fp32 channels_last"]
        share = {workers: waiting(usual, crops, given.batch, workers, given.repeats) for workers in given.workers}
        results.append({"network": name, "seconds_an_image": median, "waiting": share})
        shown = ", ".join(f"{mode} {value:.3f} s ({median['fp32'] / value:.2f}x)" for mode, value in median.items())
        waits = ", ".join(f"{100 * value:.1f} % with {workers} workers" for workers, value in share.items())
        print(f"{name:<14} {shown}; waiting {waits}", flush=True)
    if given.json:
        about = {"size": given.size, "batch": given.batch, "repeats": given.repeats, "preparing_a_crop": preparing}
        about |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "machine": processor()}
        given.json.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
