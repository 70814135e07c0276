"""Detector -> one .onnx with its Card, compared with torch in both engines, and refused if it differs."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from oddroad.card import Card
from oddroad.errors import InputError, pick
from oddroad.inference.engines import ENGINES
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
from oddroad.learn.outputs import Score
from oddroad.learn.scores import SCORES

TOLERANCE = 1e-4
"""Largest allowed difference to torch, relative to the largest score (at least 1)."""


STORAGE = ("float32", "float16", "int8")
"""How the weights may be stored; the file computes in float32 with each of them."""


SMALL = 4096
"""Weights of fewer values than this stay float32: they are the delicate ones, and not worth the bytes."""


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
    partial = out.with_name(out.name + ".partial")
    try:
        write(model, result, partial)
        parity = compare(exported if short else published, result, partial)
        if short:
            parity["rounding"] = rounding(published, exported)
        result = replace(result, parity=parity)
        write(model, result, partial)
        result = add_reference(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return result


def fold_batchnorm(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy in evaluation mode whose batch norms that follow a convolution are part of it: the same function.

    Modules with a method ``folded`` are replaced by what it gives.

    Args:
        network: any network; a batch norm is found by running it and seeing whose output it normalises.
        images: (N, 3, H, W), an input to run it on.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            folded: Any = getattr(child, "folded", None)
            if folded is not None:
                setattr(parent, key, folded())
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors are kept so that no address is used twice
    pairs: dict[nn.Module, nn.Module] = {}
    calls: dict[nn.Module, int] = {}

    def after_convolution(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        made[id(result)] = (module, result)

    def before_norm(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        if id(given[0]) in made:
            pairs[module] = made[id(given[0])][0]

    hooks = []
    for each in network.modules():
        if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)):
            hooks.append(each.register_forward_hook(after_convolution))
        elif isinstance(each, nn.BatchNorm2d):
            hooks.append(each.register_forward_pre_hook(before_norm))
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    merged: dict[nn.Module, nn.Module] = {}
    for norm, convolution in pairs.items():
        if calls[norm] == 1 and calls[convolution] == 1:
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            merged[convolution] = torch.nn.utils.fuse_conv_bn_eval(convolution, norm, transposed)  # pyright: ignore
            merged[norm] = nn.Identity()
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            if child in merged:
                setattr(parent, key, merged[child])
    return network


def constant_slopes(network: nn.Module) -> nn.Module:
    """Replace, in place, each PReLU of one slope by a leaky ReLU: the same function, in a form that engines fuse."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.PReLU) and child.num_parameters == 1:
                setattr(parent, name, nn.LeakyReLU(float(child.weight.detach())))
    return network


def round_weights(module: nn.Module, weights: str) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Round the weights of all large convolutions in place to what the storage can hold.

    Returns:
        for each parameter the stored values, and for int8 the scale of each output channel that they are times.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    if weights == "float32":
        return found
    for name, each in module.named_modules():
        if not isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)) or each.weight.numel() < SMALL:
            continue
        value = each.weight.detach()
        if weights == "float16":
            stored, scale = value.half(), None
            each.weight.data = stored.float()
        else:
            axis = 1 if isinstance(each, nn.ConvTranspose2d) else 0
            others = [other for other in range(4) if other != axis]
            scale = (value.abs().amax(others, keepdim=True) / 127).clamp(min=1e-12)
            stored = (value / scale).round().to(torch.int8)
            each.weight.data = stored.float() * scale
        found[f"{name}.weight"] = (stored.numpy(), None if scale is None else scale.numpy())
    return found


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
            for output, ours, theirs in both:
                wanted = ours.numpy()
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
