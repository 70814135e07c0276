"""Everything that the handlers share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddroad.calibration.thresholds import Threshold, threshold_for
from oddroad.roi import Roi, read_polygon
from oddroad.web.detectors import Detector
from oddroad.web.library import Library
from oddroad.web.limits import Limits
from oddroad.web.reply import Call, Refused
from oddroad.web.views import Views


@dataclass
class Desk:
    """One running page.

    Attributes:
        detectors: one, or two to be compared.
        library: what may be opened.
        views: what is open.
        limits: of everything.
        folder: for temporary files; deleted at the end.
        results: folders of results that may be looked at.
        calibrations: new cards that are or were made, by key; see oddroad.web.calibrating.
        calibrating: held while one is made.
    """

    detectors: list[Detector]
    library: Library
    views: Views
    limits: Limits
    folder: Path
    results: list[Path] = field(default_factory=list)
    calibrations: dict[str, Any] = field(default_factory=dict)
    calibrating: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        detectors: list[Detector],
        folder: Path,
        limits: Limits | None = None,
        results: Sequence[Path] = (),
    ) -> Desk:
        """A page for some sources.

        Args:
            words: files, folders, globs, logs, cameras, addresses that may be opened.
            detectors: one or two.
            folder: for temporary files.
            limits: the usual ones where None.
            results: folders of results that may be looked at.

        Raises:
            InputError: if a source does not exist.
        """
        bounds = limits or Limits()
        library = Library(words, folder / "uploads", bounds)
        return cls(detectors, library, Views(detectors, folder / "views", bounds), bounds, folder, list(results))

    def detector(self, call: Call) -> int:
        """Number of the detector that a request asks for.

        Raises:
            Refused: if there is none.
        """
        number = call.whole("detector", 0)
        if number >= len(self.detectors):
            raise Refused(f"detector {number} is not there; there are {len(self.detectors)}", 404)
        return number

    def roi(self, call: Call) -> Roi | None:
        """The region of interest that a request asks for: "all", a polygon, or None for the card's.

        Raises:
            InputError: if it is something else; no file is opened for a client.
        """
        text = call.query.get("roi", "").strip()
        if text in ("", "card"):
            return None
        return Roi() if text == "all" else read_polygon(text)

    def threshold(self, call: Call, number: int, min_hits: int | None = None) -> Threshold:
        """The threshold that a request asks for in the threshold language; the card's where it asks for none.

        Raises:
            InputError: if it is not understood, or the detector has none.
        """
        detector = self.detectors[number]
        text = call.query.get("threshold", "")
        if not text:
            return Threshold(detector.model.threshold(detector.score), detector.model.card.threshold_meaning)
        return threshold_for(detector.model.card, text, detector.score, min_hits)
