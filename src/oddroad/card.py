"""What a detector is: the card that travels inside its file."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from oddroad.card_format import check_card
from oddroad.errors import InputError, printable
from oddroad.files import load_json

CARD_KEY = "oddroad"
"""Key of the card in the metadata of an ONNX file."""


WIDE = 110
"""Columns of the card as text for people."""

TITLE, KEY = 13, 24
"""Columns of the titles, and of the keys behind them; longer keys have lines of their own."""


def describe(card: Card) -> str:
    """The card as a table for people; ``Card.to_json`` is the one for machines."""
    size = "the image's own" if card.size is None else f"{card.size[0]} x {card.size[1]}"
    lines = row("", card.name, 0)
    lines += row("network", card.network)
    lines += row("input", f"{size}, stride {card.stride}")
    lines += row("weights", f"stored as {card.weight_storage}, computed in {card.precision}")
    if card.portable:
        lines += row("form", "portable")
    before = "before" if card.upsample == "score" else "after"
    lines += row("scores", f"{', '.join(card.scores)} (the first is the default), computed {before} upsampling")
    lines += table("threshold", {name: f"> {value:.4g}" for name, value in card.thresholds.items()})
    if card.threshold_meaning:
        lines += row("", card.threshold_meaning)
    lines += row("classes", ", ".join(card.classes))
    for title, values in (
        ("origin", card.origin),
        ("measured", card.measured),
        ("parity", card.parity),
        ("quantised", card.quantisation),
    ):
        lines += table(title, values)
    return "\n".join([*lines, *row("licence", card.licence or "not stated")])


def row(title: str, text: str, indent: int = TITLE) -> list[str]:
    """A title and a text that is broken into lines beside it, none of which holds a control character."""
    title, text = printable(title), printable(re.sub(r"\s", " ", text))
    first = f"  {title:<{indent - 2}}" if title else " " * indent
    return textwrap.wrap(text, WIDE, initial_indent=first, subsequent_indent=" " * indent, break_on_hyphens=False)


def table(title: str, values: Mapping[str, Any]) -> list[str]:
    """A title, and the keys and values beside it, a line each or more."""
    width = max((len(key) for key in values if len(key) <= KEY), default=0) + 2
    lines: list[str] = []
    for key, value in values.items():
        first = "" if lines else title
        texts = readable(value)
        if len(key) <= KEY:
            head, indent = f"{first:<{TITLE - 2}}{key}", TITLE + width
        else:
            lines += row(first, f"{key}:")
            head, indent = "", TITLE + 2
        for text in texts:
            lines += row(head, text.lstrip(), indent + len(text) - len(text.lstrip()))
            head = ""
    return lines


def readable(value: Any) -> list[str]:
    """A JSON value as lines of words; what lies inside another thing is indented."""
    if isinstance(value, Mapping):
        if all(plain(each) for each in value.values()):
            return [", ".join(f"{key} {word(each)}" for key, each in value.items()) or "none"]
        lines: list[str] = []
        for key, each in value.items():
            below = readable(each)
            lines += [f"{key}: {below[0]}"] if len(below) == 1 else [f"{key}:", *(f"  {line}" for line in below)]
        return lines
    if isinstance(value, (list, tuple)):
        if all(plain(each) for each in value):
            return [", ".join(map(word, value)) or "none"]
        return [line for each in value for line in readable(each)]
    return [word(value)]


def plain(value: Any) -> bool:
    """Whether a JSON value is neither an object nor a list."""
    return not isinstance(value, (Mapping, list, tuple))


def word(value: Any) -> str:
    """A JSON value that is neither an object nor a list, in words."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return f"{value[:12]}..."
    return f"{value:.6g}" if isinstance(value, float) else str(value)


CARD_FORMAT = 3
"""Version of the Card's layout; a file with a newer one is refused."""


@dataclass(frozen=True)
class Card:
    """What a detector is, carried inside its file as JSON (``metadata_props["oddroad"]``).

    Attributes:
        name: name of the detector.
        network: key in NETWORKS.
        scores: names of the output maps, in their order; the first is the default.
        size: (H, W) the network sees, or None if it takes images at their own size.
        stride: pixels of the network's input to a side of one pixel of its output.
        classes: names of the in-distribution classes.
        thresholds: for each score, the value above which a pixel counts as anomalous.
        threshold_meaning: how the thresholds were set, in words.
        calibration: what in-distribution drives score: alarm rates by threshold, quantiles, data, how many drives,
            frames and independent units, what the guarantees speak of; see oddroad.calibration.thresholds.
        temperature: what the logits are divided by before the scores.
        upsample: "score" if the score is computed at the network's stride and then enlarged, or "logits".
        licence: terms of use of the weights, which follow those of the training data.
        origin: recipe, commit, date, data: where the weights come from.
        parity: largest differences to PyTorch found by the exporter.
        measured: figures of the detector, by data set.
        weight_storage: storage of the weights in the file, "float32", "float16" or "int8".
        precision: what most of the network computes in, "float32", or "int8" after quantisation.
        quantisation: how it was quantised, what stayed in float32, and what it cost; see oddroad.learn.export.quantise.
        portable: the graph is the network and its scores alone, (1, 3, H, W) float32 of ``size`` in and maps at the
            network's stride out; resizing and enlarging are the caller's. See oddroad.learn.export.portable.
        reference: for each score, what ONNX Runtime gives on a picture that is the same everywhere; see
            oddroad.inference.self_test.
        digest: SHA-256 of the whole file with this digest as zeros; see oddroad.inference.integrity.
        format: version of this layout.
    """

    name: str
    network: str
    scores: tuple[str, ...]
    size: tuple[int, int] | None
    stride: int
    classes: tuple[str, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    threshold_meaning: str = ""
    calibration: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    upsample: str = "score"
    licence: str = ""
    origin: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    weight_storage: str = "float32"
    precision: str = "float32"
    quantisation: dict[str, Any] = field(default_factory=dict)
    portable: bool = False
    reference: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    format: int = CARD_FORMAT

    def sealed(self, digest: str) -> Card:
        """The same card with another digest."""
        return replace(self, digest=digest)

    def to_json(self) -> str:
        """The card as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card.

        Raises:
            InputError: if the text is no card, or one of a newer version.
        """
        try:
            values = load_json(text)
        except ValueError as error:
            raise InputError(f"the card is not JSON ({str(error)[:120]})") from None
        if not isinstance(values, dict):
            raise InputError(f"the card is a JSON {type(values).__name__}; expected an object")
        version = values.get("format")
        if not isinstance(version, int) or isinstance(version, bool):
            raise InputError("the card does not state its format")
        if version < CARD_FORMAT:
            raise InputError(
                f"the card has format {version}, from before the first release; export the file again and calibrate it"
            )
        if version > CARD_FORMAT:
            raise InputError(
                f"the card has format {version} and this oddroad reads up to {CARD_FORMAT}; upgrade with "
                "'pip install -U oddroad'"
            )
        known = {each.name for each in fields(cls)}
        required = {"name", "network", "scores", "size", "stride", "classes"}
        if missing := sorted(required - values.keys()):
            raise InputError(f"the card lacks {', '.join(missing)}")
        values = {key: value for key, value in values.items() if key in known}
        check_card(values)
        for key in ("scores", "classes"):
            values[key] = tuple(values[key])
        if values["size"] is not None:
            values["size"] = tuple(values["size"])
        return cls(**values)
