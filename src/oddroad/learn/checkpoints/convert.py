"""Published checkpoints -> ours. A checkpoint is untrusted input: it is read as data, and nothing in it is run."""

from __future__ import annotations

import hashlib
import pickle
import re
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from oddroad.errors import InputError, pick
from oddroad.learn.checkpoints.detectron2_names import OF_MASKS, UNTRAINED, from_others, is_backbone, number_of_queries
from oddroad.learn.checkpoints.format import KEY, save_checkpoint
from oddroad.learn.detector import NORMALISATION
from oddroad.learn.networks import NETWORKS
from oddroad.types import CITYSCAPES_CLASSES

NESTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "ema", "module")
"""Keys under which people keep the weights, the usual one first."""


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
            ("class_predictor.weight", 0),
            "imagenet",
            "see facebookresearch/Mask2Former and shyam671/Mask2Anomaly, or the page on Hugging Face",
        )
        for name in OF_MASKS
    },
}
"""Beside these terms stand those of the training data: Cityscapes is for research and other non-commercial use."""


NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]
"""A best accuracy is often kept as a NumPy number beside the weights; these make one from its bytes, nothing else."""


@dataclass
class Conversion:
    """What a conversion recognised, ignored and missed.

    Attributes:
        network: with the weights of the file.
        about: metadata of the checkpoint.
        recognised: what the file is, in words.
        ignored: entries of the file that were not used.
        missing: parameters that the file does not have, and that are untrained.
    """

    network: nn.Module
    about: dict[str, Any]
    recognised: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        found = [f"recognised: {each}" for each in self.recognised]
        found.append(f"ignored: {grouped(self.ignored)}")
        found.append(f"missing: {grouped(self.missing)}")
        return [
            *found,
            f"input: RGB, normalisation '{self.about['normalisation']}'",
            f"licence: {self.about['licence']}",
        ]


def grouped(names: Sequence[str]) -> str:
    """Names of parameters in few words: "classifier (2), optimizer (1)"."""
    counts = Counter(
        ".".join(name.split(".")[:2]) if name.startswith("encoder.") else name.split(".")[0] for name in names
    )
    shown = [f"{name} ({count})" for name, count in counts.most_common(8)]
    rest = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {rest} more"] if rest else [])]) or "nothing"


def read_any(path: Path) -> Any:
    """What a .safetensors or a torch file holds; nothing in it is run.

    Raises:
        InputError: if there is no such file, it is damaged, it wants to run code, or it is one of ours already.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint '{path}'")
    with path.open("rb") as file:
        head = file.read(9)
    if path.suffix == ".safetensors" or (len(head) == 9 and head[8:] == b"{"):
        try:
            with safe_open(path, "pt") as opened:
                if KEY in (opened.metadata() or {}):
                    raise InputError(f"'{path}' is a checkpoint of ours already; use it as it is")
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"'{path}' is a damaged safetensors file ({error})") from None
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMPY_NUMBERS):
            warnings.simplefilter("ignore")  # about old forms of pickles, which are read or refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", str(error))
        if wants or head.startswith((b"PK", b"\x80")):
            what = (
                f"reading it would run {wants[1]}" if wants else "reading it would run more than the making of tensors"
            )
            raise InputError(
                f"'{path}' is refused: {what}, and a checkpoint has to be data, not code; whoever made it can save "
                "the weights alone with torch.save(model.state_dict(), FILE)"
            ) from None
        raise InputError(f"'{path}' is damaged, or no checkpoint: it begins with {head!r}") from None
    except Exception as error:  # a damaged pickle or archive can raise anything
        told = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise InputError(f"'{path}' is damaged, or no checkpoint: {told}") from None


def find_state(held: Any, path: Path) -> tuple[dict[str, Tensor], str, list[str]]:
    """The state dict in what a file holds, where it was, and what lay beside it.

    Raises:
        InputError: if there is none.
    """
    if isinstance(held, Mapping):
        tensors = {str(key): each for key, each in held.items() if isinstance(each, Tensor)}
        nested = [key for key in NESTS if isinstance(held.get(key), Mapping)]
        if len(tensors) > 4 or (tensors and not nested):
            return tensors, "", [str(key) for key, each in held.items() if not isinstance(each, Tensor)]
        for key in nested:
            try:
                inner, where, beside = find_state(held[key], path)
            except InputError:
                continue
            return inner, f"{key}.{where}".rstrip("."), [*beside, *(str(other) for other in held if other != key)]
    kind = type(held).__name__
    what = f"{kind} with {', '.join(map(str, list(held)[:5])) or 'nothing'}" if isinstance(held, Mapping) else kind
    raise InputError(f"'{path}' holds no weights (a {what}); expected a state dict, or one under: {', '.join(NESTS)}")


def strip_prefix(state: Mapping[str, Tensor], names: Sequence[str]) -> tuple[dict[str, Tensor], str, list[str]]:
    """Remove the prefix under which most of the names are found, such as ``module.``.

    Returns:
        the entries under the prefix, without it; the prefix; and the keys that do not carry it.
    """
    wanted = set(names)
    counts: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        for cut in range(min(len(parts), 4)):
            if ".".join(parts[cut:]) in wanted:
                counts["".join(f"{part}." for part in parts[:cut])] += 1
    prefix = max(counts, key=lambda each: (counts[each], -len(each)), default="")
    inside = {key.removeprefix(prefix): each for key, each in state.items() if key.startswith(prefix)}
    return inside, prefix, [key for key in state if not key.startswith(prefix)]


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
) -> Conversion:
    """Read a published checkpoint into a network of ours.

    Args:
        path: a torch file or safetensors.
        name: key in NETWORKS.
        classes: names of the known classes; by default those of Cityscapes where the file has 19 or 20 outputs.
        normalisation: key in NORMALISATION; by default that of the published weights.
        licence: terms of the weights.

    Raises:
        InputError: if the file cannot be read safely, or its parameters do not fit; the first that differ are named.
    """
    make, published = pick(NETWORKS, name, "network"), pick(PUBLISHED, name, "published network")
    if normalisation is not None:
        pick(NORMALISATION, normalisation, "normalisation")
    found, where, beside = find_state(read_any(path), path)
    recognised = [f"a state dict{f' under {where}' if where else ''} of {len(found)} tensors"]
    told: list[str] = []
    if name in OF_MASKS:
        found, told, words = from_others(found)
        recognised += words
    everything = list(make(auxiliary=True).state_dict())
    state, prefix, outside = strip_prefix(found, everything)
    if prefix:
        recognised.append(f"names that begin with '{prefix}'")
    arguments: dict[str, Any] = {}
    isomax = find_isomax(state, {key: found[key] for key in outside}) if name == "erfnet" else None
    if isomax is not None:
        outside = [key for key in outside if not key.endswith(("prototypes", "distance_scale"))]
        arguments["isomax"] = isomax[1]
        recognised.append(f"an IsoMax+ head with prototypes of {isomax[1]} channels")
    key, axis = published.classifier
    headless = name == "erfnet" and key not in state and "encoder.initial_block.conv.weight" in state
    if headless:
        outputs = len(classes) or len(CITYSCAPES_CLASSES)
        recognised.append(f"an ERFNet encoder without its decoder, which gets {outputs} outputs")
        state = {each: value for each, value in state.items() if not each.startswith("encoder.output_conv.")}
    elif name in OF_MASKS and key not in state and is_backbone(state):
        headless, outputs = True, len(classes) or len(CITYSCAPES_CLASSES)
        recognised.append(f"a backbone alone; everything behind it is new, with {outputs} outputs")
    elif key not in state:
        raise InputError(
            f"'{path}' does not fit {name}: it has no {key} ({len(state)} entries, such as "
            f"{', '.join(list(found)[:3])}); choose another --network"
        )
    else:
        outputs = isomax[0] if isomax else int(state[key].shape[axis])
        outputs -= name in OF_MASKS  # "no object" is no output of the semantic map
    known = known_classes(outputs, classes, path)
    if len(known) < outputs:
        recognised.append(f"{outputs} outputs: {len(known)} classes, the last one taken as void")
    elif not headless:
        recognised.append(f"{outputs} outputs, one for each class")
    arguments = {"classes": outputs, "outlier": False, **arguments}
    if name in OF_MASKS and not headless:
        arguments["queries"] = number_of_queries(state, path)
    bare = set(make(**arguments, auxiliary=False).state_dict())
    heads = [each for each in make(**arguments, auxiliary=True).state_dict() if each not in bare]
    arguments["auxiliary"] = bool(heads) and all(each in state for each in heads)
    if arguments["auxiliary"]:
        recognised.append(f"the heads for training: {grouped(heads)}")
    network = make(**arguments)
    own = network.state_dict()
    missing = fill(own, state, path, name, untrained=("decoder.", *UNTRAINED) if headless else ())
    network.load_state_dict(own)
    ignored = [*(each for each in state if each not in own), *outside, *beside, *told]
    origin = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "converted": time.strftime("%Y-%m-%d"),
        "data": "as the file's author says; not known to us",
    }
    about = {
        "network": name,
        "arguments": arguments,
        "normalisation": normalisation or published.normalisation,
        "classes": list(known),
        "licence": licence or f"the file does not say; {published.terms}; and the terms of the training data hold",
        "origin": origin,
    }
    if missing:
        about["untrained"] = sorted({each.split(".")[0] for each in missing})
    return Conversion(network.eval(), about, recognised, ignored, missing)


def known_classes(outputs: int, classes: Sequence[str], path: Path) -> Sequence[str]:
    """Names of the known classes of a network with that many outputs.

    Raises:
        InputError: if the names do not fit the outputs, or there are none for this number.
    """
    names = classes or CITYSCAPES_CLASSES
    if outputs in (len(names), len(names) + 1):
        return names
    raise InputError(
        f"'{path}' has {outputs} outputs and there are {len(names)} names; pass --classes with the names of its "
        f"{outputs} classes, or of {outputs - 1} if the last one is void"
    )


def fill(
    own: dict[str, Tensor], state: Mapping[str, Tensor], path: Path, name: str, untrained: tuple[str, ...]
) -> list[str]:
    """Put the values of a state dict into our own, in place; returns what is missing where that is allowed.

    Raises:
        InputError: if a parameter is missing, has another shape, or holds values that are not finite.
    """
    counters = [each for each in own if each.endswith("num_batches_tracked")]  # older than PyTorch 0.4.1: without
    missing = [each for each in own if each not in state and each not in counters]
    if lost := [each for each in missing if not each.startswith(untrained)] if untrained else missing:
        raise InputError(
            f"'{path}' does not fit {name}: it lacks {len(lost)} of {len(own)} parameters, first {', '.join(lost[:3])}"
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


def convert_file(path: Path, name: str, out: Path, **options: Any) -> Conversion:
    """Convert a file and write our checkpoint; see ``convert``.

    Raises:
        InputError: as ``convert``; or if the folder to write to does not exist.
    """
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    result = convert(path, name, **options)
    save_checkpoint(out, result.network, result.about)
    return result
