"""Every score on ERFNet and ENet over the data sets that are here, beside published and correct figures.

Called by post_hoc.sh. Protocol of the paper: images and labels at 512x1024, frames without an anomaly left out, all
pixels of a set pooled. Each network sees an image once for all scores; ODIN and MC dropout, on ERFNet, need further
passes. What a score costs is measured apart, by ``--cost``: on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from oddroad.datasets import DATASETS, class_tables, completeness, read_image, read_label
from oddroad.errors import InputError
from oddroad.io.images import resize_area, resize_nearest
from oddroad.learn.checkpoints.format import load_network, load_scores
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Detector
from oddroad.learn.networks.wrapped import Layers, McDropout, Odin
from oddroad.learn.outputs import Outputs, Score
from oddroad.learn.post_hoc import bare_detector, outputs_with_labels
from oddroad.learn.scores import SCORES
from oddroad.learn.scores.density import EmbeddingDensity
from oddroad.learn.scores.distance import Mahalanobis
from oddroad.learn.scores.moments import features_of, known_pixels
from oddroad.metrics import PixelMetric
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

SIZE = (512, 1024)
TEMPERATURES = (0.5, 0.75, 1.0, 1.1, 1.5, 2.0, 5.0)
UNFITTED = ("max_logit", "entropy", "energy", "pebal", "void")
FITTED = ("sml", "mahalanobis", "embedding_density")
EACH_CLASS, SMALLEST, NEAREST = (
    "mahalanobis, a covariance a class", "embedding_density, minimum over layers", "nearest of 2048 features",
)  # fmt: skip
ON_LAYERS = {"erfnet": ("encoder.layers.5", "encoder.layers.14"), "enet": ("regular1_4", "dilated3_7")}
"""Inner layers for the density over layers: the last before each change of stride."""

SAMPLES = 4
"""Passes of MC dropout."""

COLUMNS = ("road_anomaly21", "road_obstacle21", "fishyscapes_lost_and_found", "fishyscapes_static", "road_anomaly")

PUBLISHED = {
    "erfnet": {
        "msp": (14.58, 95.08, 0.72, 94.76, 22.74, 93.14, 18.76, 93.47, 9.42, 95.30),
        "entropy": (14.31, 97.11, 0.83, 94.08, 24.03, 96.82, 19.31, 92.99, 9.10, 95.31),
        "max_logit": (13.20, 97.01, 1.15, 86.81, 31.04, 90.11, 23.20, 91.90, 8.71, 93.76),
        "msp T=0.5": (14.68, 95.05, 0.69, 94.88, 21.29, 94.17, 17.98, 94.26, 9.60, 95.17),
        "msp T=0.75": (14.63, 95.07, 0.71, 94.82, 22.12, 93.65, 18.45, 93.84, 9.50, 95.24),
        "msp T=1.1": (14.57, 95.09, 0.72, 94.74, 22.94, 92.92, 18.85, 93.34, 9.39, 95.31),
        "void": (14.81, 95.00, 0.67, 95.00, 18.87, 95.00, 16.35, 95.08, 9.85, 94.99),
    },
    "enet": {"void": (14.81, 95.00, 0.67, 95.00, 18.87, 95.00, 16.36, 95.00, 9.83, 95.24)},
}
"""AP and FPR95 in % of each of COLUMNS as printed in the paper's tables: nearly those of chance, see docs/scores.md."""

CORRECT = {
    "erfnet": {
        "msp": (29.10, 62.51, 2.71, 64.97, 1.75, 50.76, 7.47, 41.82, 12.43, 82.49),
        "max_logit": (38.32, 59.34, 4.63, 48.44, 3.30, 45.49, 9.50, 40.30, 15.58, 73.25),
        "entropy": (31.01, 62.59, 3.05, 65.60, 2.58, 50.37, 8.83, 41.52, 12.68, 82.63),
        "msp T=0.5": (27.06, 62.73, 2.42, 63.23, 1.28, 66.74, 6.60, 43.48, 12.19, 82.02),
        "msp T=0.75": (28.16, 62.48, 2.57, 64.05, 1.49, 51.85, 6.99, 42.49, 12.32, 82.29),
        "msp T=1.1": (29.41, 62.59, 2.77, 65.52, 1.86, 50.39, 7.69, 41.59, 12.47, 82.62),
        "msp T=2": (30.68, 64.72, 3.03, 71.46, 2.68, 48.32, 9.51, 41.02, 12.68, 84.15),
        "msp T=5": (30.20, 71.59, 2.84, 83.11, 3.25, 45.40, 11.18, 45.51, 12.67, 87.71),
        "mahalanobis": (30.88, 74.49, 9.64, 52.43, 2.94, 55.23, 8.93, 39.34, 13.53, 79.63),
    }
}
"""The same of the authors' own ERFNet checkpoint, correctly evaluated (independent public implementations)."""


def named(temperature: float) -> str:
    """Row of the temperature sweep."""
    return "msp" if temperature == 1 else f"msp T={temperature:g}"


def at_temperature(temperature: float) -> Score:
    """MSP of logits divided by a temperature."""
    return lambda outputs: SCORES["msp"](outputs._replace(logits=outputs.logits / temperature))


class Neighbours(nn.Module):
    """Squared distance of the features, brought to deviation 1, to the nearest of 2048 known ones (kNN with k = 1)."""

    scale: torch.Tensor
    gallery: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []
        self.draw = torch.Generator().manual_seed(0)
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("gallery", torch.zeros(2048, channels))

    def add(self, outputs: Outputs, labels: torch.Tensor) -> None:
        """Keep an even draw of the known features."""
        values, _ = known_pixels(features_of(outputs), labels)
        self.kept.append(values[torch.randint(len(values), (200,), generator=self.draw)])

    def finish(self) -> None:
        """Choose the gallery."""
        values = torch.cat(self.kept)
        self.scale.copy_(values.std(0).clamp(min=1e-3))
        order = torch.randperm(len(values), generator=self.draw)
        self.gallery.copy_((values / self.scale)[order.repeat(-(-2048 // len(order)))[:2048]])

    def forward(self, outputs: Outputs) -> torch.Tensor:
        """Outputs -> (N, h, w)."""
        maps = features_of(outputs)
        points = maps[0].permute(1, 2, 0).reshape(-1, maps.shape[1]) / self.scale
        near = torch.cat([torch.cdist(part, self.gallery).amin(1) for part in points.split(16384)])
        small = near.reshape(1, 1, *maps.shape[-2:])
        return nn.functional.interpolate(small, size=outputs.logits.shape[-2:], mode="nearest")[:, 0]


def frames_of(name: str, root: Path, images: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, image and label of the frames with an anomaly, at SIZE."""
    count = 0
    for sample in DATASETS[name].load(root, DATASETS[name].split):
        label = resize_nearest(read_label(sample), SIZE)
        if (label == ANOMALY).any():
            yield sample.name, resize_area(read_image(sample), SIZE), label
            count += 1
            if count == images:
                return


def pasted(root: Path, images: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The validation set on which choices are made: objects of held-out COCO classes pasted on known scenes."""
    validation = Validation(root, (("coco128-seg", 1.0),), images or 25, SIZE)
    for i in range(len(validation)):
        pixels, label = validation[i]
        kinds = np.where(label == OUTLIER, ANOMALY, np.where(label == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        yield f"pasted {i}", pixels.permute(1, 2, 0).contiguous().numpy(), kinds


def rendered() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """One frame of a rendered drive, for the picture of docs/scores.md."""
    *_, frame = drive(seed=3, frames=41, size=SIZE)
    assert frame.label is not None
    yield frame.name, frame.image, frame.label


class Network:
    """A calibrated network and every score that it can have.

    Args:
        name: erfnet or enet.
        checkpoint: of ``oddroad calibrate``.
        root: folder of the data sets.
        train: scenes that the scores outside the package are fitted on; the fits are kept beside the checkpoint.
    """

    def __init__(self, name: str, checkpoint: Path, root: Path, train: int):
        network, self.about = load_network(checkpoint)
        self.layered = bare_detector(Layers(network, ON_LAYERS[name]), self.about, SIZE)
        self.scores: dict[str, Score] = {named(each): at_temperature(each) for each in TEMPERATURES}
        self.scores |= {each: SCORES[each] for each in UNFITTED} | load_scores(checkpoint, FITTED)
        self.scores |= self.further(checkpoint.with_suffix(".further.pt"), root, train)
        self.wrapped: list[tuple[Detector, dict[str, Score]]] = []
        if name == "erfnet":
            normalisation = str(self.about["normalisation"])
            of_dropout = {"entropy": SCORES["entropy"], "information": SCORES["mutual_information"]}
            dropout = {f"dropout x{SAMPLES}, {each}": score for each, score in of_dropout.items()}
            self.wrapped = [
                (Detector(Odin(network, known=19), {}, normalisation), {"odin T=1000": SCORES["msp"]}),
                (Detector(McDropout(network, SAMPLES, known=19), {}, normalisation), dropout),
            ]

    def further(self, kept: Path, root: Path, train: int) -> dict[str, Score]:
        """The scores that ``oddroad calibrate`` does not fit."""
        samples = DATASETS["cityscapes_small"].load(root, "train")
        chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, train).astype(int)]
        lookup = class_tables(self.about["classes"])["cityscapes_small"]
        blank = self.outputs(torch.zeros(1, *SIZE, 3, dtype=torch.uint8))
        width = features_of(blank).shape[1]
        made: dict[str, Any] = {
            EACH_CLASS: Mahalanobis(19, width, per_class=True),
            SMALLEST: EmbeddingDensity.build(self.undoubled(blank), 1),
            NEAREST: Neighbours(width),
        }
        if kept.is_file():
            states = torch.load(kept, weights_only=True)
            for row, score in made.items():
                score.load_state_dict(states[row])
            return made
        torch.manual_seed(0)
        for outputs, labels in outputs_with_labels(
            self.layered, ((read_image(each), lookup[read_label(each)]) for each in chosen)
        ):
            for row, score in made.items():
                score.add(outputs if row == SMALLEST else outputs._replace(layers=()), labels)
        for score in made.values():
            score.finish()
        torch.save({row: score.state_dict() for row, score in made.items()}, kept)
        return made

    def outputs(self, pixels: torch.Tensor) -> Outputs:
        """Of the one pass for all scores, inner layers included."""
        with torch.no_grad():
            return self.layered.outputs(pixels)

    def undoubled(self, outputs: Outputs) -> Outputs:
        """Features at their own stride, where a network repeats each over 2 x 2 pixels to match its logits."""
        features = features_of(outputs)
        first = features[..., ::2, ::2]
        return outputs._replace(features=first) if torch.equal(first, features[..., 1::2, 1::2]) else outputs

    def makers(self, outputs: Outputs) -> dict[str, Callable[[], torch.Tensor]]:
        """For each score of the one pass what computes its map (1, H, W)."""
        layered = self.undoubled(outputs)
        coarse, plain = layered._replace(layers=()), outputs._replace(layers=())
        temperature = float(self.about["temperature"])  # at which the scores of FITTED were fitted
        given = dict.fromkeys(FITTED, coarse._replace(logits=outputs.logits / temperature))
        given |= {EACH_CLASS: coarse, NEAREST: coarse, SMALLEST: layered}
        return {row: partial(score, given.get(row, plain)) for row, score in self.scores.items()}


def judge(name: str, network: Network, sets: dict[str, Any], out: Path) -> None:
    """All scores of one network on all sets; a picture of each first frame.

    Each set is written to ``out`` when it is done, and left out when it is there already.
    """
    done = read_results(out)
    for dataset, read in sets.items():
        if dataset in done["results"].get("msp", {}):
            continue
        metrics: dict[str, PixelMetric] = {}
        for i, (frame, image, label) in enumerate(read()):
            pixels = torch.from_numpy(image)[None]
            with torch.no_grad():
                maps = {row: make()[0].float().numpy() for row, make in network.makers(network.outputs(pixels)).items()}
                torch.manual_seed(i)
                for around, scores in () if dataset == "pasted" else network.wrapped:
                    outputs = around.outputs(pixels)
                    maps |= {row: score(outputs)[0].float().numpy() for row, score in scores.items()}
            for row, heat in maps.items():
                metrics.setdefault(row, PixelMetric()).add(heat, label)
            print(f"{name} {dataset} {i} {frame}", flush=True)
            if i == 0:
                draw(out.with_name(f"{name}_on_{dataset}.jpg"), f"{name} on {dataset}", image, label, maps)
        for row, metric in metrics.items():
            done["results"].setdefault(row, {})[dataset] = metric.result()
        done["temperature"] = network.about["temperature"]
        out.write_text(json.dumps(done, indent=1))


def cost(network: Network, calls: int) -> dict[str, float]:
    """Median milliseconds of the network and of each score, after one call that does not count.

    Scores of the one pass are counted without it, ODIN and MC dropout with theirs.
    """
    pixels = torch.from_numpy(next(rendered())[1])[None]
    found: dict[str, float] = {}

    def clock(make: Callable[[], Any]) -> float:
        spent = []
        for _ in range(calls + 1):
            began = time.perf_counter()
            make()
            spent.append((time.perf_counter() - began) * 1e3)
        return float(np.median(spent[1:]))

    bare = bare_detector(network.layered.network.network, network.about, SIZE)
    with torch.no_grad():
        found["network alone"] = clock(lambda: bare.outputs(pixels))
        found |= {row: clock(make) for row, make in network.makers(network.outputs(pixels)).items()}
        for around, scores in network.wrapped:
            passes, outputs = clock(lambda a=around: a.outputs(pixels)), around.outputs(pixels)
            found |= {row: passes + clock(lambda s=score, o=outputs: s(o)) for row, score in scores.items()}
    return found


def read_results(path: Path) -> dict[str, Any]:
    """What an earlier run left."""
    return json.loads(path.read_text()) if path.is_file() else {"results": {}}


HEADS: dict[str, str] = {"pasted": "pasted (validation, made here)"}
"""Columns of the tables, with what is missing of a set."""


def draw(path: Path, title: str, image: np.ndarray, label: np.ndarray, maps: dict[str, np.ndarray]) -> None:
    """A picture of a frame under every score, each coloured from its 50th to its 99.5th centile."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kept = {row: heat for row, heat in maps.items() if not row.startswith("msp T")}
    columns = 3
    rows = -(-(len(kept) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 2.35 * rows), layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    axes.flat[0].imshow(image[::2, ::2])
    axes.flat[0].contour(label[::2, ::2] == ANOMALY, levels=[0.5], colors="cyan", linewidths=1)
    axes.flat[0].set_title("the frame, the anomaly outlined", fontsize=8)
    for axis, (row, heat) in zip(axes.flat[1:], kept.items(), strict=False):
        low, high = np.quantile(heat, [0.5, 0.995])
        axis.imshow(heat[::2, ::2], cmap="inferno", vmin=low, vmax=max(high, low + 1e-9))
        axis.set_title(row, fontsize=8)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def table_text(name: str, done: dict[str, Any]) -> str:
    """Markdown: AP / FPR95 measured, below it published and correct ones where there are any; then the temperatures."""
    results = done["results"]
    sets = [each for each in results["msp"] if each != "rendered"]
    heads = " | ".join(HEADS.get(each, each) for each in sets)
    lines = [f"| Score | {heads} | ms |", "|---" * (len(sets) + 2) + "|"]
    spent = done.get("milliseconds", {})
    for row, found in results.items():
        cells = [f"{100 * found[s]['ap']:.2f} / {100 * found[s]['fpr95']:.2f}" if s in found else "" for s in sets]
        lines.append(f"| {row} | " + " | ".join(cells) + (f" | {spent[row]:.1f} |" if spent else " | |"))
        for what, figures in (("paper", PUBLISHED), ("correct, authors' weights", CORRECT)):
            if known := figures.get(name, {}).get(row):
                pairs = dict(zip(COLUMNS, zip(known[::2], known[1::2], strict=True), strict=True))
                cells = [f"{pairs[s][0]:.2f} / {pairs[s][1]:.2f}" if s in pairs else "" for s in sets]
                lines.append(f"| *{what}* | " + " | ".join(cells) + " | |")
    cells = [f"{100 * results['msp'][s]['prevalence']:.2f} / 95" for s in sets]
    lines += ["| chance | " + " | ".join(cells) + " | |", ""]
    best = {s: max(TEMPERATURES, key=lambda each: results[named(each)][s]["ap"]) for s in sets}
    if spent:
        lines.append(
            f"Milliseconds at {SIZE[0]}x{SIZE[1]}, PyTorch, {done['threads']} threads; the network alone takes "
            f"{spent['network alone']:.0f}, to be added to each score but ODIN and dropout, which hold their passes."
        )
    lines.append(
        f"Temperature by validation likelihood (calibration): {done['temperature']:.3f}; of the sweep, "
        f"chosen on pasted validation objects: {best.pop('pasted', float('nan')):g}; what peeking would choose: "
        + ", ".join(f"{s} {t:g}" for s, t in best.items())
        + "."
    )
    return f"## {name}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Run everything; write a .json for each network, tables.md and the pictures. Goes on where it was stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--cost", type=int, default=0, help="only measure milliseconds, over so many calls")
    parser.add_argument("--networks", nargs="+", default=["erfnet", "enet"])
    given = parser.parse_args()
    sets: dict[str, Any] = {}
    for each in reversed(COLUMNS):
        try:
            found = len(DATASETS[each].load(given.root, DATASETS[each].split))
        except InputError as error:
            print(f"left out: {error}")
            continue
        lacking = completeness(each, DATASETS[each].split, found)
        HEADS[each] = f"{each} ({lacking})" if lacking else each
        print(HEADS[each])
        sets[each] = lambda each=each: frames_of(each, given.root, given.images)
    sets["pasted"] = lambda: pasted(given.root, given.images)
    sets["rendered"] = rendered
    text = []
    for name in given.networks:
        found = given.out / f"{name}.json"
        network = Network(name, given.out / f"{name}.calibrated.ckpt", given.root, given.images or 100)
        if given.cost:
            measured = {"milliseconds": cost(network, given.cost), "threads": torch.get_num_threads()}
            found.write_text(json.dumps(read_results(found) | measured, indent=1))
        else:
            judge(name, network, sets, found)
        text.append(table_text(name, read_results(found)))
        print(text[-1])
        (given.out / "tables.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
