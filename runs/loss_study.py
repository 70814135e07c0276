"""Judges every trained network of the loss study: one pass over each image, all scores and temperatures from it.

Called by loss_study.sh. Protocol: images at 256x512, labels (nearest) too, frames without an anomaly left out, scores
at the stride of the network and enlarged (bilinear), all pixels of a set pooled. Classes and calibration on every
twelfth scene of the validation set of cityscapes_small, on which the temperature is fitted too (least negative
log-likelihood). Nothing is chosen on the benchmarks. A network that was judged already is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oddroad.datasets import DATASETS, completeness, read_image, read_label
from oddroad.evaluation.evaluate import plain
from oddroad.files import sha256_of
from oddroad.io.images import resize_area, resize_nearest
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.outputs import Outputs
from oddroad.learn.post_hoc import LogitSample, bare_detector
from oddroad.learn.scores import SCORES
from oddroad.learn.tensor_ops import resize
from oddroad.metrics import ExactPixelMetric, PixelMetric, SemanticMetric
from oddroad.metrics.intervals import COARSE, FIGURES, interval, leave_one_out
from oddroad.reporting.learning_curves import PLACE
from oddroad.types import ANOMALY

SIZE = (256, 512)
SETS = ("road_anomaly", "road_obstacle21")
SCENES = "cityscapes_small"
EVERY = 12
TEMPERATURES = (0.5, 2.0, 5.0)
ALSO_ENTROPY = ("2", "fitted")
"""Temperatures at which entropy is judged too, not MSP alone; only the rows of losses are judged at other than 1."""


ROWS = {
    "ce": "CE", "ln": "LN", "ln_ce": "LN + CE", "ln_fl": "LN + FL", "eiml": "EIML", "eiml_fl": "EIML + FL",
    "eiml_ce": "EIML + CE", "void_erfnet": "ERFNet", "void_enet": "ENet", "void_bisenetv2": "BiSeNetV2",
}  # fmt: skip
"""Folder of a run -> what the paper calls the row."""

Frames = list[tuple[np.ndarray, np.ndarray]]


def row_of(folder: str) -> str:
    """The paper's name of a row, with the weight of its second term where that is not 1."""
    if folder in ROWS:
        return ROWS[folder]
    name, _, weight = folder.rpartition("_")
    first, second = ROWS[name].split(" + ")
    return f"{first} + {weight} {second}"


def frames_of(name: str, root: Path, images: int) -> Frames:
    """Images and labels of a set at SIZE: every frame with an anomaly, or every EVERYth scene of known classes."""
    samples = DATASETS[name].load(root, "val")
    if name == SCENES:
        samples = samples[::EVERY]
    found = [(read_image(each), read_label(each)) for each in (samples[:images] if images else samples)]
    small = [(resize_area(image, SIZE), resize_nearest(label, SIZE)) for image, label in found]
    return [each for each in small if name == SCENES or (each[1] == ANOMALY).any()]


class Remembered(nn.Module):
    """An encoder that several networks share, run once for each image."""

    output_conv = None

    def __init__(self, encoder: nn.Module, kept: dict[Any, Tensor]):
        super().__init__()
        self.encoder, self.kept = encoder, kept
        state = b"".join(each.numpy().tobytes() for each in encoder.state_dict().values())
        self.key = hashlib.sha256(state).hexdigest()
        self.image: Any = None

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> features, from memory where the same weights saw the image."""
        at = (self.key, self.image)
        if at not in self.kept:
            self.kept[at] = self.encoder(images)
        return self.kept[at]


def scores_of(outputs: Outputs, temperatures: Mapping[str, float]) -> dict[tuple[str, str], Tensor]:
    """(score, name of the temperature) -> map (1, h, w); the largest logit ranks alike at every temperature."""
    found = {(name, "1"): SCORES[name](outputs) for name in ("msp", "max_logit", "entropy")}
    if outputs.void is not None:
        found["void", "1"] = SCORES["void"](outputs)
    for word, value in temperatures.items():
        cooled = outputs._replace(logits=outputs.logits / value)
        names = ("msp", "entropy") if word in ALSO_ENTROPY else ("msp",)
        found |= {(name, word): SCORES[name](cooled) for name in names}
    return found


def judge(path: Path, sets: Mapping[str, Frames], kept: dict[Any, Tensor]) -> list[dict[str, Any]]:
    """Results of one checkpoint in the form of 'oddroad evaluate', each with its row, seed and temperature."""
    network, about = load_network(path)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if about["network"] == "erfnet":
        network.encoder = Remembered(network.encoder, kept)  # pyright: ignore
    detector = bare_detector(network, about, SIZE)
    if getattr(network, "isomax", None) is not None:
        network.isomax.train()  # the quicker of its two ways, which give the same  # pyright: ignore
    seed = int(about["recipe"]["seed"])
    common = {
        "row": row_of(path.parent.parent.name), "seed": seed, "model": path.parent.parent.name,
        "model_hash": sha256_of(path), "protocol": "network", "input_size": f"{SIZE[0]}x{SIZE[1]}",
        "versions": {name: version(name) for name in ("oddroad", "numpy", "torch")},
    }  # fmt: skip

    def look(name: str, number: int, image: np.ndarray) -> Outputs:
        if about["network"] == "erfnet":
            network.encoder.image = (name, number)  # pyright: ignore
        return detector.outputs(torch.from_numpy(image)[None])

    began = time.perf_counter()
    semantic, sample = SemanticMetric(len(about["classes"])), LogitSample()
    for number, (image, label) in enumerate(sets[SCENES]):
        outputs = look(SCENES, number, image)
        sample.add(outputs, torch.from_numpy(label.astype(np.int64))[None])
        sure, likely = resize(outputs.logits, SIZE).softmax(1).max(1)
        semantic.add(likely[0].numpy(), label, sure[0].clamp(max=1).numpy(), str(number))
    fitted = sample.fit()
    calibration = {"value": fitted.value, "nll": fitted.nll, "ece": fitted.ece}
    results = [
        {**common, "dataset": SCENES, "score": "", **semantic.result(), "temperature_fitted": calibration,
         "images": len(sets[SCENES]), "seconds": time.perf_counter() - began,
         "notes": [f"every {EVERY}th scene, at 256x512"]},
    ]  # fmt: skip
    temperatures = {f"{each:g}": each for each in TEMPERATURES} | {"fitted": fitted.value}
    if common["model"] not in ROWS or outputs.void is not None:
        temperatures = {}
    elif seed != 0:  # the sweep costs as much as the rest; the other seeds are judged at the fitted one
        temperatures = {"fitted": fitted.value}
    for name in (each for each in sets if each != SCENES):
        began, metrics, coarse = time.perf_counter(), {}, {}
        for number, (image, label) in enumerate(sets[name]):
            for key, heat in scores_of(look(name, number, image), temperatures).items():
                large = resize(heat[:, None], SIZE)[0, 0].float().numpy()
                metrics.setdefault(key, ExactPixelMetric()).add(large, label, str(number))
                if key[1] == "1" and seed == 0:
                    small = PixelMetric(COARSE)
                    small.add(large, label, str(number))
                    coarse.setdefault(key, []).append(small)
        for (score, word), metric in metrics.items():
            figures = metric.result()
            frames = coarse.get((score, word))
            more = {}
            if frames:
                left_out = leave_one_out(frames, [str(number) for number in range(len(frames))])
                more = {"intervals": {each: interval(figures[each], left_out, each) for each in FIGURES}}
            lacking = completeness(name, "val", len(sets[name]))
            results.append(
                {**common, "dataset": name, "score": score, "temperature": word, **figures, **more,
                 "temperature_value": temperatures.get(word, 1.0), "images": len(sets[name]),
                 "seconds": time.perf_counter() - began, "notes": [lacking] if lacking else []}
            )  # fmt: skip
    return results


def rounded(value: Any) -> Any:
    """JSON values with six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge what is trained and not judged yet; put figures, recipe and learning curves of each run into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the trainings: ROW/SEED/model.ckpt")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--images", type=int, default=0, help="of each set, to try the script")
    given = parser.parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    sets: dict[str, Frames] = {}
    kept: dict[Any, Tensor] = {}
    while waiting := not_judged(given.out, given.results):
        path, result = waiting[0]
        sets = sets or {name: frames_of(name, given.root, given.images) for name in (SCENES, *SETS)}
        began = time.perf_counter()
        with torch.inference_mode():
            found = judge(path, sets, kept)
        recipe = json.loads((path.parent / "run.json").read_text())["recipe"]
        shutil.copy(path.parent / PLACE, result.with_suffix(".csv"))
        partial = result.with_suffix(".partial")
        partial.write_text(json.dumps(plain(rounded({"recipe": recipe, "results": found})), indent=1) + "\n")
        partial.replace(result)
        print(f"{result.stem}: judged in {time.perf_counter() - began:.0f} s", flush=True)


def not_judged(out: Path, results: Path) -> list[tuple[Path, Path]]:
    """Checkpoints that are trained and have no results yet, and where these go; main rows first."""
    paths = sorted(out.glob("*/*/model.ckpt"), key=lambda path: (path.parent.parent.name not in ROWS, path))
    pairs = [(path, results / f"{path.parent.parent.name}_{path.parent.name}.json") for path in paths]
    return [(path, result) for path, result in pairs if not result.is_file()]


if __name__ == "__main__":
    main()
