"""More drives for a calibration: the same as all at once, or a clear refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.calibration.data import CalibrationData
from oddroad.calibration.fit import find_thresholds
from oddroad.calibration.update import updated
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.roi import Roi

CARD = Card("n", "net", ("msp", "energy"), None, 8, ("road",))


class Drawn:
    """A detector whose scores are drawn by what is in the picture's corner."""

    def __init__(self, card: Card = CARD):
        self.card, self.scores, self.engine, self.sha256, self.runs = card, card.scores, "none", "0" * 64, 0

    def pick_score(self, name: str) -> str:
        return name

    def roi(self, wanted: Roi | None = None) -> Roi:
        return Roi.of(self.card.calibration) if wanted is None else wanted

    def maps_inside(self, image: np.ndarray, names: list[str], roi: Roi) -> tuple[dict[str, np.ndarray], Any]:
        return self.maps(image, names), roi.inside((image.shape[0], image.shape[1]))

    def maps(self, image: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        self.runs += 1
        draw = np.random.default_rng(image[0, :3, 0].tolist())
        level = float(image[0, 3, 0])
        return {name: (draw.normal(size=image.shape[:2]) + level).astype(np.float32) for name in names}


def drives(*numbers: int, frames: int = 20, level: int = 0, odd: int = 0, name: str = "drive{}.mp4") -> CalibrationData:
    """Drives of their number; the last ``odd`` frames of each score 100 higher."""
    names = tuple(name.format(number) for number in numbers)

    def each() -> Iterator[tuple[np.ndarray, None, str]]:
        for number, drive in zip(numbers, names, strict=True):
            for frame in range(frames):
                image = np.full((30, 40, 3), 80 + number, np.uint8)
                image[0, :4, 0] = (number, frame, 7, level + 100 * (frame >= frames - odd))
                yield image, None, drive

    return CalibrationData(
        " and ".join(names), frames * len(names), each, names, "drive", steps=dict.fromkeys(names, (0.1, True))
    )


def calibrated(data: CalibrationData, **options: Any) -> Drawn:
    return Drawn(find_thresholds(Drawn(), data, **options))  # type: ignore[arg-type]


def without_quantiles(card: Card) -> dict[str, Any]:
    """The calibration but for what is interpolated and the words of the data."""
    found = {**card.calibration, "data": "", "record": {**card.calibration["record"], "scores": {}}}
    found["scores"] = {name: {**each, "quantiles": []} for name, each in found["scores"].items()}
    return found


@pytest.mark.parametrize(("before", "after"), [((1,), (2, 3)), ((1, 2, 3), (4,)), ((1, 2), (3, 4, 5))])
def test_it_is_what_all_drives_at_once_give(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    model, notes = calibrated(drives(*before)), list[str]()
    card = updated(model, drives(*after), note=notes.append)  # type: ignore[arg-type]
    whole = calibrated(drives(*before, *after)).card
    assert model.runs == 20 * len(after)
    assert without_quantiles(card) == without_quantiles(whole)
    assert card.thresholds == whole.thresholds
    assert card.calibration["scope"] == "new-drives"
    for name in CARD.scores:
        one, two = (np.array(each.calibration["scores"][name]["quantiles"]) for each in (card, whole))
        assert one[:, 1] == pytest.approx(two[:, 1], abs=0.35)
        assert one[5:15, 1] == pytest.approx(two[5:15, 1], abs=0.03)
    total = len(before) + len(after)
    assert f"drives {len(before)} until now, {total} from now on" in notes[-1]
    assert (
        f"msp: threshold {model.card.thresholds['msp']:.6g} until now, {card.thresholds['msp']:.6g} from" in notes[-2]
    )


def test_twice_is_once_for_all() -> None:
    once = updated(calibrated(drives(1, 2)), drives(3, 4))  # type: ignore[arg-type]
    twice = updated(Drawn(updated(calibrated(drives(1, 2)), drives(3))), drives(4))  # type: ignore[arg-type]
    assert without_quantiles(once) == without_quantiles(twice)


def test_what_is_not_given_stays(tmp_path: Path) -> None:
    model = calibrated(drives(1, 2, 3), rule="alarms=60/100frames", confidence=0.8, min_area=9, scores=["energy"])
    card = updated(model, drives(4))  # type: ignore[arg-type]
    about = card.calibration
    assert (about["rule"], about["confidence"], about["min_area"]) == ("alarms=60/100frames", 0.8, 9)
    assert list(about["scores"]) == ["energy"]
    assert about["data"] == "drive1.mp4 and drive2.mp4 and drive3.mp4 and drive4.mp4"
    card = updated(model, drives(4), "no-alarms", 0.9, "same-drives")  # type: ignore[arg-type]
    assert (card.calibration["rule"], card.calibration["confidence"]) == ("no-alarms", 0.9)
    assert card.calibration["scope"] == "same-drives"
    same = calibrated(drives(1, 2), scope="same-drives")
    assert updated(same, drives(3)).calibration["scope"] == "same-drives"  # type: ignore[arg-type]


def test_copies_are_left_out_or_refused() -> None:
    model, notes = calibrated(drives(1, 2)), list[str]()
    card = updated(model, drives(2, 3, name="again{}.mp4"), note=notes.append)  # type: ignore[arg-type]
    assert notes[0] == "left out: 'again2.mp4' is frame by frame the same as 'drive2.mp4'"
    assert card.calibration["drives"] == 3
    with pytest.raises(InputError, match="that the calibration does not hold already; give another drive"):
        updated(model, drives(1, 2))  # type: ignore[arg-type]


def test_another_day_of_the_same_name() -> None:
    card = updated(calibrated(drives(1)), drives(2, name="drive1.mp4"))  # type: ignore[arg-type]
    assert [each["name"] for each in card.calibration["record"]["drives"]] == ["drive1.mp4", "drive1.mp4 (2)"]


def test_what_is_not_clean_is_refused_and_findings_are_said() -> None:
    model, notes = calibrated(drives(1, 2)), list[str]()
    with pytest.raises(InputError) as refused:
        updated(model, drives(3, 4, odd=5))  # type: ignore[arg-type]
    told = str(refused.value)
    assert told.startswith("'drive3.mp4' is not clean enough to be taken in: a finding on 5 of its 20 frames at ")
    assert "of the drives before on at most 0%; look at them with 'oddroad detect'" in told
    assert "calibrate on all drives without --update" in told
    card = updated(model, drives(3, odd=4), note=notes.append)  # type: ignore[arg-type]
    assert notes[0].startswith("'drive3.mp4': a finding on 4 of 20 frames at the threshold until now; look at them")
    assert card.thresholds["msp"] > 90


def test_what_cannot_be_updated_is_said_before_any_work() -> None:
    stills = CalibrationData("cityscapes/val", 20, drives(1).frames, ("drive1.mp4",), "place")
    cases = [
        (Drawn(), drives(1), "'n' is not calibrated, so there is nothing to update; leave --update out"),
        (calibrated(stills), drives(1), "was calibrated on cityscapes/val, not on drives of a camera"),
        (calibrated(drives(1)), stills, "--update adds drives, and cityscapes/val is a data set"),
        (calibrated(drives(1)), drives(2), "alarms=1/100frames' .* can guarantee 77.7 in 100 frames at best"),
    ]
    tracked = calibrated(drives(1))
    tracked.card.calibration["tracking"] = {"min_hits": 3}
    cases.append((tracked, drives(2), "was calibrated for alarms an hour .* calibrate on all drives together, without"))
    for model, data, message in cases:
        model.runs = 0
        with pytest.raises(InputError, match=message):
            updated(model, data, "alarms=1/100frames")  # type: ignore[arg-type]
        assert model.runs == 0


def test_an_interrupted_update_goes_on(tmp_path: Path) -> None:
    model, data = calibrated(drives(1, 2)), drives(3, 4)
    data = CalibrationData(**{**data.__dict__, "identity": "1"})
    with pytest.raises(StopIteration):
        updated(model, data, keep=tmp_path / "kept", progress=iter(None for _ in range(25)).__next__)  # type: ignore[arg-type]
    model.runs = 0
    card = updated(model, data, keep=tmp_path / "kept")  # type: ignore[arg-type]
    assert model.runs == 40 - 26
    assert without_quantiles(card) == without_quantiles(calibrated(drives(1, 2, 3, 4)).card)


def test_the_region_of_interest_stays() -> None:
    roi = Roi.parse("0,0 0.1,0 0.1,1 0,1")
    card = updated(calibrated(drives(1, 2), roi=roi), drives(3))  # type: ignore[arg-type]
    whole = calibrated(drives(1, 2, 3), roi=roi).card
    assert card.calibration["roi"] == whole.calibration["roi"] == roi.values()
    assert without_quantiles(card) == without_quantiles(whole)
    assert card.thresholds != updated(calibrated(drives(1, 2)), drives(3)).thresholds  # type: ignore[arg-type]
