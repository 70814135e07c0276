"""How much of small and far objects a detector finds: recall by their height in the source image, and false alarms.

Run as ``python runs/embedded_recall.py DATA MODEL [MODEL ...] [--json FILE] [--figure FILE]``. No benchmark is read.
One object of a class that training never saw stands on the road of sharp scenes of three cameras (Cityscapes at
2048x1024, a motorway clip at 960x540, KITTI at 1242x375), 8, 16, 32 or 64 pixels high. The threshold is that of 1 alarm
in 100 of the known validation scenes (Cityscapes and CamVid, small), and besides the card's. An object is found if a
marked region touches it; a frame has a false alarm if a region touches no object. Known frames of the three cameras, as
they are, are counted too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import oddroad
from oddroad.datasets import DATASETS, driving, read_image
from oddroad.io.images import read_image as read_picture
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.learn.data.objects import Objects
from oddroad.learn.data.pasting import Placement, cast_shadow, paste, relit
from oddroad.learn.data.scenes import read_scene
from oddroad.learn.data.sharp_scenes import CLIP, CLIP_ROAD
from oddroad.types import OUTLIER

HEIGHTS = (8, 16, 32, 64)
HELD_OUT = (("objects/heldout/coco", 2.0), ("objects/heldout/animals", 1.0), ("objects/heldout/ikea", 1.0))
KITTI_ROAD = ((0.42, 0.56), (0.55, 0.56), (0.75, 1.0), (0.2, 1.0))
"""Corners, as shares of width and height, of what is road in most of KITTI's frames."""


def cameras(root: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Name -> known frames (H, W, 3) uint8 and where their road is, (H, W) bool."""
    table = np.arange(256, dtype=np.uint8)
    scenes = [read_scene(each, table) for each in driving.cityscapes(root, "train")]
    clip = [each.image for each in read(find_sources([str(root / CLIP)]), 20)]
    kitti = [read_picture(each) for each in sorted((root / "kitti").rglob("*.jpg"))[::2]]
    return {
        "cityscapes": [(each.image, each.label == 0) for each in scenes for _ in range(5)],
        "motorway": [(each, filled(each.shape[:2], np.array(CLIP_ROAD))) for each in clip],
        "kitti": [(each, filled(each.shape[:2], np.array(KITTI_ROAD) * each.shape[1::-1])) for each in kitti],
    }


def filled(shape: tuple[int, ...], corners: np.ndarray) -> np.ndarray:
    """(H, W) bool of a polygon."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask > 0


def with_object(
    image: np.ndarray, road: np.ndarray, height: int, objects: Objects, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The frame with one object of that height on its road, and where it is."""
    image, label = image.copy(), np.zeros(road.shape, np.uint8)
    # a thing of 20 cm to 1.2 m at that height in pixels stands where a camera 1.3 m above the road sees it so large
    rows = np.arange(len(road)) - 0.45 * len(road)
    fits = (height > 0.12 * rows) & (height < 1.1 * rows)
    ys, xs = np.nonzero(road & fits[:, None])
    if not len(ys):
        ys, xs = np.nonzero(road)
    at = int(rng.integers(len(ys)))
    foot = int(xs[at]), int(ys[at])
    thing = relit(objects.draw(rng), height, rng)
    cast_shadow(image, thing, Placement(foot, height), rng)
    paste(image, label, thing, Placement(foot, height), rng)
    return image, label == OUTLIER


def touched(marked: np.ndarray, truth: np.ndarray, least: int) -> tuple[bool, int]:
    """Whether a marked region touches the object, and how many regions touch none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    kept = {each for each in range(1, count) if stats[each, cv2.CC_STAT_AREA] >= least}
    hit = set(np.unique(labels[truth])) & kept
    return bool(hit), len(kept - hit)


def known_levels(model: Any, root: Path, count: int) -> np.ndarray:
    """The largest score of known validation scenes, ascending."""
    found = []
    for name in ("cityscapes_small", "camvid"):
        samples = DATASETS[name].load(root, "val")
        for at in np.linspace(0, len(samples) - 1, count).astype(int):
            found.append(float(model(read_image(samples[at])).max()))
    return np.sort(found)


def judge(path: str, root: Path, repeats: int, known: int) -> dict[str, Any]:
    """Recall by height and false alarms of one model, at both thresholds."""
    model = oddroad.Model(path)
    levels = known_levels(model, root, known)
    thresholds = {"1 in 100": float(np.quantile(levels, 0.99, method="higher")), "card": float(model.threshold())}
    objects = Objects(root, HELD_OUT, held_out=True)
    found: dict[str, Any] = {"thresholds": thresholds}
    for camera, frames in cameras(root).items():
        mine: dict[str, Any] = {}
        clean = [model(image) for image, _ in frames[:: 5 if camera == "cityscapes" else 1]]
        mine["clean frames"] = len(clean)
        mine["with alarm"] = {name: sum(bool((each > t).any()) for each in clean) for name, t in thresholds.items()}
        for height in HEIGHTS:
            rng = np.random.default_rng((7, height))
            hits = dict.fromkeys(thresholds, 0)
            for number in range(repeats):
                image, road = frames[number % len(frames)]
                odd, truth = with_object(image, road, height, objects, rng)
                heat = model(odd)
                for name, threshold in thresholds.items():
                    hits[name] += touched(heat > threshold, truth, 1)[0]
            mine[str(height)] = {name: count / repeats for name, count in hits.items()}
        found[camera] = mine
    return found


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--repeats", type=int, default=60, help="objects of each height and camera")
    parser.add_argument("--known", type=int, default=100, help="known scenes of each of two sets for the threshold")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    found = {Path(each).stem: judge(each, given.data, given.repeats, given.known) for each in given.models}
    for name, mine in found.items():
        print(name, {key: round(value, 3) for key, value in mine["thresholds"].items()})
        for camera, row in mine.items():
            if camera == "thresholds":
                continue
            cells = "  ".join(
                f"{h} px {100 * row[str(h)]['1 in 100']:3.0f} % ({100 * row[str(h)]['card']:3.0f})" for h in HEIGHTS
            )
            print(f"  {camera:<12}{cells}   alarms on {row['with alarm']} of {row['clean frames']} clean frames")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.figure is not None:
        draw(found, given.figure)


def draw(found: dict[str, Any], path: Path) -> None:
    """Recall against height, one panel a camera: at each card's threshold and, dashed, at 1 in 100."""
    from matplotlib.figure import Figure

    names = [each for each in next(iter(found.values())) if each != "thresholds"]
    figure = Figure((3.2 * len(names), 2.8), layout="constrained")
    for axes, camera in zip(figure.subplots(1, len(names), sharey=True), names, strict=True):
        for number, (model, mine) in enumerate(found.items()):
            for threshold, style in (("card", "-"), ("1 in 100", "--")):
                values = [100 * mine[camera][str(h)][threshold] for h in HEIGHTS]
                label = f"{model}, {threshold}"
                axes.plot(HEIGHTS, values, style, marker="o", markersize=4, color=f"C{number}", label=label)
        axes.set(title=camera, xscale="log", xlabel="height of the object, pixels", ylim=(0, 100))
        axes.set_xticks(HEIGHTS, [str(each) for each in HEIGHTS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("found, %")
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
