"""Results on disk, looked at while they are written: of ``evaluate``, ``train``, ``mine`` and ``detect``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.exchange.results import read_results
from oddroad.io.images import encode_image, read_image
from oddroad.reporting.figures import load, of_heat, of_truth, representative_frames
from oddroad.reporting.learning_curves import PLACE, read_curves
from oddroad.reporting.report import load_results
from oddroad.web.desk import Desk
from oddroad.web.mined import gallery
from oddroad.web.reply import Call, Refused, Reply, as_json

DEPTH, MOST = 5, 3000
"""Folders below one another, and files, that are looked through."""

FIGURES = (
    "ap", "fpr95", "auroc", "f1", "siou", "ppv", "f1_star", "object_recall", "false_alarms_per_frame",
    "frames_with_false_alarm",
)  # fmt: skip
"""Figures of an evaluation that have a column."""


@dataclass(frozen=True)
class Found:
    """One file of results.

    Attributes:
        kind: "evaluate", "train", "mine" or "detect".
        path: of the file.
        title: of it, below the folder that was named.
    """

    kind: str
    path: Path
    title: str

    @property
    def key(self) -> str:
        """What clients call it."""
        return hashlib.sha256(str(self.path).encode(errors="surrogateescape")).hexdigest()[:16]


def found_in(folder: Path) -> Iterator[Found]:
    """The results in a folder and below; what a link leads out of it to is left out."""
    root, seen, waiting = folder.resolve(), 0, [(folder, 0)]
    while waiting:
        here, depth = waiting.pop(0)
        try:
            inside = sorted(here.iterdir())
        except OSError:
            continue
        for each in inside:
            seen += 1
            if seen > MOST:
                return
            if each.name.startswith(".") or not each.resolve().is_relative_to(root):
                continue
            if each.is_dir():
                if depth < DEPTH and not each.name.endswith(".frames"):
                    waiting.append((each, depth + 1))
                continue
            kind = kind_of(each)
            if kind is not None:
                yield Found(kind, each, each.relative_to(folder).as_posix())


def kind_of(path: Path) -> str | None:
    """What a file holds; None for anything else."""
    if path.name == PLACE.name and path.parent.name == PLACE.parent.name:
        return "train"
    if path.name.startswith("detections") and path.suffix == ".jsonl":
        return "detect"
    if path.name == "manifest.json" and (path.parent / "findings").is_dir():
        return "mine"
    if path.suffix != ".json":
        return None
    try:
        with path.open("rb") as opened:
            return "evaluate" if b'"results"' in opened.read(200) else None
    except OSError:
        return None


def everything(desk: Desk) -> dict[str, Found]:
    """All results in the folders that were named, by their keys."""
    return {each.key: each for folder in desk.results for each in found_in(folder)}


def listing(desk: Desk, call: Call) -> Reply:
    """The results that there are, each with when it changed."""
    found = []
    for key, each in everything(desk).items():
        try:
            found.append({"key": key, "kind": each.kind, "title": each.title, "changed": each.path.stat().st_mtime})
        except OSError:
            continue
    return as_json({"results": found})


def find(desk: Desk, call: Call) -> Found:
    """The results of the key in the address.

    Raises:
        Refused: if there are none.
    """
    found = everything(desk).get(call.path["key"])
    if found is None:
        raise Refused("there are no such results any more", 404)
    return found


def content(desk: Desk, call: Call) -> Reply:
    """What one file of results holds."""
    found = find(desk, call)
    try:
        values = {"evaluate": evaluated, "train": trained, "mine": gallery, "detect": detected}[found.kind](found.path)
    except InputError as error:
        raise Refused(str(error).replace(str(found.path), found.title), 409) from None
    return as_json({"kind": found.kind, "title": found.title, **values})


def evaluated(path: Path) -> dict[str, Any]:
    """Figures, curves and frames of an evaluation."""
    rows = []
    for each in load_results([path]):
        frames = [] if "curve" not in each else representative_frames([each])
        aps = {frame["name"]: frame["ap"] for frame in each.get("frames", ())}
        rows.append({
            "dataset": each["dataset"], "split": each.get("split", ""), "model": each["model"], "score": each["score"],
            "images": each["images"], "notes": each["notes"], "threshold": each.get("threshold"),
            "prevalence": each.get("prevalence"), "figures": {name: each[name] for name in FIGURES if name in each},
            "intervals": {name: pair for name, pair in each.get("intervals", {}).items() if name in FIGURES},
            "sizes": each.get("recall_by_size", []), "deployed": deployed(each.get("deployed")),
            "curve": each.get("curve"),
            "frames": [
                {"which": which, "name": name, "ap": aps.get(name), "pictures": picture_names(path, each, name)}
                for which, name in frames
            ],
        })  # fmt: skip
    return {"rows": rows}


def deployed(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The figures at the card's threshold."""
    if not values:
        return None
    return {
        "threshold": values.get("threshold"), "intervals": values.get("intervals", {}),
        "figures": {name: values[name] for name in FIGURES if name in values},
        "sizes": values.get("recall_by_size", []),
    }  # fmt: skip


def picture_names(path: Path, result: Mapping[str, Any], frame: str) -> list[str]:
    """Names of the pictures of a frame that are there: image, truth, map."""
    folder = str(result.get("frames_folder", result["dataset"]))
    names = [f"{frame}.image.jpg", f"{frame}.truth.png", f"{frame}.{str(result['score']).replace('/', '_')}.png"]
    return [f"{folder}/{each}" for each in names if (path.with_suffix(".frames") / folder / each).is_file()]


def trained(path: Path) -> dict[str, Any]:
    """Learning curves by figure."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for step, name, value in read_curves(path):
        curves.setdefault(name, []).append((step, value))
    return {"curves": {name: thinned(points) for name, points in curves.items()}}


def thinned(points: list[tuple[int, float]], most: int = 2000) -> list[tuple[int, float]]:
    """Some of the points, evenly spread, the last one among them."""
    every = -(-len(points) // most)
    return points[:: max(every, 1)] + ([points[-1]] if points and every > 1 else [])


def detected(path: Path) -> dict[str, Any]:
    """What a run of ``detect`` found."""
    results = read_results(path)
    sources: dict[str, dict[str, int]] = {}
    for each in results.frames:
        counts = sources.setdefault(each.source, {"frames": 0, "with_regions": 0, "not_judged": 0})
        counts["frames"] += each.regions is not None
        counts["with_regions"] += bool(each.regions)
        counts["not_judged"] += each.regions is None
    runs = [{"model": each.model, "score": each.score, "threshold": each.threshold} for each in results.runs]
    return {"line": results.line(), "notes": [each.replace(str(path), path.name) for each in results.notes],
            "sources": sources, "runs": runs}  # fmt: skip


def picture(desk: Desk, call: Call) -> Reply:
    """A picture beside the results of an evaluation: the image, or truth and map in colours."""
    found = find(desk, call)
    root = found.path.with_suffix(".frames").resolve()
    path = (root / call.path["name"]).resolve()
    if not path.is_relative_to(root) or not path.is_file() or path.suffix not in (".jpg", ".png"):
        raise Refused("there is no such picture", 404)
    if path.suffix == ".jpg":
        return Reply(encode_image(read_image(path), ".jpg"), "image/jpeg")
    numbers = load(path)
    if path.name.endswith(".truth.png"):
        return Reply(encode_image(of_truth(numbers), ".png"), "image/png")
    frame = call.query.get("frame", "")
    truth = (path.parent / f"{frame}.truth.png").resolve()
    label = load(truth) if truth.is_relative_to(root) and truth.is_file() else numbers * 0
    return Reply(encode_image(of_heat(numbers, label), ".png"), "image/png")
