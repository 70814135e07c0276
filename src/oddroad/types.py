"""What every array means: frames, regions, samples, the card of a detector, and the label values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError

KNOWN, ANOMALY, IGNORE = 0, 1, 255
"""Labels of a benchmark frame: known, odd, and not judged."""

OUTLIER = 254
"""A pasted odd object in a training label, whose classes are 0 to C - 1."""

UNNAMED = 253
"""A training pixel that is known (not odd), but whose class the data set does not tell in our terms."""

GROUPS = {
    200: (13, 14, 15, 16, 17, 18),  # some vehicle
    201: (3, 4, 5, 6, 7),  # something beside the road: wall, fence, pole, light, sign
    202: (2, 8),  # something far: building or vegetation
    203: (1, 9),  # ground that is not driven on: sidewalk or terrain
    204: (12, 18),  # a rider or the bicycle
}
"""Training labels of pixels whose class is one of several: their trainIds."""

CARD_FORMAT = 1
"""Version of the Card's layout; a file with a newer one is refused."""

Detect = Callable[[np.ndarray], np.ndarray]
"""The product: an RGB image (H, W, 3) uint8 in, a score map (H, W) float32 out, higher is stranger."""

CITYSCAPES_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""The 19 Cityscapes classes in the order of their trainIds."""


@dataclass(frozen=True)
class Frame:
    """One image and where it comes from.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        name: file name, or ``clip.mp4#12`` for the thirteenth frame of a video.
        time: seconds since the start of the video or stream; None for a still image.
        label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE, where the truth is known.

    Raises:
        InputError: if an array has another shape or type.
    """

    image: np.ndarray
    name: str
    time: float | None = None
    label: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8 or 0 in self.image.shape:
            raise InputError(
                f"frame '{self.name}' is an array of shape {self.image.shape} and type {self.image.dtype}; "
                "expected (height, width, 3) uint8 in RGB"
            )
        if self.label is not None and self.label.shape != self.image.shape[:2]:
            raise InputError(
                f"the label of frame '{self.name}' has shape {self.label.shape}; expected {self.image.shape[:2]}"
            )


@dataclass(frozen=True)
class Region:
    """One connected odd region of a score map.

    Attributes:
        box: (x0, y0, x1, y1) in pixels of the frame; x1 and y1 lie just outside.
        area: number of pixels.
        mean: mean score inside, in the score's own unit.
        peak: highest score inside.
    """

    box: tuple[int, int, int, int]
    area: int
    mean: float
    peak: float


@dataclass(frozen=True)
class Sample:
    """One image of a data set and how to read its label.

    Attributes:
        name: short unique name inside the data set.
        image: path of the image.
        label: path of the label image (one channel), or None where there is none.
        lookup: (256,) uint8, maps a raw label value to ours.
        size: (H, W) to bring image and label to after reading, for sets that are stored squashed; None keeps the size.
    """

    name: str
    image: Path
    label: Path | None
    lookup: np.ndarray
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Card:
    """What a detector is, carried inside its file as JSON (``metadata_props["oddroad"]``).

    Attributes:
        name: name of the detector.
        network: key in NETWORKS.
        scores: names of the output maps, in their order; the first is the default.
        size: (H, W) the network sees, or None if it takes images at their own size.
        stride: pixels of the network's input to a side of one pixel of its output.
        classes: names of the known classes.
        thresholds: for each score, the value above which a pixel counts as odd.
        threshold_rule: how the thresholds were set, in words.
        spans: for each score, the values of a typical known and a typical odd pixel; they only colour pictures.
        calibration: what known scenes score: thresholds by rate, data, frames, confidence; see oddroad.thresholds.
        temperature: what the logits are divided by before the scores.
        upsample: "score" if the score is computed at the network's stride and then enlarged, or "logits".
        licence: terms of use of the weights, which follow those of the training data.
        origin: recipe, commit, date, data: where the weights come from.
        parity: largest differences to PyTorch found by the exporter.
        measured: figures of the detector, by data set.
        weights: storage of the weights in the file, "float32", "float16" or "int8".
        precision: what most of the network computes in, "float32", or "int8" after quantisation.
        second: (H, W) of a second look that the network takes at the same image, or None; it has a share in the logits.
        quantisation: how it was quantised, what stayed in float32, and what it cost; see oddroad.learn.quantise.
        format: version of this layout.
    """

    name: str
    network: str
    scores: tuple[str, ...]
    size: tuple[int, int] | None
    stride: int
    classes: tuple[str, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    threshold_rule: str = ""
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    upsample: str = "score"
    licence: str = ""
    origin: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    weights: str = "float32"
    precision: str = "float32"
    second: tuple[int, int] | None = None
    quantisation: dict[str, Any] = field(default_factory=dict)
    format: int = CARD_FORMAT

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
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"the card is not JSON ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"the card is a JSON {type(values).__name__}; expected an object")
        version = values.get("format")
        if not isinstance(version, int):
            raise InputError("the card does not state its format")
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
        for key in ("scores", "classes"):
            if not isinstance(values[key], list) or not all(isinstance(each, str) for each in values[key]):
                raise InputError(f"{key} of the card is {values[key]!r}; expected a list of names")
            values[key] = tuple(values[key])
        if values["size"] is not None:
            values["size"] = tuple(values["size"])
        if values.get("second") is not None:
            values["second"] = tuple(values["second"])
        values["spans"] = {name: tuple(span) for name, span in values.get("spans", {}).items()}
        return cls(**values)
