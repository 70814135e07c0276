"""The verb ``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import say


def convert(
    file: Annotated[Path, tyro.conf.Positional],
    network: str,
    out: Path,
    classes: tuple[str, ...] = (),
    normalisation: str | None = None,
    licence: str = "",
) -> None:
    """Read a published checkpoint (.pth, .pth.tar, .safetensors) and write one of ours; no code in it is run.

    Example: oddroad convert erfnet_pretrained.pth --network erfnet --out erfnet.ckpt

    Args:
        file: the checkpoint.
        network: which network it is for: erfnet, enet, bisenetv1, bisenetv2, ddrnet23_slim, pidnet_s, mask2former,
            mask2anomaly, mask2former_swin, mask2anomaly_swin.
        out: the file to write.
        classes: names of its classes, without void; by default those of Cityscapes.
        normalisation: of its input: unit (RGB in [0, 1]), imagenet, or cityscapes; by default the published one.
        licence: terms of use of the weights; they are written into the checkpoint and every file exported from it.
    """
    from oddroad.learn.checkpoints.convert import convert_file

    done = convert_file(file, network, out, classes=classes, normalisation=normalisation, licence=licence)
    say("\n".join([*done.lines(), f"written: {out}, {out.stat().st_size / 1e6:.1f} MB"]))
