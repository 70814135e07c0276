"""Cards and other JSON from strangers: what is no card is refused in one line that names the place."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from fuzz.texts import card_values

from oddroad.calibration.thresholds import threshold_for
from oddroad.card import Card, describe
from oddroad.errors import InputError
from oddroad.files import load_json
from oddroad.roi import Roi


def with_value(path: str, value: Any) -> str:
    """A good card in which one value is another."""
    values = copy.deepcopy(card_values())
    *homes, last = path.split("/")
    inner: Any = values
    for each in homes:
        inner = inner[int(each)] if isinstance(inner, list) else inner[each]
    inner[int(last) if isinstance(inner, list) else last] = value
    return json.dumps(values)


def test_a_good_card_is_read_and_asked() -> None:
    card = Card.from_json(json.dumps(card_values()))
    assert threshold_for(card, "alarms=6/hour").value == 80.0
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("name", None, "the card's name is None; expected a text"),
        ("scores", [], "the card's scores is []"),
        ("size", [64], "expected a list of 2"),
        ("size", [60000, 60000], "at most 100000000 pixels"),
        ("size", 7, "the card's size is 7"),
        ("stride", 0, "a whole number of 1 or more"),
        ("thresholds/energy", float("nan"), "the card's thresholds.energy is nan; expected a finite number"),
        ("thresholds/energy", 10**400, "a very large number"),
        ("portable", "yes", "true or false"),
        ("calibration/confidence", 1.5, "between 0 and 1"),
        ("calibration/scores/energy/alarms", [], "a list of 1 or more"),
        ("calibration/scores/energy/alarms/0", [1.0], "a list of 2"),
        ("calibration/scores/energy/units", {"count": 1}, "an object with count, block, equal, best"),
        ("calibration/scores/energy/quantiles", [[0.5, 1.0], [0.1, 2.0]], "do not fall"),
        ("calibration/scores/energy/tracks/curves", {"x": [[1.0, 1.0, 1.0, 1.0, 1.0]]}, "keys are whole numbers"),
        ("calibration/scores/energy/tracks/hours", 0, "a number above 0"),
        ("calibration/scores/energy/tracks/kilometres", None, "above 0, as alarms in 100 km are counted"),
        ("calibration/scores/energy/tracks/kilometres", 0, "a number above 0"),
        ("name", "a\x07b", "the card's name is 'a\\x07b'; expected a text without control characters"),
        ("network", "a\nb", "a text without control characters"),
        ("scores/0", "\x12", "a text without control characters"),
        ("classes/1", "\x1b[31m", "a text without control characters"),
        ("name", "x" * 10_000, "a text of at most 200 letters"),
        ("calibration/of", "drive" * 1000, "a text of at most 200 letters"),
        ("classes/1", ["x" * 50_000], "expected a text"),
        ("origin/deep", json.loads("[" * 60 + "]" * 60), "nested more than 32 times"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Card.from_json(with_value(path, value))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "7" * 5000 + "}", "\x00", '{"a": "\\ud8'])
def test_what_no_parser_takes_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="the card is not JSON"):
        Card.from_json(text)
    with pytest.raises(ValueError, match=r"."):
        load_json(text)


@pytest.mark.parametrize("key", ["confidence", "tracking", "drives", "of"])
def test_a_calibration_without_a_part_says_which(key: str) -> None:
    values = card_values()
    del values["calibration"][key]
    with pytest.raises(InputError, match=f"lacks '{key}'; calibrate it anew"):
        threshold_for(Card.from_json(json.dumps(values)), "alarms=6/hour")


@pytest.mark.parametrize(
    "roi",
    [
        {"kind": "polygon", "points": [[0, 0], [1, 1]]},
        {"kind": "polygon", "points": [[0, 0], [1, float("inf")], [1, 0]]},
        {"kind": "mask", "size": [10**6, 10**6], "counts": "0", "name": "m"},
        {"kind": "mask", "size": [4, 6], "counts": "o" * 20, "name": "m"},
        {"kind": "mask", "size": [4, 6], "counts": "é", "name": "m"},
    ],
)
def test_a_region_that_is_none(roi: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="region of interest"):
        Roi.of({"roi": roi})


def test_a_calibration_in_hours_alone_needs_no_kilometres() -> None:
    values = copy.deepcopy(card_values())
    found = values["calibration"]["scores"]["energy"]["tracks"]
    del found["kilometres"]
    found["curves"] = {hits: [[*row[:3], None, None] for row in rows] for hits, rows in found["curves"].items()}
    assert threshold_for(Card.from_json(json.dumps(values)), "alarms=6/hour").value == 80.0


def test_a_speed_that_is_not_known_is_asked_for() -> None:
    values = copy.deepcopy(card_values())
    values["calibration"]["tracking"]["speed"] = None
    curves = values["calibration"]["scores"]["energy"]["tracks"]["curves"]
    for rows in curves.values():
        for row in rows:
            row[3:] = None, None
    with pytest.raises(InputError, match="give a speed, such as 'alarms=2/100km@90km/h'"):
        threshold_for(Card.from_json(json.dumps(values)), "alarms=2/100km")


def test_a_card_is_shown_without_control_characters() -> None:
    values = copy.deepcopy(card_values())
    values |= {"licence": "a\x1b[2Jb", "origin": {"k\x07": "v\x12"}, "threshold_meaning": "m\x9b"}
    values["thresholds"] = {"s\x01": 1.0}
    told = describe(Card.from_json(json.dumps(values)))
    assert told.replace("\n", "").isprintable()
    assert "a\\x1b[2Jb" in told
