"""Thresholds that promise a number of alarms an hour, or in 100 km, from the curves that a calibration keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddroad.calibration.drives import Units
from oddroad.calibration.event_rates import SWARM, lowest, needed, units_for
from oddroad.calibration.wording import alarm_words, spoken_of
from oddroad.card import Card
from oddroad.errors import InputError, counted

PER = {"hour": "an hour", "100km": "in 100 km"}


def by_tracks(
    card: Card, score: str, rate: float, kind: str, asked: str, min_hits: int | None = None
) -> tuple[float, str]:
    """Threshold and meaning for a number of alarms.

    Args:
        card: of the detector, calibrated for the score.
        score: its name.
        rate: alarms an hour, or in 100 km.
        kind: "hour" or "100km".
        asked: the threshold as it was given.
        min_hits: of tracks that are reported; the Card's if None.

    Raises:
        InputError: if alarms, or kilometres, were not counted, or the data are too few.
    """
    calibration, found = card.calibration, card.calibration["scores"][score].get("tracks")
    if found is None:
        raise InputError(
            f"'{asked}': '{card.name}' was calibrated on frames and not on alarms; run 'oddroad calibrate' on videos "
            f"or logs with --threshold {asked}"
        )
    settings = calibration["tracking"]
    hits = settings["min_hits"] if min_hits is None else min_hits
    curve = found["curves"].get(str(hits))
    if curve is None:
        there = ", ".join(sorted(found["curves"], key=int))
        raise InputError(
            f"'{asked}': alarms were counted for --min-hits {there}, not for {hits}; take one of them, or calibrate "
            f"with --min-hits {hits}"
        )
    if kind == "100km" and curve[0][4] is None:
        if settings.get("speed") is None:
            raise InputError(
                f"'{asked}' needs to know how far was driven, and the calibration data do not say; give a speed, such "
                f"as '{asked}@90km/h'"
            )
        rate, kind = rate * settings["speed"] / 100, "hour"
    column = 1 if kind == "hour" else 3
    row = lowest(curve, rate, column)
    if row is None:
        best = min((each[column] for each in curve if each[column] is not None), default=None)
        raise InputError(
            too_few_tracks(asked, rate, kind, calibration, found["units"], found["block"], found["hours"], best)
        )
    value = row[0]
    assert value is not None
    return value, f"{score} > {value:.6g}: {promise(rate, kind, hits, calibration, found)}"


def counts_tracks(meaning: str) -> bool:
    """Whether a threshold's meaning is a promise about alarms, and not about frames."""
    return any(f" {noun} {each}" in meaning for noun in ("alarm", "alarms") for each in PER.values())


def promise(rate: float, kind: str, hits: int, calibration: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What is promised, in words.

    Args:
        rate: alarms an hour, or in 100 km.
        kind: "hour" or "100km".
        hits: smallest number of hits of a track that is reported.
        calibration: of the Card.
        found: ``tracks`` of the score.
    """
    settings, units = calibration["tracking"], Units(found["units"], found["block"], found["units"], 0.0)
    spoken = spoken_of(calibration["scope"], calibration["drives"], calibration["of"], units)
    every = "every frame" if settings["every"] == 1 else f"one frame in {settings['every']}"
    tracks = f"tracks of {counted(hits, 'hit')} or more, {every}, missed for {settings['max_age']} at most"
    length = found["hours"] if kind == "hour" else found["kilometres"] / 100
    cap = max(SWARM * rate, found["units"] / length)
    one = calibration["of"] if found["block"] is None else "block"
    return (
        f"at most {counted(rate, 'alarm', '.6g')} {PER[kind]}, each {alarm_words(calibration)} ({tracks}), {spoken}, "
        f"a {one} of more "
        f"than {cap:.3g} {PER[kind]} counting as one of so many; {calibration['confidence']:.0%} confidence, from "
        f"{counted(calibration['frames'], 'frame')} in {counted(found['hours'], 'hour', '.3g')} of "
        f"{calibration['data']} ({calibration['date']})"
    )


def too_few_tracks(
    asked: str,
    rate: float,
    kind: str,
    about: Mapping[str, Any],
    units: int,
    block: int | None,
    hours: float | None,
    best: float | None,
) -> str:
    """Says that a number of alarms needs more driving, how much, and what the data can promise.

    Args:
        asked: the threshold as it was given.
        rate: alarms an hour, or in 100 km.
        kind: "hour" or "100km".
        about: ``of`` and ``confidence``.
        units: drives, or blocks, that there are.
        block: frames of the longest block; None where the units are drives.
        hours: of all units; None where they are not known yet.
        best: the lowest rate that can be promised; None where none can.
    """
    one = about["of"] if block is None else "block"
    there = counted(units, one) + ("" if hours is None else f" with {counted(hours, 'hour', '.3g')}")
    least, confidence = units_for(about["confidence"]), f"{about['confidence']:.0%} confidence"
    if best is None and units < least:
        each = "" if hours is None else f" of {counted(60 * hours / units, 'minute', '.3g')} each"
        return (
            f"'{asked}' takes {counted(least, f'independent {one}')} or more at {confidence}, whatever their length; "
            f"{there} can promise no number of alarms: add {least - units} more{each}, or take 'no-alarms'"
        )
    words = "nothing" if best is None else f"{best:.3g} {PER[kind]}"
    if kind != "hour" or hours is None:
        return f"'{asked}' cannot be promised at {confidence}; {there} can promise {words} at best; add more drives"
    need, length = needed(rate, about["confidence"], hours / units)
    more = max(need - units, 1)
    return (
        f"'{asked}' takes {counted(length, 'hour', '.3g')} without an alarm in {counted(need, f'independent {one}')} "
        f"at {confidence}; {there} "
        f"can promise {words} at best; add {more} more of {counted(60 * hours / units, 'minute', '.3g')} each, or "
        "take 'no-alarms'"
    )
