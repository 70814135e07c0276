"""Training of a recipe: data in their order, and ``fit`` that goes on where a killed run stopped."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from oddroad.curves import PLACE
from oddroad.errors import InputError
from oddroad.learn.batches import Batches
from oddroad.learn.checkpoint import FITTED_PREFIX, read_checkpoint, save_checkpoint
from oddroad.learn.curves import CurveLogger
from oddroad.learn.data import Crops, Validation, pastes
from oddroad.learn.files import write_whole
from oddroad.learn.known import class_counts, class_weights
from oddroad.learn.module import Training, network_arguments
from oddroad.learn.state import States, WholeFiles, newest_state
from oddroad.learn.teacher import Teacher, place_of, write_maps
from oddroad.predict import sha256_of
from oddroad.recipe import Recipe
from oddroad.types import CITYSCAPES_CLASSES


class Labelled(Dataset):
    """Crops with the classes that their data sets can name, (classes,) bool, and with what a teacher says of them."""

    def __init__(self, crops: Crops, classes: int, teacher: Teacher | None = None):
        self.crops, self.classes, self.teacher = crops, classes, teacher

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        image, label, number, whole, matrix = self.crops.drawn(index)
        given = image, label, self.crops.named(index, self.classes)
        if self.teacher is None:
            return given
        scenes, size = self.crops.known_scenes, self.crops.scenes.crop
        return (*given, self.teacher.crop(place_of(*scenes.samples[number]), scenes[number], whole, matrix, size))


class BatchesLeft(Sampler[list[int]]):
    """Numbers of the crops of each batch, from the step that the run has reached on, in their order.

    Its length is that of the whole run: Lightning's epoch ends when the batches of all its lives together reach it.

    Args:
        trainer: knows the step, and the place of this process among all.
        steps: of the whole run.
        batch: crops of a batch, of all processes.
    """

    def __init__(self, trainer: L.Trainer, steps: int, batch: int):
        self.trainer, self.steps, self.batch = trainer, steps, batch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        own = self.batch // self.trainer.world_size
        for step in range(self.trainer.global_step, self.steps):
            first = step * self.batch + self.trainer.global_rank * own
            yield list(range(first, first + own))


class CropLoader(L.LightningDataModule):
    """Crops of a run from the step it has reached on, and the validation set; each process has its share.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        scenes: validation scenes of each set.
        workers: processes that prepare crops; 0 prepares them between the steps.
        maps: what the teacher says of the scenes.
    """

    def __init__(self, recipe: Recipe, root: Path, scenes: int = 30, workers: int = 0, maps: Path | None = None):
        super().__init__()
        self.recipe, self.workers = recipe, workers
        self.root, self.scenes = root, scenes
        self.crops = None  # of a batched run, which makes them on the device
        if not recipe.scenes.batched:
            how = recipe.optimiser
            crops = Crops(root, recipe.scenes, recipe.outliers, how.steps * how.batch, recipe.seed)
            teacher = None if maps is None else Teacher(maps, recipe.scenes.loss_stride)
            self.crops = Labelled(crops, recipe.network.classes, teacher)

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
        """The batches of the run, those not yet seen given out; a process takes its part of every batch."""
        assert self.trainer is not None
        if self.crops is None:
            place = self.trainer.global_rank, self.trainer.world_size
            device = self.trainer.strategy.root_device
            return DataLoader(Batches(self.recipe, self.root, device, self.trainer.global_step, place), batch_size=None)
        waits = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        left = BatchesLeft(self.trainer, self.recipe.optimiser.steps, self.recipe.optimiser.batch)
        return DataLoader(self.crops, batch_sampler=left, **waits)  # pyright: ignore[reportArgumentType]

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
    teacher: Path | None = None,
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
        teacher: a checkpoint of ours to learn from, where the recipe's ``distillation.weight`` is above 0.

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
    loader = CropLoader(recipe, root, validation_scenes, workers, teacher_maps(recipe, root, out, teacher))
    origin = {} if start is None else start_from(module.network, start, fresh)
    if teacher is not None:
        origin |= {"teacher": teacher.name, "teacher_sha256": sha256_of(teacher)}
    step, state = newest_state(out / "state")
    callbacks: list[Any] = [States(out / "state", save_every), TQDMProgressBar(refresh_rate=20)]
    if recipe.optimiser.average:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimiser.average))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    trainer = L.Trainer(
        accelerator="auto",
        devices=here,
        benchmark=torch.cuda.is_available() or None,
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


def teacher_maps(recipe: Recipe, root: Path, out: Path, teacher: Path | None) -> Path | None:
    """The teacher's maps of the training scenes, in the run's folder, made where they are not there yet.

    Raises:
        InputError: if the recipe has a teacher and none is given, or the other way round, or it cannot be read.
    """
    if (teacher is None) == (recipe.distillation.weight > 0):
        raise InputError(
            "the recipe's distillation.weight is above 0 but no teacher is given; name a checkpoint with --teacher"
            if teacher is None
            else "a teacher is given but the recipe's distillation.weight is 0; set it, such as 1"
        )
    if teacher is None:
        return None
    read_checkpoint(teacher)  # says what is wrong with it
    maps = out / f"teacher-{sha256_of(teacher)[:12]}.safetensors"
    if not maps.is_file():
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise InputError(f"'{maps}' is not there yet; let one process make it, with --until 1, then start several")
        write_maps(maps, teacher, root, recipe.scenes.sets)
    return maps


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
