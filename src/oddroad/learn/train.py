"""Training: one small LightningModule, and ``fit`` that resumes where a killed run stopped."""

from __future__ import annotations

import json
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from oddroad.errors import InputError, pick
from oddroad.learn.checkpoint import read_checkpoint, save_checkpoint
from oddroad.learn.data import Crops, Validation
from oddroad.learn.detector import NORMALISATION
from oddroad.learn.losses import weighted
from oddroad.learn.networks import NETWORKS
from oddroad.learn.scores import SCORES
from oddroad.metrics import PixelMetric
from oddroad.recipe import Recipe
from oddroad.types import ANOMALY, CITYSCAPES_CLASSES, IGNORE, KNOWN, OUTLIER

VALIDATION_SCORES = ("max_logit", "outlier_head", "joint")


class Training(L.LightningModule):
    """Forward, loss, optimiser and validation of one recipe.

    Args:
        recipe: the run.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        self.network = pick(NETWORKS, recipe.network.name, "network")(**network_arguments(recipe))
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.loss = weighted(dict(recipe.losses))
        mean, std = pick(NORMALISATION, recipe.network.normalisation, "normalisation")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Any:
        """(N, 3, H, W) uint8 -> Outputs."""
        return self.network(((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """One step: the weighted sum of the losses, each of them logged."""
        images, labels = batch
        stride = self.recipe.scenes.loss_stride
        total, terms = self.loss(self(images), labels[:, stride // 2 :: stride, stride // 2 :: stride])
        self.log_dict({name: value.detach() for name, value in terms.items()})
        self.log("loss", total.detach(), prog_bar=True)
        return total

    def on_validation_epoch_start(self) -> None:
        """Empty the counts."""
        classes = self.recipe.network.classes
        self.confusion = np.zeros((classes, classes), np.int64)
        self.pixels: dict[str, PixelMetric] = {}

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Count classes and collect score maps at the network's stride."""
        images, labels = batch
        outputs = self(images)
        stride = int(self.network.stride)  # pyright: ignore[reportArgumentType]
        seen = labels[:, stride // 2 :: stride, stride // 2 :: stride].cpu().numpy()
        truth = np.where(seen == OUTLIER, ANOMALY, np.where(seen == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        for name in VALIDATION_SCORES:
            if name == "max_logit" or outputs.outlier is not None:
                metric = self.pixels.setdefault(name, PixelMetric())
                for heat, odd in zip(SCORES[name](outputs).float().cpu().numpy(), truth, strict=True):
                    metric.add(heat, odd, f"validation image {index}")
        predicted = outputs.logits.argmax(1).cpu().numpy()
        classes = len(self.confusion)
        named = seen < classes
        self.confusion += np.bincount(seen[named] * classes + predicted[named], minlength=classes * classes).reshape(
            classes, classes
        )

    def on_validation_epoch_end(self) -> None:
        """Log mean IoU over the classes present, and AP of each score on the pasted objects."""
        hit = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - hit
        present = self.confusion.sum(1) > 0
        self.log("miou", float((hit[present] / union[present]).mean()), prog_bar=True)
        for name, metric in self.pixels.items():
            figures = metric.result()
            self.log_dict({f"ap_{name}": figures["ap"], f"fpr95_{name}": figures["fpr95"]}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Optimiser, and a schedule with warm-up and polynomial decay."""
        how = self.recipe.optimiser
        flat = [each for each in self.network.parameters() if each.ndim < 2]
        deep = [each for each in self.network.parameters() if each.ndim >= 2]
        groups = [{"params": deep, "weight_decay": how.decay}, {"params": flat, "weight_decay": 0.0}]
        optimiser = (
            torch.optim.AdamW(groups, lr=how.rate)
            if how.name == "adamw"
            else torch.optim.SGD(groups, lr=how.rate, momentum=0.9)
        )

        def factor(step: int) -> float:
            if step < how.warmup:
                return (step + 1) / how.warmup
            return max(1 - (step - how.warmup) / max(how.steps - how.warmup, 1), 0.0) ** how.power

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class CropLoader(L.LightningDataModule):
    """Crops of a run from the step it has reached on, and the validation set."""

    def __init__(self, recipe: Recipe, root: Path, scenes: int = 30):
        super().__init__()
        self.recipe, self.root, self.scenes = recipe, root, scenes
        how = recipe.optimiser
        self.crops = Crops(root, recipe.scenes, recipe.outliers, how.steps * how.batch, recipe.seed)
        self.held_out = Validation(
            root, recipe.outliers.objects, scenes, (2 * recipe.scenes.crop[0], 2 * recipe.scenes.crop[1])
        )

    def train_dataloader(self) -> DataLoader:
        """Batches not yet seen, in the order of their numbers."""
        assert self.trainer is not None
        done = self.trainer.global_step * self.recipe.optimiser.batch
        return DataLoader(Subset(self.crops, range(done, len(self.crops))), self.recipe.optimiser.batch, num_workers=0)

    def val_dataloader(self) -> DataLoader:
        """The validation images, one by one."""
        return DataLoader(self.held_out, 1, num_workers=0)


def network_arguments(recipe: Recipe) -> dict[str, Any]:
    """What the recipe's network is built with."""
    network = recipe.network
    return {"classes": network.classes, "outlier": network.outlier, "auxiliary": network.auxiliary}


def fit(
    recipe: Recipe,
    root: Path,
    out: Path,
    validate_every: int = 1000,
    start: Path | None = None,
    save_every: int = 250,
    until: int | None = None,
    fresh: tuple[str, ...] = (),
) -> Path:
    """Train a recipe; a run that was killed goes on from its last checkpoint.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        out: folder for logs, checkpoints and ``model.ckpt``, the averaged weights.
        validate_every: steps between validations.
        start: a checkpoint of ours to start from instead of random weights.
        save_every: steps between checkpoints.
        until: stop at this step, with the schedule unfinished.
        fresh: beginnings of the names of parameters that ``start`` does not give.

    Returns:
        the path of ``model.ckpt``.

    Raises:
        InputError: if the folder holds a run of another recipe, or data are missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    stored = out / "recipe.json"
    described = json.loads(json.dumps(recipe.to_dict()))
    if stored.is_file() and json.loads(stored.read_text()) != described:
        raise InputError(f"'{out}' holds a run of another recipe; choose another folder with --out")
    stored.write_text(json.dumps(described, indent=1))
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    L.seed_everything(recipe.seed, verbose=False)
    module, loader = Training(recipe), CropLoader(recipe, root)
    if start is not None:
        given = {
            name: each for name, each in read_checkpoint(start)[0].items() if not name.startswith(fresh or ("\0",))
        }
        own = module.network.state_dict()
        if unknown := sorted(name for name, each in given.items() if name not in own or own[name].shape != each.shape):
            raise InputError(f"'{start}' does not fit the recipe's network: {', '.join(unknown[:3])}")
        module.network.load_state_dict({**own, **given})
    callbacks: list[Any] = [
        ModelCheckpoint(out / "state", every_n_train_steps=save_every, save_last=True, save_top_k=0),
        TQDMProgressBar(refresh_rate=20),
    ]
    if recipe.optimiser.average:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimiser.average))
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=recipe.optimiser.steps if until is None else min(until, recipe.optimiser.steps),
        max_epochs=-1,
        precision="bf16-mixed" if recipe.optimiser.precision == "bf16" else "32-true",
        gradient_clip_val=recipe.optimiser.clip or None,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        logger=CSVLogger(out, name="", version="log"),
        callbacks=callbacks,
        enable_model_summary=False,
    )
    last = out / "state" / "last.ckpt"
    began = time.time()
    trainer.fit(module, loader, ckpt_path=str(last) if last.is_file() else None, weights_only=False)
    result = out / "model.ckpt"
    save_checkpoint(result, module.network, about(recipe, {"seconds_of_last_part": round(time.time() - began)}))
    return result


def about(recipe: Recipe, origin: dict[str, Any]) -> dict[str, Any]:
    """The metadata that travels in a checkpoint of this recipe."""
    return {
        "network": recipe.network.name,
        "arguments": {**network_arguments(recipe)},
        "normalisation": recipe.network.normalisation,
        "classes": list(CITYSCAPES_CLASSES[: recipe.network.classes]),
        "recipe": recipe.to_dict(),
        "origin": {"date": time.strftime("%Y-%m-%d"), "data": list(recipe.scenes.sets), **origin},
    }
