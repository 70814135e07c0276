"""The supplement's figure 4: where queries look with cross, masked and global masked attention, as heat maps.

    python runs/mask2anomaly_attention.py DATA OUT [--images N]

Cross-attention is Mask2Former's attention with its mask opened; masked is Mask2Former's own; global masked is
Mask2Anomaly's, the sum of the weights inside and outside of the mask, halved. Chosen are the queries that are surest of
one class each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from mask2anomaly_shared import SIZE, command_line, detector_of, frames_of, heat_picture, outputs_of, sheet, titled

from oddroad.learn.detector import Detector
from oddroad.learn.networks.mask2former import MaskedAttention
from oddroad.learn.outputs import Outputs
from oddroad.types import CITYSCAPES_CLASSES

LAYER = 2
"""The third decoder layer looks at the finest scale, 1/8."""

STRIDE = 8


@contextmanager
def listening(detector: Detector, opened: bool) -> Iterator[list[torch.Tensor]]:
    """Collect the attention weights (N, Q, keys) of LAYER while images run; ``opened`` blocks nothing there."""
    attention = detector.network.model.transformer_module.decoder.layers[LAYER].cross_attn
    parts = [each for each in attention.modules() if isinstance(each, MaskedAttention)]
    found: list[torch.Tensor] = []

    def open_mask(module: MaskedAttention, given: tuple, named: dict) -> tuple[tuple, dict]:
        if "attn_mask" in named:
            return given, {**named, "attn_mask": torch.zeros_like(named["attn_mask"])}
        return (*given[:3], torch.zeros_like(given[3])), named

    hooks = [part.register_forward_hook(lambda module, given, result: found.append(result[1])) for part in parts]
    hooks += [part.register_forward_pre_hook(open_mask, with_kwargs=True) for part in parts if opened]
    for part in parts:
        part.keep_weights = True
    try:
        yield found
    finally:
        for part in parts:
            part.keep_weights = False
        for hook in hooks:
            hook.remove()


def surest(outputs: Outputs, count: int) -> list[tuple[int, str]]:
    """The queries that cover most pixels with one class, each class once, and its name."""
    p, classes = outputs.queries[0].softmax(-1)[:, :-1].max(-1)
    covered = p * (outputs.masks[0].sigmoid() > 0.5).float().mean((1, 2))
    chosen: dict[int, int] = {}
    for query in covered.argsort(descending=True).tolist():
        chosen.setdefault(int(classes[query]), query)
    return [(query, CITYSCAPES_CLASSES[name]) for name, query in list(chosen.items())[:count]]


def picture(image: np.ndarray, weights: torch.Tensor, title: str) -> np.ndarray:
    """Attention weights (keys,) over an image; full colour is 20 times the even share."""
    rows, columns = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    even = weights.reshape(rows, columns).numpy() * weights.numel()
    heat = cv2.resize(even, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    return titled(cv2.addWeighted(image, 0.35, heat_picture(heat, (0.0, 20.0)), 0.65, 0), title, 300)


def main() -> None:
    """Draw two frames of each benchmark."""
    run = command_line(__doc__)
    detectors = {name: detector_of(run.checkpoint(name), {}) for name in ("mask2former", "mask2anomaly_s1")}
    ways = (
        ("cross", "mask2former", True),
        ("masked", "mask2former", False),
        ("global masked", "mask2anomaly_s1", False),
    )
    rows = []
    for name in ("road_anomaly", "road_obstacle21"):
        frames = list(frames_of(name, run))
        for _, image, _ in (frames[0], frames[len(frames) // 2]):
            for title, network, opened in ways:
                with listening(detectors[network], opened) as found:
                    outputs = outputs_of(detectors[network], image)
                weights = torch.stack(found).mean(0)[0]
                row = [titled(image, f"{title} attention", 300)]
                row += [picture(image, weights[query], kind) for query, kind in surest(outputs, 4)]
                rows.append(row)
    sheet(run, "figure_4", rows)


if __name__ == "__main__":
    main()
