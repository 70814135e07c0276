"""Training: one small LightningModule, and ``fit`` that resumes where a killed run stopped."""

from __future__ import annotations

import inspect
import json
import logging
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from oddroad.curves import PLACE
from oddroad.errors import InputError, pick
from oddroad.learn.checkpoint import FITTED_PREFIX, read_checkpoint, save_checkpoint
from oddroad.learn.curves import CurveLogger
from oddroad.learn.data import Crops, Validation, class_counts, class_weights, pastes
from oddroad.learn.detector import NORMALISATION, Outputs, pad_to_multiple, split_void
from oddroad.learn.losses import weighted
from oddroad.learn.networks import NETWORKS
from oddroad.learn.scores import SCORES
from oddroad.learn.state import States, WholeFiles, newest_state, write_whole
from oddroad.metrics import PixelMetric
from oddroad.predict import sha256_of
from oddroad.recipe import Optimiser, Recipe
from oddroad.types import ANOMALY, CITYSCAPES_CLASSES, IGNORE, KNOWN, OUTLIER


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
        self.loss = weighted(dict(recipe.losses), class_weights)
        mean, std = pick(NORMALISATION, recipe.network.normalisation, "normalisation")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.still = still_parts(self.network, recipe.optimiser)

    def forward(self, images: Tensor) -> Any:
        """(N, 3, H, W) uint8 -> Outputs, a void output still among the classes."""
        pixels = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.recipe.network.stage == "whole":
            return self.network(pixels)
        encoder: Any = self.network.encoder
        return Outputs(encoder.output_conv(encoder(pad_to_multiple(pixels, 8))))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keep the frozen parts still, and make the step's random numbers depend on its number alone."""
        for each in self.still:
            each.training = False
        torch.manual_seed((self.recipe.seed << 32) + (self.global_step << 8) + self.global_rank)

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """One step: the weighted sum of the losses, each of them logged."""
        images, labels, *named = batch
        stride, classes = self.recipe.scenes.loss_stride, self.recipe.network.classes
        labels = labels[:, stride // 2 :: stride, stride // 2 :: stride]
        outputs = self(images)
        if named:
            outputs = only_named(outputs, named[0])
        if self.recipe.network.void and self.recipe.weights.void:
            labels = labels.masked_fill(labels == IGNORE, classes)
        elif self.recipe.network.void:
            outputs = split_void(outputs, classes)
        total, terms = self.loss(outputs, labels)
        shared = self.trainer.world_size > 1
        self.log_dict({name: value.detach() for name, value in terms.items()}, sync_dist=shared)
        self.log("loss", total.detach(), prog_bar=True, sync_dist=shared)
        return total

    def on_validation_epoch_start(self) -> None:
        """Empty the counts; processes judge with the same statistics of batch norm, those of the first."""
        classes = self.recipe.network.classes
        self.confusion = np.zeros((classes, classes), np.int64)
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
            for heat, odd in zip(SCORES[name](outputs).float().cpu().numpy(), truth, strict=True):
                metric.add(heat, odd, f"validation image {index}")
        predicted = outputs.logits.argmax(1).cpu().numpy()
        classes = len(self.confusion)
        named = seen < classes
        self.confusion += np.bincount(seen[named] * classes + predicted[named], minlength=classes * classes).reshape(
            classes, classes
        )

    def validation_scores(self, outputs: Outputs) -> list[str]:
        """Scores that these outputs have, the largest logit first."""
        found = ["max_logit"]
        found += ["outlier_head", "joint"] if outputs.outlier is not None else []
        return found + (["void"] if outputs.void is not None else [])

    def on_validation_epoch_end(self) -> None:
        """Log mean IoU over the classes present, and AP of each score on the pasted objects, of all processes."""
        confusion, pixels = self.confusion, self.pixels
        if self.trainer.world_size > 1:
            confusion, pixels = merged(confusion, pixels)
        hit = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - hit
        present = confusion.sum(1) > 0
        one = {"rank_zero_only": False, "sync_dist": False}
        self.log("miou", float((hit[present] / union[present]).mean()) if present.any() else 0.0, prog_bar=True, **one)
        for name, metric in pixels.items():
            figures = metric.result()
            if figures["anomaly_pixels"]:
                self.log_dict({f"ap_{name}": figures["ap"], f"fpr95_{name}": figures["fpr95"]}, prog_bar=True, **one)

    def configure_optimizers(self) -> Any:
        """Optimiser, and a schedule with warm-up and polynomial decay."""
        how = self.recipe.optimiser
        groups: dict[tuple[bool, bool], dict[str, Any]] = {}
        for name, each in self.network.named_parameters():
            if each.requires_grad:
                kind = name.startswith(how.faster or ("\0",)), each.ndim >= 2
                rate, decay = how.rate * (how.factor if kind[0] else 1), how.decay if kind[1] else 0.0
                groups.setdefault(kind, {"params": [], "lr": rate, "weight_decay": decay})["params"].append(each)
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
        optimiser = (
            torch.optim.SGD(groups.values(), lr=how.rate, momentum=0.9)
            if how.name == "sgd"
            else kinds[how.name](groups.values(), lr=how.rate)
        )

        def factor(step: int) -> float:
            if step < how.warmup:
                return (step + 1) / how.warmup
            return max(1 - (step - how.warmup) / max(how.steps - how.warmup, 1), 0.0) ** how.power

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def check(recipe: Recipe) -> None:
    """Refuse what does not fit together.

    Raises:
        InputError: naming the two keys.
    """
    network, losses = recipe.network, {name for name, _ in recipe.losses}
    if losses & {"isomax", "isomax_focal"} and not network.isomax:
        raise InputError("the losses isomax and isomax_focal need the distance head; set network.isomax, such as 16")
    if recipe.weights.void and not network.void:
        raise InputError(
            f"weights.void is {recipe.weights.void:g} but there is no void output; set network.void = true"
        )
    if network.stage == "encoder" and (network.name != "erfnet" or not network.auxiliary or network.isomax):
        raise InputError(
            "network.stage = encoder trains ERFNet's encoder by its own classifier; it needs network.name = erfnet, "
            "network.auxiliary = true and network.isomax = 0"
        )


def still_parts(network: nn.Module, how: Optimiser) -> list[nn.Module]:
    """Take the gradient from the frozen parts of a network; the modules that have to stay in evaluation mode.

    Raises:
        InputError: if the network has no such part.
    """
    names = [name for name, _ in network.named_parameters()]
    for part in (*how.frozen, *how.faster):
        if not any(name.startswith(part) for name in names):
            parts = sorted({name.split(".")[0] for name in names})
            raise InputError(f"no part of the network begins with '{part}'; there are: {', '.join(parts)}")
    found = []
    for part in how.frozen:
        for name, each in network.named_parameters():
            each.requires_grad &= not name.startswith(part)
        found += [each for name, each in network.named_modules() if name.startswith(part)]
    if how.norms == "frozen":
        found += [each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    return found


def only_named(outputs: Outputs, named: Tensor) -> Outputs:
    """Take the gradient from logits of classes that an image's data set cannot name, (N, C) bool; void keeps it."""
    if bool(named.all()):
        return outputs

    def cut(logits: Tensor) -> Tensor:
        more = logits.shape[1] - named.shape[1]
        keep = torch.nn.functional.pad(named, (0, more), value=True)[:, :, None, None]
        return torch.where(keep, logits, logits.detach())

    return outputs._replace(logits=cut(outputs.logits), auxiliary=tuple(map(cut, outputs.auxiliary)))


def merged(confusion: np.ndarray, pixels: dict[str, PixelMetric]) -> tuple[np.ndarray, dict[str, PixelMetric]]:
    """The counts of all processes together, the same in each of them."""
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, (confusion, pixels))
    total: dict[str, PixelMetric] = {}
    for _, theirs in parts:
        for name, metric in theirs.items():
            total.setdefault(name, PixelMetric()).merge(metric)
    return np.sum([each for each, _ in parts], axis=0), total


class Labelled(Dataset):
    """Crops with the classes that their data sets can name: image, label, (classes,) bool."""

    def __init__(self, crops: Crops, classes: int):
        self.crops, self.classes = crops, classes

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return (*self.crops[index], self.crops.named(index, self.classes))


class CropLoader(L.LightningDataModule):
    """Crops of a run from the step it has reached on, and the validation set; each process has its share.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        scenes: validation scenes of each set.
        workers: processes that prepare crops; 0 prepares them between the steps.
    """

    def __init__(self, recipe: Recipe, root: Path, scenes: int = 30, workers: int = 0):
        super().__init__()
        self.recipe, self.workers = recipe, workers
        how = recipe.optimiser
        self.crops = Labelled(
            Crops(root, recipe.scenes, recipe.outliers, how.steps * how.batch, recipe.seed), recipe.network.classes
        )
        size = (2 * recipe.scenes.crop[0], 2 * recipe.scenes.crop[1])
        clean = not pastes(recipe.outliers) and not (root / recipe.outliers.objects).is_dir()
        if clean:
            print(f"oddroad: no objects in '{root / recipe.outliers.objects}': validation judges classes only")
        self.held_out = Validation(root, recipe.outliers.objects, scenes, size, clean, recipe.scenes.validation)

    def train_dataloader(self) -> DataLoader:
        """Batches not yet seen, in the order of their numbers; a process takes its part of every batch."""
        assert self.trainer is not None
        batch, processes = self.recipe.optimiser.batch, self.trainer.world_size
        own = batch // processes
        first = self.trainer.global_rank * own
        steps = range(self.trainer.global_step, self.recipe.optimiser.steps)
        mine = [step * batch + first + number for step in steps for number in range(own)]
        waits = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        return DataLoader(Subset(self.crops, mine), own, **waits)  # pyright: ignore[reportArgumentType]

    def val_dataloader(self) -> DataLoader:
        """The validation images, one by one; each of them in one process."""
        assert self.trainer is not None
        mine = range(self.trainer.global_rank, len(self.held_out), self.trainer.world_size)
        return DataLoader(Subset(self.held_out, mine), 1, num_workers=0)


def network_arguments(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's network is built with."""
    network = recipe.network
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


def fit(
    recipe: Recipe,
    root: Path,
    out: Path,
    validate_every: int = 1000,
    start: Path | None = None,
    save_every: int = 250,
    until: int | None = None,
    fresh: tuple[str, ...] = (),
    validation_scenes: int = 30,
    workers: int = 0,
) -> Path:
    """Train a recipe; a run that was killed goes on from its last state, to the same weights on a CPU.

    Started by torchrun, its processes share each batch and the validation set.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        out: folder for logs, states and ``model.ckpt``, the averaged weights.
        validate_every: steps between validations.
        start: a checkpoint of ours to start from instead of random weights.
        save_every: steps between states.
        until: stop at this step, with the schedule unfinished.
        fresh: beginnings of the names of parameters that ``start`` does not give.
        validation_scenes: validation scenes of each set.
        workers: processes that prepare crops; 0 prepares them between the steps.

    Returns:
        the path of ``model.ckpt``.

    Raises:
        InputError: if the folder holds a run of another recipe, data are missing, or the disk is full.
    """
    processes, first = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0)) == 0
    if recipe.optimiser.batch % processes:
        raise InputError(f"a batch of {recipe.optimiser.batch} cannot be shared by {processes} processes evenly")
    claim(out, recipe, first)
    steps = recipe.optimiser.steps if until is None else min(until, recipe.optimiser.steps)
    result = out / "model.ckpt"
    if result.is_file() and read_checkpoint(result)[1]["origin"].get("step") == steps:
        return result
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    L.seed_everything(recipe.seed, verbose=False)
    module = Training(recipe, found_weights(recipe, root, out, first))
    loader = CropLoader(recipe, root, validation_scenes, workers)
    origin = {} if start is None else start_from(module.network, start, fresh)
    step, state = newest_state(out / "state")
    callbacks: list[Any] = [States(out / "state", save_every), TQDMProgressBar(refresh_rate=20)]
    if recipe.optimiser.average:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimiser.average))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    trainer = L.Trainer(
        accelerator="auto",
        devices=here,
        num_nodes=processes // here,
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
        use_distributed_sampler=False,
        sync_batchnorm=processes > 1 and torch.cuda.is_available(),
        max_steps=steps,
        max_epochs=-1,
        precision={"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}[recipe.optimiser.precision],  # type: ignore[arg-type]
        gradient_clip_val=recipe.optimiser.clip or None,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        logger=[CurveLogger(out / PLACE, step), TensorBoardLogger(out, name="", version="log", purge_step=step)],
        callbacks=callbacks,
        plugins=[WholeFiles()],
        enable_model_summary=False,
    )
    began = time.time()
    trainer.fit(module, loader, ckpt_path=None if state is None else str(state))
    if first:
        origin |= {"step": steps, "seconds_of_last_part": round(time.time() - began)}
        save_checkpoint(result, module.network, about(recipe, origin))
    return result


def claim(out: Path, recipe: Recipe, first: bool) -> None:
    """Write the recipe into the folder of the run.

    Raises:
        InputError: if the folder holds a run of another recipe.
    """
    stored = out / "recipe.json"
    described = json.loads(json.dumps(recipe.to_dict()))
    if stored.is_file() and json.loads(stored.read_text()) != described:
        raise InputError(f"'{out}' holds a run of another recipe; choose another folder with --out")
    if first and not stored.is_file():
        write_whole(stored, json.dumps(described, indent=1).encode(), "recipe")


def found_weights(recipe: Recipe, root: Path, out: Path, first: bool) -> Tensor | None:
    """Weights of the classes, from a pass over the training labels whose counts are kept in the run's folder."""
    if recipe.weights.rule == "none" and recipe.weights.void in (0, 1):
        return None
    stored, classes = out / "class_counts.json", recipe.network.classes
    counts = np.array(json.loads(stored.read_text())) if stored.is_file() else None
    if counts is None:
        counts = class_counts(root, recipe.scenes.sets, classes)
        if first:
            write_whole(stored, json.dumps(counts.tolist()).encode(), "class counts")
    weights = class_weights(counts, recipe.weights, bool(recipe.network.void and recipe.weights.void))
    return None if weights is None else torch.from_numpy(weights)


def start_from(network: nn.Module, start: Path, fresh: Sequence[str]) -> dict[str, Any]:
    """Give a network the weights of a checkpoint, but for fresh and untrained parts; what to write about it.

    Raises:
        InputError: if the checkpoint cannot be read or does not fit.
    """
    state, before = read_checkpoint(start)
    without = (*fresh, *(f"{each}." for each in before.get("untrained", ())), FITTED_PREFIX)
    given = {name: each for name, each in state.items() if not name.startswith(without)}
    own = network.state_dict()
    if unknown := sorted(name for name, each in given.items() if name not in own or own[name].shape != each.shape):
        raise InputError(f"'{start}' does not fit the recipe's network: {', '.join(unknown[:3])}; --fresh leaves out")
    network.load_state_dict({**own, **given})
    return {"start": start.name, "start_sha256": sha256_of(start), "fresh": list(fresh)}


def about(recipe: Recipe, origin: dict[str, Any]) -> dict[str, Any]:
    """The metadata that travels in a checkpoint of this recipe."""
    untrained = {"untrained": ["decoder"]} if recipe.network.stage == "encoder" else {}
    return {
        "network": recipe.network.name,
        "arguments": network_arguments(recipe),
        "normalisation": recipe.network.normalisation,
        "classes": list(CITYSCAPES_CLASSES[: recipe.network.classes]),
        "recipe": recipe.to_dict(),
        "origin": {"date": time.strftime("%Y-%m-%d"), "data": list(recipe.scenes.sets), **origin},
        **untrained,
    }
