"""What the values of an evaluation's result may be, as far as tables and figures are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.json_values import (
    Check,
    check_depth,
    figure,
    keyed,
    listed,
    maybe,
    name,
    named,
    number,
    refuse,
    row,
    text,
    whole,
)
from oddroad.reporting.tables import HEADS

FIGURES: dict[str, Check] = dict.fromkeys((*HEADS, "prevalence"), figure)

CURVE = keyed(
    {key: listed(number) for key in ("recall", "precision", "fpr")}, ("recall", "precision", "fpr")
)  # fmt: skip
BINS = keyed(
    {key: listed(figure, 1) for key in ("pixels", "confidence", "accuracy")}, ("pixels", "confidence", "accuracy")
)  # fmt: skip
LEFT_OUT = keyed(
    {"units": listed(text), "figures": named(listed(figure)), "degrees": named(number)}, ("units", "figures", "degrees")
)  # fmt: skip
PLACE: dict[str, Check] = {
    **FIGURES, "intervals": maybe(named(maybe(row(figure, figure)))), "left_out": maybe(LEFT_OUT), "threshold": figure,
}  # fmt: skip
VIDEO = keyed(PLACE)
RESULT: dict[str, Check] = {
    **PLACE,
    "dataset": name, "split": text, "score": text, "model": text, "protocol": text, "model_hash": maybe(text),
    "input_size": text, "images": whole(), "seconds": number, "versions": named(text), "notes": listed(text),
    "video": maybe(VIDEO), "deployed": maybe(keyed({**PLACE, "video": maybe(VIDEO)})), "curve": CURVE,
    "reliability": maybe(BINS), "frames": listed(keyed({"name": name, "ap": figure}, ("name", "ap"))),
    "frames_folder": name, "row": text,
}  # fmt: skip
"""Key of a result -> what its value must be; others are shown nowhere, or as texts."""


def check_result(values: Mapping[str, Any], path: Path) -> None:
    """Refuse a result of which a value is not what it should be.

    Raises:
        InputError: naming the file, the place and what is expected there.
    """
    try:
        check_depth({key: each for key, each in values.items() if key != "file"}, "a result")
        for key, check in RESULT.items():
            if key in values:
                check(values[key], f"'{key}'")
        for place in (values, values.get("deployed") or {}):
            for inner in (place, place.get("video") or {}):
                check_left_out(inner.get("left_out"))
        if values.get("ap") is not None and "curve" in values:
            lengths = {len(each) for each in values["curve"].values() if isinstance(each, list)}
            if len(lengths) > 1:
                refuse(sorted(lengths), "the length of the lists of 'curve'", "one length")
            for key in ("fpr95", "prevalence", "frames"):
                if values.get(key) is None:
                    refuse(None, f"'{key}'", "a value, as there is an 'ap'")
        if values.get("reliability") and len({len(each) for each in values["reliability"].values()}) > 1:
            refuse(values["reliability"], "'reliability'", "lists of one length")
    except InputError as error:
        raise InputError(f"'{path}' holds a result in which {error}; evaluate again") from None


def check_left_out(kept: Mapping[str, Any] | None) -> None:
    """Refuse figures with units left out that are not one for each unit.

    Raises:
        InputError: if they are not.
    """
    for key, values in ((kept or {}).get("figures") or {}).items():
        if kept is not None and (len(values) != len(kept["units"]) or key not in kept["degrees"]):
            refuse(values, f"'left_out.figures.{key}'", f"{len(kept['units'])} numbers, and their degrees of freedom")
