"""What is trained: a LightningModule of one recipe, with its losses, optimiser and validation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from oddroad.benchmarking.environment import processor
from oddroad.errors import InputError, pick
from oddroad.learn.detector import Preprocessing
from oddroad.learn.losses import weighted
from oddroad.learn.networks import NETWORKS
from oddroad.learn.outputs import Outputs, split_void
from oddroad.learn.scores import SCORES
from oddroad.learn.tensor_ops import pad_to_multiple
from oddroad.learn.training.crop_teacher import CropTeacher, from_crops, shrunk
from oddroad.learn.training.distillation import distillation
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.recipe import RESYNTHESIS_NAMES, Optimiser, Recipe
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER


class Training(L.LightningModule):
    """Forward, loss, optimiser and validation of one recipe.

    Args:
        recipe: the run.
        class_weights: weights of the classes in the losses that take them, void last; None weighs all alike.

    Raises:
        InputError: if the parts of the recipe do not fit together.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None):
        super().__init__()
        self.recipe = recipe
        check(recipe)
        self.network = pick(NETWORKS, recipe.network.name, "network")(**network_arguments(recipe))
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.set_class_weights(class_weights)
        self.preprocessing = Preprocessing.parse(recipe.network.normalisation)
        mean, std = self.preprocessing.constants()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.frozen = frozen_parts(self.network, recipe.optim)
        self.crop_teacher: CropTeacher | None = None

    def set_class_weights(self, class_weights: Tensor | None) -> None:
        """Make the loss, with weights of the classes, void last; None weighs all alike."""
        self.loss = weighted(dict(self.recipe.losses), class_weights)

    def forward(self, images: Tensor) -> Any:
        """(N, 3, H, W) uint8 -> Outputs, a void output still among the classes."""
        pixels = self.normalised(images)
        if self.recipe.network.stage == "whole":
            return self.network(pixels)
        encoder: Any = self.network.encoder
        return Outputs(encoder.output_conv(encoder(pad_to_multiple(pixels, 8))))

    def normalised(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> what networks take."""
        pixels = (self.preprocessing.ordered(images) - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keep the frozen parts in evaluation mode, and make the step's random numbers depend on its number alone."""
        for each in self.frozen:
            each.training = False
        torch.manual_seed((self.recipe.seed << 32) + (self.global_step << 8) + self.global_rank)

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """One step: the weighted sum of the losses, each of them logged."""
        images, labels, *more = batch
        how = self.recipe.distillation
        told = None if self.crop_teacher is None else self.crop_teacher(self.normalised(images))
        images, labels = shrunk(images, labels, how.shrink)
        stride, classes = self.recipe.scenes.loss_stride, self.recipe.network.classes
        labels = labels[:, stride // 2 :: stride, stride // 2 :: stride]
        outputs = whole = self(images)
        if more:
            outputs = only_named(outputs, more[0])
        if self.recipe.network.void and self.recipe.class_weights.void:
            labels = labels.masked_fill(labels == IGNORE, classes)
        elif self.recipe.network.void:
            outputs = split_void(outputs, classes)
        total, terms = self.loss(outputs, labels)
        if told is not None:
            distances = from_crops(whole._replace(logits=whole.logits[:, :classes]), told, how.temperature)
            weights = {"distillation": how.weight, "distillation_outlier": how.outlier}
            for name, each in distances.items():
                total = total + weights[name] * each
            terms |= distances
        if len(more) > 1:
            terms["distillation"] = distillation(whole.logits[:, :classes], more[1], how.temperature)
            total = total + how.weight * terms["distillation"]
        shared = self.trainer.world_size > 1
        self.log_dict({name: value.detach() for name, value in terms.items()}, sync_dist=shared)
        self.log("loss", total.detach(), prog_bar=True, sync_dist=shared)
        return total

    def on_validation_epoch_start(self) -> None:
        """Empty the counts; processes judge with the same statistics of batch norm, those of the first."""
        classes = self.recipe.network.classes
        self.semantic = SemanticMetric(classes)
        self.pixels: dict[str, PixelMetric] = {}
        if self.trainer.world_size > 1:
            for each in self.network.buffers():
                dist.broadcast(each, 0)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Count classes and collect score maps at the network's stride."""
        images, labels = batch
        outputs = self(images)
        if self.recipe.network.void:
            outputs = split_void(outputs, self.recipe.network.classes)
        stride = 8 if self.recipe.network.stage == "encoder" else int(self.network.stride)  # pyright: ignore[reportArgumentType]
        seen = labels[:, stride // 2 :: stride, stride // 2 :: stride].cpu().numpy()
        truth = np.where(seen == OUTLIER, ANOMALY, np.where(seen == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        for name in self.validation_scores(outputs):
            metric = self.pixels.setdefault(name, PixelMetric())
            for heat, label in zip(SCORES[name](outputs).float().cpu().numpy(), truth, strict=True):
                metric.add(heat, label, f"validation image {index}")
        predicted = outputs.logits.argmax(1).cpu().numpy()
        single = np.where(seen < self.semantic.classes, seen, IGNORE)  # not pasted, not one of several classes
        self.semantic.add(predicted, single, name=f"validation image {index}")

    def validation_scores(self, outputs: Outputs) -> list[str]:
        """Scores that these outputs have, the largest logit first."""
        found = ["max_logit"]
        found += ["outlier_head", "joint"] if outputs.outlier is not None else []
        return found + (["void"] if outputs.void is not None else [])

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of ``SemanticMetric``, and AP of each score on the pasted objects, of all processes."""
        semantic, pixels = self.semantic, self.pixels
        if self.trainer.world_size > 1:
            semantic, pixels = merged(semantic, pixels)
        miou = semantic.result()["miou"]
        self.log("miou", 0.0 if np.isnan(miou) else miou, prog_bar=True)
        for name, metric in pixels.items():
            figures = metric.result()
            if figures["anomaly_pixels"]:
                self.log_dict({f"ap_{name}": figures["ap"], f"fpr95_{name}": figures["fpr95"]}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Optimiser, and a schedule with warm-up and polynomial decay."""
        how = self.recipe.optim
        groups: dict[tuple[float, bool], dict[str, Any]] = {}
        for name, each in self.network.named_parameters():
            if each.requires_grad:
                factor = next((by for prefix, by in how.lr_multipliers if name.startswith(prefix)), 1.0)
                kind = factor, each.ndim >= 2
                rate, decay = how.lr * factor, how.weight_decay if kind[1] else 0.0
                groups.setdefault(kind, {"params": [], "lr": rate, "weight_decay": decay})["params"].append(each)
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
        optimiser = (
            torch.optim.SGD(groups.values(), lr=how.lr, momentum=0.9)
            if how.name == "sgd"
            else kinds[how.name](groups.values(), lr=how.lr)
        )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, polynomial(how))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def polynomial(how: Optimiser) -> Callable[[int], float]:
    """Factor on the learning rate at a step: linear warm-up, then polynomial decay."""

    def factor(step: int) -> float:
        if step < how.warmup:
            return (step + 1) / how.warmup
        return max(1 - (step - how.warmup) / max(how.steps - how.warmup, 1), 0.0) ** how.power

    return factor


def slow_precision(precision: str) -> str:
    """A line for whoever trains in bfloat16 on a processor that computes it more slowly than float32; else "".

    Processors with bfloat16 instructions but without AMX are such: 8 crops of ERFNet took 1.3 times as long there.
    Where the processor's instructions cannot be read, nothing is said.
    """
    flags = processor()["flags"]
    if precision != "bf16" or torch.cuda.is_available() or not flags or "amx_bf16" in flags or "bf16" in flags:
        return ""
    return "optim.precision is bf16, which this processor, without AMX, trains more slowly in than in fp32; choose fp32"


def check(recipe: Recipe) -> None:
    """Refuse what does not fit together.

    Raises:
        InputError: naming the two keys.
    """
    network, losses = recipe.network, {name for name, _ in recipe.losses}
    if losses & {"isomax", "isomax_focal"} and not network.isomax:
        raise InputError("the losses isomax and isomax_focal need the distance head; set network.isomax, such as 16")
    if recipe.class_weights.void and not network.void:
        raise InputError(
            f"class_weights.void is {recipe.class_weights.void:g} but there is no void output; set network.void = true"
        )
    if recipe.optim.precision == "fp16" and not torch.cuda.is_available():
        raise InputError("optim.precision is fp16, which needs a GPU, and there is none; choose bf16 or fp32")
    how = recipe.distillation
    if how.sees == "scenes" and (how.shrink != 1 or how.outlier or how.smaller):
        raise InputError(
            "distillation.shrink, outlier and smaller are of a teacher that sees crops; set distillation.sees = crops"
        )
    if how.wanted and network.name in RESYNTHESIS_NAMES:
        raise InputError(f"{network.name} learns from no teacher; set distillation.weight = 0")
    if how.shrink < 1 or any(each % how.shrink for each in recipe.scenes.crop):
        raise InputError(
            f"distillation.shrink is {how.shrink}; expected a whole number of at least 1 that divides both sides of "
            f"scenes.crop ({recipe.scenes.crop[0]}x{recipe.scenes.crop[1]})"
        )
    if network.stage == "encoder" and (network.name != "erfnet" or not network.auxiliary or network.isomax):
        raise InputError(
            "network.stage = encoder trains ERFNet's encoder by its own classifier; it needs network.name = erfnet, "
            "network.auxiliary = true and network.isomax = 0"
        )
    if network.stage == "generator" and network.name not in RESYNTHESIS_NAMES:
        raise InputError(
            f"network.stage = generator trains the generator of {', '.join(RESYNTHESIS_NAMES)}; network.name is "
            f"'{network.name}'"
        )


def frozen_parts(network: nn.Module, how: Optimiser) -> list[nn.Module]:
    """Take the gradient from the frozen parts of a network; the modules that have to stay in evaluation mode.

    Raises:
        InputError: if the network has no such part.
    """
    names = [name for name, _ in network.named_parameters()]
    for part in (*how.frozen, *(prefix for prefix, _ in how.lr_multipliers)):
        if not any(name.startswith(part) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise InputError(f"no part of the network begins with '{part}'; there are: {', '.join(parts)}")
    found = []
    for part in how.frozen:
        for name, each in network.named_parameters():
            each.requires_grad &= not name.startswith(part)
        found += [each for name, each in network.named_modules() if f"{name}.".startswith(part)]
    if how.norms == "frozen":
        found += [each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    return found


def only_named(outputs: Outputs, named: Tensor) -> Outputs:
    """Take the gradient from logits of classes that an image's data set cannot name, (N, C) bool; void keeps it."""

    def cut(logits: Tensor) -> Tensor:
        more = logits.shape[1] - named.shape[1]
        keep = torch.nn.functional.pad(named, (0, more), value=True)[:, :, None, None]
        return torch.where(keep, logits, logits.detach())

    return outputs._replace(logits=cut(outputs.logits), auxiliary=tuple(map(cut, outputs.auxiliary)))


def merged(semantic: SemanticMetric, pixels: dict[str, PixelMetric]) -> tuple[SemanticMetric, dict[str, PixelMetric]]:
    """The counts of all processes together, the same in each of them."""
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, (semantic, pixels))
    whole = SemanticMetric(semantic.classes)
    total: dict[str, PixelMetric] = {}
    for classes, theirs in parts:
        whole.merge(classes)
        for name, metric in theirs.items():
            total.setdefault(name, PixelMetric()).merge(metric)
    return whole, total


def network_arguments(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's network is built with."""
    network = recipe.network
    if network.name in RESYNTHESIS_NAMES:
        return resynthesis_arguments(recipe)
    arguments: dict[str, Any] = {
        "classes": network.classes + network.void,
        "outlier": network.outlier,
        "auxiliary": network.auxiliary,
    }
    optional = {"isomax": network.isomax, "stride": network.stride}
    arguments |= {name: value for name, value in optional.items() if value}
    make = pick(NETWORKS, network.name, "network")
    if unknown := sorted(arguments.keys() - inspect.signature(make).parameters):
        raise InputError(f"network '{network.name}' does not take {', '.join(unknown)}")
    return arguments


def resynthesis_arguments(recipe: Recipe) -> dict[str, Any]:
    """What a resynthesis network is built with.

    Raises:
        InputError: if the recipe asks for a part that belongs to its closed-set network.
    """
    network, how = recipe.network, recipe.resynthesis
    if network.void or network.isomax or network.stride:
        raise InputError(
            f"network.void, isomax and stride are not for '{network.name}'; set resynthesis.closed_set_void, "
            "closed_set_isomax and closed_set_stride"
        )
    names = ("closed_set", "closed_set_void", "closed_set_stride", "closed_set_isomax", "width", "features")
    own = {name: getattr(how, name) for name in names}
    return {"classes": network.classes, "normalisation": network.normalisation, "size": list(how.size), **own}
