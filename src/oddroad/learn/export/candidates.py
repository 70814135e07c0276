"""Quantised forms of one file, made, validated and timed against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from oddroad.benchmarking.end_to_end import in_own_process
from oddroad.card import Card
from oddroad.concurrency import available_cores
from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES
from oddroad.learn.export.graph_passes import deduplicate_weights, fold_mean_into_padding, give_each_its_weights
from oddroad.learn.export.onnx import write
from oddroad.learn.export.qdq_checks import check
from oddroad.learn.export.qdq_passes import back_to_float, make_fast
from oddroad.learn.export.qdq_repairs import repair
from oddroad.learn.export.quantisers import QUANTISERS, Graph, layers, outside
from oddroad.learn.export.rewritings import REWRITINGS, rewrite
from oddroad.learn.export.trials import Trial
from oddroad.learn.export.validation import (
    CALIBRATION_FRAMES,
    RANKING_FRAMES,
    Difference,
    calibration_sets,
    maps,
    pictures,
    validate,
    validation_sets,
)

MOST_COST = 0.005
"""AP or mean IoU, as a fraction, that quantisation may cost before layers are left in float32."""

TIE = 0.001
"""AP, as a fraction, below which two forms are as good: the one whose maps are nearer to float32's is taken."""

ENGINES_APART, AT_LEAST = 2.0, 0.1
"""How far the engines' maps of a file may be apart on real pictures: this many times as far as INT8 is from float32
there, and at least so much of their standard deviation. Both come of the same rounding; an engine that computes
something else is further off."""


@dataclass(frozen=True)
class Form:
    """One way to quantise the same network.

    Attributes:
        rewriting: key in REWRITINGS.
        averaged: ranges are those of each frame on average, not of all frames.
        frames: key of the calibration frames.
    """

    rewriting: str = "as exported"
    averaged: bool = False
    frames: str = "scenes"

    def __str__(self) -> str:
        ranges = "averaged ranges" if self.averaged else "largest ranges"
        return f"{self.rewriting}, {ranges} of {self.frames}"


FORMS: dict[str, tuple[Form, ...]] = {
    "nncf": (Form(averaged=True),),  # each takes minutes
    "onnxruntime": (
        Form(),
        Form(averaged=True),
        Form("half evened"),
        Form("half evened", averaged=True),
        Form("half evened", averaged=True, frames="scenes and sharp"),
        Form("by lot", averaged=True),
    ),
}
"""What is tried of each quantiser; the first is what it does by itself."""


def in_words(figures: Mapping[str, Any]) -> str:
    """AP, FPR95, mean IoU and how far maps are from others, as far as they are known."""
    words = {"ap": "AP", "fpr95": "FPR95", "miou": "mean IoU"}
    text = ", ".join(f"{title} {100 * figures[key]:.1f}" for key, title in words.items())
    for key, title in (("deviation", "off float32 by"), ("engine_deviation", "engines apart by")):
        text += f", {title} {figures[key]:.3f}" if key in figures else ""
    return text


@dataclass
class Candidate:
    """A quantised graph and what became of it.

    Attributes:
        by: key in QUANTISERS.
        form: how it was quantised.
        graph: the graph.
        float_layers: parts of the network that stay in float32.
        figures: AP, FPR95, mean IoU, distances from float32 and between engines; milliseconds.
    """

    by: str
    form: Form
    path: Path
    graph: Graph
    float_layers: list[str]
    figures: dict[str, Any]


class Bench:
    """Makes and validates quantised graphs of one float file.

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
        give_each_its_weights(self.model)
        fold_mean_into_padding(self.model, size)
        self.frames = calibration_sets(root, CALIBRATION_FRAMES, size)
        self.images = self.frames["scenes"]
        self.sets = validation_sets(root, size)
        self.pictures = pictures(self.sets)
        np.savez(folder / "pictures.npz", *self.pictures)
        self.float_figures = validate(path, card, self.sets)
        self.float_maps = maps(path, card, self.pictures)
        self.say(f"float32 on {', '.join(self.sets)}: {in_words(self.float_figures)}")
        self.rewritten: dict[str, Graph] = {"as exported": self.model}
        self.quantised: dict[tuple[str, Form], Graph] = {}

    def forms(self, by: str) -> list[Form]:
        """What is tried of a quantiser with the data that are there, each once."""
        return [form for form in FORMS[by] if form.frames in self.frames]

    def original(self, rewriting: str) -> Graph:
        """The float graph, rewritten."""
        exponents = REWRITINGS[rewriting]
        if rewriting not in self.rewritten and exponents is not None:
            self.rewritten[rewriting] = rewrite(self.model, exponents, self.images[: 2 * RANKING_FRAMES])
        return self.rewritten[rewriting]

    def graph(self, by: str, form: Form, float_layers: Sequence[str]) -> Graph:
        """The graph of a form, which is quantised once, with some parts of the network back in float32."""
        original = self.original(form.rewriting)
        if (by, form) not in self.quantised:
            made = QUANTISERS[by](original, self.frames[form.frames], outside(original), form.averaged)
            self.quantised[by, form] = repair(made, original)
        parts = layers(self.model)
        named = [node for each in float_layers for node in parts[each]]
        graph = back_to_float(self.quantised[by, form], original, named)
        make_fast(graph)
        deduplicate_weights(graph)
        check(graph, original)
        return graph

    def candidate(self, by: str, form: Form, float_layers: Sequence[str]) -> Candidate:
        """Quantise and validate.

        Raises:
            InputError: if an engine cannot run the file.
        """
        graph = self.graph(by, form, float_layers)
        path = self.folder / f"{by} {form}.onnx"
        write(graph, replace(self.card, precision="int8"), path)
        try:
            apart = in_own_process("oddroad.learn.export.trials:try_engines", self.trial([path]))[str(path)]
        except RuntimeError as error:
            raise InputError(f"an engine crashes on it ({str(error).splitlines()[0][:120]})") from None
        off = Difference.of(maps(path, self.card, self.pictures), self.float_maps)
        figures = validate(path, self.card, self.sets) | {
            "deviation": off.deviation,
            "deviation_worst": off.worst,
            "classes_changed": off.classes,
            "engine_deviation": float(np.mean(apart)),
            "engine_deviation_worst": float(np.max(apart)),
        }
        self.say(f"{by}, {form}: {in_words(figures)}, float32 in {', '.join(float_layers) or 'no part'}")
        return Candidate(by, form, path, graph, list(float_layers), figures)

    def trial(self, paths: Sequence[Path]) -> Trial:
        """Files to be run on the pictures in a process of their own."""
        return Trial(tuple(map(str, paths)), str(self.folder / "pictures.npz"), available_cores())

    def best(self, candidates: Sequence[Candidate]) -> Candidate:
        """The one of highest AP; of those within TIE of it, the one whose maps are nearest to float32's.

        What is above float32's AP is luck and does not count. One on which the engines agree goes before all on which
        they do not.
        """
        able = [each for each in candidates if self.engines_agree(each)] or list(candidates)
        top = min(max(each.figures["ap"] for each in able), self.float_figures["ap"])
        return min(
            (each for each in able if each.figures["ap"] >= top - TIE), key=lambda each: each.figures["deviation"]
        )

    def cost(self, candidate: Candidate) -> float:
        """AP or mean IoU that it loses, whichever is more, as a fraction."""
        return max(self.float_figures[key] - candidate.figures[key] for key in ("ap", "miou"))

    def engines_agree(self, candidate: Candidate) -> bool:
        """Whether the engines' maps of it are as near to each other as rounding explains."""
        figures = candidate.figures
        return figures["engine_deviation"] <= max(ENGINES_APART * figures["deviation"], AT_LEAST)

    def fits(self, candidate: Candidate) -> bool:
        """Whether it costs little enough and both engines agree on it."""
        return self.cost(candidate) <= MOST_COST and self.engines_agree(candidate)

    def hope(self, candidate: Candidate) -> tuple[bool, float]:
        """The smaller, the likelier float parts help: they win back AP, but engines that differ go on differing."""
        return not self.engines_agree(candidate), self.cost(candidate)

    def time(self, candidates: Sequence[Candidate]) -> None:
        """Note the milliseconds of the candidates, timed against each other."""
        found = in_own_process("oddroad.learn.export.trials:race", self.trial([each.path for each in candidates]))
        for each in candidates:
            each.figures |= found[str(each.path)]

    def worst_layers(self, by: str, form: Form) -> list[str]:
        """The network's parts, first the one whose quantisation alone moves the first score most."""
        run = self.runner(self.model)
        images = self.images[:RANKING_FRAMES]
        expected = [run(image) for image in images]
        harm: dict[str, float] = {}
        parts = layers(self.model)
        for part in parts:
            alone = self.runner(self.graph(by, form, [other for other in parts if other != part]))
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
        order = self.worst_layers(candidate.by, candidate.form)
        count = 0
        for count in [each for each in (1, 2, 4, 6) if each <= len(order) // 2]:
            candidate = self.candidate(candidate.by, candidate.form, order[:count])
            if self.fits(candidate):
                return candidate
        figures = candidate.figures
        raise InputError(
            f"in INT8 it loses {100 * self.cost(candidate):.2f} points of AP or mean IoU and its maps in both engines "
            f"are {figures['engine_deviation']:.3f} apart ({figures['deviation']:.3f} off float32), even with "
            f"{', '.join(order[:count]) or 'nothing'} in float32; {100 * MOST_COST} points are allowed, and "
            f"{ENGINES_APART:g} times the distance from float32 or {AT_LEAST}; export with --precision float32"
        )
