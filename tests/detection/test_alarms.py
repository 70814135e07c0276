"""Alarms: one for each track that detect reports, when it is reported first."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.detection.alarms import AlarmCounter
from oddroad.detection.tracking import CameraShift, ConfirmedTracks
from oddroad.types import Frame, Region


def scene(number: int) -> tuple[np.ndarray, list[Region]]:
    """A frame of a camera that pans over a texture, with a region that stays and some that flicker."""
    texture = np.random.default_rng(0).integers(0, 256, (90, 400, 3), dtype=np.uint8)
    draw = np.random.default_rng(number)
    places = [(40 + number, 40)] * (number % 5 != 3) + [(int(draw.integers(0, 150)), 70)] * int(draw.integers(0, 2))
    return texture[:, 3 * number : 3 * number + 160], [Region((x, y, x + 8, y + 8), 64, 2.0, 3.0) for x, y in places]


@pytest.mark.parametrize("min_hits", [1, 2, 4])
@pytest.mark.parametrize("max_age", [0, 2])
def test_alarms_are_the_tracks_that_detect_reports(min_hits: int, max_age: int) -> None:
    linked, counter = ConfirmedTracks(min_hits, max_age), AlarmCounter(min_hits, max_age)
    reported: set[tuple[str, int]] = set()
    for source in ("a.mp4", "b.mp4"):
        camera = CameraShift()
        counter.restart()
        for number in range(40):
            image, regions = scene(number)
            _, tracks = linked(Frame(image, source, number, number / 10), regions)
            before = len(reported)
            reported |= {(source, each.id) for each in tracks}
            alarms = counter(regions, camera(image), image.shape[1])
            assert len(alarms) == len(reported) - before
            assert all(region in regions for region, _ in alarms)
    assert (counter.alarms, counter.frames) == (len(reported), 80)
    assert counter.alarms > 0


def test_nothing_goes_on_in_the_next_sequence() -> None:
    counter, same = AlarmCounter(), [Region((10, 10, 18, 18), 64, 2.0, 3.0)]
    assert [len(counter(same, (0.0, 0.0), 160)) for _ in range(3)] == [1, 0, 0]
    counter.restart()
    assert len(counter(same, (0.0, 0.0), 160)) == 1
