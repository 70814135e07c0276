"""Static INT8 quantisation of an exported file, validated on pasted objects before it is saved.

Two quantisers make files, NNCF (with bias correction) and ONNX Runtime's (QDQ, per channel), each of several forms of
the same network: rewritten so that INT8 rounds otherwise and float32 not at all, and with ranges of other frames. All
are validated on held-out objects: pasted on small scenes, on sharp ones, and far away. Of each quantiser the truest is
taken; of these, of those that cost at most MOST_COST and whose maps are the same in both engines, the faster one is
kept. Where there is none, the layers that hurt most go back to float32 until it costs little enough. All of it is
written into the card, with the spread over the forms: what another rounding of the same weights would have given.

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
from oddroad.files import written_whole
from oddroad.inference.engines import ENGINES
from oddroad.inference.self_test import add_reference
from oddroad.learn.export.candidates import MOST_COST, Bench, Candidate
from oddroad.learn.export.graph_passes import drop_output
from oddroad.learn.export.onnx import export, write
from oddroad.learn.export.quantisers import QUANTISERS, convolutions, layers
from oddroad.learn.export.validation import SETS, SHARP, check_data
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
            for form in bench.forms(name):
                try:
                    found.append(bench.candidate(name, form, []))
                except InputError as error:
                    refused[f"{name}, {form}"] = str(error)
        if not found:
            raise InputError(f"no quantised form runs: {refused}; export with --precision float32")
        finalists = [bench.best([each for each in found if each.by == name]) for name in {each.by: 0 for each in found}]
        bench.time(finalists)
        good = [each for each in finalists if bench.fits(each)]
        if good:
            kept = min(good, key=lambda each: each.figures["onnxruntime_ms"])
        else:
            kept = bench.within(min(finalists, key=bench.hope))
    report = describe(bench, kept, found, refused)
    if not classes:
        drop_output(kept.graph, "classes")
    result = replace(card, name=card.name, weight_storage="int8", precision="int8", quantisation=report)
    with written_whole(out, "detector") as unfinished:
        write(kept.graph, result, unfinished)
        result = add_reference(unfinished)
    return result


def describe(bench: Bench, kept: Candidate, found: Sequence[Candidate], refused: Mapping[str, str]) -> dict[str, Any]:
    """What the card says of the quantisation; AP, FPR95 and mean IoU are fractions."""
    figures = ("ap", "fpr95", "miou", *(f"ap {name}" for name in bench.sets))
    count, parts = len(convolutions(bench.model)), layers(bench.model)
    stay = sum(len(parts[each]) for each in kept.float_layers)
    forms = [each for each in found if each.by == kept.by]
    return {
        "by": f"{kept.by} {version(kept.by)}",
        "form": str(kept.form),
        "chosen": "of each quantiser the form with the highest AP (of those as good, the one nearest to float32), of "
        "these the faster in ONNX Runtime of those that cost little enough and are the same in both engines"
        if not kept.float_layers
        else f"the truer, its worst parts in float32 until it cost at most {MOST_COST} of AP and of mean IoU",
        "calibration": f"{len(bench.images)} training scenes of {' and '.join(SETS)}, half with pasted objects"
        + (f"; half of them of {SHARP}" if kept.form.frames != "scenes" else ""),
        "layers": f"{count - stay} of {count} convolutions in INT8",
        "float_layers": kept.float_layers,
        "validation": ", ".join(f"{name} ({len(scenes)})" for name, scenes in bench.sets.items())
        + " scenes with held-out objects; AP and FPR95 are means over these sets",
        "score": bench.card.scores[0],
        "float32": {key: round(bench.float_figures[key], 4) for key in figures},
        "int8": {key: round(kept.figures[key], 4) for key in figures},
        "change": {key: round(kept.figures[key] - bench.float_figures[key], 4) for key in figures},
        "spread": {key: spread([each.figures[key] for each in forms]) for key in (*figures, *DISTANCES)}
        | {"forms": len(forms)},
        **{key: round(kept.figures[key], 4) for key in DISTANCES},
        "pictures": len(bench.pictures),
        "candidates": {
            f"{each.by}, {each.form}": {key: round(value, 4) for key, value in each.figures.items()} for each in found
        },
        "refused": dict(refused),
    }


DISTANCES = ("deviation", "deviation_worst", "classes_changed", "engine_deviation", "engine_deviation_worst")
"""How far maps of real pictures are apart, over their standard deviation: from float32, one engine from another."""


def spread(values: Sequence[float]) -> list[float]:
    """The smallest and the largest."""
    return [round(min(values), 4), round(max(values), 4)]


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
