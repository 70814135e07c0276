"""Which findings: ranked, grouped by likeness, like a picture, diverse; and their pictures read again from the logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.log_types import NANO
from oddroad.mining.archive import PLANS, plan_of
from oddroad.mining.embedding import LENGTH, diverse, embed, groups, unit
from oddroad.mining.frames import SegmentReader, Taken
from oddroad.mining.manifest import read_findings
from oddroad.mining.plan import LogPlan, Segment
from oddroad.mining.store import Store
from oddroad.regions import encode_rle
from oddroad.types import Region


@dataclass
class Selection:
    """The best views of all tracks of one detector in an archive, the most anomalous first.

    Attributes:
        rows: of ``findings``, without embeddings.
        embeddings: (n, 64) float32, of the rows.
        group: (n,) number of each row's group; the first row of a group is its most anomalous one.
        model: short hash of the detector.
    """

    rows: list[dict[str, Any]]
    embeddings: np.ndarray
    group: np.ndarray
    model: str

    @classmethod
    def read(cls, place: str, model: str = "") -> Selection:
        """The tracks of a mined archive.

        Args:
            place: of the archive.
            model: first digits of the detector's hash, where several have looked at it.

        Raises:
            InputError: if the archive is damaged, or it is not clear which detector is meant.
        """
        table = read_findings(place, best=True)
        models = sorted(set(table.column("model").to_pylist()))
        fitting = [each for each in models if each.startswith(model)]
        if len(fitting) > 1 or (model and not fitting):
            raise InputError(f"--model '{model}' is one of {', '.join(models)}; pass its first digits")
        rows = [row for row in table.to_pylist() if row["model"] in fitting]
        rows.sort(key=rank)
        embeddings = np.array([row.pop("embedding") for row in rows], np.float32).reshape(-1, LENGTH)
        return cls(rows, embeddings, groups(embeddings), fitting[0] if fitting else "")

    def number(self, name: str) -> int:
        """Which row a finding or its track is.

        Raises:
            InputError: if there is none.
        """
        for number, row in enumerate(self.rows):
            if name in (row["id"], row["track"]):
                return number
        raise InputError(f"there is no finding '{name}'; ids stand in the report and in the column 'id' of best views")

    def like(self, embedding: np.ndarray) -> list[int]:
        """All rows, the most alike first."""
        return np.argsort(-(self.embeddings @ embedding), kind="stable").tolist()

    def diverse(self, count: int) -> list[int]:
        """So many rows that leave nothing far from all of them, the most anomalous one first."""
        return diverse(self.embeddings, count)

    def leaders(self) -> list[int]:
        """The first row of each group."""
        return np.unique(self.group, return_index=True)[1].tolist() if len(self.rows) else []


def rank(row: dict[str, Any]) -> tuple[float, float]:
    """Orders findings: the least likely among what is in-distribution first, then the highest mean score."""
    return (1.0 if row["p_value"] is None else row["p_value"], -row["mean"])


def embedding_of_picture(path: Path, model: Any, score: str | None, threshold: float | None) -> np.ndarray:
    """The embedding of the largest region in a picture; of the whole picture where nothing in it is odd.

    Args:
        path: of the picture.
        model: oddroad.inference.Model that the archive was mined with.
        score: its score.
        threshold: that the archive was mined with.

    Raises:
        InputError: if it cannot be read.
    """
    from oddroad.io.images import read_image
    from oddroad.regions import InDistribution, find

    image = read_image(path)
    heat, features, _ = model.with_features(image, score)
    level = model.threshold(score) if threshold is None else threshold
    found = find(heat, level, None, InDistribution.of(model.card, model.pick_score(score)))
    height, width = heat.shape
    whole = Region(
        (0, 0, width, height), heat.size, 0.0, 0.0, None, (height, width),
        encode_rle(np.ones((height, width), bool), (0, 0), (height, width)),
    )  # fmt: skip
    return unit(embed(features, found[0] if found else whole))


class Footage:
    """The pictures of an archive, read again from its logs, as far as they are still there.

    Args:
        place: of the archive.
        copies: folder for local copies of files that cannot be read where they are.
    """

    def __init__(self, place: str, copies: str):
        self.copies = copies
        self.plans: dict[str, LogPlan] = {}
        for line in (Store(place).read(PLANS) or b"").splitlines():
            plan = plan_of(line)
            self.plans[plan.log] = plan

    def parts(self, row: dict[str, Any]) -> list[Segment]:
        """The segments of a finding's camera, in their order.

        Raises:
            InputError: if the log is not in the plan of the archive's last run.
        """
        plan = self.plans.get(row["log_id"])
        if plan is None:
            raise InputError(f"the log '{row['log']}' was not in the last run; run 'oddroad mine' on it again")
        return [each for each in plan.segments if each.topic == row["topic"]]

    def around(self, row: dict[str, Any], before: float, after: float, every: float = 0.0) -> Iterator[Taken]:
        """The frames of a finding's camera from some seconds before it until some seconds after.

        Raises:
            InputError: if the log cannot be read any more.
            OSError: likewise.
        """
        time = row["time"]
        parts = self.parts(row)
        if time is None:
            near = [each for each in parts if each.start[1] <= row["frame"] < each.stop[1]]
            for taken in (each for part in near for each in SegmentReader(part, self.copies).frames()):
                if abs((taken.frame.index or 0) - row["frame"]) <= 10 * before:
                    yield taken
            return
        low, high = time - round(before * NANO), time + round(after * NANO)
        for number, part in enumerate(parts):
            starts = part.time if part.time is not None else 0
            ends = parts[number + 1].time if number + 1 < len(parts) else None
            slack = 2 * max(round(part.seconds * NANO), 10 * NANO)  # it begins at the next key frame, or ends there
            if starts - slack > high or (ends is not None and ends + slack < low):
                continue
            for taken in SegmentReader(part, self.copies, every).frames():
                if taken.time is None or taken.time < low:
                    continue
                if taken.time > high:
                    break
                yield taken

    def frame(self, row: dict[str, Any]) -> np.ndarray:
        """The frame (H, W, 3) of a finding.

        Raises:
            InputError: if the log cannot be read any more, or has no such frame.
        """
        try:
            for taken in self.around(row, 0.0, 0.0):
                if taken.time is not None or taken.frame.index == row["frame"]:
                    return taken.frame.image
        except OSError as error:
            raise InputError(f"'{row['log']}' cannot be read: {error}") from None
        raise InputError(f"'{row['log']}' has no frame at {row['time']} any more")

    def clip(self, row: dict[str, Any], seconds: float, width: int = 320) -> bytes:
        """A moving WebP of what is around a finding, with its box where it is; b"" where the log cannot be read."""
        import io

        from PIL import Image

        pictures = []
        try:
            for taken in self.around(row, seconds, seconds, 0.2):
                image = taken.frame.image.copy()
                if taken.time == row["time"] or (taken.time is not None and abs(taken.time - row["time"]) < 0.1 * NANO):
                    cv2.rectangle(image, (row["x0"], row["y0"]), (row["x1"], row["y1"]), (255, 60, 0), 3)
                height = max(round(image.shape[0] * width / image.shape[1]), 1)
                pictures.append(
                    Image.fromarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
                )  # fmt: skip
        except (InputError, OSError):
            return b""
        if not pictures:
            return b""
        held = io.BytesIO()
        pictures[0].save(held, "WEBP", save_all=True, append_images=pictures[1:], duration=200, loop=0, quality=60)
        return held.getvalue()


def read_ids(path: Path) -> set[str]:
    """The ids in a file, one a line.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read '{path}': {error}; expected a text file with an id a line") from None


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON: without its thumbnail."""
    return json.loads(json.dumps({key: value for key, value in row.items() if key not in ("thumbnail", "embedding")}))


def chosen(selection: Selection, ids: Sequence[str]) -> list[int]:
    """The rows of some ids.

    Raises:
        InputError: if there is no such finding.
    """
    return [selection.number(each) for each in ids]
