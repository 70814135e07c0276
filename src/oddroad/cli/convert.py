"""The verb ``convert``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.cli.common import say
from oddroad.recipe import PUBLISHED_NAMES


def convert(
    file: Annotated[Path, tyro.conf.Positional],
    network: Annotated[str, tyro.conf.arg(help=f"which network it is for: {', '.join(PUBLISHED_NAMES)}.")],
    out: Path,
    classes: tuple[str, ...] = (),
    void: Literal["auto", "first", "last", "none"] = "auto",
    class_order: tuple[str, ...] = (),
    normalisation: Literal["unit", "imagenet", "cityscapes"] | None = None,
    channel_order: Literal["rgb", "bgr"] | None = None,
    value_range: Literal["0-1", "0-255"] | None = None,
    check_data: Path | None = None,
    licence: str = "",
) -> None:
    """Read a published checkpoint (.pth, .pth.tar, .pkl, .safetensors), write an oddroad one; no code in it is run.

    Example: oddroad convert erfnet_pretrained.pth --network erfnet --out erfnet.ckpt --check-data data

    What no parameter tells is taken as the file's author has it, where the author is recognised, and printed: davidtvs'
    ENet has void first; detectron2's MSRA models want BGR in 0 to 255. --check-data says whether it was right.

    Args:
        file: the checkpoint.
        network: which network it is for.
        out: the file to write.
        classes: names of its classes, without void, in the file's order; by default those of Cityscapes.
        void: where its void output is; auto: as its author has it, else last where there is one output more than
            classes.
        class_order: a name for each of its outputs, "void" for those that are no class; or "labelids" for Cityscapes'
            34 label ids.
        normalisation: of its input: unit (in [0, 1]), imagenet, or cityscapes; by default the published one.
        channel_order: of its input; by default as its author has it, else rgb.
        value_range: of its input before the mean is taken off; 0-255: not divided by a deviation either, as Caffe's
            and detectron2's own backbones. By default as its author has it, else 0-1.
        check_data: folder of labelled data: the network is judged on two scenes, as it was taken and otherwise.
        licence: terms of use of the weights; they are written into the checkpoint and every file exported from it.
    """
    from oddroad.learn.checkpoints.convert import convert_file

    done = convert_file(
        file, network, out, check_data, classes=classes, normalisation=normalisation, licence=licence, void=void,
        class_order=class_order, channel_order=channel_order, value_range=value_range,
    )  # fmt: skip
    say("\n".join([*done.lines(), f"written: {out}, {out.stat().st_size / 1e6:.1f} MB"]))
    if done.check is not None and done.check.suspicious:
        print(f"oddroad: warning: {done.check.line()}", file=sys.stderr)
    elif done.check is not None:
        say(done.check.line())
