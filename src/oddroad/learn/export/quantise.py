"""Static INT8 quantisation of an exported file, validated on pasted objects before it is saved.

Two quantisers make a file each, NNCF (with bias correction) and ONNX Runtime's (QDQ, per channel). Both are validated
on the validation set of held-out objects. Of those that cost at most MOST_COST, and whose maps are the same in both
engines, the faster one is kept. Where there is none, the layers that hurt most go back to float32 until it costs little
enough. All of it is written into the card.

Scores, normalisation and resizing always stay in float32: they are cheap, and a threshold must keep its meaning.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from oddroad.card import Card
from oddroad.errors import InputError, pick
from oddroad.inference.engines import ENGINES
from oddroad.inference.self_test import add_reference
from oddroad.learn.export.candidates import MOST_COST, Bench, Candidate
from oddroad.learn.export.graph_passes import drop_output
from oddroad.learn.export.onnx import export, write
from oddroad.learn.export.quantisers import QUANTISERS, convolutions, layers
from oddroad.learn.export.validation import SETS, check_data
from oddroad.learn.outputs import Score


def quantise(
    path: Path,
    out: Path,
    root: Path,
    by: str = "auto",
    classes: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> Card:
    """Write the INT8 form of an exported file, with the report of what it costs in its card.

    Args:
        path: a float32 oddroad file with the output ``classes``.
        out: the file to write.
        root: folder of the data sets: cityscapes_small, camvid, coco128-seg.
        by: "nncf", "onnxruntime", or "auto" for the better of the two.
        classes: keep the output ``classes``.
        say: is told in words what has been done; it takes minutes.

    Raises:
        InputError: if data are missing, no engine runs the result, or it costs too much.
    """
    names = list(QUANTISERS) if by == "auto" else [by]
    for name in names:
        pick(QUANTISERS, name, "quantiser")
    card = ENGINES["onnxruntime"](path, 1)[0]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(path, card, root, card.size or (512, 1024), Path(folder), say)
        found: list[Candidate] = []
        refused: dict[str, str] = {}
        for name in names:
            try:
                found.append(bench.candidate(name, []))
            except InputError as error:
                refused[name] = str(error)
        if not found:
            raise InputError(f"no quantised form runs: {refused}; export with --precision float32")
        bench.time(found)
        good = [each for each in found if bench.fits(each)]
        if good:
            kept = min(good, key=lambda each: each.figures["onnxruntime_ms"])
        else:
            kept = bench.within(min(found, key=bench.hope))
    report = describe(bench, kept, found, refused)
    if not classes:
        drop_output(kept.graph, "classes")
    result = replace(card, name=card.name, weight_storage="int8", precision="int8", quantisation=report)
    unfinished = out.with_name(out.name + ".partial")
    try:
        write(kept.graph, result, unfinished)
        result = add_reference(unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return result


def describe(bench: Bench, kept: Candidate, found: Sequence[Candidate], refused: Mapping[str, str]) -> dict[str, Any]:
    """What the card says of the quantisation; AP, FPR95 and mean IoU are fractions."""
    figures = ("ap", "fpr95", "miou")
    count, parts = len(convolutions(bench.model)), layers(bench.model)
    stay = sum(len(parts[each]) for each in kept.float_layers)
    return {
        "by": f"{kept.by} {version(kept.by)}",
        "chosen": "the faster in ONNX Runtime of those that cost little enough and are the same in both engines"
        if not kept.float_layers
        else f"the truer, its worst parts in float32 until it cost at most {MOST_COST} of AP and of mean IoU",
        "calibration": f"{len(bench.images)} training scenes of {' and '.join(SETS)}, half with pasted objects",
        "layers": f"{count - stay} of {count} convolutions in INT8",
        "float_layers": kept.float_layers,
        "validation": f"{len(bench.scenes)} scenes with held-out objects at {bench.size[0]} x {bench.size[1]}",
        "score": bench.card.scores[0],
        "float32": {key: round(bench.float_figures[key], 4) for key in figures},
        "int8": {key: round(kept.figures[key], 4) for key in figures},
        "change": {key: round(kept.figures[key] - bench.float_figures[key], 4) for key in figures},
        "engine_deviation": kept.figures["engine_deviation"],
        "candidates": {each.by: {key: round(value, 4) for key, value in each.figures.items()} for each in found},
        "refused": dict(refused),
    }


def export_int8(
    network: nn.Module,
    about: Mapping[str, Any],
    scores: Sequence[str] | Mapping[str, Score],
    out: Path,
    root: Path,
    by: str = "auto",
    classes: bool = False,
    say: Callable[[str], None] = lambda words: None,
    **options: Any,
) -> Card:
    """Export a network in float32 and quantise it.

    Args:
        network: (N, 3, H, W) float32 normalised -> Outputs.
        about: metadata of its checkpoint, as for ``export``.
        scores: names in SCORES, or names with functions or fitted modules; the first is the one that is validated.
        out: the file to write.
        root: folder of the data sets: cityscapes_small, camvid, coco128-seg.
        by: "nncf", "onnxruntime", or "auto" for the better of the two.
        classes: keep the output ``classes``.
        say: is told in words what has been done; it takes minutes.
        options: of ``export``: ``size``, ``upsample``, ``temperature``, ``name``, ``card``.

    Returns:
        the card in the file.

    Raises:
        InputError: as ``export`` and ``quantise``.
    """
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    check_data(root)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        options["name"] = options.get("name") or out.stem
        export(network, about, scores, path, weight_storage="float32", classes=True, **options)
        return quantise(path, out, root, by, classes, say)
