"""Regions against scipy's components, their masks against pycocotools, and the quantiles they are judged by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddroad import regions
from oddroad.card import Card
from oddroad.regions import InDistribution, decode_rle, encode_rle, mask_in_box, run_lengths

NORMAL = InDistribution(np.array([0.0, 0.5, 0.9995, 1.0]), np.array([-3.0, 0.0, 1.0, 2.0]))
"""Of in-distribution pixels half score below 0 and 99.95 % below 1."""


def card(calibration: dict) -> Card:
    """A card with this calibration."""
    return Card("test", "erfnet", ("msp", "energy"), None, 2, ("road",), calibration=calibration)


class TestInDistribution:
    def test_it_is_read_from_the_card(self) -> None:
        found = InDistribution.of(card({"scores": {"msp": {"quantiles": [[0.0, 1.5], [0.9, 2.5], [1.0, 7.0]]}}}), "msp")
        assert found is not None
        assert found.shares.tolist() == [0.0, 0.9, 1.0]
        assert found.values.tolist() == [1.5, 2.5, 7.0]
        assert found.shares.dtype == found.values.dtype == np.float64

    @pytest.mark.parametrize(
        "calibration",
        [{}, {"scores": {}}, {"scores": {"energy": {"quantiles": [[0, 1], [1, 2]]}}}, {"scores": {"msp": {}}},
         {"scores": {"msp": {"quantiles": []}}}],
    )  # fmt: skip
    def test_without_a_calibration_of_the_score_there_is_none(self, calibration: dict) -> None:
        assert InDistribution.of(card(calibration), "msp") is None

    def test_between_the_quantiles_it_is_linear_and_beyond_them_it_ends(self) -> None:
        assert [NORMAL.percentile(each) for each in (-9, -1.5, 0, 0.5, 2, 9)] == pytest.approx(
            [0, 0.25, 0.5, 0.74975, 1, 1]
        )
        assert [NORMAL.quantile(each) for each in (0, 0.25, 0.5, 0.9995, 1)] == pytest.approx([-3, -1.5, 0, 1, 2])
        assert type(NORMAL.percentile(0.5)) is float
        assert type(NORMAL.quantile(0.5)) is float

    def test_the_joining_level_lies_below_the_threshold_or_is_none(self) -> None:
        assert NORMAL.joining(1.001) == 1
        assert NORMAL.joining(1.0) is None
        assert NORMAL.joining(0.5) is None


def test_the_smallest_area_is_one_in_ten_thousand_pixels() -> None:
    sizes = [(99, 101), (100, 100), (100, 199), (200, 100), (540, 960)]
    assert [regions.default_min_area(np.zeros(size)) for size in sizes] == [0, 1, 1, 2, 51]


class TestFind:
    @settings(max_examples=80, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.booleans())
    def test_each_region_is_a_component_of_the_lower_level_above_the_threshold(
        self, seed: int, min_area: int, join: bool
    ) -> None:
        ndimage = pytest.importorskip("scipy.ndimage")
        draw = np.random.default_rng(seed)
        heat = ndimage.gaussian_filter(draw.normal(size=(17, 23)), draw.choice([0.0, 0.7])).astype(np.float32) * 2
        eight = np.ones((3, 3))
        above = heat > 1.5
        parts, _ = ndimage.label(above, eight)
        low, count = ndimage.label(heat > 1.0 if join else above, eight)
        expected = []
        for number in range(1, count + 1):
            inside = above & (low == number)
            if inside.any() and np.bincount(parts[inside]).max() >= min_area:
                expected.append(inside)
        found = regions.find(heat, 1.5, min_area, NORMAL if join else None)
        assert [each.area for each in found] == sorted((int(each.sum()) for each in expected), reverse=True)
        of_mask = {each.tobytes(): each for each in expected}
        for each in found:
            mask = of_mask.pop(decode_rle(each.counts, each.size).tobytes())
            rows, columns = np.nonzero(mask)
            assert each.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert each.size == heat.shape
            assert each.mean == pytest.approx(float(heat[mask].mean(dtype=np.float64)))
            assert each.peak == float(heat[mask].max())
            assert each.percentile == (NORMAL.percentile(each.peak) if join else None)
            x0, y0, x1, y1 = each.box
            assert np.array_equal(mask_in_box(each), mask[y0:y1, x0:x1])
        assert not of_mask

    def test_nothing_above_is_no_region(self) -> None:
        assert regions.find(np.ones((3, 3), np.float32), 1.0, 0, NORMAL) == []

    def test_the_smallest_area_asks_for_one_part_that_large(self) -> None:
        heat = np.full((3, 12), 1.2, np.float32)
        heat[1, 1:4], heat[1, 6:8] = 5, 5
        assert [each.area for each in regions.find(heat, 1.5, 3, NORMAL)] == [5]
        assert [each.area for each in regions.find(heat, 1.5, 3)] == [3]
        assert regions.find(heat, 1.5, 4, NORMAL) == []

    def test_the_order_is_that_of_the_area_and_then_from_the_top(self) -> None:
        heat = np.zeros((7, 9), np.float32)
        heat[0, 8], heat[2, 0], heat[4:6, 4], heat[6, 0] = 5, 6, 7, 8
        assert [each.peak for each in regions.find(heat, 1.0, 1)] == [7, 5, 6, 8]
        assert [type(value) for value in regions.find(heat, 1.0)[0].box] == [int] * 4

    def test_at_the_joining_level_itself_nothing_is_joined(self) -> None:
        heat = np.full((1, 5), 1.0, np.float32)
        heat[0, [0, 4]] = 3
        assert len(regions.find(heat, 2.0, 0, NORMAL)) == 2
        heat[0, 1:4] = np.nextafter(np.float32(1), np.float32(2))
        assert len(regions.find(heat, 2.0, 0, NORMAL)) == 1
        heat[0, 1:4] = 1.5  # with a threshold that is not above the level there is no lower contour
        assert len(regions.find(heat, 1.5, 0, InDistribution(NORMAL.shares, NORMAL.values + 1))) == 2

    def test_the_mean_is_taken_in_double_precision(self) -> None:
        (found,) = regions.find(np.float32([[2**24, 1, 1, 1]]), 0.5)
        assert found.mean == (2**24 + 3) / 4

    def test_corners_join(self) -> None:
        heat = np.zeros((4, 4), np.float32)
        heat[0, 0] = heat[2, 2] = 3
        heat[1, 1] = 1.5
        (found,) = regions.find(heat, 2.0, 0, NORMAL)
        assert (found.box, found.area) == ((0, 0, 3, 3), 2)


class TestRunLengths:
    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.02, 0.5, 0.98, 1.0]))
    def test_they_are_those_of_pycocotools(self, seed: int, height: int, width: int, share: float) -> None:
        coco = pytest.importorskip("pycocotools.mask")
        draw = np.random.default_rng(seed)
        mask = np.zeros((height, width), bool)
        y, x = draw.integers(height), draw.integers(width)
        mask[y:, x:] = draw.random((height - y, width - x)) < share
        counts = encode_rle(mask[y:, x:], (int(x), int(y)), (height, width))
        assert counts.encode() == coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
        assert np.array_equal(decode_rle(counts, (height, width)), mask)

    @pytest.mark.parametrize("side", [1, 15, 16, 31, 32, 33, 512, 1024, 3000])
    def test_long_runs_take_more_letters(self, side: int) -> None:
        coco = pytest.importorskip("pycocotools.mask")
        mask = np.zeros((side, 7), bool)
        mask[side // 2 :, 2], mask[: side // 3 + 1, 3], mask[:, 5] = True, True, True
        counts = encode_rle(mask, (0, 0), mask.shape)
        assert counts.encode() == coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
        assert np.array_equal(decode_rle(counts, mask.shape), mask)
        assert run_lengths(counts).sum() == mask.size
        assert run_lengths(counts)[1::2].sum() == mask.sum()

    def test_an_empty_and_a_full_mask(self) -> None:
        assert run_lengths(encode_rle(np.zeros((2, 2), bool), (1, 1), (4, 6))).tolist() == [24]
        assert run_lengths(encode_rle(np.ones((4, 6), bool), (0, 0), (4, 6))).tolist() == [0, 24]
        assert run_lengths("9220003").tolist() == [9, 2, 2, 2, 2, 2, 5]
        assert run_lengths("9220003").dtype == np.int64
