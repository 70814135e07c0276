"""The ensemble weights of a SynBoost checkpoint, chosen on validation scenes with held-out objects pasted.

    python runs/resynthesis_weights.py SYNBOOST.ckpt OUT.ckpt --root DATA

DATA holds cityscapes_small and coco128-seg. The pixels are drawn evenly, so that anomalies keep their share. No
benchmark is read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Preprocessing
from oddroad.learn.resynthesis.ensemble import MAPS, best_weights, grid, judged
from oddroad.learn.resynthesis.generator import shares
from oddroad.learn.resynthesis.methods import ENSEMBLE, SHARPNESS, SynBoost
from oddroad.types import IGNORE, OUTLIER

OBJECTS = "coco128-seg"
"""Folder of COCO pictures below the data root, whose held-out classes are pasted."""


def main() -> None:
    """Choose, print and write."""
    parser = argparse.ArgumentParser(description="The ensemble weights of a SynBoost checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="checkpoint to write")
    parser.add_argument("--root", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--scenes", type=int, default=40, help="validation scenes")
    parser.add_argument("--pixels", type=int, default=40000, help="pixels drawn from them")
    parser.add_argument("--step", type=float, default=0.05, help="of the grid")
    parser.add_argument("--table", type=Path, help="the ten best, the published and the single maps as JSON")
    given = parser.parse_args()
    network, about = load_network(given.checkpoint)
    if not isinstance(network, SynBoost):
        parser.error(f"'{given.checkpoint}' holds {about['network']}; the weights are SynBoost's")
    try:
        values, anomalous = drawn(network, str(about["normalisation"]), given.root, given.scenes, given.pixels)
        ranked = best_weights(values, anomalous, grid(given.step))
    except InputError as error:
        parser.error(str(error))
    single = [judged(values, anomalous, row) for row in np.eye(len(MAPS))]
    rows = {
        "best": ranked[:10],
        "published": [judged(values, anomalous, np.array(ENSEMBLE))],
        **dict(zip(MAPS, [[each] for each in single], strict=True)),
    }
    print(f"weights of {', '.join(MAPS)}; {len(anomalous)} pixels, {100 * anomalous.mean():.2f} % anomalous")
    for name, those in rows.items():
        for each in those[:3]:
            words = " ".join(f"{one:.2f}" for one in each.weights)
            print(f"  {name:<22} {words}   AP {100 * each.ap:.1f}   FPR95 {100 * each.fpr95:.1f}")
    if given.table:
        table = {name: [each.__dict__ for each in those] for name, those in rows.items()}
        given.table.write_text(json.dumps(table, indent=1), encoding="utf-8")
    network.weights.copy_(torch.tensor(ranked[0].weights))
    chosen = {"weights": list(ranked[0].weights), "of": list(MAPS), "scenes": given.scenes, "step": given.step}
    origin: dict[str, Any] = {**about.get("origin", {}), "ensemble": chosen}
    save_checkpoint(given.out, network, {**about, "origin": origin})


def drawn(network: SynBoost, normalisation: str, root: Path, scenes: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The four maps (P, 4) of pixels drawn from images of twice the generator's size, and which are anomalies."""
    rows, columns = network.size
    images = Validation(root, ((OBJECTS, 1.0),), scenes, (2 * rows, 2 * columns), sets=("cityscapes_small",))
    preprocessing, rng = Preprocessing.parse(normalisation), np.random.default_rng(0)
    values, anomalous = [], []
    for number in range(len(images)):
        image, label = images[number]
        with torch.inference_mode():
            given = preprocessing.normalised(image[None].float())
            outputs = network.inner(given)
            _, maps = network.maps(network.rgb(given), shares(outputs.logits, network.size, SHARPNESS), outputs)
        seen = label[1::2, 1::2].numpy().reshape(-1)
        flat = maps[0].reshape(len(MAPS), -1).T.numpy()
        chosen = rng.choice(len(seen), min(len(seen), -(-pixels // len(images))), replace=False)
        chosen = chosen[seen[chosen] != IGNORE]
        values.append(flat[chosen])
        anomalous.append(seen[chosen] == OUTLIER)
    return np.concatenate(values), np.concatenate(anomalous)


if __name__ == "__main__":
    main()
