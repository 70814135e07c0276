"""Regions of interest: read from the command line and the card, found in pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.detection.drawing import Painter, Style
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.regions import find
from oddroad.roi import Roi, road
from oddroad.types import Frame


def refusal(text: str) -> str:
    """The one line with which a region is refused."""
    with pytest.raises(InputError) as caught:
        Roi.parse(text)
    return str(caught.value)


def test_a_polygon_in_shares_and_in_pixels_is_the_same() -> None:
    shares, pixels = Roi.parse("0.25,0.5 0.75,0.5 0.75,1 0.25,1"), Roi.parse("10,10; 30,10; 30,20; 10,20 @20x40")
    assert shares.same(pixels)
    for size in ((20, 40), (40, 80)):
        inside = shares.inside(size)
        assert inside is not None
        rows, columns = np.nonzero(inside)
        assert abs(rows.min() - size[0] // 2) <= 1
        assert rows.max() == size[0] - 1
        assert abs(columns.min() - size[1] // 4) <= 1
        assert abs(columns.max() - 3 * size[1] // 4) <= 1
        assert abs(inside.mean() - 0.25) < 3 / size[0]
    assert Roi.parse("all").inside((3, 4)) is None


def test_a_mask_is_read_scaled_and_kept(tmp_path: Path) -> None:
    drawn = np.zeros((6, 8), np.uint8)
    drawn[3:, 2:5] = 1
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), drawn)
    roi = Roi.parse(str(path))
    again = Roi.of({"roi": json.loads(json.dumps(roi.values()))})
    assert again == roi
    small, large = again.inside((6, 8)), again.inside((12, 16))
    assert small is not None
    assert large is not None
    assert np.array_equal(small, drawn > 0)
    assert np.array_equal(large, np.kron(drawn, np.ones((2, 2))) > 0)
    with pytest.raises(InputError, match=r"'mask.png' is 6 x 8 and the picture 6 x 9, another aspect"):
        roi.inside((6, 9))
    cv2.imwrite(str(path), np.stack([0 * drawn, drawn, 0 * drawn], -1) * 255)
    assert Roi.parse(str(path)).same(roi)
    cv2.imwrite(str(path), 0 * drawn)
    assert "is 0 throughout" in refusal(str(path))
    cv2.imwrite(str(tmp_path / "mask.jpg"), drawn * 255)
    assert "is no PNG; other formats blur its edge" in refusal(str(tmp_path / "mask.jpg"))
    assert "cannot read" in refusal(str(tmp_path / "none.png"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raod", "--roi 'raod' is not understood; expected 'road', 'all', a polygon"),
        ("0,1 1", "is not understood"),
        ("", "is not understood"),
        ("0,1 nan,0 1,1", "is not understood"),
        ("0,1 1,1 1,0@20", "is not understood"),
        ("0,1 0.5,0.5", "has no area; a polygon takes three corners or more"),
        ("0,1 0.5,0.5 1,0", "has no area"),
        ("0,540 480,270 960,540", "the corner 0,540 lies outside of the picture; shares go from 0 to 1; behind pixels"),
        ("0,540 480,270 960,540 @960x540", "960,540 lies outside of the picture; that picture"),
    ],
)
def test_what_is_no_region_is_refused(text: str, says: str) -> None:
    assert says in refusal(text)


def test_a_card_of_another_version_is_refused() -> None:
    for values in ({"kind": "lane"}, {"kind": "polygon"}, {"points": []}):
        with pytest.raises(InputError, match="upgrade with"):
            Roi.of({"roi": values})
    for text in ("road", "0,1 0.5,0.2 1,1"):
        roi = Roi.parse(text)
        assert Roi.of({"roi": json.loads(json.dumps(roi.values()))}) == roi
    assert Roi.of({}) == Roi.parse("all")
    assert Roi().values() is None


def test_the_road_holds_what_it_encloses() -> None:
    classes = np.full((60, 100), 2, np.uint8)
    classes[30:, 10:90] = 0
    classes[30:, 70:90] = 1  # sidewalk
    classes[40:50, 30:40] = 13  # a hole
    classes[25:35, 45:55] = 12  # a bay at the upper edge: between road in its rows, and above all of it
    classes[50:, 80:] = 13  # a bay at the side
    classes[2:8, 2:9] = 0  # a speck in the sky
    inside = road(classes, [0, 1])
    expected = np.zeros((60, 100), bool)
    expected[30:, 10:90] = True
    expected[50:, 80:] = False
    assert np.array_equal(inside, expected)
    assert not road(np.full((4, 5), 2, np.uint8), [0, 1]).any()
    small = np.full((60, 100), 2, np.uint8)
    small[:5, :5] = 0  # 25 pixels of 6000
    assert not road(small, [0]).any()
    small[5, :5] = 0
    assert road(small, [0]).sum() == 30
    large = np.kron(classes, np.ones((8, 8), np.uint8))
    assert (road(large, [0, 1]) == np.kron(expected, np.ones((8, 8), bool))).mean() > 0.97


def test_nothing_outside_is_reported_or_coloured(frames: list[Frame], model: Model) -> None:
    image = frames[0].image
    heat = model(image)
    level = float(np.quantile(heat, 0.5))
    roi = Roi.parse("0,1 0,0.5 0.5,0.5 0.5,1")
    inside = roi.inside((image.shape[0], image.shape[1]))
    assert inside is not None
    regions = model.detect(image, threshold=level, min_area=1, roi=roi)
    assert sum(each.area for each in regions) == ((heat > level) & inside).sum() > 0
    without = find(np.where(inside, heat, np.float32(level)), level, 1)
    assert [each.box for each in find(heat, level, 1, None, inside)] == [each.box for each in without]
    drawn = Painter(level, style=Style(legend=False))(frames[0], heat, [], [], inside)
    changed = (drawn != image).any(-1)
    edge = cv2.dilate(inside.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert not changed[~edge].any()  # beside the line nothing
    assert changed[:, image.shape[1] // 2 - 3 : image.shape[1] // 2 + 3].any(1).sum() >= image.shape[0] // 2 - 4
    whole = Painter(level, style=Style(legend=False))(frames[0], heat, [], [], np.ones_like(inside))
    assert np.array_equal(whole, Painter(level, style=Style(legend=False))(frames[0], heat))


def test_the_road_of_a_scene_is_found_with_the_score_to_the_bit(frames: list[Frame], model: Model) -> None:
    image = frames[0].image
    roi = model.roi(Roi.parse("road"))
    found, inside = model.maps_inside(image, [model.scores[0]], roi)
    assert np.array_equal(found[model.scores[0]], model(image))
    assert inside is not None
    assert inside[-20:, 100:220].mean() > 0.8
    assert inside[:40].mean() < 0.1
    assert model.roi() == Roi()
