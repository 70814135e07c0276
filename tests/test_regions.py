"""Regions of a map: components, parts of one object, areas, percentiles, run-length codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddroad import regions
from oddroad.regions import InDistribution, decode_rle, encode_rle, find, mask_in_box
from oddroad.types import Region

CALIBRATED = InDistribution(np.array([0.0, 0.5, 0.9995, 1.0]), np.array([-10.0, -6.0, 1.0, 3.0]))


def test_corners_touch() -> None:
    heat = np.zeros((6, 6), np.float32)
    heat[1, 1], heat[2, 2], heat[5, 5] = 3, 5, 4
    assert find(heat, 1.0) == [
        Region(box=(1, 1, 3, 3), area=2, mean=4.0, peak=5.0),
        Region(box=(5, 5, 6, 6), area=1, mean=4.0, peak=4.0),
    ]


def test_the_threshold_itself_does_not_count() -> None:
    assert find(np.ones((3, 3), np.float32), 1.0) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_regions_are_those_of_scipy(seed: int, min_area: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    heat = np.random.default_rng(seed).normal(size=(17, 23)).astype(np.float32)
    labels, _ = ndimage.label(heat > 0.6, np.ones((3, 3)))
    expected = {}
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        inside = labels == number
        if inside.sum() >= min_area:
            box = (columns.start, rows.start, columns.stop, rows.stop)
            expected[box, int(inside.sum()), float(heat[inside].max())] = float(heat[inside].mean())
    found = find(heat, 0.6, min_area)
    assert {(each.box, each.area, each.peak): each.mean for each in found} == pytest.approx(expected, abs=1e-5)
    assert [each.area for each in found] == sorted((each.area for each in found), reverse=True)
    for each in found:
        mask = decode_rle(each.counts, each.size)
        x0, y0, x1, y1 = each.box
        assert mask.sum() == each.area
        assert np.array_equal(mask[y0:y1, x0:x1], mask_in_box(each))
        assert heat[mask].max() == pytest.approx(each.peak)


class TestParts:
    def heat(self) -> np.ndarray:
        """Two stripes of one animal, and something else."""
        heat = np.full((40, 60), -5, np.float32)
        heat[10:20, 10:40] = 2  # the animal's contour at a lower level
        heat[12:18, 12:16] = 6
        heat[12:18, 30:33] = 7
        heat[30:36, 30:36] = 6
        return heat

    def test_parts_within_one_lower_contour_are_one_region(self) -> None:
        animal, other = find(self.heat(), 4.0, 0, CALIBRATED)
        assert (animal.box, animal.area, animal.peak) == ((12, 12, 33, 18), 42, 7.0)
        assert animal.mean == pytest.approx((24 * 6 + 18 * 7) / 42)
        assert other.box == (30, 30, 36, 36)
        mask = decode_rle(animal.counts, (40, 60))
        assert np.array_equal(mask[:25], self.heat()[:25] > 4)

    def test_without_calibration_each_part_is_a_region(self) -> None:
        assert len(find(self.heat(), 4.0)) == 3

    def test_a_lower_contour_must_lie_below_the_threshold(self) -> None:
        assert len(find(self.heat(), 0.5, 0, CALIBRATED)) == 2  # the contour at 2 is marked itself
        assert CALIBRATED.joining(0.5) is None

    @pytest.mark.parametrize(("min_area", "count"), [(18, 2), (24, 2), (25, 1), (37, 0)])
    def test_whether_there_is_a_region_does_not_depend_on_joining(self, min_area: int, count: int) -> None:
        found = find(self.heat(), 4.0, min_area, CALIBRATED)
        assert len(found) == count
        assert bool(found) == bool(find(self.heat(), 4.0, min_area))


def test_percentiles_are_those_of_the_peak() -> None:
    heat = np.full((8, 8), -20, np.float32)
    heat[2, 2], heat[2, 3] = -2.5, -6
    assert find(heat, -9.0, 0, CALIBRATED)[0].percentile == pytest.approx(0.5 + 0.4995 / 2)
    assert find(heat, -9.0)[0].percentile is None
    heat[2, 2] = 9
    assert find(heat, -9.0, 0, CALIBRATED)[0].percentile == 1.0


def test_the_default_area_is_one_in_ten_thousand() -> None:
    assert regions.default_min_area(np.zeros((540, 960))) == 51


class TestRunLengths:
    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_they_are_those_of_pycocotools(self, seed: int) -> None:
        coco = pytest.importorskip("pycocotools.mask")
        draw = np.random.default_rng(seed)
        mask = draw.random(draw.integers(1, 60, 2)) > draw.random()
        ours = encode_rle(mask, (0, 0), mask.shape)
        assert ours == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert np.array_equal(decode_rle(ours, mask.shape), mask)

    def test_a_region_with_a_hole_somewhere_in_a_large_image(self) -> None:
        coco = pytest.importorskip("pycocotools.mask")
        mask = np.zeros((720, 1280), bool)
        mask[300:500, 640:1280] = True
        mask[350:360, 700:900] = False
        heat = np.where(mask, 2, 0).astype(np.float32)
        (found,) = find(heat, 1.0)
        theirs = {"size": [720, 1280], "counts": found.counts.encode()}
        assert np.array_equal(coco.decode(theirs).astype(bool), mask)
        assert coco.area(theirs) == found.area == mask.sum()
        assert coco.toBbox(theirs).tolist() == [640, 300, 640, 200]

    def test_a_region_of_the_whole_image(self) -> None:
        coco = pytest.importorskip("pycocotools.mask")
        (found,) = find(np.ones((7, 5), np.float32), 0.0)
        assert coco.decode({"size": [7, 5], "counts": found.counts.encode()}).all()
        assert mask_in_box(found).all()
