"""What a region of interest gains: objects found at one calm frame in 100 with a false alarm, with and without it.

    python runs/roi_study.py DATA --json roi.json              # our own sets below DATA
    python runs/roi_study.py DATA --obstacles road_obstacle21  # and a benchmark, to read; nothing is chosen on it

On validation scenes and rendered drives without an anomaly, the threshold that one frame in 100 exceeds is found within
each region; on the same scenes with held-out objects pasted on the road, the objects that a region above it touches are
counted. Beside regions of interest there is a threshold by image row: what in-distribution pixels of each of 16 bands
of rows score in one of 1,000 cases, on every second calm frame, is taken off first, and the threshold found on the
others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from oddroad.calibration.calibrator import alarm_level
from oddroad.files import write_whole
from oddroad.inference.model import Model
from oddroad.regions import decode_rle, default_min_area, find
from oddroad.roi import Roi
from oddroad.synthetic.scenes import Street
from oddroad.types import ANOMALY, OUTLIER

SIZES = {"cityscapes_small": (256, 512), "camvid": (360, 480)}
LANE = "0,1 0.35,0.45 0.65,0.45 1,1"
"""A polygon as one would draw it without looking at a picture."""
BANDS = 16
ALLOWED = 0.01


@dataclass
class Seen:
    """One frame: its score, the region of interest of each name (None for all), and where objects are.

    Attributes:
        heat: (H, W) float32.
        inside: by the name of the region, (H, W) bool or None.
        odd: (H, W) bool; None where the frame is calm.
    """

    heat: np.ndarray
    inside: dict[str, np.ndarray | None]
    odd: np.ndarray | None = None


def seen(model: Model, image: np.ndarray, odd: np.ndarray | None = None) -> Seen:
    """What the detector sees of an image."""
    found, road = model.maps_inside(image, [model.scores[0]], Roi("road"))
    lane = Roi.parse(LANE).inside((image.shape[0], image.shape[1]))
    return Seen(found[model.scores[0]], {"whole picture": None, "road": road, "polygon": lane}, odd)


def scenes(data: Path, name: str, count: int, model: Model) -> Iterator[tuple[Seen, Seen]]:
    """Validation scenes of a set, calm and with held-out objects on their road."""
    from oddroad.learn.data.cutouts import CutOut
    from oddroad.learn.data.pasting import with_objects
    from oddroad.learn.data.scenes import SceneList

    files = sorted((data / "objects" / "heldout").rglob("*.webp"))
    rng, size = np.random.default_rng(2026), SIZES[name]
    listed = SceneList(data, (name,), "val", count)
    for number in range(len(listed)):
        chosen = []
        for each in rng.choice(len(files), int(rng.integers(1, 4))):
            pixels = cv2.imread(str(files[each]), cv2.IMREAD_UNCHANGED)
            assert pixels is not None
            colours = np.ascontiguousarray(pixels[..., 2::-1])
            chosen.append(CutOut(colours, pixels[..., 3].astype(np.float32) / 255, OUTLIER, files[each].stem))
        image, label = with_objects(listed[number], chosen, 1.0, rng, None)
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
        odd = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST) == OUTLIER
        yield seen(model, cv2.resize(listed[number].image, size[::-1])), seen(model, image, odd)


def rendered(drives: int, model: Model) -> Iterator[tuple[Seen, Seen]]:
    """Every tenth frame of rendered drives without anomalies and with."""
    for seed in range(300, 300 + drives):
        calm, odd = (Street(seed, (360, 640), length=100.0, anomalies=count) for count in (0, 8))
        for number in range(0, 100, 10):
            place = (number * 14 / 25, number / 25)
            image, label = odd.view(*place)
            yield seen(model, calm.view(*place)[0]), seen(model, image, label == OUTLIER)


def objects(odd: np.ndarray) -> list[np.ndarray]:
    """The objects (H, W) bool of a frame, specks left out."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(odd.view(np.uint8), connectivity=8)
    return [labels == number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= odd.size / 20_000]


def found_in(frame: Seen, heat: np.ndarray, region: str, threshold: float) -> list[bool]:
    """Of each object, whether a reported region covers a tenth of it."""
    assert frame.odd is not None
    reported = np.zeros(heat.shape, bool)
    for each in find(heat, threshold, None, None, frame.inside[region]):
        reported |= decode_rle(each.counts, each.size)
    return [bool((reported & each).sum() >= 0.1 * each.sum()) for each in objects(frame.odd)]


def level(heat: np.ndarray, inside: np.ndarray | None) -> float:
    """The lowest threshold without a false alarm; minus infinity where nothing is looked at."""
    valid = np.ones(heat.shape, bool) if inside is None else inside
    return alarm_level(heat, valid, max(1, default_min_area(heat))) if valid.any() else -np.inf


def at_rate(levels: list[float]) -> float:
    """The lowest threshold that at most ALLOWED of the frames exceed."""
    return float(np.sort(levels)[::-1][int(ALLOWED * len(levels))])


def by_rows(frames: list[Seen]) -> np.ndarray:
    """For each of BANDS of rows, what one in 1,000 pixels of it exceeds."""
    bands = [[] for _ in range(BANDS)]
    for each in frames:
        for number, rows in enumerate(np.array_split(each.heat, BANDS)):
            bands[number].append(rows.ravel()[::7])
    return np.array([np.quantile(np.concatenate(each), 0.999) for each in bands], np.float32)


def without_rows(heat: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """A score less the level of its rows, between the middles of the bands linearly."""
    height = heat.shape[0]
    middles = (np.arange(BANDS) + 0.5) * height / BANDS - 0.5
    return heat - np.interp(np.arange(height), middles, levels).astype(np.float32)[:, None]


def study(pairs: list[tuple[Seen, Seen]]) -> dict[str, dict[str, float]]:
    """Of each region, and of thresholds by row, the threshold, the share of objects found, and that of pixels."""
    result = {}
    calm, odd = [each for each, _ in pairs], [each for _, each in pairs]
    for region in calm[0].inside:
        threshold = at_rate([level(each.heat, each.inside[region]) for each in calm])
        hits = [hit for each in odd for hit in found_in(each, each.heat, region, threshold)]
        shares = [1.0 if (inside := each.inside[region]) is None else float(inside.mean()) for each in calm]
        result[region] = {
            "threshold": threshold, "recall": float(np.mean(hits)), "objects": len(hits),
            "share": float(np.mean(shares)),
        }  # fmt: skip
    rows, others = by_rows(calm[::2]), calm[1::2]
    for name, region, levels in (
        ("every second frame", "whole picture", np.zeros_like(rows)), ("by row", "whole picture", rows),
        ("road, every second frame", "road", np.zeros_like(rows)), ("road, by row", "road", rows),
    ):  # fmt: skip
        threshold = at_rate([level(without_rows(each.heat, levels), each.inside[region]) for each in others])
        hits = [hit for each in odd for hit in found_in(each, without_rows(each.heat, levels), region, threshold)]
        result[name] = {"threshold": threshold, "recall": float(np.mean(hits)), "objects": len(hits), "share": 1.0}
    return result


def read_benchmark(data: Path, name: str, thresholds: dict[str, float], model: Model) -> dict[str, list[int]]:
    """Of each region at its threshold: frames with an obstacle found, frames with anything else found, frames."""
    from oddroad.datasets import DATASETS, read_image, read_label

    counts = {region: [0, 0, 0] for region in thresholds}
    for sample in DATASETS[name].load(data, "val"):
        label = read_label(sample)
        frame = seen(model, read_image(sample), label == ANOMALY)
        assert frame.odd is not None
        for region, threshold in thresholds.items():
            masks = [decode_rle(each.counts, each.size) for each in find(
                frame.heat, threshold, None, None, frame.inside[region])]  # fmt: skip
            hit = [bool((each & frame.odd).any()) for each in masks]
            counts[region][0] += any(hit)
            counts[region][1] += not all(hit)
            counts[region][2] += 1
    return counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--scenes", type=int, default=200, help="of each set, at most")
    parser.add_argument("--drives", type=int, default=15, help="rendered ones")
    parser.add_argument("--obstacles", default="", help="a benchmark to read at the thresholds of all scenes together")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model, sets = Model(given.model), {}
    for name in SIZES:
        sets[name] = list(scenes(given.data, name, given.scenes, model))
    sets["both"] = [each for name in SIZES for each in sets[name]]
    if given.drives:
        sets["rendered"] = list(rendered(given.drives, model))
    found = {name: {"frames": len(pairs), "regions": study(pairs)} for name, pairs in sets.items()}
    for name, each in found.items():
        for region, values in each["regions"].items():
            print(
                f"| {name} | {each['frames']} | {region} | {values['share']:.2f} | {values['threshold']:.3f} | "
                f"{100 * values['recall']:.1f} | {values['objects']} |",
                flush=True,
            )
    if given.obstacles:
        thresholds = {
            name: found["both"]["regions"][name]["threshold"] for name in ("whole picture", "road", "polygon")
        }
        found[given.obstacles] = read_benchmark(given.data / "benchmarks", given.obstacles, thresholds, model)
        print(found[given.obstacles])
    if given.json:
        write_whole(given.json, json.dumps(found, indent=1).encode(), "study")


if __name__ == "__main__":
    main()
