"""Training of a recipe: data in their order, and ``fit`` that goes on where a killed run stopped."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from oddroad.curves import PLACE
from oddroad.errors import InputError
from oddroad.learn.checkpoint import FITTED_PREFIX, read_checkpoint, save_checkpoint
from oddroad.learn.curves import CurveLogger
from oddroad.learn.data import Crops, Validation, class_counts, class_weights, pastes
from oddroad.learn.files import write_whole
from oddroad.learn.module import Training, network_arguments
from oddroad.learn.state import States, WholeFiles, newest_state
from oddroad.predict import sha256_of
from oddroad.recipe import Recipe
from oddroad.types import CITYSCAPES_CLASSES


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
        self.root, self.scenes = root, scenes

    @cached_property
    def held_out(self) -> Validation:
        """The validation set, made when it is first asked for."""
        recipe, crop = self.recipe, self.recipe.scenes.crop
        folder = self.root / recipe.outliers.objects
        clean = not pastes(recipe.outliers) and not folder.is_dir()
        if clean:
            print(f"oddroad: no objects in '{folder}': validation judges classes only")
        size, sets = (2 * crop[0], 2 * crop[1]), recipe.scenes.validation
        return Validation(self.root, recipe.outliers.objects, self.scenes, size, clean, sets)

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
        limit_val_batches=0 if validate_every > steps else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(20, max(steps // 20, 1)),
        logger=[CurveLogger(out / PLACE, step), TensorBoardLogger(out, name="", version="log", purge_step=step)],
        callbacks=callbacks,
        plugins=[WholeFiles()],
        enable_model_summary=False,
    )
    began = time.time()
    try:
        trainer.fit(module, loader, ckpt_path=None if state is None else str(state))
    except SystemExit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from None
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
