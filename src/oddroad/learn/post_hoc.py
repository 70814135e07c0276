"""What is fitted to a checkpoint on in-distribution data after training: a temperature, statistics of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oddroad.calibration.data import CalibrationData
from oddroad.errors import InputError, counted, pick
from oddroad.files import written_whole
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import FITTED
from oddroad.learn.scores.moments import known_pixels
from oddroad.metrics import SemanticMetric

Frames = Iterable[tuple[np.ndarray, np.ndarray | None]]
"""RGB images (H, W, 3) uint8 with labels (H, W): classes, IGNORE, and other values for pixels without one."""


@dataclass
class Temperature:
    """A temperature and what it does.

    Attributes:
        value: what to divide the logits by; the minimum of the negative log-likelihood.
        pixels: labelled pixels it rests on.
        frames: frames they come from.
        nll: mean negative log-likelihood in nats, before and after.
        ece: expected calibration error over 15 bins, before and after.
        bins: for each bin of confidence: pixels, mean confidence, accuracy; before and after.
    """

    value: float
    pixels: int
    frames: int
    nll: tuple[float, float]
    ece: tuple[float, float]
    bins: tuple[dict[str, list[float]], dict[str, list[float]]]

    def line(self) -> str:
        """The result in one line."""
        return (
            f"temperature {self.value:.3f}: negative log-likelihood {self.nll[0]:.4f} -> {self.nll[1]:.4f}, "
            f"calibration error {self.ece[0]:.2%} -> {self.ece[1]:.2%}, on {counted(self.pixels, 'pixel')} of "
            f"{counted(self.frames, 'frame')}"
        )


@dataclass
class LogitSample:
    """Logits of an even draw of labelled pixels, for the temperature.

    Attributes:
        most: pixels to keep of a frame.
        seed: of the draw.
    """

    most: int = 2000
    seed: int = 0
    logits: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = torch.Generator().manual_seed(self.seed)

    def add(self, outputs: Outputs, labels: Tensor) -> None:
        """Draw from the pixels whose label (N, H, W) is a class."""
        values, classes = known_pixels(outputs.logits, labels, outputs.logits.shape[1])
        chosen = torch.randperm(len(values), generator=self.draw)[: self.most]
        self.logits.append(values[chosen].double().cpu())
        self.labels.append(classes[chosen].cpu())

    def fit(self) -> Temperature:
        """The temperature of least negative log-likelihood, between 0.05 and 20.

        Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017.

        Raises:
            InputError: if no pixel was drawn.
        """
        from scipy.optimize import minimize_scalar

        logits, labels = torch.cat(self.logits), torch.cat(self.labels)
        if not len(labels):
            raise InputError(
                "no pixel with a class to fit the temperature on; pass in-distribution data labelled in its classes"
            )

        def nll(log_t: float) -> float:
            return float(nn.functional.cross_entropy(logits / float(np.exp(log_t)), labels))

        bounds = (float(np.log(0.05)), float(np.log(20)))
        value = float(np.exp(minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x))  # pyright: ignore[reportAttributeAccessIssue]
        before, after = (confidence_metric(logits / each, labels) for each in (1.0, value))
        return Temperature(
            value=value,
            pixels=len(labels),
            frames=len(self.labels),
            nll=(nll(0.0), nll(float(np.log(value)))),
            ece=(before.result()["ece"], after.result()["ece"]),
            bins=(before.reliability(), after.reliability()),
        )


def confidence_metric(logits: Tensor, labels: Tensor) -> SemanticMetric:
    """Confidence and accuracy of logits (P, C) with labels (P,)."""
    metric = SemanticMetric(logits.shape[1])
    confidence, predicted = torch.softmax(logits, 1).max(1)
    metric.add(predicted[None].numpy(), labels[None].numpy(), confidence[None].numpy())
    return metric


def outputs_with_labels(detector: Detector, frames: Frames) -> Iterable[tuple[Outputs, Tensor]]:
    """Outputs of the detector's network and labels (1, H, W) int64 of each frame."""
    for image, label in frames:
        assert label is not None
        with torch.no_grad():
            outputs = detector.outputs(torch.from_numpy(image)[None])
        yield outputs, torch.from_numpy(label.astype(np.int64))[None]


def calibrate_checkpoint(
    path: Path,
    out: Path,
    train: CalibrationData,
    val: CalibrationData,
    names: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    stride: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Temperature:
    """Write a checkpoint with a temperature from ``val`` and fits of scores from ``train``, and a reliability diagram.

    Args:
        path: an oddroad checkpoint.
        out: path of the new one; the diagram gets its name with ``.reliability.png``.
        train: in-distribution data with classes, for the scores.
        val: in-distribution data with classes that the network was not trained on, for the temperature.
        names: keys in FITTED.
        size: (H, W) the network sees; None for the image's own.
        stride: of networks that offer several: the one that will be exported; None for the checkpoint's.
        progress: called after each frame.

    Raises:
        InputError: if the checkpoint cannot be read, a score does not exist, or there is nothing to fit on.
    """
    for name in names:
        pick(FITTED, name, "fitted score")
    import matplotlib  # noqa: F401 - what is missing is said before the work
    import scipy  # noqa: F401

    network, about = load_network(path, **({} if stride is None else {"stride": stride}))
    probe = bare_detector(network, about, size)
    with torch.no_grad():
        outputs = probe.outputs(torch.zeros(1, 2 * probe.multiple, 2 * probe.multiple, 3, dtype=torch.uint8))
    for name in names:
        FITTED[name].build(outputs, probe.stride)  # a score that this network cannot give says so here
    found = fit_temperature(network, about, val.pairs(), size, progress)
    seen_at = "the image's own size" if size is None else f"{size[0]}x{size[1]}"
    about = {
        **about,
        "temperature": found.value,
        "calibration": {"data": val.words, "frames": found.frames, "size": seen_at, "nll": found.nll, "ece": found.ece},
    }
    words = {"temperature": f"{found.line()} of {val.words}, seen at {seen_at}"}
    words |= dict.fromkeys(names, f"fitted on {counted(train.count or 0, 'frame')} of {train.words}, seen at {seen_at}")
    about["origin"] = {**about.get("origin", {}), **words}
    fitted = fit_scores(network, about, names, train.pairs(), size, progress) if names else {}
    kept = {name: {"data": train.words, "frames": train.count, "size": seen_at} for name in fitted}
    save_checkpoint(out, network, {**about, "scores": kept}, fitted)
    reliability_diagram(found, out.with_name(f"{out.name}.reliability.png"))
    return found


def fit_temperature(
    network: nn.Module,
    about: Mapping[str, Any],
    frames: Frames,
    size: tuple[int, int] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Temperature:
    """The temperature of a network on in-distribution data.

    Args:
        network: in evaluation mode.
        about: metadata of its checkpoint: ``normalisation``, ``classes``.
        frames: validation data, not the training data, which the network fits too well.
        size: (H, W) the network sees; None for the image's own.
        progress: called after each frame.

    Raises:
        InputError: if no pixel has a class.
    """
    sample = LogitSample()
    for outputs, labels in outputs_with_labels(bare_detector(network, about, size), frames):
        sample.add(outputs, labels)
        progress()
    return sample.fit()


def fit_scores(
    network: nn.Module,
    about: Mapping[str, Any],
    names: Sequence[str],
    frames: Frames,
    size: tuple[int, int] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, nn.Module]:
    """Fit scores on in-distribution data in one pass.

    Args:
        network: in evaluation mode.
        about: metadata of its checkpoint: ``normalisation``, ``classes``, and ``temperature`` where it has one.
        names: keys in FITTED.
        frames: training data of the closed-set classes.
        size: (H, W) the network sees; None for the image's own.
        progress: called after each frame.

    Raises:
        InputError: if a score does not exist, needs what the network does not give, or there is nothing to fit on.
    """
    kinds = {name: pick(FITTED, name, "fitted score") for name in names}
    detector = bare_detector(network, about, size, float(about.get("temperature", 1.0)))
    fitted: dict[str, Any] = {}
    for outputs, labels in outputs_with_labels(detector, frames):
        for name, kind in kinds.items():
            if name not in fitted:
                fitted[name] = kind.build(outputs, detector.stride)
            fitted[name].add(outputs, labels)
        progress()
    if len(fitted) < len(kinds):
        raise InputError("no frame to fit on; pass a data set of in-distribution scenes with labels")
    for each in fitted.values():
        each.finish()
    return fitted


def bare_detector(
    network: nn.Module, about: Mapping[str, Any], size: tuple[int, int] | None, temperature: float = 1.0
) -> Detector:
    """A detector without scores, for the Outputs of its network."""
    detector = Detector(
        network,
        {},
        str(about.get("normalisation", "imagenet")),
        size,
        temperature=temperature,
        known=len(about["classes"]),
    )
    return detector.eval()


def reliability_diagram(found: Temperature, path: Path) -> None:
    """Draw accuracy over confidence, before and after, with the share of the pixels in each bin."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    titles = (f"T = 1, error {found.ece[0]:.2%}", f"T = {found.value:.3f}, error {found.ece[1]:.2%}")
    for axis, bins, title in zip(axes, found.bins, titles, strict=True):
        pixels, count = np.asarray(bins["pixels"]), len(bins["pixels"])
        left, filled = np.arange(count) / count, pixels > 0
        axis.bar(left, pixels / pixels.sum(), 1 / count, align="edge", color="#d8dee6", label="share of the pixels")
        axis.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="perfect")
        confidence, accuracy = np.asarray(bins["confidence"])[filled], np.asarray(bins["accuracy"])[filled]
        axis.plot(confidence, accuracy, "o-", color="#b3261e", label="accuracy")
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", title=title)
    axes[0].set_ylabel("accuracy, share")
    axes[0].legend(loc="upper left", frameon=False)
    with written_whole(path, "reliability diagram") as partial:
        figure.savefig(partial, dpi=110, format="png")
    plt.close(figure)
