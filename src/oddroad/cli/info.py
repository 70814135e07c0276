"""The verb ``info``."""

from __future__ import annotations

from typing import Annotated

import tyro


def info(model: Annotated[str, tyro.conf.Positional] = "default", json: bool = False) -> None:
    """Print the card of a detector: what it is, what it was trained on, how well it does, and its limits.

    Example: oddroad info my_detector.onnx

    Args:
        model: an oddroad .onnx file, "default" for the embedded detector, or "default-fp32" for it in float32.
        json: print the card as one JSON object.
    """
    from oddroad.card import describe
    from oddroad.inference.model import read_card

    card = read_card(model)
    print(card.to_json() if json else describe(card))
