"""Average the weights of checkpoints that were fine-tuned from one start; batch norms are measured anew, or averaged.

Run as ``python runs/embedded_average.py DATA OUT CHECKPOINT CHECKPOINT ... [--shares 0.5 0.5]``. Source: Wortsman et
al., "Model soups", ICML 2022; the statistics of batch norm as in Izmailov et al., "Averaging Weights
Leads to Wider Optima", UAI 2018, on training crops of the first checkpoint's recipe.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from oddroad.files import sha256_of
from oddroad.learn.checkpoints.format import load_network, read_checkpoint, save_checkpoint
from oddroad.learn.data.crops import Crops
from oddroad.learn.detector import NORMALISATION
from oddroad.recipe import Outliers, Scenes

BATCH = 8


def batches(crops: Crops, normalisation: str) -> Iterator[Tensor]:
    """Normalised crops, BATCH at a time."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) * 255 for each in NORMALISATION[normalisation])
    for first in range(0, len(crops), BATCH):
        images = torch.stack([crops[at][0] for at in range(first, min(first + BATCH, len(crops)))])
        yield (images - mean) / std


def main() -> None:
    """Average, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--shares", type=float, nargs="+", help="of each checkpoint; by default the same")
    parser.add_argument("--crops", type=int, default=400, help="training crops for the batch norms; 0 averages them")
    given = parser.parse_args()
    shares = given.shares or [1 / len(given.checkpoints)] * len(given.checkpoints)
    if len(shares) != len(given.checkpoints) or abs(sum(shares) - 1) > 1e-6:
        parser.error(f"{len(given.checkpoints)} checkpoints need as many shares, 1 in sum; there are {shares}")
    states = [read_checkpoint(each)[0] for each in given.checkpoints]
    network, about = load_network(given.checkpoints[0])
    mixed = {
        name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True)).to(own.dtype)  # type: ignore[union-attr]
        if own.is_floating_point()
        else own
        for name, own in states[0].items()
    }
    network.load_state_dict(mixed)
    if given.crops:
        scenes, outliers = about["recipe"]["scenes"], about["recipe"]["outliers"]
        crops = Crops(given.data, Scenes(**scenes), Outliers(**outliers), given.crops, seed=11)
        update_bn(batches(crops, about["normalisation"]), network)
    parts = [
        {"file": path.parent.name, "sha256": sha256_of(path), "share": round(share, 4)}
        for path, share in zip(given.checkpoints, shares, strict=True)
    ]
    about["origin"] = {**about["origin"], "average": parts}
    save_checkpoint(given.out, network.eval(), about)
    print(
        given.out, *(f"{share:g} of {path.parent.name}" for path, share in zip(given.checkpoints, shares, strict=True))
    )


if __name__ == "__main__":
    main()
