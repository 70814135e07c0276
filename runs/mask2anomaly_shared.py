"""What the analyses of Mask2Anomaly share: sets, checkpoints, figures of a checkpoint, pictures.

Every network sees images at SIZE; its maps are brought to the size of the label and all pixels of a set are pooled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.detection.drawing import write
from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Detector
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import SCORES
from oddroad.learn.scores.masks import INFERENCE
from oddroad.metrics import PixelMetric
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

SIZE = (384, 768)

SETS = ("pasted", "road_anomaly", "road_obstacle21", "fishyscapes_lost_and_found")
"""Held-out objects pasted on validation scenes, and the benchmarks; a benchmark that is not there is left out."""

MAIN = "mask2anomaly_s1"
"""The training that the paper's method is judged by: both stages, with objects of S1."""

OF_MASKS = ("mask_msp", "mask2anomaly")
OF_PIXELS = ("max_logit", "entropy")

Frame = tuple[str, np.ndarray, np.ndarray]
"""Name, image (H, W, 3) uint8 RGB, label (H, W) with KNOWN, ANOMALY, IGNORE."""


class Run(NamedTuple):
    """The command line of an analysis: where the data and the checkpoints are, and how many images of a set to take."""

    data: Path
    out: Path
    images: int

    @property
    def figures(self) -> Path:
        """Folder for tables and pictures, made."""
        folder = self.out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def checkpoint(self, name: str) -> Path:
        """Where a training of mask2anomaly.sh left its weights."""
        return self.out / name / "model.ckpt"


def command_line(what: str | None) -> Run:
    """Parse DATA OUT [--images N]."""
    parser = argparse.ArgumentParser(description=(what or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("out", type=Path, help="folder of mask2anomaly.sh")
    parser.add_argument("--images", type=int, default=0, help="only the first so many images of each set")
    given = parser.parse_args()
    return Run(given.data, given.out, given.images)


def scores_of(name: str) -> tuple[str, ...]:
    """What a training is judged by."""
    if name.startswith("densehybrid"):
        return (*OF_PIXELS, "dense_hybrid")
    if name == "ddrnet":
        return OF_PIXELS
    return ("mask2anomaly", *INFERENCE, "rba", "eam") if name == MAIN else OF_MASKS


def detector_of(path: Path, scores: Mapping[str, Callable], flip_tta: bool = False) -> Detector:
    """A checkpoint with these scores, at SIZE."""
    network, about = load_network(path)
    known = len(about["classes"])
    return Detector(network, scores, str(about["normalisation"]), SIZE, known=known, flip_tta=flip_tta).eval()


def frames_of(name: str, run: Run) -> Iterator[Frame]:
    """The frames of one of SETS that hold something odd.

    Raises:
        InputError: if the set is not there.
    """
    if name == "pasted":
        found = Validation(run.data, (("coco128-seg", 1.0),), run.images or 60, SIZE)
        for number in range(len(found) if not run.images else run.images):
            image, label = (each.numpy() for each in found[number])
            truth = np.where(label == OUTLIER, ANOMALY, np.where(label == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
            yield f"pasted {number}", image.transpose(1, 2, 0).copy(), truth
        return
    count = 0
    for sample in DATASETS[name].load(run.data, DATASETS[name].split):
        label = read_label(sample)
        if (label == ANOMALY).any():
            yield sample.name, read_image(sample), label
            count += 1
        if count == run.images > 0:
            return


def maps_of(detector: Detector, image: np.ndarray) -> dict[str, np.ndarray]:
    """Every score of a detector for one image, (H, W) float32 at the image's size."""
    with torch.inference_mode():
        found = detector(torch.from_numpy(np.ascontiguousarray(image))[None])
    return {name: each[0].numpy() for name, each in zip(detector.scores, found, strict=False)}


def outputs_of(detector: Detector, image: np.ndarray) -> Outputs:
    """Outputs of the network for one image."""
    with torch.inference_mode():
        return detector.outputs(torch.from_numpy(np.ascontiguousarray(image))[None])


def measured(detector: Detector, name: str, run: Run) -> dict[str, dict[str, float]] | None:
    """Score -> figures of a detector on one of SETS; None, with a word, if the set is not there."""
    metrics = {score: PixelMetric() for score in detector.scores}
    try:
        for frame, image, label in frames_of(name, run):
            for score, heat in maps_of(detector, image).items():
                metrics[score].add(heat, label, frame)
    except InputError as error:
        print(f"left out: {error}")
        return None
    return {score: metric.result() for score, metric in metrics.items()}


def judged(name: str, run: Run, flip_tta: bool = False) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of a training: set -> score -> AP, FPR95, AUROC, prevalence. Each is computed once and then kept."""
    scores = ("mask2anomaly",) if flip_tta else scores_of(name)
    sets = SETS[:2] if flip_tta else SETS  # each frame costs twice the time there
    kept = run.out / "judged" / f"{name}{'.flip_tta' if flip_tta else ''}.{run.images or 'all'}.json"
    results = json.loads(kept.read_text()) if kept.is_file() else {}
    detector: Detector | None = None
    for each in sets:
        missing = [score for score in scores if score not in results.get(each, {})]
        if not missing:
            continue
        if detector is None or list(detector.scores) != missing:
            detector = detector_of(run.checkpoint(name), {score: SCORES[score] for score in missing}, flip_tta)
        if (found := measured(detector, each, run)) is None:
            continue
        results.setdefault(each, {}).update(found)
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(results, indent=1))
    return results


def cell(figures: Mapping[str, float] | None) -> str:
    """AP / FPR95 in percent."""
    return "-" if figures is None else f"{100 * figures['ap']:.2f} / {100 * figures['fpr95']:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


def by_set(rows: Sequence[tuple[str, Mapping[str, Mapping[str, Mapping[str, float]]], str]]) -> str:
    """A table of AP / FPR95: title, results of a checkpoint and score for each row; a column for each set found."""
    names = [name for name in SETS if any(name in results for _, results, _ in rows)]
    body = [[title, *(cell(results.get(name, {}).get(score)) for name in names)] for title, results, score in rows]
    every = [results for _, results, _ in rows]
    prevalence = []
    for name in names:
        first = next(results[name] for results in every if name in results)
        prevalence.append(f"{100 * next(iter(first.values()))['prevalence']:.2f}")
    return table(["AP / FPR95, %", *names], [*body, ["share of odd pixels, %", *prevalence]])


def save_text(run: Run, name: str, text: str) -> None:
    """Print a result and keep it."""
    print(text)
    (run.figures / f"{name}.md").write_text(text + "\n")


def heat_picture(heat: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """(H, W) -> (H, W, 3) uint8 RGB; the range is given, so that pictures of a row can be compared."""
    low, high = span
    levels = (255 * (np.clip(heat, low, high) - low) / max(high - low, 1e-6)).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def truth_picture(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The image in grey, darkened where it is not judged, anomalous pixels red."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    grey[label == IGNORE] //= 3
    grey[label == ANOMALY] = (230, 30, 30)
    return grey


def titled(image: np.ndarray, text: str, width: int = 384) -> np.ndarray:
    """An image brought to a width, with a title."""
    small = cv2.resize(image, (width, round(width * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
    write(small, text, (6, 16), 0.45)
    return small


def sheet(run: Run, name: str, rows: Sequence[Sequence[np.ndarray]]) -> Path:
    """Write rows of pictures as one JPEG."""
    tall = [np.hstack([cv2.resize(each, (row[0].shape[1], row[0].shape[0])) for each in row]) for row in rows]
    width = max(each.shape[1] for each in tall)
    padded = [np.pad(each, ((0, 4), (0, width - each.shape[1]), (0, 0))) for each in tall]
    path = run.figures / f"{name}.jpg"
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(padded), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"written: {path}")
    return path
