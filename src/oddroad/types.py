"""What every array means: frames, regions, samples, the card of a detector, and the label values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddroad.errors import InputError

KNOWN, ANOMALY, IGNORE = 0, 1, 255
"""Labels of a benchmark frame: in-distribution, anomaly, and not evaluated."""


OUTLIER = 254
"""A pasted outlier object in a training label, whose classes are 0 to C - 1."""


UNNAMED = 253
"""A training pixel that is in-distribution, but whose class the data set does not tell in our terms."""


GROUPS = {
    200: (13, 14, 15, 16, 17, 18),  # some vehicle
    201: (3, 4, 5, 6, 7),  # something beside the road: wall, fence, pole, light, sign
    202: (2, 8),  # something far: building or vegetation
    203: (1, 9),  # ground that is not driven on: sidewalk or terrain
    204: (12, 18),  # a rider or the bicycle
}
"""Training labels of pixels whose class is one of several: their trainIds."""


Detect = Callable[[np.ndarray], np.ndarray]
"""The product: an RGB image (H, W, 3) uint8 in, a score map (H, W) float32 out, higher means more anomalous."""


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
        source: unique name of the file, camera or stream that it comes from.
        index: number of the frame in a moving source, from 0; None for a still image.
        time: seconds since the start of the video or stream; None for a still image.
        utc: seconds since 1970 in UTC, where the source tells it (live sources, logs, some videos); else None.
        status: "ok", or "damaged" where the pixels are not what the camera saw.
        reason: why a frame is damaged, in words; empty for one that is not.
        label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE, where the truth is known.

    Raises:
        InputError: if an array has another shape or type.
    """

    image: np.ndarray
    source: str
    index: int | None = None
    time: float | None = None
    label: np.ndarray | None = None
    utc: float | None = None
    status: str = "ok"
    reason: str = ""

    @property
    def name(self) -> str:
        """What people read: ``clip.mp4#12`` for the thirteenth frame of a video. It is made, never parsed."""
        return self.source if self.index is None else f"{self.source}#{self.index}"

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
    """One anomalous region of a score map.

    Attributes:
        box: (x0, y0, x1, y1) in pixels of the frame; x1 and y1 lie just outside.
        area: number of pixels.
        mean: mean score inside, in the score's own unit.
        peak: highest score inside.
        percentile: share of in-distribution pixels that score below the peak, 0 to 1; None without calibration.
        size: (H, W) of the frame.
        counts: its pixels in the frame, as COCO's compressed run-length code; see oddroad.regions.decode_rle.
    """

    box: tuple[int, int, int, int]
    area: int
    mean: float
    peak: float
    percentile: float | None = None
    size: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    counts: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class MaskCodes:
    """How the masks of a set of one's own are read.

    Attributes:
        codes: value of a mask, or red * 65536 + green * 256 + blue, -> training label.
        colours: whether masks are read as colours; else as numbers, of a palette its indices.
        rest: training label of everything else; None if that is an error.
    """

    codes: Mapping[int, int]
    colours: bool
    rest: int | None = None


@dataclass(frozen=True)
class Sample:
    """One image of a data set and how to read its label.

    Attributes:
        name: short unique name inside the data set.
        image: path of the image.
        label: path of the label image (one channel), or None where there is none.
        lookup: (256,) uint8, maps a raw label value to ours.
        size: (H, W) to bring image and label to after reading, for sets that are stored squashed; None keeps the size.
        sequence: the video or recording that it is a frame of, so that intervals take its frames as one; "" for none.
        fps: frames per second of the sequence; None where it is not known.
        codes: of a set of one's own: what its masks hold, before ``lookup``; None for numbers up to 255.
    """

    name: str
    image: Path
    label: Path | None
    lookup: np.ndarray
    size: tuple[int, int] | None = None
    sequence: str = ""
    fps: float | None = None
    codes: MaskCodes | None = None

    @property
    def unit(self) -> str:
        """What is independent of all else in the set: its sequence, or the image itself."""
        return self.sequence or self.name
