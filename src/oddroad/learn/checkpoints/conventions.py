"""Conventions of published checkpoints that no parameter's name or shape tells: where void is, in which order the
classes are, whether the network wants RGB or BGR, in 0 to 1 or in 0 to 255.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oddroad.errors import InputError, counted
from oddroad.types import CITYSCAPES_CLASSES

VOID = "void"

LABEL_IDS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""Cityscapes' label ids of its 19 classes; Cordts et al., "The Cityscapes Dataset", 2016."""


@dataclass(frozen=True)
class Author:
    """Whose code a checkpoint is from, and what it has by convention.

    Attributes:
        name: for people, the repository.
        networks: keys in NETWORKS that it publishes.
        outputs: number of outputs for which this is known; 0 for any.
        beside: what lies in the file beside the weights, all of it.
        author: what the file says under ``__author__``; "" for anything.
        void: where the void output is: "first" or "last"; "" if there is none or it is not known.
        channel_order: "rgb" or "bgr".
        value_range: "0-1" or "0-255".
    """

    name: str
    networks: tuple[str, ...] = ()
    outputs: int = 0
    beside: frozenset[str] = frozenset()
    author: str = ""
    void: str = ""
    channel_order: str = "rgb"
    value_range: str = "0-1"

    def wrote(self, network: str, outputs: int, beside: Collection[str], author: str) -> bool:
        """Whether a file looks like one of this author's."""
        return (
            network in self.networks
            and self.outputs in (0, outputs)
            and self.beside <= set(beside)
            and (not self.author or self.author.lower() in author.lower())
        )


MASKS = ("mask2former", "mask2anomaly", "mask2anomaly_frozen", "mask2anomaly_lean")

AUTHORS = (
    Author("davidtvs/PyTorch-ENet", ("enet",), 20, frozenset({"epoch", "optimizer", "miou"}), void="first"),
    Author("Eromera/erfnet_pytorch", ("erfnet",), 20, frozenset({"epoch", "arch", "best_acc"}), void="last"),
    Author("detectron2's zoo, MSRA's ResNet", MASKS, author="msra", channel_order="bgr", value_range="0-255"),
    Author("detectron2's zoo, Detectron's ResNet", MASKS, author="caffe2", channel_order="bgr", value_range="0-255"),
)
"""Authors whose convention differs from the usual one, or is certain: 'davidtvs' puts "unlabeled" first
(data/cityscapes.py), 'Eromera' last; detectron2's MSRA models want BGR in 0 to 255 with the mean taken off
(PIXEL_STD 1). Mask2Former's own models want RGB with ImageNet's mean and deviation (INPUT.FORMAT "RGB")."""


def author_of(network: str, outputs: int, beside: Collection[str], author: str = "") -> Author | None:
    """Whose file this looks like, or None.

    Args:
        network: key in NETWORKS.
        outputs: number of outputs.
        beside: names of what lies in the file beside the weights.
        author: what the file says of its author.
    """
    return next((each for each in AUTHORS if each.wrote(network, outputs, beside, author)), None)


@dataclass(frozen=True)
class OutputOrder:
    """Which outputs of a file are which.

    Attributes:
        indices: outputs of the file in the order of the converted network, void last.
        classes: names of the classes.
        words: what was taken, for people.
    """

    indices: tuple[int, ...]
    classes: tuple[str, ...]
    words: str

    @property
    def changes(self) -> bool:
        """Whether outputs move or go."""
        return self.indices != tuple(range(len(self.indices)))


def output_order(
    outputs: int,
    path: Path,
    classes: Sequence[str] = (),
    void: str = "auto",
    class_order: Sequence[str] = (),
    author: Author | None = None,
) -> OutputOrder:
    """Find out which output is which class.

    Args:
        outputs: number of outputs of the file.
        path: of the file, for messages.
        classes: names of the classes, without void, in the file's order; those of Cityscapes if empty.
        void: "first", "last", "none", or "auto": the author's, else last where there is one output more than classes.
        class_order: a name for each output, "void" for those that are no class; or ("labelids",), Cityscapes' 34.
        author: whose file it is.

    Raises:
        InputError: if the names do not fit the outputs.
    """
    if class_order and void != "auto":
        raise InputError("--class-order says where void is; leave --void out")
    if class_order:
        return named_order(outputs, path, classes, tuple(class_order))
    names = tuple(classes) or CITYSCAPES_CLASSES
    expected = {"auto": (len(names), len(names) + 1), "none": (len(names),)}.get(void, (len(names) + 1,))
    if outputs not in expected:
        told = {"auto": "", "none": " with --void none"}.get(void, f" with --void {void}")
        raise InputError(
            f"'{path}' has {counted(outputs, 'output')} and there are {counted(len(names), 'name')}{told}; pass "
            "--classes with the names of "
            f"its {outputs} classes, or of {outputs - 1} if one output is void, or a name for each output with "
            "--class-order"
        )
    if outputs == len(names):
        return in_known_order(tuple(range(outputs)), names, f"{counted(outputs, 'output')}, one for each class")
    where = void if void != "auto" else (author.void if author else "") or "last"
    why = "" if void != "auto" else f", as {author.name} has it" if author and author.void else TAKEN
    if where == "first":
        words = f"{counted(outputs, 'output')}: {len(names)} classes, the first one taken as void{why}"
        return in_known_order((*range(1, outputs), 0), names, words)
    words = f"{counted(outputs, 'output')}: {len(names)} classes, the last one taken as void{why}"
    return in_known_order(tuple(range(outputs)), names, words)


TAKEN = ", which nothing in the file says; pass --void first if it is not so, and --check-data to see"


def in_known_order(indices: tuple[int, ...], names: tuple[str, ...], words: str) -> OutputOrder:
    """The same, with Cityscapes' classes brought to their own order if they are named in another."""
    if names == CITYSCAPES_CLASSES or sorted(names) != sorted(CITYSCAPES_CLASSES):
        return OutputOrder(indices, names, words)
    moved = tuple(indices[names.index(each)] for each in CITYSCAPES_CLASSES) + indices[len(names) :]
    return OutputOrder(moved, CITYSCAPES_CLASSES, f"{words}; classes brought to Cityscapes' order")


def named_order(outputs: int, path: Path, classes: Sequence[str], order: tuple[str, ...]) -> OutputOrder:
    """The order of outputs that each have a name; see ``output_order``."""
    if order == ("labelids",):
        order = tuple(LABEL_IDS.get(each, VOID) for each in range(max(outputs, 34)))
    if len(order) != outputs:
        raise InputError(
            f"'{path}' has {counted(outputs, 'output')} and --class-order names {len(order)}; expected a name for "
            f"each, '{VOID}' for those that are no class"
        )
    named = [each for each in order if each != VOID]
    if twice := sorted({each for each in named if named.count(each) > 1}):
        raise InputError(f"--class-order names '{twice[0]}' twice; each class has one output")
    names = tuple(classes) or (CITYSCAPES_CLASSES if sorted(named) == sorted(CITYSCAPES_CLASSES) else tuple(named))
    if sorted(names) != sorted(named):
        lost = [each for each in names if each not in named] or [each for each in named if each not in names]
        raise InputError(f"--class-order and --classes differ in '{lost[0]}'; expected the same names, and '{VOID}'")
    voids = [at for at, each in enumerate(order) if each == VOID]
    last = voids if len(voids) == 1 else []
    left = (
        f", {len(voids)} void outputs left out" if len(voids) > 1 else f", output {voids[0]} is void" if voids else ""
    )
    return OutputOrder(
        (*(order.index(each) for each in names), *last),
        names,
        f"{counted(outputs, 'output')}: {len(names)} classes by name{left}",
    )


def class_axes(make: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> dict[str, int]:
    """For each parameter that has an entry for each output: the axis, found by building the network with one more."""
    bigger = make(**{**arguments, "classes": arguments["classes"] + 1}).state_dict()
    found: dict[str, int] = {}
    for name, value in make(**arguments).state_dict().items():
        differing = [axis for axis, (a, b) in enumerate(zip(value.shape, bigger[name].shape, strict=True)) if a != b]
        if differing:
            found[name] = differing[0]
    return found


def reordered(
    state: Mapping[str, Tensor], axes: Mapping[str, int], outputs: int, indices: Sequence[int]
) -> dict[str, Tensor]:
    """A state dict with its outputs in another order; entries behind the outputs ("no object") stay behind them."""
    found = dict(state)
    for name, axis in axes.items():
        if name in found:
            more = range(outputs, found[name].shape[axis])
            found[name] = found[name].index_select(axis, torch.tensor([*indices, *more])).contiguous()
    return found
