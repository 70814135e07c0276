"""Drawing what was found: colours, outlines, boxes, legend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oddroad.detection import drawing
from oddroad.detection.drawing import HALF, OUTLINE, Painter, Scale, Style
from oddroad.detection.tracking import Track
from oddroad.inference.model import Model
from oddroad.regions import InDistribution, find
from oddroad.types import Frame, Region

CALIBRATED = InDistribution(np.array([0.0, 0.5, 0.99, 0.9995, 1.0]), np.array([-10.0, -6.0, -2.0, 1.0, 3.0]))


def grey(height: int = 200, width: int = 300) -> Frame:
    """A grey frame."""
    return Frame(np.full((height, width, 3), 90, np.uint8), "drive.mp4", 7, 4.25)


def luminance(image: np.ndarray) -> np.ndarray:
    """How bright pixels are."""
    return image.astype(float) @ (0.299, 0.587, 0.114)


class TestScale:
    def test_it_is_that_of_threshold_and_quantiles_and_not_of_the_map(self) -> None:
        scale = Scale.of(4.0, CALIBRATED)
        assert (scale.low, scale.threshold, scale.high) == (-2.0, 4.0, 9.0)
        heat = np.float32([[-30, -2, 1, 4, 4.001, 6.5, 9, 50]])
        assert scale.levels(heat).tolist() == [[0, 0, 64, 127, 128, 192, 255, 255]]
        assert np.array_equal(scale.levels(heat[:, :5]), scale.levels(heat)[:, :5])

    def test_a_threshold_below_the_quantiles_still_has_colours_below_it(self) -> None:
        scale = Scale.of(-8.0, CALIBRATED)
        assert scale.low < -8 < scale.high
        assert scale.levels(np.float32([[-8.0, -7.999]])).tolist() == [[127, 128]]

    @pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
    def test_without_calibration_above_is_coloured_and_below_is_not_whatever_the_unit(self, unit: float) -> None:
        heat = np.float32([[-5, 0, 0.999, 1.001, 7]]) * np.float32(unit)
        assert (Scale.of(unit, None).levels(heat) > 0).tolist() == [[False, False, False, True, True]]

    def test_what_lies_below_is_never_the_brightest(self) -> None:
        painter = Painter(4.0, CALIBRATED)
        bright = luminance(painter.colours[:, 0])
        assert bright[:HALF].max() < bright[HALF:].min()
        strength = luminance(painter.added[:, 0])
        assert strength[:HALF].max() < strength[HALF:].min()

    def test_the_embedded_detector_has_one(self, model: Model) -> None:
        scale = Scale.of(model.threshold(), InDistribution.of(model.card, model.scores[0]))
        assert scale.low < 0 < scale.threshold < scale.high


class TestPainter:
    def drawn(self, style: Style | None = None, **changes: object) -> tuple[np.ndarray, Region, Frame]:
        """A frame with one region of 30 x 50 pixels with a hole."""
        frame, heat = grey(), np.full((200, 300), -5, np.float32)
        heat[50:80, 100:150] = 6
        heat[60:64, 120:124] = -5
        (region,) = find(heat, 4.0, 0, CALIBRATED)
        track = [Track(3, region.box, 2, 5.0)]
        return (
            Painter(4.0, CALIBRATED, "m", "s", style or Style(legend=False))(frame, heat, [region], track),
            region,
            frame,
        )

    def test_only_what_is_reported_is_marked(self) -> None:
        drawn, _, frame = self.drawn()
        assert (frame.image == 90).all()
        assert np.abs(drawn[66:72, 110:140].astype(int) - 90).max() > 60
        assert np.array_equal(drawn[100:, :], frame.image[100:, :])
        assert tuple(drawn[62, 122]) == (90, 90, 90)  # the hole

    def test_outline_and_box(self) -> None:
        drawn, region, _ = self.drawn()
        reddish = (drawn[..., 0].astype(int) - drawn[..., 1]) > 150
        assert reddish[50, 105:145].all()  # the region's edge
        assert reddish[59, 121:123].all()  # its hole's
        x0, y0, x1, y1 = region.box
        assert tuple(drawn[(y0 + y1) // 2, x0 - 2]) == OUTLINE  # the box lies a little outside
        assert tuple(drawn[(y0 + y1) // 2, x1 + 1]) == OUTLINE

    def test_pixels_above_that_are_not_reported_look_like_those_below(self) -> None:
        heat = np.full((200, 300), -5, np.float32)
        heat[50:60, 100:110] = 9
        painter = Painter(4.0, CALIBRATED, style=Style(legend=False))
        drawn = painter(grey(), heat, [])
        assert drawn[55, 105, 2] > drawn[55, 105, 0]  # blue, not red

    def test_the_words_of_a_box(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr(drawing, "write", lambda image, words, place, size: said.append(words))
        self.drawn()
        assert said == ["#3 >99.9%"]
        region = Region((10, 10, 20, 20), 4, mean=1.25, peak=7.5, size=(200, 300), counts="0")
        assert drawing.rarity(region) == "7.5"  # the peak, not the mean
        assert drawing.rarity(replace(region, percentile=0.42)) == "42.0%"

    def test_a_box_at_the_upper_edge_keeps_its_words_inside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        places: list[tuple[int, int]] = []
        monkeypatch.setattr(drawing, "write", lambda image, words, place, size: places.append(place))
        heat = np.full((200, 300), -5, np.float32)
        heat[0:9, 280:300] = 9
        regions = find(heat, 4.0, 0, CALIBRATED)
        Painter(4.0, CALIBRATED, style=Style(legend=False))(grey(), heat, regions)
        ((x, y),) = places
        assert 0 <= x < 300 - drawing.text_width(">99.9%", 0.25)
        assert 5 < y < 40

    def test_styles(self) -> None:
        plain, _, frame = self.drawn()
        double, _, _ = self.drawn(Style(legend=False, side_by_side=True))
        assert np.array_equal(double, np.hstack([frame.image, plain]))
        faint, _, _ = self.drawn(Style(alpha=0.0, legend=False))
        assert tuple(faint[70, 130]) == (90, 90, 90)
        legend, _, _ = self.drawn(Style())
        assert np.array_equal(legend[:90, 160:], plain[:90, 160:])
        assert not np.array_equal(legend[150:, :150], plain[150:, :150])

    def test_a_frame_that_was_not_judged_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr(drawing, "write", lambda image, words, place, size: said.append(words))
        frame = replace(grey(), status="damaged", reason="nothing was decoded")
        drawn = Painter(4.0, CALIBRATED, "m", "s")(frame, None)
        assert said[0] == "not judged: nothing was decoded"
        assert drawn.shape == (200, 300, 3)

    def test_a_tiny_image(self) -> None:
        frame, heat = Frame(np.zeros((5, 7, 3), np.uint8), "a"), np.zeros((5, 7), np.float32)
        assert Painter(1.0)(frame, heat).shape == (5, 7, 3)
        heat[2, 2:4] = 2
        assert Painter(1.0)(frame, heat, find(heat, 1.0)).shape == (5, 7, 3)

    def test_lines_and_letters_grow_with_the_picture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[float] = []
        monkeypatch.setattr(drawing, "write", lambda image, words, place, size: sizes.append(size))
        for scale in (1, 2):
            frame = grey(540 * scale, 960 * scale)
            heat = np.full(frame.image.shape[:2], -9, np.float32)
            heat[200 * scale : 260 * scale, 300 * scale : 400 * scale] = 9
            painter = Painter(4.0, CALIBRATED, style=Style(legend=False))
            drawn = painter(frame, heat, find(heat, 4.0))
            row = drawn[230 * scale, : 300 * scale]
            assert (row == OUTLINE).all(1).sum() == pytest.approx(3.5 * scale, abs=1.5)
        assert sizes[1] == 2 * sizes[0]


class TestLegend:
    def test_it_names_model_source_time_and_threshold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr(drawing, "write", lambda image, words, place, size: said.append(words))
        Painter(4.0, CALIBRATED, "lite", "msp")(grey(), np.zeros((200, 300), np.float32))
        text = "\n".join(said)
        assert all(each in text for each in ("lite  msp", "drive.mp4  0:04.2", "threshold 4", "99%", "#: track"))

    @pytest.mark.parametrize("in_distribution", [CALIBRATED, None])
    def test_the_tick_stands_where_the_colours_of_what_is_marked_begin(
        self, in_distribution: InDistribution | None
    ) -> None:
        painter = Painter(4.0, in_distribution, "lite", "msp")
        image = painter(grey(540, 960), np.full((540, 960), -20, np.float32))
        levels = np.linspace(0, 255, 400 - 8).round()
        assert levels[painter.tick(8, 400) - 8] == pytest.approx(HALF, abs=1)
        white = (image[440:] == 255).all(2)
        columns = np.flatnonzero(white.sum(0) >= 10)
        bar = white[:, columns].sum(0).max()
        assert bar >= 10
        at = int(columns[white[:, columns].sum(0).argmax()])
        row = 440 + int(np.flatnonzero(white[:, at])[len(np.flatnonzero(white[:, at])) // 2])
        left, right = image[row, at - 3].astype(int), image[row, at + 3].astype(int)
        assert right[0] > 200 > left[0]  # warm to the right of it alone


def test_contact_sheet() -> None:
    sheet = drawing.contact_sheet([np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)], 2, 40)
    assert sheet.shape == (40, 80, 3)
    assert sheet[5, 50, 0] == 20
    assert sheet[30, 50, 0] == 0


def test_what_does_not_print_is_drawn_as_a_question_mark() -> None:
    assert drawing.drawable("a\nb é 中") == "a?b é 中"
    image = np.zeros((40, 200, 3), np.uint8)
    drawing.write(image, "a\tb", (5, 30), 0.5)
    assert image.any()
