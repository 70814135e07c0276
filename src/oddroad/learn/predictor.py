"""A checkpoint as something to evaluate."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from oddroad.errors import InputError
from oddroad.evaluation.predictors import Predictor
from oddroad.files import sha256_of
from oddroad.learn.checkpoints.format import load_network, load_scores
from oddroad.learn.detector import Detector
from oddroad.learn.outputs import Score
from oddroad.learn.tensor_ops import resize
from oddroad.recipe import RESYNTHESIS_NAMES
from oddroad.types import Sample

USUAL = ("msp", "max_logit", "entropy", "energy")
"""Scores that are computed where none is asked for."""


def flip_tta_cost(detector: Detector, image: torch.Tensor) -> str:
    """What flip TTA costs on an image (1, H, W, 3) uint8, in one line; the detector stays as it was."""
    times, before = [], detector.flip_tta
    with torch.inference_mode():
        for flip_tta in (False, False, True):  # the first call only warms up
            detector.flip_tta = flip_tta
            began = time.perf_counter()
            detector(image)
            times.append(1e3 * (time.perf_counter() - began))
    detector.flip_tta = before
    once, twice = times[1:]
    return f"flip TTA: {twice:.0f} ms a frame instead of {once:.0f}, {twice / once:.1f} times"


def flip_tta_cost_line(
    network: torch.nn.Module, scores: Mapping[str, Score], size: tuple[int, int] | None, upsample: str, known: int
) -> str:
    """What flip TTA costs PyTorch at a size (H, W), by default 512x1024, in one line."""
    detector = Detector(network, scores, size=size, upsample=upsample, known=known).eval()
    image = torch.zeros(1, *(size or (512, 1024)), 3, dtype=torch.uint8)
    return f"{flip_tta_cost(detector, image)} (PyTorch)"


def open_checkpoint(
    model: str, scores: Sequence[str] = (), threads: int = 0, upsample: str = "score", flip_tta: bool = False
) -> Predictor:
    """A predictor for one of our checkpoints, on PyTorch; images go in at their own size.

    Args:
        model: path of the checkpoint.
        scores: names in SCORES; by default USUAL, and of a resynthesis network its own verdict.
        threads: of PyTorch; 0 leaves them as they are.
        upsample: "score" or "logits": what is enlarged to the size of the image.
        flip_tta: each score is the mean over the image and its mirror image; what that costs is printed once.

    Raises:
        InputError: if the checkpoint or a score cannot be used, or a part of it is untrained.
    """
    if threads:
        torch.set_num_threads(threads)
    path = Path(model)
    network, about = load_network(path)
    if about.get("untrained"):
        raise InputError(f"the {', '.join(about['untrained'])} of this {about['network']} is untrained; train it first")
    usual = ("resynthesis",) if about["network"] in RESYNTHESIS_NAMES else USUAL
    table = load_scores(path, tuple(scores) or usual)
    names = tuple(about["classes"])
    temperature = float(about.get("temperature", 1.0))
    how = (str(about.get("normalisation", "imagenet")), None, upsample, temperature, len(names))
    detector = Detector(network, table, *how).eval()
    detector.flip_tta = flip_tta
    told: list[str] = []

    def maps(dataset: str, sample: Sample, image: np.ndarray) -> dict[str, np.ndarray]:
        given = torch.from_numpy(np.ascontiguousarray(image))[None]
        if flip_tta and not told:
            told.append(flip_tta_cost(detector, given))
            print(told[0], file=sys.stderr)
        with torch.inference_mode():
            found = detector(given)
        return {name: each[0].numpy() for name, each in zip(table, found, strict=True)}

    def classes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        with torch.inference_mode():
            pixels = detector.pixels(torch.from_numpy(np.ascontiguousarray(image))[None])
            below, right = -height % detector.multiple, -width % detector.multiple
            pixels = torch.nn.functional.pad(pixels, (0, right, 0, below), mode="replicate")
            logits = resize(detector.network_outputs(pixels).logits, (height + below, width + right))[
                ..., :height, :width
            ]
            largest, likely = logits.max(1)
            sure = (largest - logits.logsumexp(1)).exp()
        return likely[0].to(torch.uint8).numpy(), sure[0].numpy()

    return Predictor(
        name=path.stem,
        sha256=sha256_of(path),
        scores=tuple(table),
        maps=maps,
        classes=classes,
        class_names=names,
        file=str(path.resolve()),
        about={
            "engine": "torch",
            "engine_version": torch.__version__,
            "upsample": upsample,
            "weight_storage": "float32",
        }
        | ({"flip_tta": "averaged"} if flip_tta else {}),
    )
