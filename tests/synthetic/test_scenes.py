"""The rendered street, from a seed."""

from __future__ import annotations

import numpy as np

from oddroad.synthetic.scenes import BUILDING, CAR, ROAD, SKY, Street, drive
from oddroad.types import ANOMALY, KNOWN, OUTLIER


class TestScenes:
    def test_the_same_seed_gives_the_same_drive(self) -> None:
        one, two, other = (list(drive(seed, 2, (90, 160))) for seed in (4, 4, 5))
        assert all(
            np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label) for a, b in zip(one, two, strict=True)
        )
        assert not np.array_equal(one[0].image, other[0].image)

    def test_objects_come_nearer(self) -> None:
        areas = [int((frame.label == ANOMALY).sum()) for frame in drive(1, 16, (180, 320), rate=25)]
        assert areas[0] > 0
        assert areas[-1] > 1.3 * areas[0]

    def test_labels_are_exact(self) -> None:
        street = Street(2, (180, 320))
        image, label = street.view(0.0)
        street.things = [each for each in street.things if each.label != OUTLIER]
        bare, _ = street.view(0.0)
        changed = np.abs(image.astype(int) - bare).max(2) > 12
        odd = label == OUTLIER
        assert odd.sum() > 30
        assert changed[odd].mean() > 0.8
        assert {ROAD, SKY, BUILDING, CAR, OUTLIER} <= set(np.unique(label).tolist())
        assert (label[-20:] == ROAD).mean() > 0.5
        assert (label[:10] == ROAD).sum() == 0

    def test_frames_carry_time_and_labels(self) -> None:
        frames = list(drive(0, 3, (90, 160), rate=10))
        assert [frame.time for frame in frames] == [0.0, 0.1, 0.2]
        assert {value for frame in frames for value in np.unique(frame.label).tolist()} <= {KNOWN, ANOMALY}
