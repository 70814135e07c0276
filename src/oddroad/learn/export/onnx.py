"""Detector -> one .onnx with its Card, compared with torch in both engines, and refused if it differs."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from oddroad.card import Card
from oddroad.errors import InputError, pick
from oddroad.files import written_whole
from oddroad.inference.integrity import with_card
from oddroad.inference.self_test import add_reference
from oddroad.learn.detector import Detector
from oddroad.learn.export.graph_passes import (
    accept_any_size,
    add_low_res_outputs,
    fold_normalisation,
    shorten_weights,
    tidy,
)
from oddroad.learn.export.module_passes import constant_slopes, fold_batchnorm, round_weights
from oddroad.learn.export.parity import compare, rounding
from oddroad.learn.outputs import Score
from oddroad.learn.scores import SCORES

STORAGE = ("float32", "float16", "int8")
"""How the weights may be stored; the file computes in float32 with each of them."""


def export(
    network: nn.Module,
    about: Mapping[str, Any],
    scores: Sequence[str] | Mapping[str, Score],
    out: Path,
    size: tuple[int, int] | None = None,
    upsample: str = "score",
    weight_storage: str = "float32",
    classes: bool = False,
    temperature: float = 1.0,
    name: str | None = None,
    card: Mapping[str, Any] | None = None,
    flip_tta: bool = False,
) -> Card:
    """Write a network with its scores as one complete file; it appears whole and checked, or not at all.

    The file takes ``image`` (1, H, W, 3) uint8 RGB of any height and width and gives one float32 map (1, H, W) for
    each score, named as the score.

    Args:
        network: (N, 3, H, W) -> Outputs.
        about: metadata of its checkpoint: ``network``, ``normalisation``, ``classes``; ``origin``, ``recipe`` and
            ``licence`` go into the card.
        scores: names in SCORES, or names with functions or fitted modules; the first is the default.
        out: path of the file.
        size: (H, W) that the graph resizes to before the network; None runs images at their own size.
        upsample: "score" or "logits", see Detector.
        weight_storage: "float32", or "float16" or "int8" for a file of a half or a quarter of the size. The weights are
            rounded, the arithmetic stays float32, and a session is as fast.
        classes: add an output ``classes`` (1, H, W) uint8, the most likely class.
        temperature: what the logits are divided by.
        name: name of the detector; by default that of the file.
        card: more fields of the Card, such as ``thresholds`` and ``measured``.
        flip_tta: each score is the mean over the image and its mirror image; twice the time.

    Returns:
        the card in the file, with the differences found in ``parity``.

    Raises:
        InputError: if the network cannot be exported, an argument is wrong, or an engine differs from torch.
    """
    if weight_storage not in STORAGE:
        raise InputError(f"weight_storage '{weight_storage}'; expected one of: {', '.join(STORAGE)}")
    if upsample not in ("score", "logits"):
        raise InputError(f"upsample '{upsample}'; expected 'score' or 'logits'")
    if why := next((each.not_exportable for each in network.modules() if getattr(each, "not_exportable", "")), ""):
        raise InputError(str(why))
    if size is None and any(getattr(each, "fixed_size", False) for each in network.modules()):
        raise InputError(
            f"{about['network']} runs at one size only; choose it with --size, such as --size 512x1024 (the file "
            "resizes other images to it)"
        )
    if about.get("untrained"):
        raise InputError(f"the {', '.join(about['untrained'])} of this {about['network']} is untrained; train it first")
    if not scores:
        raise InputError(f"no score to export; choose from: {', '.join(SCORES)}")
    table = scores if isinstance(scores, Mapping) else {each: pick(SCORES, each, "score") for each in scores}
    names = tuple(about["classes"])

    def detector(inside: nn.Module) -> Detector:
        how = (str(about.get("normalisation", "imagenet")), size, upsample, temperature, len(names), classes)
        return Detector(inside, table, *how, flip_tta).eval()

    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    published = detector(copy.deepcopy(network))
    with torch.inference_mode():
        published(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))  # a score that this network cannot give says so here
    folded = fold_batchnorm(
        constant_slopes(copy.deepcopy(network)), torch.zeros(1, 3, 2 * published.multiple, 2 * published.multiple)
    )
    exported = detector(folded)
    short = round_weights(exported, weight_storage)
    model = trace(exported)
    if size is None:
        accept_any_size(model, exported.multiple)
    short = {f"detector.{key}" if size is None else key: value for key, value in short.items()}
    fold_normalisation(model, short)
    if exported.direct and exported.stride > 1:
        add_low_res_outputs(model, table)
    shorten_weights(model, short)
    tidy(model)
    origin = {**about.get("origin", {})} | ({"recipe": about["recipe"]} if "recipe" in about else {})
    if flip_tta:
        origin["flip_tta"] = "every score is the mean over the image and its mirror image"
    result = Card(
        name=name or out.stem,
        network=str(about["network"]),
        scores=tuple(table),
        size=size,
        stride=exported.stride,
        classes=names,
        temperature=temperature,
        upsample=upsample,
        licence=str(about.get("licence", "")),
        origin=origin,
        weight_storage=weight_storage,
    )
    result = replace(result, **(card or {}))
    with written_whole(out, "detector") as partial:
        write(model, result, partial)
        parity = compare(exported if short else published, result, partial)
        if short:
            parity["rounding"] = rounding(published, exported)
        result = replace(result, parity=parity)
        write(model, result, partial)
        result = add_reference(partial)
    return result


class OfMultiples(nn.Module):
    """A detector for images whose sides are multiples already; the graph around it pads and crops."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """As the detector."""
        return self.detector(image)


def trace(detector: Detector) -> onnx.ModelProto:
    """The detector as an ONNX graph: of any size, or of any multiple where it runs at the image's own size."""
    height, width = torch.export.Dim("height", min=2, max=16384), torch.export.Dim("width", min=2, max=16384)
    module: nn.Module = detector
    shapes: dict[str, Any] = {"images": {1: height, 2: width}}
    image = torch.zeros(1, 90, 160, 3, dtype=torch.uint8)
    if detector.size is None:
        module, step = OfMultiples(detector), detector.multiple
        shapes = {"image": {1: step * height, 2: step * width}}
        image = torch.zeros(1, 3 * step, 4 * step, 3, dtype=torch.uint8)
    outputs = [*detector.scores, *(["classes"] if detector.classes else [])]
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            module, (image,), input_names=["image"], output_names=outputs, opset_version=18, dynamo=True,
            dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the notes of torch's exporter, which are for its developers, off the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def write(model: onnx.ModelProto, card: Card, path: Path) -> None:
    """Write a graph with its card, flushed to the disk."""
    with path.open("wb") as file:
        file.write(with_card(model.SerializeToString(), card))
        file.flush()
        os.fsync(file.fileno())
