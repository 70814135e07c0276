"""Whether an exported file gives what PyTorch gives, in each engine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES
from oddroad.learn.detector import Detector

TOLERANCE = 1e-4
"""Largest allowed difference to torch, relative to the largest score (at least 1)."""


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """An image (1, height, width, 3) uint8 to compare on: coarse patches, a slope, and noise."""
    draw = np.random.default_rng(seed)
    coarse = draw.random((math.ceil(height / 16), math.ceil(width / 16), 3)).repeat(16, 0).repeat(16, 1)
    slope = np.linspace(0, 1, height)[:, None, None]
    image = 0.5 * coarse[:height, :width] + 0.25 * slope + 0.25 * draw.random((height, width, 3))
    return (255 * image).astype(np.uint8)[None]


def compare_sizes(card: Card, multiple: int) -> list[tuple[int, int]]:
    """The two image sizes on which a file is compared: one that fits the network, and an odd one."""
    fitting = card.size or (multiple * math.ceil(96 / multiple), multiple * math.ceil(144 / multiple))
    return [fitting, (fitting[0] + 11, fitting[1] - 21)]


def compare(detector: Detector, card: Card, path: Path) -> dict[str, Any]:
    """Differences of a file to torch, by engine and image size.

    A network whose function jumps (``discontinuous``, such as max-unpooling at ties) may differ by more in up to that
    share of the pixels.

    Raises:
        InputError: if a difference is above the tolerance; the message names engine, size, score and difference.
    """
    allowed = max((float(getattr(each, "discontinuous", 0.0)) for each in detector.network.modules()), default=0.0)
    found: dict[str, Any] = {"tolerance": TOLERANCE, "reference": f"torch {torch.__version__}"}
    outputs = [*card.scores, *(["classes"] if detector.classes else [])]
    runs = {engine: make(path, 1)[1] for engine, make in ENGINES.items()}
    for number, (height, width) in enumerate(compare_sizes(card, detector.multiple)):
        image = scene(height, width, number)
        with torch.inference_mode():
            expected = detector(torch.from_numpy(image))
        for engine, run in runs.items():
            worst, beyond = 0.0, 0.0
            both = zip(
                outputs * 2, expected * 2, [*run(image, outputs), *run(image, outputs, inside=True)], strict=True
            )
            for output, reference, theirs in both:
                wanted = reference.numpy()
                if theirs.shape != wanted.shape or theirs.dtype != wanted.dtype or not np.isfinite(theirs).all():
                    raise InputError(
                        f"{engine} gives {output} as {theirs.dtype} {theirs.shape} at {height} x {width}, with values "
                        f"that are not numbers or of another shape than torch's {wanted.shape}; nothing was written"
                    )
                off = np.abs(theirs.astype(np.float64) - wanted)
                scale = max(1.0, float(np.abs(wanted).max()))
                limit = TOLERANCE * scale
                if output == "classes":
                    share, most = float((off > 0).mean()), 0.01  # at a tie of two classes either is right
                else:
                    share, most = float((off > limit).mean()), allowed
                    worst, beyond = max(worst, float(off.max() / scale)), max(beyond, share)
                if share > most:
                    raise InputError(
                        f"{engine} differs from torch at {height} x {width}: {output} is off by up to {off.max():.3g}, "
                        f"by more than {limit:.3g} in {100 * share:.3g} % of the pixels; nothing was written"
                    )
            found[f"{engine} {height}x{width}"] = float(f"{worst:.3g}")
            if beyond:
                found[f"{engine} {height}x{width} beyond"] = float(f"{beyond:.3g}")
    return found


def rounding(published: Detector, rounded: Detector) -> float:
    """Mean difference of the first score that comes from rounding the weights, relative to the score's spread."""
    height, width = published.size or (256, 512)
    with torch.inference_mode():
        image = torch.from_numpy(scene(height, width, 0))
        before, after = published(image)[0], rounded(image)[0]
    return float(f"{float((after - before).abs().mean() / before.std().clamp(min=1e-12)):.3g}")
