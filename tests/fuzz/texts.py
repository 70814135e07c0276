"""Targets: JSON, YAML, thresholds, regions of interest, manifests of archives."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutation import as_text, change_bytes, change_text, change_values, encoded
from fuzz.target import Differs, Target, may_be_refused, same

REGION = {
    "box": [2, 1, 4, 3], "area": 4, "mean": 2.5, "peak": 3.0, "percentile": 0.99,
    "segmentation": {"size": [4, 6], "counts": ""}, "track": {"id": 1, "hits": 2, "mean": 2.5},
}  # fmt: skip


def result_seeds() -> list[list[dict[str, Any]]]:
    """Lines of a run with frames, regions, a gap and a summary."""
    import numpy as np

    from oddroad.regions import encode_rle

    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:4] = True
    region = {**REGION, "segmentation": {"size": [4, 6], "counts": encode_rle(mask, (0, 0), (4, 6))}}
    run = {"type": "run", "schema_version": 1, "oddroad": "1.0", "model": "m", "model_sha256": "0" * 64, "score": "e",
           "engine": "onnxruntime", "threshold": 4.0, "settings": {"every": 1}, "sources": ["a.mp4"],
           "started": "2026-01-31T12:00:00Z"}  # fmt: skip
    frame = {"type": "frame", "source": "a.mp4", "index": 0, "time": 0.0, "utc": "2026-01-31T12:00:00.25Z", "width": 6,
             "height": 4, "status": "ok", "roi_share": 0.5, "milliseconds": {"network": 2.5},
             "regions": [region]}  # fmt: skip
    damaged = {**frame, "index": 1, "time": 0.1, "status": "damaged", "reason": "dark", "regions": None}
    gap = {"type": "gap", "source": "a.mp4", "index": 2, "time": 0.2, "seconds": 9.5, "reason": "no frame"}
    return [
        [run, frame, damaged, gap, {**frame, "index": 2, "time": 9.7, "regions": []}, {"type": "summary", "frames": 2}]
    ]


def change_lines(rng: Random, seeds: list[list[Any]]) -> bytes:
    """Lines of JSON with one of them changed."""
    lines = list(rng.choice(seeds))
    number = rng.randrange(len(lines))
    texts = [json.dumps(each) for each in lines]
    texts[number] = as_text(rng, change_values(rng, lines[number]))
    if rng.random() < 0.1:
        texts.insert(rng.randrange(len(texts)), texts[rng.randrange(len(texts))])
    data = encoded("\n".join(texts) + "\n")
    return change_bytes(rng, data) if rng.random() < 0.05 else data


def read_lines(data: bytes, folder: Path) -> None:
    """Lines of results; what is accepted fulfils the JSON Schema, and can be resumed or is refused."""
    import jsonschema

    from oddroad.exchange.results import read_results
    from oddroad.io.earlier import Earlier

    path = folder / "detections.jsonl"
    path.write_bytes(data)
    with may_be_refused():
        found = Earlier.read(path)
        if found is not None:
            found.check({"model_sha256": "0" * 64, "engine": "onnxruntime", "score": "e", "threshold": 4.0,
                         "sources": ["a.mp4"], "settings": {"every": 1}})  # fmt: skip
    results = read_results(path)
    results.line()
    for frame in results.frames:
        frame.nanoseconds  # noqa: B018 - it computes
    check = jsonschema.Draft202012Validator(schema())
    for line in [each for each in data.split(b"\n") if each.strip()][: None if not results.notes else -1]:
        values = json.loads(line)
        wrong = next(check.iter_errors(values), None)
        if wrong is not None and values["type"] in ("run", "frame", "gap"):
            raise Differs(f"a line of type {values['type']} that is no valid one by the schema: {wrong.message[:120]}")


def schema() -> Any:
    """The JSON Schema of the lines."""
    from importlib import resources

    return json.loads((resources.files("oddroad.io") / "schema" / "detections.schema.json").read_text())


def sheet_seeds() -> list[Any]:
    """A file of 'oddroad evaluate --json'."""
    figures = {"ap": 0.5, "fpr95": 0.1, "siou": 0.4, "ppv": 0.3, "f1_star": 0.2, "prevalence": 0.01, "miou": 0.5}
    result = {
        "dataset": "road_anomaly21", "split": "validation", "score": "energy",
        "model": "m.onnx", "model_hash": "0" * 64,
        "protocol": "p", "input_size": "384x768", "images": 10, "seconds": 1.5, "versions": {"numpy": "2.0"},
        "notes": ["a note"], "anomaly_pixels": 100, **figures, "intervals": {"ap": [0.4, 0.6]},
        "left_out": {"units": ["a", "b", "c"], "figures": {"ap": [0.5, 0.4, 0.6]}, "degrees": {"ap": 2}},
    }  # fmt: skip
    return [{"results": [result, {**result, "score": "msp", "ap": 0.4}, {**result, "dataset": "road_anomaly"}]}]


def change_json(rng: Random, seeds: list[Any]) -> bytes:
    """A changed JSON file."""
    return encoded(as_text(rng, change_values(rng, rng.choice(seeds))))


def read_sheet(data: bytes, folder: Path) -> None:
    """Saved figures as 'oddroad report' reads them; of one in 16 the pictures are drawn, too."""
    from oddroad.reporting.methods import method_names
    from oddroad.reporting.report import load_results, result_tables, write_report

    path, out = folder / "a.json", folder / "report"
    path.write_bytes(data)
    found = load_results([path])
    out.mkdir(exist_ok=True)
    if zlib.crc32(data) % 16:
        result_tables(found, method_names(found), out, [])
    else:
        write_report([path], out)


def small_file_seeds() -> list[Any]:
    """The JSON files beside data sets: classes, sequences; the card beside a board's file."""
    return [
        {"known": [0, 255], "anomaly": [1, 2]}, {"drive 1": ["0001", "0002"]}, {"a": {"fps": 10, "frames": ["0001"]}},
        {"card": card_values(), "outputs": [{"name": "energy"}, {"name": "logits"}]},
    ]  # fmt: skip


def read_small_file(data: bytes, folder: Path) -> None:
    """A JSON file read by each of its possible readers."""
    from oddroad.datasets.anomaly import classes_file, sequences_file
    from oddroad.inference.board_files import read_beside

    path = folder / "a.json"
    path.write_bytes(data)
    for reader in (classes_file, lambda each: sequences_file(each, ["0001", "0002"])):
        with may_be_refused():
            reader(path)
    read_beside(folder / "a.tflite")


def card_values() -> dict[str, Any]:
    """A card with everything that a calibration keeps."""
    from oddroad.card import CARD_FORMAT

    units = {"count": 99, "block": None, "equal": 99, "best": 0.03}
    curve = [[100.0, 0.5, 0.1, 0.9, 0.2], [80.0, 3.0, 1.0, 5.0, 2.0], [60.0, 9.0, 4.0, 20.0, 9.0]]
    kept = {
        "alarms": [[100.0, 0.0], [80.0, 0.02], [60.0, 0.1]], "units": units, "quantiles": [[0.0, -9.0], [0.5, 0.0],
        [1.0, 80.0]],
        "fpr": [[0.001, 90.0, units], [0.01, 70.0, units]],
        "tracks": {"curves": {"3": curve}, "units": 99, "block": None, "hours": 12.0, "kilometres": 900.0,
        "join": 40.0},
    }  # fmt: skip
    return {
        "name": "n", "network": "erfnet", "scores": ["energy"], "size": [64, 128], "stride": 8, "classes": ["road",
        "car"],
        "thresholds": {"energy": 4.0}, "threshold_meaning": "m", "temperature": 1.0, "upsample": "score",
        "licence": "l",
        "calibration": {
            "scores": {"energy": kept}, "confidence": 0.95, "coverage": 0.95, "scope": "new-drives", "drives": 99,
            "of": "drive", "frames": 9999, "data": "calm", "date": "2026-01-01", "min_area": 10,
            "roi": {"kind": "polygon", "points": [[0, 1], [0.5, 0.5], [1, 1]]},
            "tracking": {"min_hits": 3, "every": 1, "max_age": 3, "speed": 90.0},
        },
        "origin": {"recipe": "r"}, "parity": {"energy": 1e-5}, "measured": {"a": {"ap": 0.5}},
        "weight_storage": "float32",
        "precision": "float32", "quantisation": {}, "portable": True, "reference": {"energy": [[0.1, 0.2], [0.3, 0.4]]},
        "digest": "0" * 64, "format": CARD_FORMAT,
    }  # fmt: skip


THRESHOLDS = ("no-alarms", "alarms=1/100frames", "alarms=6/hour", "alarms=2/100km", "alarms=2/100km@90km/h", "fpr=0.1%",
              "0.42", "-3", "alarms=1/frame", "fpr=0.01", "1e-3")  # fmt: skip


def read_card_text(data: bytes, folder: Path) -> None:
    """A card: read, shown, asked for thresholds, its region and its quantiles."""
    import numpy as np

    from oddroad.calibration.thresholds import probability, threshold_for
    from oddroad.card import Card, describe
    from oddroad.regions import InDistribution
    from oddroad.roi import Roi

    card = Card.from_json(data.decode("utf-8", "surrogatepass"))
    if not describe(card).replace("\n", "").isprintable():
        raise Differs("a card is shown with control characters")
    again = Card.from_json(card.to_json())
    same("a card written and read again", repr(again), repr(card))
    for text in THRESHOLDS[:6]:
        with may_be_refused():
            value = threshold_for(card, text).value
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise Differs(f"'{text}' gives {value!r}")
    heat = np.zeros((4, 6), np.float32)
    for work in (
        lambda: Roi.of(card.calibration).inside((4, 6), heat.astype(np.uint8), card.classes),
        lambda: InDistribution.of(card, card.scores[0]),
        lambda: probability(card, card.scores[0], heat),
    ):
        with may_be_refused():
            work()


def recipe_seeds() -> list[str]:
    """The recipes of this repository."""
    root = Path(__file__).resolve().parents[2] / "recipes"
    return [each.read_text() for each in sorted(root.rglob("*.yaml"))]


WORDS = (
    "&a", "*a", "!!python/object:os.system", "!!binary", "!!timestamp", "2001-99-99", "<<:", ".inf", ".nan", "0x1F",
    "0o7",
    "1:30", "? ", "|", ">", "---", "...", "%YAML 1.1", "!!set", "!!omap", "yes", "~", "name", "sets", "optim", "losses",
    "network", "seed", "1e3", "-1", "[[[", "{{", "1_000", "crop", "scale", "steps", "lr", "objects",
)  # fmt: skip


def change_recipe(rng: Random, seeds: list[str]) -> bytes:
    """A changed recipe: words, or whole lines."""
    text = rng.choice(seeds)
    if rng.random() < 0.4:
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        lines[at] = rng.choice((lines[rng.randrange(len(lines))], f"  {lines[at]}", lines[at][1:], rng.choice(WORDS)))
        text = "\n".join(lines)
    if rng.random() < 0.02:
        text += "\nseed: " + "[" * rng.choice((50, 2000))
    return encoded(change_text(rng, text, WORDS))


def read_recipe_file(data: bytes, folder: Path) -> None:
    """A recipe; what is accepted holds the values that the YAML says."""
    import yaml

    from oddroad.recipe import read_recipe

    path = folder / "a.yaml"
    path.write_bytes(data)
    recipe = read_recipe(path)
    given = yaml.safe_load(data.decode())
    if not alike(dataclasses.asdict(recipe), given):
        raise Differs(f"a recipe that is not what the YAML says: {str(given)[:100]}")


def alike(ours: Any, given: Any) -> bool:
    """Whether values of a recipe are those of a YAML, which may lack some, and may write pairs as keys and values."""
    if isinstance(ours, dict):
        return isinstance(given, dict) and all(alike(ours[str(key)], value) for key, value in given.items())
    if isinstance(ours, tuple):
        given = list(given.items()) if isinstance(given, dict) else list(given)
        return len(ours) == len(given) and all(map(alike, ours, given))
    return ours == given or (not isinstance(ours, (str, bool)) and float(given) == float(ours))


def change_threshold(rng: Random, seeds: list[str]) -> str:
    """A changed threshold."""
    return change_text(
        rng, rng.choice(seeds), ("alarms", "fpr", "frames", "hour", "100km", "no", "1e400", "%", "/", "0")
    )


def read_threshold(text: str, folder: Path) -> None:
    """A threshold and a speed: understood and finite, or refused; looked up in a card."""
    from oddroad.calibration.thresholds import check_threshold, parse_speed, parse_threshold, threshold_for
    from oddroad.card import Card

    with may_be_refused():
        parse_speed(text)
    kind, value = parse_threshold(text)
    if not math.isfinite(value) or (kind in ("fpr", "alarms") and not 0 < value <= 1):
        raise Differs(f"'{text[:60]}' is taken as {kind} {value}")
    if kind == "value":
        same("a number", value, float(text))
    card = Card.from_json(json.dumps(card_values()))
    for work in (lambda: check_threshold(text, card.calibration), lambda: threshold_for(card, text)):
        with may_be_refused():
            work()


ROIS = ("road", "all", "0,1 0.4,0.5 0.6,0.5 1,1", "0,540 400,270 560,270 960,540 @540x960", "0,10 5,0 10,10 @10x20")


def change_roi(rng: Random, seeds: list[str]) -> tuple[str, bytes]:
    """A changed polygon, or a changed mask."""
    from fuzz.mutation import change_chunks_of_png

    if rng.random() < 0.7:
        return change_text(rng, rng.choice(ROIS), ("@", ",", ";", "nan", "inf", "1e308", "-0", "x")), b""
    data = rng.choice(mask_seeds())
    return "", change_chunks_of_png(rng, data) if rng.random() < 0.7 else change_bytes(rng, data)


def mask_seeds() -> list[bytes]:
    """Masks as PNG."""
    import cv2
    import numpy as np

    mask = np.zeros((20, 30), np.uint8)
    mask[10:] = 255
    return [cv2.imencode(".png", mask)[1].tobytes(), cv2.imencode(".png", np.dstack([mask] * 3))[1].tobytes()]


def read_roi(given: tuple[str, bytes], folder: Path) -> None:
    """A region of interest: something lies within, and it is what its JSON says."""
    import numpy as np

    from oddroad.roi import Roi, fixed

    text, data = given
    if data:
        path = folder / "a.png"
        path.write_bytes(data)
        text = str(path)
    elif "\0" in text or len(text) > 4000:
        text = text.replace("\0", "")[:4000]
    roi = Roi.parse(text)
    if roi.kind in ("mask", "polygon"):
        size = roi.size if roi.kind == "mask" else (200, 300)
        pixels = fixed(roi, size)
        if not pixels.any():
            raise Differs("a region of no pixel was accepted")
        values = json.loads(json.dumps({"roi": roi.values()}))
        if not np.array_equal(fixed(Roi.of(values), size), pixels):
            raise Differs("a region that its JSON does not say")


def manifest_seeds() -> list[str]:
    """Lists of logs as CSV."""
    return [
        "source,topic\ndrive.mp4,\nlog.mcap,/camera\n",
        "\ufeffpath\na.jpg\nb.mp4\n",
        'uri,x\n"a, b.mp4",1\nmissing.mp4,2\n',
    ]


def change_manifest(rng: Random, seeds: list[str]) -> bytes:
    """A changed list of logs."""
    text = change_text(rng, rng.choice(seeds), ("source", ",", '"', "\n", "\r", "drive.mp4", "*", "[", "?"))
    data = encoded(text.replace("/dev", "dev"))
    return change_bytes(rng, data) if rng.random() < 0.3 else data


def read_manifest(data: bytes, folder: Path) -> None:
    """A list of logs as 'oddroad mine' reads it; each place is found or told of."""
    from oddroad.mining.sources import find_logs

    path = folder / "a.csv"
    path.write_bytes(data)
    told: list[str] = []
    found = list(find_logs([str(path)], lambda where, why: told.append(why)))
    if not found and not told and b"\n" in data.strip():
        raise Differs("a list of places of which nothing was said")


TEXTS = {
    "results": lambda: Target(
        "results", result_seeds, change_lines, read_lines, "jsonschema with the schema of the lines"
    ),
    "sheet": lambda: Target("sheet", sheet_seeds, change_json, read_sheet),
    "json": lambda: Target("json", small_file_seeds, change_json, read_small_file),
    "card": lambda: Target(
        "card", lambda: [card_values()], change_json, read_card_text, "the card written and read again"
    ),
    "recipe": lambda: Target("recipe", recipe_seeds, change_recipe, read_recipe_file, "PyYAML: the values"),
    "threshold": lambda: Target("threshold", lambda: list(THRESHOLDS), change_threshold, read_threshold, "float()"),
    "roi": lambda: Target("roi", lambda: list(ROIS), change_roi, read_roi, "the region written and read again"),
    "manifest": lambda: Target("manifest", manifest_seeds, change_manifest, read_manifest),
}
