"""An exported detector, run by ONNX Runtime or OpenVINO: ``heat = Model()(image)``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from oddroad.card import Card
from oddroad.concurrency import available_cores
from oddroad.errors import InputError, pick
from oddroad.files import sha256_of
from oddroad.inference.board_files import ENDINGS, own_file
from oddroad.inference.common import PRECISIONS, read_head
from oddroad.inference.engines import choose_engine, every_engine
from oddroad.inference.onnx_graph import feature_names
from oddroad.models.reference import Reference, check_pin
from oddroad.models.resolve import by_name, remote_file
from oddroad.regions import InDistribution, find
from oddroad.roi import GROUND, Roi
from oddroad.types import Region

EMBEDDED = {
    "default": "oddroad-default.onnx",
    "default-fp32": "oddroad-default-fp32.onnx",
    "accurate": "oddroad-accurate.onnx",
}
"""Detectors of the package, name -> file in ``oddroad/inference/weights``: see the README there."""


def find_model(model: str | Path) -> Path:
    """The file of a detector: the one place where what ``--model`` takes is understood.

    Args:
        model: the name of an embedded detector, a path, the name of a fetched one, an address, or ``hf:org/name``; with
            ``@sha256:...`` behind it only a file of that hash is used. What was fetched before is not asked for again.

    Raises:
        InputError: if there is no such file, it is not the pinned one, or it cannot be fetched.
    """
    reference = Reference.parse(str(model))
    if reference.kind != "local":
        return remote_file(reference, licence_of)
    path = local_file(reference)
    if reference.digest:
        check_pin(reference, sha256_of(path), f"'{path}'")
    return path


def local_file(reference: Reference) -> Path:
    """The file of an embedded detector, a path, or the name of a fetched detector.

    Raises:
        InputError: if there is no such file.
    """
    name = reference.text
    if name in EMBEDDED:
        path = Path(str(resources.files("oddroad"))) / "inference" / "weights" / EMBEDDED[name]
        if not path.is_file():
            raise InputError(f"'{path.name}' is missing from this installation; pass the path of an .onnx file")
        return path
    path = Path(name)
    if path.is_dir() and (own := own_file(path)) is not None:
        return own
    if not path.is_file():
        fetched = by_name(name, reference.digest)
        if fetched is not None:
            return fetched
        what = "a folder" if path.is_dir() else "no file"
        raise InputError(
            f"model '{name}' is {what}; expected an .onnx file, one of: {', '.join(EMBEDDED)}, an address, or "
            "hf:ORG/NAME"
        )
    return path


def licence_of(path: Path) -> str:
    """The terms that a detector's card states; "" for none.

    Raises:
        InputError: if the file is no detector.
    """
    return read_head(path)[0].licence


def read_card(model: str | Path) -> Card:
    """The card of a detector.

    Raises:
        InputError: if it is not an oddroad .onnx file.
    """
    return read_head(find_model(model))[0]


class Model:
    """A detector: an RGB image in, a score map of the same size out, higher means more anomalous.

    >>> model = Model()
    >>> heat = model(np.zeros((90, 160, 3), np.uint8))
    >>> heat.shape, heat.dtype
    ((90, 160), dtype('float32'))

    Args:
        model: path of an oddroad .onnx file, "default" for the embedded detector, "default-fp32" for its float32
            version, or "accurate"; the name or address of a fetched one, see ``find_model``; or what ``oddroad export
            --for ncnn`` or ``litert`` wrote: the folder, its .param or .tflite.
        engine: "onnxruntime", "openvino"; "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino-gpu", "openvino-npu"
            where the device is there; "ncnn", "litert" for their files; or "auto".
        threads: number of threads; by default every core this process may use.
        precision: "float32", or "bfloat16" by OpenVINO where the processor has it.
        parallel: calls that may run at the same time, from as many threads of the caller, and share the threads.
            A video is done sooner with a frame for each core than with all cores on one frame; a single frame is not.

    Attributes:
        card: what the detector is.
        scores: names of its score maps, the default first.
        engine: the engine that runs it.
        precision: what it computes in, in words: "int8 and float32" for a quantised file.
        threads: that it computes with in all.
        parallel: calls that may run at the same time.

    Raises:
        InputError: if the file or the engine cannot be used.
    """

    def __init__(
        self,
        model: str | Path = "default",
        engine: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        parallel: int = 1,
    ):
        self.path = find_model(model)
        self.engine = choose_engine(engine, self.path)
        self.threads = threads or available_cores()
        self.parallel = max(min(parallel, self.threads), 1)
        pick(PRECISIONS, precision, "precision")
        self.card, self._run = every_engine()[self.engine](self.path, self.threads, precision, self.parallel)
        self.scores, self.float_precision = self.card.scores, precision
        self.precision = precision if self.card.precision == "float32" else f"{self.card.precision} and {precision}"

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs of the file: scores, those at the network's stride, and ``classes`` if exported."""
        return tuple(read_head(self.path)[1])

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def pick_score(self, score: str | None) -> str:
        """A score by name, or the default one.

        Raises:
            InputError: if the detector does not have it.
        """
        if score is None:
            return self.scores[0]
        return pick({name: name for name in self.scores}, score, f"score in {self.path.name}")

    def threshold(self, score: str | None = None) -> float:
        """The threshold of a score that the card proposes.

        Raises:
            InputError: if the card has none.
        """
        name = self.pick_score(score)
        if name not in self.card.thresholds:
            raise InputError(
                f"{self.path.name} has no threshold for score '{name}'{self.range_words(name)}; run 'oddroad calibrate "
                f"{self.path.name} --data SCENES' on scenes without an anomaly, or pass --threshold NUMBER"
            )
        return self.card.thresholds[name]

    def range_words(self, score: str) -> str:
        """Where a score lies on the picture whose scores the card keeps, in words; "" where it keeps none."""
        values = [each for row in self.card.reference.get(score, ()) for each in row]
        return (
            f", which lies between {min(values):.4g} and {max(values):.4g} on its reference picture" if values else ""
        )

    def maps(self, image: np.ndarray, scores: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Score maps (H, W) float32 of an image (H, W, 3) uint8 RGB, by name.

        Raises:
            InputError: if the image has another shape or type, or a score does not exist.
        """
        names = [self.pick_score(name) for name in scores] if scores is not None else list(self.scores)
        return self.outputs(image, names)

    def outputs(self, image: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Any outputs (H, W) of the file for an image (H, W, 3) uint8 RGB: scores, or ``classes`` (uint8).

        Raises:
            InputError: if the image has another shape or type, or an output does not exist.
        """
        found = self._run(self.checked(image, names)[None], names)
        return {name: values[0] for name, values in zip(names, found, strict=True)}

    def low_res(self, image: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Outputs (h, w) at the network's stride, where the file offers that; else (H, W).

        ``oddroad.inference.host_resize.enlarged`` makes of them, to the bit, what ``outputs`` gives.

        Raises:
            InputError: if the image has another shape or type, or an output does not exist.
        """
        found = self._run(self.checked(image, names)[None], names, low_res=True)
        return {name: values[0] for name, values in zip(names, found, strict=True)}

    def checked(self, image: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The image in one piece of memory, if it is one and the file has these outputs.

        Raises:
            InputError: if not.
        """
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            given = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"the image is {given}; expected an array (height, width, 3) of uint8 in RGB")
        if missing := [name for name in names if name not in self.output_names]:
            raise InputError(f"{self.path.name} has no output {missing[0]!r}; it has: {', '.join(self.output_names)}")
        return np.ascontiguousarray(image)

    def roi(self, wanted: Roi | None = None) -> Roi:
        """A region of interest that this detector can find; the card's where None.

        Raises:
            InputError: if it needs classes, and the file gives none or knows no road.
        """
        roi = Roi.of(self.card.calibration) if wanted is None else wanted
        if roi.kind == "road" and "classes" not in self.output_names:
            raise InputError(
                f"--roi road needs the classes of the pixels, and {self.path.name} gives none; export it again with "
                "--classes, or give a polygon or a mask"
            )
        if roi.kind == "road" and not set(GROUND) & set(self.card.classes):
            raise InputError(
                f"--roi road needs a class 'road' or 'sidewalk', and {self.path.name} knows neither; give a polygon "
                "or a mask"
            )
        return roi

    def maps_inside(
        self, image: np.ndarray, scores: Sequence[str], roi: Roi
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Score maps as ``maps``, and the pixels (H, W) bool of a region of interest; None for all of them.

        Args:
            image: (H, W, 3) uint8 RGB.
            scores: by name.
            roi: from ``roi``.

        Raises:
            InputError: as ``maps``, or if a mask has another aspect than the image.
        """
        if roi.kind != "road":
            return self.maps(image, scores), roi.inside((image.shape[0], image.shape[1]))
        found = self.outputs(image, [*(self.pick_score(name) for name in scores), "classes"])
        return found, roi.inside((image.shape[0], image.shape[1]), found.pop("classes"), self.card.classes)

    @cached_property
    def _features(self) -> dict[str, list[str]]:
        """For each score, the values inside the graph that its head reads."""
        if self.path.suffix in ENDINGS:
            raise InputError(
                f"'{self.path.name}' gives its maps alone; features come from the .onnx file it was made of"
            )
        data = self.path.read_bytes()
        return {name: feature_names(data, name) for name in self.scores}

    def with_features(
        self, image: np.ndarray, score: str | None = None, roi: Roi | None = None
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
        """The map (H, W) of a score, what its head reads, and the pixels of a region of interest.

        What the head reads are features, each (D, h, w) float32 of the whole image. One run of the network gives it
        all; the map is that of ``__call__``.

        >>> heat, features, inside = Model().with_features(np.zeros((90, 160, 3), np.uint8))
        >>> heat.shape, [each.shape for each in features], inside
        ((90, 160), [(64, 80, 160)], None)

        Args:
            image: (H, W, 3) uint8 RGB.
            score: one of the detector's scores; by default the first.
            roi: from ``roi``; None for the whole picture. Its pixels are (H, W) bool, None for all of them.

        Raises:
            InputError: if the score does not exist.
        """
        name = self.pick_score(score)
        inner = self._features[name]
        road = ["classes"] if roi is not None and roi.kind == "road" else []
        heat, *features = self._run(np.ascontiguousarray(image[None]), [name, *inner, *road])
        inside = None
        if roi is not None:
            classes = features.pop()[0] if road else None
            inside = roi.inside((image.shape[0], image.shape[1]), classes, self.card.classes)
        return heat[0], [each[0].astype(np.float32, copy=False) for each in features], inside

    def detect(
        self,
        image: np.ndarray,
        score: str | None = None,
        threshold: float | None = None,
        min_area: int | None = None,
        roi: Roi | None = None,
    ) -> list[Region]:
        """The anomalous regions of an image (H, W, 3) uint8 RGB, the largest first; what ``oddroad detect`` reports.

        >>> Model().detect(np.zeros((90, 160, 3), np.uint8))
        []

        Args:
            image: (H, W, 3) uint8 RGB.
            score: one of the detector's scores; by default the first.
            threshold: in the score's unit; by default the one of the card.
            min_area: regions of fewer pixels are left out; by default those of fewer than the card was calibrated for,
                or 1 in 10,000 of the image's pixels.
            roi: region of interest; by default the card's.

        Raises:
            InputError: if the image has another shape or type, the score does not exist, or there is no threshold.
        """
        name = self.pick_score(score)
        level = self.threshold(name) if threshold is None else threshold
        found, inside = self.maps_inside(image, [name], self.roi(roi))
        least = self.card.calibration.get("min_area") if min_area is None else min_area
        return find(found[name], level, least, InDistribution.of(self.card, name), inside)

    def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
        """The map (H, W) float32 of one score, by default the first, of an image (H, W, 3) uint8 RGB."""
        name = self.pick_score(score)
        return self.maps(image, [name])[name]
