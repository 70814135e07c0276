"""What the card keeps of each frame comes back as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from oddroad.calibration.calibrator import RATES, SHARES, Calibrator, FrameFigures
from oddroad.calibration.frame_statistics import STATISTICS
from oddroad.calibration.record import content_of, packed, read_record, record_of, unpacked
from oddroad.errors import InputError

STEPS = {"a.mp4": (0.1, True), "b.mp4": (0.4, True)}


def gathered(seed: int = 0) -> dict[str, Calibrator]:
    draw, found = np.random.default_rng(seed), {}
    for name in ("energy", "msp"):
        found[name] = Calibrator(min_area=7)
        for drive, frames in zip(STEPS, (30, 12), strict=True):
            for _ in range(frames):
                values = draw.normal(size=1 + len(RATES) + len(STATISTICS)).astype(np.float32).astype(np.float64)
                levels, statistics = values[1 : 1 + len(RATES)], values[1 + len(RATES) :]
                found[name].keep(FrameFigures(levels, values[0], draw.normal(size=500), statistics=statistics), drive)
    return found


def test_every_figure_comes_back() -> None:
    before = gathered()
    after, steps = read_record(json.loads(json.dumps(record_of(before, STEPS))), 7)
    assert steps == STEPS
    assert list(after) == ["energy", "msp"]
    for name, each in before.items():
        assert after[name].min_area == 7
        assert list(after[name].drives) == list(STEPS)
        for drive, frames in each.drives.items():
            for one, two in zip(frames, after[name].drives[drive], strict=True):
                assert one.alarm == two.alarm
                assert np.array_equal(one.levels, two.levels)
                assert np.array_equal(one.statistics, two.statistics)  # type: ignore[arg-type]
    for scope in ("new-drives", "same-drives"):
        one, two = before["msp"].result(scope), after["msp"].result(scope)
        for key in ("units", "alarms", "fpr"):
            assert one[key] == two[key]
        middle = slice(2, len(SHARES) - 6)
        assert np.array(one["quantiles"])[middle, 1] == pytest.approx(np.array(two["quantiles"])[middle, 1], abs=0.06)


def test_the_content_tells_drives_apart() -> None:
    found = {content_of(gathered(seed), drive) for seed in (0, 1) for drive in STEPS}
    assert len(found) == 4
    assert content_of(gathered(), "a.mp4") == record_of(gathered(), STEPS)["drives"][0]["content"]
    after, _ = read_record(record_of(gathered(), STEPS), 7)
    assert content_of(after, "a.mp4") == content_of(gathered(), "a.mp4")


def test_like_bytes_lie_together() -> None:
    table = np.random.default_rng(1).normal(size=(500, 23)).astype(np.float32) * 0.01 + 5
    assert np.array_equal(unpacked(packed(table), 500), table)
    assert len(packed(table)) < 0.95 * 4 / 3 * table.nbytes


@pytest.mark.parametrize("text", ["", "####", packed(np.zeros((3, 23), np.float32)), "eJwDAAAAAAE="])
def test_damaged_figures_are_said(text: str) -> None:
    record = record_of(gathered(), STEPS)
    record["scores"]["msp"][1]["figures"] = text
    with pytest.raises(InputError, match=r"the figures of the calibration in the card are damaged .*; calibrate anew"):
        read_record(record, 7)
