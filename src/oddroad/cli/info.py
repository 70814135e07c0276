"""The verb ``info``."""

from __future__ import annotations

from typing import Annotated

import tyro

from oddroad.cli.common import JsonTo, write_json


def info(model: Annotated[str, tyro.conf.Positional] = "default", json: JsonTo = None) -> None:
    """Print the card of a detector: what it is, what it was trained on, how well it does, and its limits.

    Example: oddroad info my_detector.onnx

    Args:
        model: an oddroad .onnx file, "default" for the embedded detector, "default-fp32" for it in float32,
            "accurate" for the slower one of larger sizes, an address or hf:ORG/NAME; each with @sha256:... or without.
        json: the card as one JSON object: printed, or into FILE.
    """
    from json import loads

    from oddroad.card import describe
    from oddroad.inference.model import read_card

    card = read_card(model)
    if json is None:
        print(describe(card))
    write_json(json, loads(card.to_json()))
