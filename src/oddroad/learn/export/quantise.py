"""Static INT8 quantisation of an exported file, validated on pasted objects before it is saved.

Two quantisers make a file each, NNCF (with bias correction) and ONNX Runtime's (QDQ, per channel). Both are judged
on the validation set of held-out objects. Of those that cost at most MOST_COST, and whose maps are the same in both
engines, the faster one is kept. Where there is none, the layers that hurt most go back to float32 until it costs little
enough. All of it is written into the card.

Scores, normalisation and resizing always stay in float32: they are cheap, and a threshold must keep its meaning.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from oddroad.benchmarking.end_to_end import in_own_process
from oddroad.card import Card
from oddroad.concurrency import available_cores
from oddroad.errors import InputError, pick
from oddroad.inference.engines import ENGINES
from oddroad.inference.self_test import add_reference
from oddroad.learn.data.cutouts import HELD_OUT, coco_objects
from oddroad.learn.data.pasting import draw, with_objects
from oddroad.learn.data.scenes import read_scenes
from oddroad.learn.data.validation import Validation
from oddroad.learn.export.graph_passes import deduplicate_weights, drop_output, fold_mean_into_padding
from oddroad.learn.export.onnx import export, scene, write
from oddroad.learn.export.qdq_passes import back_to_float, make_fast
from oddroad.learn.export.quantisers import QUANTISERS, Graph, convolutions, layers, outside
from oddroad.learn.outputs import Score
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

MOST_COST = 0.005
"""AP or mean IoU, as a fraction, that quantisation may cost before layers are left in float32."""


MAX_DEVIATION = 0.25
"""Mean difference of the two engines' maps of a file, over their standard deviation, from which on another is taken."""


SETS, OBJECTS = ("cityscapes_small", "camvid"), "coco128-seg"
"""Scenes and objects below the data folder: their training split to calibrate, their validation split to judge."""


WARM_UP, TURNS = 3, 15
"""Calls of each file that do not count, and that count, where files are timed against each other."""


CALIBRATION_FRAMES, JUDGED_SCENES, RANKING_FRAMES = 32, 50, 4
"""Frames that ranges are taken from; scenes of each set to judge on; frames to see on which layers hurt most."""


def calibration_images(root: Path, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Training scenes (1, H, W, 3) uint8, every second one with pasted objects of training; fixed, from a seed."""
    import cv2

    rng = np.random.default_rng(2027)
    scenes = read_scenes(root, SETS, "train", -(-count // len(SETS)))[:count]
    odd = [each for each in coco_objects(root / OBJECTS) if each.label == OUTLIER and each.kind not in HELD_OUT]
    found: list[np.ndarray] = []
    for number, each in enumerate(scenes):
        image, _ = with_objects(each, [draw(odd, rng) for _ in range(number % 2)], 0.8, rng)
        found.append(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)[None])
    return found


Judged = list[tuple[np.ndarray, np.ndarray]]
"""Images (1, H, W, 3) uint8 with labels (H, W) int64."""


def judged_scenes(root: Path, size: tuple[int, int]) -> Judged:
    """The validation scenes with held-out objects that files are judged on."""
    validation = Validation(root, OBJECTS, JUDGED_SCENES, size)
    pairs = (validation[index] for index in range(len(validation)))
    return [(np.ascontiguousarray(image.permute(1, 2, 0).numpy()[None]), label.numpy()) for image, label in pairs]


def judge(path: Path, card: Card, scenes: Judged) -> dict[str, float]:
    """AP and FPR95 of the card's first score and mean IoU, as fractions, by ONNX Runtime."""
    run = ENGINES["onnxruntime"](path, available_cores())[1]
    metric, classes = PixelMetric(), SemanticMetric(len(card.classes))
    for index, (image, truth) in enumerate(scenes):
        heat, likely = run(image, [card.scores[0], "classes"])
        odd = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        metric.add(heat[0], odd, f"validation {index}")
        classes.add(likely[0], np.where(truth < len(card.classes), truth, IGNORE).astype(np.uint8))
    figures = metric.result()
    return {"ap": figures["ap"], "fpr95": figures["fpr95"], "miou": classes.result()["miou"]}


@dataclass(frozen=True)
class Trial:
    """Files to be run in a process of their own, as an engine may crash on a graph that it should refuse.

    Attributes:
        paths: the files.
        size: (H, W) of the image.
        threads: number of threads.
    """

    paths: tuple[str, ...]
    size: tuple[int, int]
    threads: int


def try_engines(trial: Trial) -> dict[str, Any]:
    """How far the maps of each file's first score lie apart in the engines: mean difference over standard deviation.

    Raises:
        InputError: if a map holds values that are no numbers.
    """
    found: dict[str, Any] = {}
    image = scene(*trial.size, 0)
    for path in trial.paths:
        maps: list[np.ndarray] = []
        for engine, make in ENGINES.items():
            card, run = make(Path(path), trial.threads)
            maps.append(run(image, [card.scores[0]])[0])
            if not np.isfinite(maps[-1]).all():
                raise InputError(f"{engine} gives values that are no numbers")
        found[path] = round(float(np.abs(maps[0] - maps[1]).mean() / max(maps[0].std(), 1e-12)), 4)
    return found


def race(trial: Trial) -> dict[str, Any]:
    """Median milliseconds of each file's first score in each engine; the files take turns, call by call."""
    image = scene(*trial.size, 0)
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    for path in trial.paths:
        for engine, make in ENGINES.items():
            card, run = make(Path(path), trial.threads)
            runs[path, engine] = partial(run, image, [card.scores[0]])
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for turn in range(WARM_UP + TURNS):
        for key, call in runs.items():
            began = time.perf_counter()
            call()
            if turn >= WARM_UP:
                spent[key].append((time.perf_counter() - began) * 1e3)
    return {
        path: {f"{engine}_ms": round(float(np.median(spent[path, engine])), 2) for engine in ENGINES}
        for path in trial.paths
    }


def in_words(figures: Mapping[str, float]) -> str:
    """AP, FPR95, mean IoU and how far the engines lie apart, as far as they are known."""
    words = {"ap": "AP", "fpr95": "FPR95", "miou": "mean IoU"}
    text = ", ".join(f"{title} {100 * figures[key]:.1f}" for key, title in words.items())
    return text + (f", engines {figures['engine_deviation']:.3f} apart" if "engine_deviation" in figures else "")


@dataclass
class Candidate:
    """A quantised graph and what became of it.

    Attributes:
        by: key in QUANTISERS.
        graph: the graph.
        float_layers: parts of the network that stay in float32.
        figures: AP, FPR95, mean IoU, how far the engines lie apart; milliseconds.
    """

    by: str
    path: Path
    graph: Graph
    float_layers: list[str]
    figures: dict[str, Any]


class Bench:
    """Makes and judges quantised graphs of one float file.

    Args:
        path: an exported float32 file with the output ``classes``.
        card: its card.
        root: folder of the data sets.
        size: (H, W) of the frames.
        folder: for files on the way.
        say: is told in words what has been done.
    """

    def __init__(
        self, path: Path, card: Card, root: Path, size: tuple[int, int], folder: Path, say: Callable[[str], None]
    ):
        self.model, self.card, self.size, self.folder, self.say = onnx.load(path), card, size, folder, say
        fold_mean_into_padding(self.model, size)
        self.images = calibration_images(root, CALIBRATION_FRAMES, size)
        self.scenes = judged_scenes(root, size)
        self.float_figures = judge(path, card, self.scenes)
        self.say(f"float32: {in_words(self.float_figures)}")
        self.quantised: dict[str, Graph] = {}

    def graph(self, by: str, float_layers: Sequence[str]) -> Graph:
        """The graph by a quantiser, which works once, with some parts of the network back in float32."""
        if by not in self.quantised:
            self.quantised[by] = QUANTISERS[by](self.model, self.images, outside(self.model))
            self.say(f"{by}: quantised with {len(self.images)} frames")
        parts = layers(self.model)
        graph = back_to_float(self.quantised[by], self.model, [node for each in float_layers for node in parts[each]])
        make_fast(graph)
        deduplicate_weights(graph)
        return graph

    def candidate(self, by: str, float_layers: Sequence[str]) -> Candidate:
        """Quantise and judge.

        Raises:
            InputError: if an engine cannot run the file.
        """
        graph = self.graph(by, float_layers)
        path = self.folder / f"{by}.onnx"
        write(graph, replace(self.card, precision="int8"), path)
        try:
            trial = Trial((str(path),), self.size, available_cores())
            apart = in_own_process("oddroad.learn.export.quantise:try_engines", trial)[str(path)]
        except RuntimeError as error:
            raise InputError(f"an engine crashes on it ({str(error).splitlines()[0][:120]})") from None
        figures = judge(path, self.card, self.scenes) | {"engine_deviation": apart}
        self.say(f"{by}: {in_words(figures)}, float32 in {', '.join(float_layers) or 'no part'}")
        return Candidate(by, path, graph, list(float_layers), figures)

    def cost(self, candidate: Candidate) -> float:
        """AP or mean IoU that it loses, whichever is more, as a fraction."""
        return max(self.float_figures[key] - candidate.figures[key] for key in ("ap", "miou"))

    def fits(self, candidate: Candidate) -> bool:
        """Whether it costs little enough and both engines agree on it."""
        return self.cost(candidate) <= MOST_COST and candidate.figures["engine_deviation"] <= MAX_DEVIATION

    def hope(self, candidate: Candidate) -> tuple[bool, float]:
        """The smaller, the likelier float parts help: they win back AP, but engines that differ go on differing."""
        return candidate.figures["engine_deviation"] > MAX_DEVIATION, self.cost(candidate)

    def time(self, candidates: Sequence[Candidate]) -> None:
        """Note the milliseconds of the candidates, timed against each other."""
        trial = Trial(tuple(str(each.path) for each in candidates), self.size, available_cores())
        found = in_own_process("oddroad.learn.export.quantise:race", trial)
        for each in candidates:
            each.figures |= found[str(each.path)]

    def worst_layers(self, by: str) -> list[str]:
        """The network's parts, first the one whose quantisation alone moves the first score most."""
        run = self.runner(self.model)
        images = self.images[:RANKING_FRAMES]
        expected = [run(image) for image in images]
        harm: dict[str, float] = {}
        parts = layers(self.model)
        for part in parts:
            alone = self.runner(self.graph(by, [other for other in parts if other != part]))
            off = [np.abs(alone(image) - wanted).mean() for image, wanted in zip(images, expected, strict=True)]
            harm[part] = float(np.mean(off))
            self.say(f"{by}: {part} alone in INT8 moves the score by {harm[part]:.3g}")
        return sorted(harm, key=lambda part: -harm[part])

    def runner(self, graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
        """A function from an image to the first score."""
        path = self.folder / "runner.onnx"
        write(graph, self.card, path)
        run = ENGINES["onnxruntime"](path, available_cores())[1]
        return lambda image: run(image, [self.card.scores[0]])[0]

    def within(self, candidate: Candidate) -> Candidate:
        """The candidate, or one with as many parts of the network in float32 as it takes to cost little enough.

        Raises:
            InputError: if that takes more than half of its parts.
        """
        if self.fits(candidate):
            return candidate
        order = self.worst_layers(candidate.by)
        count = 0
        for count in [each for each in (1, 2, 4, 6) if each <= len(order) // 2]:
            candidate = self.candidate(candidate.by, order[:count])
            if self.fits(candidate):
                return candidate
        raise InputError(
            f"in INT8 it loses {100 * self.cost(candidate):.2f} points of AP or mean IoU, the engines' maps lie "
            f"{candidate.figures['engine_deviation']} apart, even with {', '.join(order[:count]) or 'nothing'} in "
            f"float32, and {100 * MOST_COST} are allowed; export without --int8, or use --precision bfloat16"
        )


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
            raise InputError(f"no quantised form runs: {refused}; export without --int8")
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
    """Export a network and quantise it; ``options`` are those of ``export``, the others those of ``quantise``.

    Raises:
        InputError: as ``export`` and ``quantise``.
    """
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        options["name"] = options.get("name") or out.stem
        export(network, about, scores, path, weight_storage="float32", classes=True, **options)
        return quantise(path, out, root, by, classes, say)
