"""How far a driving log drove: from its satellite fixes, or from its odometry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from oddroad.errors import InputError
from oddroad.io.log_files import open_log
from oddroad.io.log_messages import parse
from oddroad.io.log_types import NANO, Log

STEP = 5.0
"""Metres that count as driven: fixes of a standing car wander by less."""

EARTH = 6_371_000.0
"""Mean radius in metres."""

FIXES, ODOMETRY = ("NavSatFix", "LocationFix"), ("Odometry",)


def kilometres_per_hour(path: Path) -> float | None:
    """Mean speed over a log; None where it holds neither fixes nor odometry, or does not move.

    The topic with the most messages is taken, fixes before odometry.
    """
    log = open_log(path)
    for kinds, places in ((FIXES, fixes), (ODOMETRY, odometry)):
        topics = [topic for topic, kind in log.topics.items() if kind.replace(".", "/").split("/")[-1] in kinds]
        if topics:
            topic = max(topics, key=lambda each: log.counts.get(each, 0))
            metres, seconds = 0.0, 0.0
            first: float | None = None
            before: tuple[float, float] | None = None
            for time, east, north in places(log, topic):
                first = time if first is None else first
                seconds = time - first
                step = 0.0 if before is None else math.hypot(east - before[0], north - before[1])
                if before is None or step >= STEP:
                    metres, before = metres + step, (east, north)
            if metres > 0 and seconds > 0:
                return 3.6 * metres / seconds
    return None


def fixes(log: Log, topic: str) -> Iterator[tuple[float, float, float]]:
    """Seconds, and metres to the east and north of the first fix; fixes without a place are left out."""
    origin: tuple[float, float] | None = None
    for message in log.messages([topic]):
        try:
            found = parse(message)
        except InputError:
            continue
        latitude, longitude = float(found.latitude), float(found.longitude)
        if not (math.isfinite(latitude) and math.isfinite(longitude)) or (latitude == 0 and longitude == 0):
            continue
        if (status := getattr(found, "status", None)) is not None and getattr(status, "status", 0) < 0:
            continue
        origin = origin or (latitude, longitude)
        metre = math.radians(1) * EARTH
        yield (
            message.time / NANO, metre * (longitude - origin[1]) * math.cos(math.radians(origin[0])),
            metre * (latitude - origin[0]),
        )  # fmt: skip


def odometry(log: Log, topic: str) -> Iterator[tuple[float, float, float]]:
    """Seconds, and metres in the plane of an odometry."""
    for message in log.messages([topic]):
        try:
            place = parse(message).pose.pose.position
        except InputError:
            continue
        if math.isfinite(place.x) and math.isfinite(place.y):
            yield message.time / NANO, float(place.x), float(place.y)
