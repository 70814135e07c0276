"""From the frames of a segment to the rows of ``findings``: regions, tracks, p-values, thumbnails, embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from oddroad.calibration.calibrator import alarm_level
from oddroad.card import Card
from oddroad.detection.tracking import ConfirmedTracks, Tracking
from oddroad.inference.model import Model
from oddroad.mining.embedding import embed
from oddroad.mining.frames import Fix, Taken
from oddroad.regions import InDistribution, default_min_area, find, mask_in_box
from oddroad.roi import Roi
from oddroad.types import Region

THUMBNAIL = 160
"""Pixels of the longer side of a thumbnail at most."""

AROUND = 0.5
"""What a thumbnail shows around a region, as a share of the region's longer side, on each side."""


INTERESTING = 0.01
"""Share of in-distribution frames that are interesting, too: with ``--fast``, a segment is judged in full if one of its
key frames is. A frame that is not odd enough for an alarm may be one of many in which something comes into view."""


@dataclass(frozen=True)
class PValues:
    """How often in-distribution frames hold a region as anomalous as one that was found.

    Attributes:
        levels: (n,) float64 thresholds, ascending.
        rates: (n,) share of the calibration's frames with a region above each.
        units: independent units of the calibration.
    """

    levels: np.ndarray
    rates: np.ndarray
    units: int

    @classmethod
    def of(cls, card: Card, score: str) -> PValues | None:
        """What the card keeps of its calibration; None where the score was not calibrated."""
        found = card.calibration.get("scores", {}).get(score, {})
        if not found.get("alarms"):
            return None
        levels, rates = np.asarray(found["alarms"][::-1], np.float64).T
        return cls(levels, rates, int(found["units"]["count"]))

    def level(self, rate: float) -> float:
        """The lowest threshold above which at most this share of the calibration's frames has a region."""
        return float(self.levels[int(np.argmax(self.rates <= rate))])

    def __call__(self, heat: np.ndarray, region: Region, min_area: int) -> float:
        """The p-value of a region of a map (H, W): (n rate + 1) / (n + 1) for n independent units.

        The rate is that of calibration frames with a region of ``min_area`` pixels above the highest threshold at which
        this region still has one. Where nothing odd is on the road, a frame has a p-value below p in at most a share p,
        as far as the calibration speaks for it. Source: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random
        World", 2005 (conformal p-values).
        """
        x0, y0, x1, y1 = region.box
        level = alarm_level(heat[y0:y1, x0:x1], mask_in_box(region), max(1, min(min_area, region.area)))
        place = int(np.searchsorted(self.levels, level, side="left"))
        rate = 0.0 if place == len(self.levels) else float(self.rates[place - 1]) if place else 1.0
        return (self.units * rate + 1) / (self.units + 1)


@dataclass
class Best:
    """The best view of a track so far: its row, and the cut-out for its thumbnail."""

    row: dict[str, Any]
    crop: np.ndarray


@dataclass
class SegmentFindings:
    """Gathers the rows of one segment.

    Attributes:
        model: the detector.
        score: name of the score.
        threshold: a pixel is anomalous above it.
        min_area: least pixels of a region; the card's where None, or 1 in 10,000 of the frame's.
        tracking: when a track's regions count, and when it ends.
        name: of the segment.
        about: columns that are the same in all rows.
        rows: what was found.
        frames_with: frames with a finding.
        size: (height, width) of the frames.
    """

    model: Model
    score: str
    threshold: float
    min_area: int | None
    tracking: Tracking
    name: str
    about: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    frames_with: int = 0
    size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.in_distribution = InDistribution.of(self.model.card, self.score)
        self.roi = Roi.of(self.model.card.calibration)
        self.p_values = PValues.of(self.model.card, self.score)
        self.min_area = self.model.card.calibration.get("min_area") if self.min_area is None else self.min_area
        self.tracks = ConfirmedTracks(self.tracking.min_hits, self.tracking.max_age)
        self.best: dict[str, Best] = {}

    def add(self, taken: Taken) -> bool:
        """Judge a frame; whether there is something in it. Damaged frames are not judged."""
        frame = taken.frame
        if frame.status != "ok":
            return False
        heat, features, inside = self.model.with_features(frame.image, self.score, self.roi)
        self.size = heat.shape[0], heat.shape[1]
        found = find(heat, self.threshold, self.min_area, self.in_distribution, inside)
        regions, tracks = self.tracks(frame, found)
        least = default_min_area(heat) if self.min_area is None else self.min_area
        for region, track in zip(regions, tracks, strict=True):
            x0, y0, x1, y1 = region.box
            name = f"{self.name}:{track.id}"
            row = {
                **self.about, "id": f"{self.name}-{len(self.rows)}", "time": taken.time, "frame": frame.index,
                "track": name, "hits": track.hits, "best": False, "x0": x0, "y0": y0, "x1": x1, "y1": y1,
                "height": self.size[0], "width": self.size[1], "rle": region.counts, "area": region.area,
                "mean": region.mean, "peak": region.peak,
                "p_value": None if self.p_values is None else self.p_values(heat, region, least),
                "thumbnail": None, "embedding": embed(features, region),
            }  # fmt: skip
            self.rows.append(row)
            if name not in self.best or region.area > self.best[name].row["area"]:
                self.best[name] = Best(row, cut_out(frame.image, region))
        self.frames_with += bool(regions)
        return bool(found)

    def interesting(self, image: np.ndarray) -> bool:
        """Whether a frame (H, W, 3) has a region above the level that INTERESTING of in-distribution frames reach."""
        maps, inside = self.model.maps_inside(image, [self.score], self.roi)
        level = self.threshold if self.p_values is None else min(self.threshold, self.p_values.level(INTERESTING))
        return bool(find(maps[self.score], level, self.min_area, None, inside))

    def finish(self, fixes: list[Fix]) -> None:
        """Fill in what is known at the segment's end: positions, and the thumbnails of the best views."""
        from oddroad.mining.frames import position_at

        for row in self.rows:
            fix = position_at(fixes, row["time"])
            row["latitude"], row["longitude"], row["altitude"] = (
                (None, None, None) if fix is None else (fix.latitude, fix.longitude, fix.altitude)
            )
        for each in self.best.values():
            each.row["best"], each.row["thumbnail"] = True, webp(each.crop)


def cut_out(image: np.ndarray, region: Region) -> np.ndarray:
    """A region of an image (H, W, 3) uint8 with what is around it, made small."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = region.box
    more = round(AROUND * max(x1 - x0, y1 - y0)) + 4
    crop = image[max(y0 - more, 0) : min(y1 + more, height), max(x0 - more, 0) : min(x1 + more, width)]
    scale = THUMBNAIL / max(crop.shape[:2])
    if scale >= 1:
        return crop.copy()
    size = max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1)
    return cv2.resize(crop, size, interpolation=cv2.INTER_AREA)


def webp(image: np.ndarray, quality: int = 80) -> bytes:
    """An RGB image (H, W, 3) uint8 as a WebP."""
    done, data = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done
    return data.tobytes()
