"""The supplement's video: image, pixel network, mask network and truth side by side, of a rendered drive or of a video.

    python runs/supplement_video.py PIXEL MASK --out FOLDER [--video FILE]

PIXEL and MASK are files of 'oddroad export', or names of embedded detectors. Each map keeps one scale for the whole
clip, from the median to the highest 0.1 % of its scores on some of its frames: the panels show how a map ranks pixels,
not a threshold. On a rendered drive the truth is known to the pixel; AP and FPR95 of both maps are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from oddroad.detection.drawing import contact_sheet, write
from oddroad.inference.model import Model
from oddroad.io.images import write_image
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.io.video_writer import VideoWriter
from oddroad.metrics import PixelMetric
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY, Frame

WIDTH, RATE = 480, 25.0
"""Width of a panel in pixels, frames a second of a rendered drive."""

CENTILES = (50.0, 99.9)
PROBES = 8
"""Frames, evenly spread, that the scale of a map is taken from."""

ANOMALY_COLOUR = (255, 140, 0)


def frames_of(video: Path | None, seed: int, frames: int) -> list[Frame]:
    """The first frames of a video, or a rendered drive."""
    if video is None:
        return list(drive(seed, frames, rate=RATE))
    found: Iterable[Frame] = read(find_sources([str(video)]))
    return [frame for _, frame in zip(range(frames), found, strict=False)]


def scale_of(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """The scores that are drawn darkest and brightest."""
    low, high = np.percentile(np.concatenate([each[::4, ::4].ravel() for each in maps]), CENTILES)
    return float(low), float(max(high, low + 1e-6))


def coloured(heat: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """A map (H, W) as an image (H, W, 3) uint8 RGB by a scale."""
    levels = np.clip((heat - scale[0]) / (scale[1] - scale[0]), 0, 1)
    return cv2.applyColorMap((255 * levels).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]


def truth_of(frame: Frame) -> np.ndarray:
    """The frame, darkened, with its anomalies coloured; without labels darkened alone."""
    drawn = (0.35 * frame.image).astype(np.uint8)
    if frame.label is not None:
        drawn[frame.label == ANOMALY] = ANOMALY_COLOUR
    return drawn


def panels(frame: Frame, maps: Sequence[np.ndarray], scales: Sequence[tuple[float, float]], names: Sequence[str]):
    """The picture of a frame: two rows of two panels with their names, (H, W, 3) uint8 RGB, even sides."""
    last = "truth" if frame.label is not None else "no labels"
    drawn = [frame.image, *(coloured(*each) for each in zip(maps, scales, strict=True)), truth_of(frame)]
    sheet = contact_sheet(drawn, 2, WIDTH)
    height = sheet.shape[0] // 2
    for number, name in enumerate(("image", *names, last)):
        x, y = WIDTH * (number % 2), height * (number // 2)
        sheet[y : y + 22, x : x + 14 + 9 * len(name)] //= 3
        write(sheet, name, (x + 6, y + 16), 0.5)
    return sheet[: sheet.shape[0] // 2 * 2]


def main() -> None:
    """Write the clip, its frame with most anomaly as a still, and the figures where the truth is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pixel", help="the pixel network")
    parser.add_argument("mask", help="the mask network")
    parser.add_argument("--names", nargs=2, default=("pixel network", "Mask2Anomaly"), help="of the panels")
    parser.add_argument("--video", type=Path, default=None, help="a video; without it a drive is rendered")
    parser.add_argument("--seed", type=int, default=3, help="of the rendered drive")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--out", type=Path, required=True, help="folder for the clip, the still and the figures")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    models = [Model(given.pixel), Model(given.mask)]
    frames = frames_of(given.video, given.seed, given.frames)
    if not frames:
        raise SystemExit(f"no frame in '{given.video}'; expected a video that 'oddroad detect' reads")
    probes = [frames[at] for at in np.linspace(0, len(frames) - 1, min(PROBES, len(frames))).astype(int)]
    scales = [scale_of([model(frame.image) for frame in probes]) for model in models]
    name = "rendered" if given.video is None else given.video.stem
    metrics = {each: PixelMetric() for each in given.names}
    best, still = -1, None
    with contextlib.closing(VideoWriter(given.out / f"{name}.mp4", RATE)) as writer:
        for frame in frames:
            maps = [model(frame.image) for model in models]
            drawn = panels(frame, maps, scales, given.names)
            writer.write(drawn, frame.time)
            there = 0 if frame.label is None else int((frame.label == ANOMALY).sum())
            for metric, heat in zip(metrics.values(), maps if frame.label is not None else (), strict=False):
                metric.add(heat, frame.label, frame.name)
            if there > best:
                best, still = there, drawn
    assert still is not None
    write_image(given.out / f"{name}.jpg", still)
    figures = {"frames": len(frames)}
    if best > 0:
        results = {each: metric.result() for each, metric in metrics.items()}
        figures |= {each: {key: found[key] for key in ("ap", "fpr95", "prevalence")} for each, found in results.items()}
    (given.out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
