"""Judges the networks of the comparison by the native protocol: all methods of a network from one pass over the images.

Used by comparison.py. Networks see images at 256x512; maps are enlarged (bilinear) to the labels at their own size,
frames without an anomaly are left out, and all pixels of a set are pooled. Pixel figures come from a first pass over
the maps; components from a second one at the threshold of the best F1, as SegmentMeIfYouCan has it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from comparison_meta import MetaClassifier
from loss_study import SCENES, Remembered
from torch import Tensor, nn

from oddroad.datasets import DATASETS, completeness, read_image, read_label
from oddroad.files import sha256_of
from oddroad.io.images import resize_area, resize_nearest
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Detector
from oddroad.learn.networks.wrapped import Ensemble, McDropout, Odin
from oddroad.learn.outputs import Outputs
from oddroad.learn.post_hoc import LogitSample, bare_detector
from oddroad.learn.scores import FITTED, SCORES
from oddroad.learn.tensor_ops import resize
from oddroad.metrics import ComponentMetric, PixelMetric, SemanticMetric
from oddroad.recipe import Outliers
from oddroad.types import ANOMALY, OUTLIER

SIZE = (256, 512)
SETS = ("road_anomaly", "road_obstacle21", "fishyscapes_lost_and_found")
SAMPLES = 4
"""Passes of MC dropout."""

METHODS: dict[str, dict[str, str]] = {
    "closed": {
        "Max Softmax": "msp", "Max Logit": "max_logit", "Entropy": "entropy", "Energy": "energy",
        "Max Softmax, T fitted": "msp fitted", "SML": "sml", "Mahalanobis": "mahalanobis",
        "Embedding density": "embedding_density", "ODIN": "odin", "MC Dropout": "dropout",
    },
    "void": {"Void Classifier": "void"},
    "isomax": {"IsoMax+, entropy": "entropy", "IsoMax+, minimum distance": "min_distance"},
    "logit_norm": {"LogitNorm, max softmax": "msp", "LogitNorm, max logit": "max_logit"},
    "gambler": {"Deep Gambler": "gambler"},
    "dense_hybrid": {"Dense Hybrid": "dense_hybrid"},
    "pebal": {"PEBAL": "pebal"},
    "maximised_entropy": {"Maximized Entropy": "entropy", "Maximized Entropy, meta classifier": "meta"},
    "ensemble": {"Ensemble": "mutual_information", "Ensemble, entropy": "entropy"},
}  # fmt: skip
"""Network -> method -> score; "odin" and "dropout" wrap the network, "meta" judges the segments of the entropy's map,
and the fitted scores are fitted on scenes."""


@dataclass
class Images:
    """What all networks are judged on, decoded once.

    Attributes:
        frames: data set -> name, image at SIZE, label at its own size, of every frame with an anomaly.
        scenes: validation scenes at SIZE with labels, for mean IoU and the temperature.
        fits: training scenes at SIZE with labels, for the fitted scores.
        pasted: validation scenes at SIZE with pasted objects of held-out classes, and where these are.
    """

    frames: dict[str, list[tuple[str, np.ndarray, np.ndarray]]]
    scenes: list[tuple[np.ndarray, np.ndarray]]
    fits: list[tuple[np.ndarray, np.ndarray]]
    pasted: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def read(cls, root: Path, sets: Sequence[str], images: int, scenes: int, fits: int) -> Images:
        """At most so many images of each set (0: all), validation scenes and training scenes."""
        frames: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {}
        for name in sets:
            found = []
            for sample in DATASETS[name].load(root, DATASETS[name].split):
                label = read_label(sample)
                if (label == ANOMALY).any():
                    found.append((sample.name, resize_area(read_image(sample), SIZE), label))
                if len(found) == images > 0:
                    break
            frames[name] = found
        pasted = []
        for image, label in Validation(root, Outliers().validation, scenes, SIZE, sets=(SCENES,)):
            pasted.append((image.permute(1, 2, 0).contiguous().numpy(), label.numpy() == OUTLIER))
        return cls(frames, labelled(root, "val", scenes), labelled(root, "train", fits), pasted)


def labelled(root: Path, split: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scenes of closed-set classes with labels at SIZE, evenly spread over a split."""
    samples = DATASETS[SCENES].load(root, split)
    chosen = [samples[at] for at in np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)]
    return [(resize_area(read_image(each), SIZE), resize_nearest(read_label(each), SIZE)) for each in chosen]


def batch(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (1, H, W, 3)."""
    return torch.from_numpy(image)[None]


class Judge:
    """One network and its methods.

    Args:
        name: key in METHODS.
        paths: checkpoint, or those of an ensemble.
        images: what it is judged on.
        kept: features of frozen encoders that all networks share.
    """

    def __init__(self, name: str, paths: Sequence[Path], images: Images, kept: dict[Any, Tensor]):
        self.name, self.paths, self.images = name, paths, images
        loaded = [load_network(path) for path in paths]
        self.about = loaded[0][1]
        self.known = len(self.about["classes"])
        self.encoders: list[Remembered] = []
        self.bare = [network.to(memory_format=torch.channels_last) for network, _ in loaded]  # pyright: ignore
        quick = [load_network(path)[0].to(memory_format=torch.channels_last) for path in paths]  # pyright: ignore
        for network in quick:
            if self.about["network"] == "erfnet":
                network.encoder = Remembered(network.encoder, kept)  # pyright: ignore
                self.encoders.append(network.encoder)  # pyright: ignore
        for network in (*self.bare, *quick):
            if getattr(network, "isomax", None) is not None:
                network.isomax.train()  # the quicker of its two ways, which give the same  # pyright: ignore
        self.detector = self.around(self.together(quick))
        self.temperature = 1.0
        self.fitted: dict[str, Any] = {}
        self.meta: MetaClassifier | None = None

    def together(self, networks: Sequence[nn.Module]) -> nn.Module:
        """The network, or the ensemble of several."""
        return networks[0] if len(networks) == 1 else Ensemble(networks, self.known).eval()

    def around(self, network: nn.Module) -> Detector:
        """A detector without scores."""
        return bare_detector(network, self.about, SIZE)

    def look(self, place: tuple[str, int], image: np.ndarray) -> Outputs:
        """Outputs for an image, the encoder's features from memory where it was seen before."""
        for each in self.encoders:
            each.image = place
        return self.detector.outputs(batch(image))

    def fit(self) -> dict[str, float]:
        """Fit temperature and scores; the mean IoU of the validation scenes."""
        semantic, sample = SemanticMetric(self.known), LogitSample()
        for number, (image, label) in enumerate(self.images.scenes):
            outputs = self.look(("val", number), image)
            sample.add(outputs, torch.from_numpy(label.astype(np.int64))[None])
            semantic.add(resize(outputs.logits, SIZE).argmax(1)[0].numpy(), label, name=str(number))
        self.temperature = sample.fit().value
        names = [score for score in METHODS.get(self.name, {}).values() if score in FITTED]
        for number, (image, label) in enumerate(self.images.fits if names else []):
            outputs = self.look(("train", number), image)
            for name in names:
                if name not in self.fitted:
                    self.fitted[name] = FITTED[name].build(self.coarse(outputs), self.detector.stride)
                self.fitted[name].add(self.coarse(outputs), torch.from_numpy(label.astype(np.int64))[None])
        with torch.enable_grad():
            for each in self.fitted.values():
                each.finish()
        if "meta" in METHODS.get(self.name, {}).values():
            self.meta = self.fit_meta()
        return {"miou": semantic.result()["miou"], "temperature": self.temperature}

    def fit_meta(self) -> MetaClassifier:
        """The meta classifier of the entropy's segments, above the threshold of the best F1 on the pasted objects."""
        maps, pixels = [], PixelMetric()
        for number, (image, anomaly) in enumerate(self.images.pasted):
            outputs = self.look(("pasted", number), image)
            heat, classes = SCORES["entropy"](outputs)[0].float().numpy(), outputs.logits.argmax(1)[0].numpy()
            small = resize_nearest(anomaly.astype(np.uint8), heat.shape)
            pixels.add(heat, small, f"pasted {number}")
            maps.append((heat, classes, small > 0))
        return MetaClassifier.fit(maps, pixels.result()["threshold"])

    def map_of(self, score: str, function: Callable[[Outputs], Tensor], outputs: Outputs) -> np.ndarray:
        """The map (h, w) float32 of one image at the network's stride."""
        heat = function(outputs)[0].float().numpy()
        if score != "meta":
            return heat
        assert self.meta is not None
        return self.meta(heat, outputs.logits.argmax(1)[0].numpy())

    def coarse(self, outputs: Outputs) -> Outputs:
        """What fitted scores see: the outputs without inner layers."""
        return outputs._replace(layers=())

    def score_of(self, score: str) -> Callable[[Outputs], Tensor]:
        """The function behind a word in METHODS."""
        if score == "msp fitted":
            return lambda outputs: SCORES["msp"](outputs._replace(logits=outputs.logits / self.temperature))
        if score in self.fitted:
            return lambda outputs: self.fitted[score](self.coarse(outputs))
        return SCORES[{"odin": "msp", "dropout": "mutual_information", "meta": "entropy"}.get(score, score)]

    def wrapped(self, score: str) -> Detector | None:
        """What has to look at the image anew for a score, or None."""
        if score == "odin":
            return self.around(Odin(self.bare[0], known=self.known))
        return self.around(McDropout(self.bare[0], SAMPLES, known=self.known)) if score == "dropout" else None

    def judge(self, methods: Mapping[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
        """Method -> data set -> figures."""
        found: dict[str, dict[str, dict[str, Any]]] = {method: {} for method in methods}
        for dataset, frames in self.images.frames.items():
            began, maps = time.process_time(), self.maps_of(dataset, methods)
            for method, heats in maps.items():
                pixels = PixelMetric()
                for heat, (name, _, label) in zip(heats, frames, strict=True):
                    pixels.add(enlarged(heat, label), label, name)
                figures = pixels.result()
                parts = ComponentMetric(figures["threshold"], *DATASETS[dataset].min_sizes)
                for heat, (name, _, label) in zip(heats, frames, strict=True):
                    parts.add(enlarged(heat, label), label, name)
                found[method][dataset] = {**figures, **parts.result(), "images": len(frames)}
            for method in methods:
                found[method][dataset]["seconds"] = time.process_time() - began
        return found

    def maps_of(self, dataset: str, methods: Mapping[str, str]) -> dict[str, list[np.ndarray]]:
        """Method -> map (h, w) float32 at the network's stride of each frame of a set."""
        scores = {method: (self.score_of(score), self.wrapped(score)) for method, score in methods.items()}
        maps: dict[str, list[np.ndarray]] = {method: [] for method in methods}
        for number, (_, image, _) in enumerate(self.images.frames[dataset]):
            outputs = self.look((dataset, number), image)
            torch.manual_seed(number)
            for method, (score, anew) in scores.items():
                seen = outputs if anew is None else anew.outputs(batch(image))
                maps[method].append(self.map_of(methods[method], score, seen))
        return maps

    def milliseconds(self, score: str, repeats: int = 3) -> float:
        """Median processor time from a 256x512 image to a 720x1280 map: network and score, one image, no decoding."""
        detector = self.wrapped(score) or self.around(self.together(self.bare))
        image, large = np.zeros((*SIZE, 3), np.uint8), np.zeros((720, 1280), np.uint8)
        image[::2] = 200
        function, spent = self.score_of(score), []
        for _ in range(repeats + 1):
            began = time.process_time()
            enlarged(self.map_of(score, function, detector.outputs(batch(image))), large)
            spent.append(1e3 * (time.process_time() - began))
        return statistics.median(spent[1:])

    @property
    def parameters(self) -> int:
        """Weights of the network, and the state of fitted scores apart."""
        return sum(each.numel() for network in self.bare for each in network.parameters())

    def results(self, seed: int, hours: float | None, methods: Mapping[str, str]) -> list[dict[str, Any]]:
        """Results in the form of 'oddroad evaluate', with method, seed, cost and mean IoU."""
        more = self.fit()
        figures = self.judge(methods)
        common = {
            "seed": seed, "network": self.name, "model": self.paths[0].parent.parent.name, "protocol": "native",
            "model_hash": sha256_of(self.paths[0]), "input_size": f"{SIZE[0]}x{SIZE[1]}",
            "versions": {name: version(name) for name in ("oddroad", "numpy", "torch")}, **more,
            "parameters": self.parameters, "training_hours": hours,
        }  # fmt: skip
        found = []
        for method, score in methods.items():
            cost = {"milliseconds": self.milliseconds(score)}
            for dataset, own in figures[method].items():
                lacking = completeness(dataset, DATASETS[dataset].split, own["images"])
                notes = [lacking] if lacking else []
                own = {**own, "method": method, "score": score, "dataset": dataset, "notes": notes}
                found.append({**common, **cost, **own})
        return found


def enlarged(heat: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A map at the size of a label, bilinear."""
    return cv2.resize(heat, label.shape[::-1], interpolation=cv2.INTER_LINEAR)


def extra_methods(words: Sequence[str]) -> dict[str, tuple[Path, str]]:
    """TITLE=CHECKPOINT:SCORE -> title -> checkpoint and score; an underscore in a title is a space."""
    found = {}
    for each in words:
        title, _, rest = each.partition("=")
        path, _, score = rest.rpartition(":")
        if not title or not path or score not in SCORES:
            raise SystemExit(f"--extra '{each}'; expected TITLE=CHECKPOINT:SCORE with a score of: {', '.join(SCORES)}")
        found[title.replace("_", " ")] = (Path(path), score)
    return found
