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
from oddroad.learn.export.graph_passes import deduplicate_weights, fold_mean_into_padding
from oddroad.learn.export.onnx import write
from oddroad.learn.export.qdq_passes import back_to_float, make_fast
from oddroad.learn.export.quantisers import QUANTISERS, Graph, layers, outside
from oddroad.learn.export.trials import Trial
from oddroad.learn.export.validation import (
    CALIBRATION_FRAMES,
    RANKING_FRAMES,
    calibration_images,
    validate,
    validation_scenes,
)

MOST_COST = 0.005
"""AP or mean IoU, as a fraction, that quantisation may cost before layers are left in float32."""


MAX_DEVIATION = 0.25
"""Mean difference of the two engines' maps of a file, over their standard deviation, from which on another is taken."""


def in_words(figures: Mapping[str, float]) -> str:
    """AP, FPR95, mean IoU and the cross-engine deviation, as far as they are known."""
    words = {"ap": "AP", "fpr95": "FPR95", "miou": "mean IoU"}
    text = ", ".join(f"{title} {100 * figures[key]:.1f}" for key, title in words.items())
    return text + (
        f", cross-engine deviation {figures['engine_deviation']:.3f}" if "engine_deviation" in figures else ""
    )


@dataclass
class Candidate:
    """A quantised graph and what became of it.

    Attributes:
        by: key in QUANTISERS.
        graph: the graph.
        float_layers: parts of the network that stay in float32.
        figures: AP, FPR95, mean IoU, cross-engine deviation; milliseconds.
    """

    by: str
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
        fold_mean_into_padding(self.model, size)
        self.images = calibration_images(root, CALIBRATION_FRAMES, size)
        self.scenes = validation_scenes(root, size)
        self.float_figures = validate(path, card, self.scenes)
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
        """Quantise and validate.

        Raises:
            InputError: if an engine cannot run the file.
        """
        graph = self.graph(by, float_layers)
        path = self.folder / f"{by}.onnx"
        write(graph, replace(self.card, precision="int8"), path)
        try:
            trial = Trial((str(path),), self.size, available_cores())
            deviation = in_own_process("oddroad.learn.export.trials:try_engines", trial)[str(path)]
        except RuntimeError as error:
            raise InputError(f"an engine crashes on it ({str(error).splitlines()[0][:120]})") from None
        figures = validate(path, self.card, self.scenes) | {"engine_deviation": deviation}
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
        found = in_own_process("oddroad.learn.export.trials:race", trial)
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
            f"in INT8 it loses {100 * self.cost(candidate):.2f} points of AP or mean IoU and has a cross-engine "
            f"deviation of {candidate.figures['engine_deviation']}, even with "
            f"{', '.join(order[:count]) or 'nothing'} in float32; {100 * MOST_COST} points and "
            f"{MAX_DEVIATION} are allowed; export with --precision float32"
        )
