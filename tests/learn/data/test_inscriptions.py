"""Letters and panels on what stands beside the road."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.learn.data.inscriptions import UPRIGHT, inscriptions, lettering
from oddroad.types import IGNORE, OUTLIER


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A grey image, houses and a truck above, a pasted object on the truck, road below."""
    label = np.zeros((64, 128), np.uint8)
    label[:40] = 2
    label[10:40, 60:110] = 14
    label[20:30, 80:90] = OUTLIER
    label[:4] = IGNORE
    return np.full((64, 128, 3), 120, np.uint8), label


@pytest.mark.parametrize("seed", range(8))
def test_only_upright_known_things_are_lettered(seed: int) -> None:
    image, label = scene()
    before, named = image.copy(), label.copy()
    inscriptions(image, label, np.random.default_rng(seed))
    changed = (image != before).any(-1)
    assert changed.any()
    assert not changed[~np.isin(label, UPRIGHT)].any()
    np.testing.assert_array_equal(label, named)


def test_nothing_upright_nothing_drawn() -> None:
    image, label = scene()
    before = image.copy()
    inscriptions(image, np.zeros_like(label), np.random.default_rng(0))
    np.testing.assert_array_equal(image, before)


def test_lettering_is_ink_on_nothing() -> None:
    ink = lettering(np.random.default_rng(0))
    assert ink.min() == 0
    assert ink.max() == 1
    assert 0.02 < (ink > 0.5).mean() < 0.6
