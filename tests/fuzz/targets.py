"""The table of targets."""

from __future__ import annotations

from collections.abc import Callable

from fuzz import broken
from fuzz.files import FILES
from fuzz.logs import LOGS
from fuzz.pictures import PICTURES
from fuzz.server import SERVER
from fuzz.target import Target
from fuzz.texts import TEXTS

TARGETS: dict[str, Callable[[], Target]] = {**PICTURES, **LOGS, **FILES, **TEXTS, **SERVER}
"""Name -> what makes the target; what it needs is loaded then."""

EVERY = {**TARGETS, "broken": broken.target}
"""With the one that tests the watch."""
