"""What small runtimes run: a portable file in the runtime's own format, and the card as JSON beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.files import load_json
from oddroad.inference.host_resize import CLASSES, LOGITS

ENDINGS = {".param": "ncnn", ".tflite": "litert"}
"""Ending of a file -> the engine that runs it."""


def own_file(folder: Path) -> Path | None:
    """The detector in a folder that ``oddroad export --for RUNTIME`` wrote, if a small engine here runs it."""
    found = [folder / f"detector{ending}" for ending in ENDINGS]
    return next((each for each in found if each.is_file()), None)


def card_file(path: Path) -> Path:
    """The JSON beside a file: ``X.json`` of ``X.tflite``, ``X.param`` or ``X.ncnn.param``."""
    return path.with_name(path.stem.removesuffix(".ncnn") + ".json")


def read_beside(path: Path) -> tuple[Card, list[str]]:
    """The card beside a file, and the names of its outputs in their order.

    Raises:
        InputError: if there is none, or none that this version can read.
    """
    place = card_file(path)
    try:
        about: Any = load_json(place.read_text())
        card = Card.from_json(json.dumps(about["card"]))
        outputs = [str(each["name"]) for each in about["outputs"]]
    except OSError:
        raise InputError(
            f"model '{path}' has no card: there is no '{place.name}' beside it; copy it from where it was exported"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{place}' is no card that 'oddroad export --for' wrote ({error})") from None
    if not card.portable or card.size is None:
        raise InputError(f"'{place}' is the card of a file that is not portable; export it with --for")
    if missing := [name for name in card.scores if name not in outputs]:
        raise InputError(f"'{place}' names no output {', '.join(missing)}, which its card has; export it again")
    return card, [*outputs, *([CLASSES] if LOGITS in outputs else [])]
