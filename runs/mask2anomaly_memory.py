"""Memory and time of the full-size recipe from single steps: ResNet-50, 100 queries, crops of 380x760, on this machine.

    python runs/mask2anomaly_memory.py OUT.json [--batches 1 2] [--device cpu] [--networks mask2anomaly_lean ...]

Each setting runs in a process of its own: forward, loss, backward and optimiser step, twice; the second is timed.
Memory is what the process gained since before the first step, and the parameters (on CUDA: the peak allocated).
On a processor the time is what its cores spent, added up, so that other programs hardly matter; it says nothing about
a graphics card. Memory is nearly the same on both, for the same tensors are kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

STEPS, BATCH, CARD_GB = 90_000, 8, 24.0


def one(network: str, batch: int, device: str) -> dict[str, float | int | str]:
    """Two steps of a network on random crops."""
    import torch

    from oddroad.learn.training.fit import Training
    from oddroad.recipe import read_recipe

    recipe = read_recipe(Path(__file__).parents[1] / "recipes/mask2anomaly_first.yaml", {"network.name": network})
    torch.manual_seed(0)
    training = Training(recipe).to(device).train()
    optimiser = training.configure_optimizers()["optimizer"]
    rows, columns = recipe.scenes.crop
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, rows, columns), dtype=torch.uint8, generator=draw).to(device)
    labels = torch.randint(0, 19, (batch, 1 + rows // 60, 1 + columns // 60), generator=draw)
    labels = labels.repeat_interleave(60, 1).repeat_interleave(60, 2)[:, :rows, :columns].to(device)

    def held() -> float:
        if device == "cuda":
            return torch.cuda.max_memory_allocated() / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    clock = time.perf_counter if device == "cuda" else time.process_time
    before, seconds = held(), 0.0
    for _ in range(2):
        began = clock()
        total, _ = training.loss(training(images), labels)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = clock() - began
    peak = held()
    weights = sum(each.numel() for each in training.network.parameters()) * 4 / 1e9
    gigabytes = peak if device == "cuda" else peak - before + weights
    name = torch.cuda.get_device_name() if device == "cuda" else "one core of a processor"
    return {"network": network, "batch": batch, "gb": gigabytes, "seconds": seconds, "loss": float(total), "on": name}


def main() -> None:
    """Measure all settings, one process each, and print what follows for the recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", nargs="+", default=["mask2anomaly_frozen", "mask2anomaly_lean"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", action="store_true")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.networks[0], given.batches[0], given.device)))
        return
    rows = []
    for network in given.networks:
        for batch in given.batches:
            words = [sys.executable, __file__, str(given.out), "--one", "--device", given.device]
            words += ["--networks", network, "--batches", str(batch)]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                print(f"{network}, batch {batch}: {done.stderr.strip().splitlines()[-1]}")
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{network}, batch {batch}: {rows[-1]['gb']:.2f} GB, {rows[-1]['seconds']:.2f} s a step", flush=True)
    given.out.write_text(json.dumps(rows, indent=1))
    for network in given.networks:
        found = sorted((each for each in rows if each["network"] == network), key=lambda each: each["batch"])
        if len(found) < 2:
            continue
        less, more = found[0], found[-1]
        slope = (more["gb"] - less["gb"]) / (more["batch"] - less["batch"])
        base = less["gb"] - slope * less["batch"]
        seconds = more["seconds"] / more["batch"] * BATCH
        print(
            f"{network}: {base:.2f} GB + {slope:.2f} GB an image: {base + BATCH * slope:.1f} GB at batch {BATCH}, "
            f"{int((CARD_GB - base) / slope)} images fit {CARD_GB:g} GB; {STEPS} steps of {BATCH} would take "
            f"{STEPS * seconds / 3600:.0f} h on {more['on']}"
        )


if __name__ == "__main__":
    main()
