"""Published checkpoints -> oddroad checkpoints: names, outputs and input conventions brought to those of NETWORKS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oddroad.errors import InputError, counted, pick
from oddroad.files import sha256_of
from oddroad.learn.checkpoints.conventions import author_of, class_axes, output_order, reordered
from oddroad.learn.checkpoints.detectron2_names import OF_MASKS, UNTRAINED, from_others, is_backbone, number_of_queries
from oddroad.learn.checkpoints.format import save_checkpoint
from oddroad.learn.checkpoints.on_scenes import Check, judge_conventions, labelled_scenes
from oddroad.learn.checkpoints.reading import find_state, read_any, strip_prefix
from oddroad.learn.detector import NORMALISATION
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.efficientnet_lite import BEHIND_THE_ENCODER, from_published
from oddroad.types import CITYSCAPES_CLASSES

OF_IMAGENET = tuple(name for name in NETWORKS if name.startswith("efficientnet_lite"))
"""Networks of which others publish an image classifier: its encoder is taken, everything behind it is new."""


@dataclass(frozen=True)
class Published:
    """What is known of the published weights of a network.

    Attributes:
        classifier: parameter whose shape tells the number of outputs, and the axis that does.
        normalisation: of the input they were trained with.
        terms: under which terms they were published.
    """

    classifier: tuple[str, int]
    normalisation: str
    terms: str


PUBLISHED: dict[str, Published] = {
    "erfnet": Published(
        ("decoder.output_conv.weight", 1), "unit", "those of Eromera/erfnet_pytorch are CC BY-NC 4.0, non-commercial"
    ),
    "enet": Published(("transposed_conv.weight", 1), "unit", "for those of davidtvs/PyTorch-ENet see that repository"),
    "bisenetv1": Published(("conv_out.conv_out.weight", 0), "cityscapes", "those of CoinCheung/BiSeNet are MIT"),
    "bisenetv2": Published(("head.conv_out.1.weight", 0), "cityscapes", "those of CoinCheung/BiSeNet are MIT"),
    "ddrnet23_slim": Published(("final_layer.conv2.weight", 0), "imagenet", "those of ydhongHIT/DDRNet are MIT"),
    "pidnet_s": Published(("final_layer.conv2.weight", 0), "imagenet", "those of XuJiacong/PIDNet are MIT"),
    **{
        name: Published(
            ("classifier.weight", 0), "imagenet", "those of the efficientnet-lite packages are Apache-2.0, of ImageNet"
        )
        for name in OF_IMAGENET
    },
    **{
        name: Published(
            ("class_predictor.weight", 0),
            "imagenet",
            "see facebookresearch/Mask2Former and shyam671/Mask2Anomaly, or the page on Hugging Face",
        )
        for name in OF_MASKS
    },
}
"""Beside these terms stand those of the training data: Cityscapes is for research and other non-commercial use."""


@dataclass
class Conversion:
    """What a conversion recognised, ignored and missed.

    Attributes:
        network: with the weights of the file.
        about: metadata of the checkpoint.
        recognised: what the file is, in words.
        ignored: entries of the file that were not used.
        missing: parameters that the file does not have, and that are untrained.
        check: how it does on two labelled scenes, where there were any.
    """

    network: nn.Module
    about: dict[str, Any]
    recognised: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    check: Check | None = None

    def lines(self) -> list[str]:
        """The report for people."""
        found = [f"recognised: {each}" for each in self.recognised]
        found.append(f"ignored: {grouped(self.ignored)}")
        found.append(f"missing: {grouped(self.missing)}")
        return [
            *found,
            f"input: {described_input(self.about['normalisation'])}",
            f"licence: {self.about['licence']}",
        ]


def described_input(normalisation: str) -> str:
    """A normalisation in words: "RGB in 0-1, normalisation 'unit'"."""
    name, *more = normalisation.split(":")
    return f"{'BGR' if 'bgr' in more else 'RGB'} in {'0-255' if '0-255' in more else '0-1'}, normalisation '{name}'"


def grouped(names: Sequence[str]) -> str:
    """Names of parameters in few words: "classifier (2), optimizer (1)"."""
    counts = Counter(
        ".".join(name.split(".")[:2]) if name.startswith("encoder.") else name.split(".")[0] for name in names
    )
    shown = [f"{name} ({count})" for name, count in counts.most_common(8)]
    rest = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {rest} more"] if rest else [])]) or "nothing"


def find_isomax(state: dict[str, Tensor], outside: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Bring the parameters of an IsoMax+ head, under whatever name, to ``isomax.``; their classes and channels."""
    for source in (state, outside):
        for key in list(source):
            if not key.endswith("prototypes") or source[key].ndim != 2:
                continue
            scale = f"{key.removesuffix('prototypes')}distance_scale"
            if scale in source:
                found = source[key], source[scale].reshape(1)
                for used in (key, scale):
                    state.pop(used, None)
                state["isomax.prototypes"], state["isomax.distance_scale"] = found
                return int(found[0].shape[0]), int(found[0].shape[1])
    return None


def convert(
    path: Path,
    name: str,
    classes: Sequence[str] = (),
    normalisation: str | None = None,
    licence: str = "",
    void: str = "auto",
    class_order: Sequence[str] = (),
    channel_order: str | None = None,
    value_range: str | None = None,
) -> Conversion:
    """Read a published checkpoint into one of NETWORKS.

    Args:
        path: a torch file, safetensors, or a pickle of NumPy arrays.
        name: key in NETWORKS.
        classes: names of its classes; by default those of Cityscapes where the file has 19 or 20 outputs.
        normalisation: key in NORMALISATION; by default that of the published weights.
        licence: terms of the weights.
        void: where its void output is: "first", "last", "none"; "auto" as its author has it, else last.
        class_order: names of its outputs in their order, see ``output_order``.
        channel_order: "rgb" or "bgr"; None as its author has it, else RGB.
        value_range: "0-1" or "0-255"; None as its author has it, else 0 to 1.

    Raises:
        InputError: if the file cannot be read safely, or its parameters do not fit; the first that differ are named.
    """
    make, published = pick(NETWORKS, name, "network"), pick(PUBLISHED, name, "published network")
    if normalisation is not None:
        pick(NORMALISATION, normalisation, "normalisation")
    held = read_any(path)
    found, where, beside = find_state(held, path)
    recognised = [f"a state dict{f' under {where}' if where else ''} of {counted(len(found), 'tensor')}"]
    told: list[str] = []
    if name in OF_MASKS:
        found, told, words = from_others(found)
        recognised += words
    encoder, rest = from_published(found) if name in OF_IMAGENET else ({}, [])
    if encoder:
        found, told = encoder, rest
        recognised.append("an image classifier, of which the encoder is taken")
    everything = list(make(auxiliary=True).state_dict())
    state, prefix, outside = strip_prefix(found, everything)
    if prefix:
        recognised.append(f"names that begin with '{prefix}'")
    arguments: dict[str, Any] = {}
    isomax = find_isomax(state, {key: found[key] for key in outside}) if name == "erfnet" else None
    if isomax is not None:
        outside = [key for key in outside if not key.endswith(("prototypes", "distance_scale"))]
        arguments["isomax"] = isomax[1]
        recognised.append(f"an IsoMax+ head with prototypes of {counted(isomax[1], 'channel')}")
    key, axis = published.classifier
    headless = name == "erfnet" and key not in state and "encoder.initial_block.conv.weight" in state
    if headless:
        outputs = len(classes) or len(CITYSCAPES_CLASSES)
        recognised.append(f"an ERFNet encoder without its decoder, which gets {counted(outputs, 'output')}")
        state = {each: value for each, value in state.items() if not each.startswith("encoder.output_conv.")}
    elif name in OF_MASKS and key not in state and is_backbone(state):
        headless, outputs = True, len(classes) or len(CITYSCAPES_CLASSES)
        recognised.append(f"a backbone alone; everything behind it is new, with {counted(outputs, 'output')}")
    elif name in OF_IMAGENET and key not in state and "encoder.conv_stem.weight" in state:
        headless, outputs = True, len(classes) or len(CITYSCAPES_CLASSES)
        recognised.append(f"an encoder alone; everything behind it is new, with {counted(outputs, 'output')}")
    elif key not in state:
        raise InputError(
            f"'{path}' does not fit {name}: it has no {key} ({len(state)} entries, such as "
            f"{', '.join(list(found)[:3])}); choose another --network"
        )
    else:
        outputs = isomax[0] if isomax else int(state[key].shape[axis])
        outputs -= name in OF_MASKS  # "no object" is no output of the semantic map
    author = author_of(name, outputs, beside, stated_author(held))
    if author is not None:
        recognised.append(f"a file of {author.name}")
    order = output_order(outputs, path, classes, void, () if headless else class_order, author)
    if not headless:
        recognised.append(order.words)
    arguments = {"classes": outputs, "outlier": False, **arguments}
    if name in OF_MASKS and not headless:
        arguments["queries"] = number_of_queries(state, path)
    bare = set(make(**arguments, auxiliary=False).state_dict())
    heads = [each for each in make(**arguments, auxiliary=True).state_dict() if each not in bare]
    arguments["auxiliary"] = bool(heads) and all(each in state for each in heads)
    if arguments["auxiliary"]:
        recognised.append(f"the heads for training: {grouped(heads)}")
    if order.changes and not headless:
        state = reordered(state, class_axes(make, arguments), outputs, order.indices)
    arguments["classes"] = len(order.indices)
    network = make(**arguments)
    own = network.state_dict()
    missing = fill(own, state, path, name, untrained=("decoder.", *UNTRAINED, *BEHIND_THE_ENCODER) if headless else ())
    network.load_state_dict(own)
    ignored = [*(each for each in state if each not in own), *outside, *beside, *told]
    origin = {
        "file": path.name,
        "sha256": sha256_of(path),
        "converted": time.strftime("%Y-%m-%d"),
        "outputs": order.words,
        "data": "as the file's author says; not known to oddroad",
    }
    about = {
        "network": name,
        "arguments": arguments,
        "normalisation": input_words(
            normalisation or published.normalisation,
            channel_order or (author.channel_order if author else "rgb"),
            value_range or (author.value_range if author else "0-1"),
        ),
        "classes": list(order.classes),
        "licence": licence or f"the file does not say; {published.terms}; and the terms of the training data hold",
        "origin": origin,
    }
    if missing:
        about["untrained"] = sorted({each.split(".")[0] for each in missing})
    return Conversion(network.eval(), about, recognised, ignored, missing)


def stated_author(held: Any) -> str:
    """What a file says of its author, as detectron2's do; "" where it says nothing."""
    author = held.get("__author__", "") if isinstance(held, Mapping) else ""
    return author if isinstance(author, str) else ""


def input_words(normalisation: str, channel_order: str, value_range: str) -> str:
    """A normalisation as ``Preprocessing.parse`` reads it.

    >>> input_words("unit", "bgr", "0-255")
    'unit:bgr:0-255'

    Raises:
        InputError: if an order or a range does not exist.
    """
    pick({each: each for each in ("rgb", "bgr")}, channel_order, "channel order")
    pick({each: each for each in ("0-1", "0-255")}, value_range, "value range")
    return normalisation + (":bgr" if channel_order == "bgr" else "") + (":0-255" if value_range == "0-255" else "")


def fill(
    own: dict[str, Tensor], state: Mapping[str, Tensor], path: Path, name: str, untrained: tuple[str, ...]
) -> list[str]:
    """Put the values of a state dict into those of a network, in place; returns what is missing where that is allowed.

    Raises:
        InputError: if a parameter is missing, has another shape, or holds values that are not finite.
    """
    counters = [each for each in own if each.endswith("num_batches_tracked")]  # older than PyTorch 0.4.1: without
    missing = [each for each in own if each not in state and each not in counters]
    if lost := [each for each in missing if not each.startswith(untrained)] if untrained else missing:
        raise InputError(
            f"'{path}' does not fit {name}: it lacks {len(lost)} of {counted(len(own), 'parameter')}, first "
            f"{', '.join(lost[:3])}"
        )
    differing = [each for each in own if each in state and own[each].shape != state[each].shape]
    if differing:
        told = "; ".join(
            f"{each} is {tuple(state[each].shape)}, expected {tuple(own[each].shape)}" for each in differing[:3]
        )
        raise InputError(f"'{path}' does not fit {name}: {told} ({len(differing)} differ in all)")
    for each in own:
        if each in state:
            value = state[each].to(own[each].dtype)
            if not torch.isfinite(value).all():
                raise InputError(f"'{path}' holds values that are no finite numbers, first in {each}")
            own[each] = value
    return missing


def convert_file(path: Path, name: str, out: Path, check_data: Path | None = None, **options: Any) -> Conversion:
    """Convert a file and write an oddroad checkpoint; see ``convert``.

    Args:
        path: the file.
        name: key in NETWORKS.
        out: the checkpoint to write.
        check_data: folder at or below which a labelled data set lies; the network is judged on two of its scenes, and
            what comes of that is in the conversion's ``check`` and in the checkpoint.
        options: as ``convert``.

    Raises:
        InputError: as ``convert``; if the folder to write to does not exist, or there is no labelled data.
    """
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    result = convert(path, name, **options)
    if check_data is not None:
        if result.missing:
            raise InputError(
                f"'{path}' leaves parts of {name} untrained, so there is nothing to judge; omit --check-data"
            )
        scenes = labelled_scenes(check_data, result.about["classes"])
        found = judge_conventions(result, scenes, lambda **more: convert(path, name, **{**options, **more}))
        result.check, result.about["origin"]["checked"] = found, found.line()
    save_checkpoint(out, result.network, result.about)
    return result
