"""What a rendered drive turns to."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.errors import InputError
from oddroad.synthetic.conditions import CONDITIONS, HIGHER, Change
from oddroad.synthetic.scenes import CAMERA_HEIGHT, drive

SIZE = (90, 160)


def images(change: Change | None, frames: int = 8) -> list[np.ndarray]:
    return [each.image for each in drive(3, frames, SIZE, anomalies=0, change=change)]


@pytest.mark.parametrize("kind", CONDITIONS)
def test_frames_before_it_are_the_same_and_it_grows(kind: str) -> None:
    calm, changed = images(None), images(Change(kind, begins=4, lasts=3))
    assert all(np.array_equal(a, b) for a, b in zip(calm[:4], changed[:4], strict=True))
    apart = [float(np.abs(a.astype(float) - b).mean()) for a, b in zip(calm[4:], changed[4:], strict=True)]
    assert 0 < apart[0] < apart[1] < apart[2]
    assert apart[2] > 8
    assert all(np.array_equal(a, b) for a, b in zip(changed, images(Change(kind, 4, 3)), strict=True))


def test_what_each_does_to_a_picture() -> None:
    (calm,), pictures = images(None, 1), {kind: images(Change(kind), 1)[0] for kind in CONDITIONS}
    detail = {kind: np.abs(np.diff(each[..., 1].astype(int), axis=1)).mean() for kind, each in pictures.items()}
    assert pictures["night"].mean() < 0.4 * calm.mean()
    assert pictures["night"][70:, 60:100].mean() > 1.5 * pictures["night"][70:, :20].mean()  # headlights
    assert pictures["rain"].std() < 0.8 * calm.std()
    assert detail["dirty-lens"] < 0.9 * np.abs(np.diff(calm[..., 1].astype(int), axis=1)).mean()
    one, two = images(Change("dirty-lens"), 2)
    other, again = images(None, 2)
    covered = np.abs(one.astype(int) - other).sum(2) > 60
    assert np.mean((np.abs(two.astype(int) - again).sum(2) > 60) == covered) > 0.85  # it stays where it is


def test_the_camera_goes_up() -> None:
    change = Change("camera-height", begins=2, lasts=2)
    heights = [change.camera_height(CAMERA_HEIGHT, change.strength(number)) for number in range(5)]
    assert heights == pytest.approx([1.5, 1.5, 1.5 + HIGHER / 2, 1.5 + HIGHER, 1.5 + HIGHER])
    assert Change("night").camera_height(1.5, 1.0) == 1.5


def test_labels_follow_the_camera() -> None:
    low, high = (next(drive(3, 1, (180, 320), anomalies=4, change=each)) for each in (None, Change("camera-height")))
    assert low.label is not None
    assert high.label is not None
    assert (high.label == 1).sum() > 0
    assert not np.array_equal(low.label, high.label)


def test_an_unknown_one() -> None:
    with pytest.raises(InputError, match="no condition called 'rian'; did you mean 'rain'"):
        Change("rian")
