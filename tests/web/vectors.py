"""Test vectors for both sides: what Python finds, computed anew, for the JavaScript of the page to agree with."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.calibration.thresholds import threshold_for
from oddroad.card import Card
from oddroad.detection.tracking import CameraShift, Tracker
from oddroad.errors import InputError
from oddroad.inference.host_resize import enlarged
from oddroad.inference.model import read_card
from oddroad.regions import InDistribution, encode_rle, find
from oddroad.roi import Roi
from oddroad.synthetic.scenes import drive
from oddroad.web.view import level_of

TEXTS = (
    "no-alarms", "alarms=1/4frames", "alarms=30/100frames", "alarms=1/frame", "alarms=1/1000frames", "fpr=1%",
    "fpr=0.0013", "fpr=20%", "fpr=0.000001%", "alarms=900/hour", "alarms=2/100km", "alarms=2/100km@90km/h",
    "alarms=0.1/hour",
    "alarms=900/hour@1fps", "4.5", "-0.25", "1e-3", "much",
    "", "fpr=0", "alarms=2/frame", "alarms=x/hour",
)  # fmt: skip


def array(values: np.ndarray) -> dict[str, Any]:
    """An array for JSON."""
    return {"shape": values.shape, "data": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()}


def maps() -> list[tuple[np.ndarray, float, int | None, bool]]:
    """Maps (H, W) with thresholds, smallest areas, and whether parts are joined."""
    draw = np.random.default_rng(3)
    found: list[tuple[np.ndarray, float, int | None, bool]] = []
    for number in range(24):
        heat = draw.normal(size=draw.integers(3, 60, 2)).astype(np.float32)
        if number % 3:
            heat = (4 * cv2.GaussianBlur(heat, (0, 0), number % 3)).astype(np.float32)
        if number % 5 == 0:
            heat = np.round(heat)
        found.append(
            (heat + np.float32(3.5), float(draw.uniform(3, 5.5)), [0, 5, None, 20][number % 4], number % 2 == 0)
        )
    found.append((np.zeros((5, 7), np.float32), 0.0, 0, True))
    found.append((np.ones((5, 7), np.float32), 0.1, 0, False))
    return found


def region_cases(card: Card) -> list[dict[str, Any]]:
    """Regions of maps."""
    in_distribution = InDistribution.of(card, card.scores[0])
    return [
        {
            "map": array(heat), "threshold": threshold, "min_area": area, "joined": joined,
            "inside": None if inside is None else encode_rle(inside, (0, 0), inside.shape),
            "regions": [
                asdict(each) for each in find(heat, threshold, area, in_distribution if joined else None, inside)
            ],
        }
        for number, (heat, threshold, area, joined) in enumerate(maps())
        for inside in ([None, Roi.parse("0,1 0.2,0.1 0.7,0 1,0.9").inside(heat.shape)] if number < 12 else [None])
    ]  # fmt: skip


def enlarged_cases() -> list[dict[str, Any]]:
    """Maps at another size."""
    draw = np.random.default_rng(5)
    pairs = [((6, 9), (24, 36)), ((96, 192), (135, 240)), ((5, 5), (7, 3)), ((4, 8), (4, 8)), ((1, 1), (3, 4))]
    cases = []
    for small, large in pairs:
        low = draw.normal(size=small).astype(np.float32)
        cases.append({"low": array(low), "size": large, "map": array(enlarged(low[None], large)[0])})
    return cases


def level_cases() -> list[dict[str, Any]]:
    """The lowest thresholds without an alarm."""
    return [{"map": array(heat), "min_area": area, "level": level_of(heat, area, None)} for heat, _, area, _ in maps()]


def resized_cases() -> list[dict[str, Any]]:
    """Pictures at a detector's size, smaller, larger and the same."""
    draw, cases = np.random.default_rng(9), []
    for height, width in ((54, 96), (20, 31), (48, 96), (97, 41)):
        image = draw.integers(0, 256, (height, width, 3), np.uint8)
        resized = cv2.resize(image, (96, 48), interpolation=cv2.INTER_LINEAR)
        cases.append({"image": array(image), "size": (48, 96), "resized": array(resized)})
    return cases


def track_case() -> dict[str, Any]:
    """A drive, its shifts, and the tracks of random regions in it."""
    draw, tracker, camera, steps = np.random.default_rng(7), Tracker(), CameraShift(), []
    frames = list(drive(seed=5, frames=10, size=(180, 320)))
    places = draw.uniform(20, 150, (5, 2))
    for frame in frames:
        shift = camera(frame.image)
        places += draw.normal(0, 3, places.shape) + np.array(shift)
        seen = places[draw.random(len(places)) > 0.2].clip(1, 160)
        heat = np.zeros((180, 320), np.float32)
        for x, y in seen.round().astype(int):
            heat[y : y + 9, x : x + 11] = 2
        regions = find(heat, 1.0, 0)
        tracks = tracker.link(regions, shift, 320)
        steps.append({
            "image": array(frame.image), "shift": shift, "regions": [asdict(each) for each in regions],
            "tracks": [{"id": each.id, "hits": each.hits, "mean": each.mean} for each in tracks],
        })  # fmt: skip
    return {"size": (180, 320), "steps": steps}


def threshold_cases(card: Card, texts: Sequence[str] = TEXTS) -> list[dict[str, Any]]:
    """Thresholds in the language."""
    cases = []
    for text in texts:
        for followed in (False, True):
            own = with_tracks(card) if followed else card
            try:
                found = threshold_for(own, text, card.scores[0])
                case = {"text": text, "value": found.value, "meaning": found.meaning}
            except InputError:
                case = {"text": text, "value": None, "meaning": ""}
            cases.append({**case, "roi": card.calibration.get("roi"), "tracks": TRACKS if followed else None})
    return cases


TRACKS = {
    "tracking": {"min_hits": 2, "max_age": 3, "every": 2, "rate": 12.5, "speed": 60.0},
    "tracks": {"units": 40, "block": 900, "hours": 12.5, "join": 0.3, "curves": {"2": [
        [6.5, 0.3, 0.0, None, None, None], [5.25, 1.1, 0.2, None, None, 1.5], [4.0, 950.0, 7.0, None, None, 1.0],
    ]}},
}  # fmt: skip
"""What a calibration on drives holds of alarms as events."""


def with_tracks(card: Card) -> Card:
    """A card with such curves."""
    name = card.scores[0]
    scores = {name: {**card.calibration["scores"][name], "tracks": TRACKS["tracks"]}}
    return replace(card, calibration={**card.calibration, "tracking": TRACKS["tracking"], "scores": scores})


def on_the_road(card: Card) -> Card:
    """The same card as if it had been calibrated within the road, on one drive more than its places."""
    return replace(card, calibration={**card.calibration, "roi": {"kind": "road"}, "of": "drive", "drives": 1})


def vectors() -> dict[str, Any]:
    """All of them."""
    card = read_card("default")
    return {
        "score": card.scores[0],
        "calibration": card.calibration,
        "regions": region_cases(card),
        "levels": level_cases(),
        "resized": resized_cases(),
        "enlarged": enlarged_cases(),
        "tracks": track_case(),
        "thresholds": [*threshold_cases(card), *threshold_cases(on_the_road(card), TEXTS[:8])],
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(vectors()))
