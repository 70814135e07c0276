"""Training of a recipe, resumed where a killed run stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from oddroad.datasets import class_names
from oddroad.errors import InputError
from oddroad.files import sha256_of, write_whole
from oddroad.io.folder_lock import FolderLock
from oddroad.learn.checkpoints.format import FITTED_PREFIX, read_checkpoint, save_checkpoint
from oddroad.learn.data.class_balance import class_counts, class_weights
from oddroad.learn.data.crops import pastes
from oddroad.learn.data.scenes import SceneList
from oddroad.learn.training.checkpoints import States, WholeFiles, newest_state
from oddroad.learn.training.claim import Claim, check_claim, data_digest, write_claim
from oddroad.learn.training.crop_teacher import CropTeacher
from oddroad.learn.training.csv_logger import CurveLogger
from oddroad.learn.training.distillation import write_maps
from oddroad.learn.training.loader import CropLoader
from oddroad.learn.training.module import network_arguments
from oddroad.learn.training.resynthesis import training_of
from oddroad.recipe import RESYNTHESIS_NAMES, Network, Recipe
from oddroad.reporting.learning_curves import PLACE
from oddroad.types import CITYSCAPES_CLASSES

Tell = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""

COUNTS = "class_counts.json"
"""Pixels of each class in the training labels, in the folder of the run."""


class Told(Callback):
    """Tells how far training and validation are."""

    def __init__(self, tell: Tell):
        self.tell = tell

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """One step more."""
        self.tell("training", trainer.global_step, trainer.max_steps)

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """One validation image more."""
        self.tell("validation", batch_idx + 1, int(trainer.num_val_batches[0]))


def fit(
    recipe: Recipe,
    root: Path,
    out: Path,
    validate_every: int = 1000,
    init_from: Path | None = None,
    save_every: int = 250,
    until: int | None = None,
    reinit: tuple[str, ...] = (),
    validation_scenes: int = 30,
    workers: int = 0,
    teacher: Path | None = None,
    tell: Tell = lambda *_: None,
) -> Path:
    """Train a recipe; a run that was killed goes on from its last state, to the same weights on a CPU.

    A finished run is trained longer where ``optim.steps`` is larger and nothing else differs: it goes on from its last
    state, and its learning rate follows the longer schedule from there on.

    Started by torchrun, its processes share each batch and the validation set.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        out: folder for logs, states and ``model.ckpt``, the averaged weights.
        validate_every: steps between validations.
        init_from: an oddroad checkpoint to start from instead of random weights.
        save_every: steps between states.
        until: stop at this step, with the schedule unfinished.
        reinit: parameter-name prefixes that ``init_from`` does not give.
        validation_scenes: validation scenes of each set at most.
        workers: processes that prepare crops; 0 prepares them between the steps.
        teacher: an oddroad checkpoint to learn from, where the recipe's ``distillation.weight`` is above 0.
        tell: called with what is done ("training", "validation", "teacher"), how much of it, and of how much.

    Returns:
        the path of ``model.ckpt``.

    Raises:
        InputError: if the folder holds a run that began from something else, data are missing, or the disk is full.
            Also if another run is at work in the folder. A run that fails before its first state does not claim it.
    """
    first = int(os.environ.get("RANK", 0)) == 0
    how = (validate_every, init_from, save_every, until, reinit, validation_scenes, workers, teacher, tell)
    with FolderLock(out) if first else contextlib.nullcontext(), subnormals_as_zero():
        return train(recipe, root, out, first, *how)


@contextlib.contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Let numbers below 1.2e-38 count as 0 while training, where the processor can.

    Weight decay leaves dead channels with such weights (2158 of them in the published ERFNet), and a processor takes
    many times as long for what is computed with them: two to three times for a step of ERFNet, once it starts there.
    """
    before = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def train(
    recipe: Recipe,
    root: Path,
    out: Path,
    first: bool,
    validate_every: int,
    init_from: Path | None,
    save_every: int,
    until: int | None,
    reinit: tuple[str, ...],
    validation_scenes: int,
    workers: int,
    teacher: Path | None,
    tell: Tell,
) -> Path:
    """As ``fit``, in a folder that is this run's alone; ``first`` of its processes writes."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if recipe.optim.batch % processes:
        raise InputError(f"a batch of {recipe.optim.batch} cannot be shared by {processes} processes evenly")
    names = class_names(root, recipe.scenes.sets)
    recipe = with_classes(recipe, names, root)
    files = training_files(recipe, root)
    claim = Claim.of(recipe, init_from, reinit, teacher, data_digest(root, files))
    if recipe.network.name in RESYNTHESIS_NAMES:
        check_start(recipe, init_from)
    step, state = newest_state(out / "state")
    result = out / "model.ckpt"
    done = read_checkpoint(result)[1]["origin"].get("step", 0) if result.is_file() else 0
    schedules = check_claim(out, claim, max(step, done))
    steps = max(recipe.optim.steps if until is None else min(until, recipe.optim.steps), step)
    if done >= steps:
        return result
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    L.seed_everything(recipe.seed, verbose=False)
    module = training_of(recipe)(recipe)
    loader = CropLoader(recipe, root, validation_scenes, workers)
    origin = {} if init_from is None else initialise(module.network, init_from, reinit, recipe.network.normalisation)
    module.set_class_weights(found_weights(recipe, root, out, claim.data, first))
    check_teacher(recipe, teacher)
    if teacher is not None and recipe.distillation.sees == "crops":
        module.crop_teacher = CropTeacher(teacher, recipe)
    else:
        loader.set_teacher(teacher_maps(recipe, root, out, teacher, tell))
    if teacher is not None:
        origin |= {"teacher": teacher.name, "teacher_sha256": sha256_of(teacher)}
    if schedules:
        origin["schedules_before"] = schedules
    if first:
        write_claim(out, claim, schedules)
    callbacks: list[Any] = [States(out / "state", save_every), Told(tell)]
    if recipe.optim.ema:
        callbacks.append(EMAWeightAveraging(decay=recipe.optim.ema))
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
        precision={"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}[recipe.optim.precision],  # type: ignore[arg-type]
        gradient_clip_val=recipe.optim.clip or None,
        val_check_interval=validate_every,
        limit_val_batches=0 if validate_every > steps else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(20, max(steps // 20, 1)),
        logger=[CurveLogger(out / PLACE, step), TensorBoardLogger(out, name="", version="log", purge_step=step)],
        callbacks=callbacks,
        plugins=[WholeFiles()],
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    began = time.time()
    try:
        trainer.fit(module, loader, ckpt_path=None if state is None else str(state))
    except SystemExit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from None
    if first:
        origin |= {"step": steps, "seconds_of_last_part": round(time.time() - began), "data_sha256": claim.data}
        save_checkpoint(result, module.network, about(recipe, origin, names))
    return result


def check_start(recipe: Recipe, init_from: Path | None) -> None:
    """Refuse to train a resynthesis network on random weights: what it stands on is never trained with it.

    Raises:
        InputError: if it starts from nothing, or its comparison from an untrained generator.
    """
    if init_from is None:
        raise InputError(
            f"{recipe.network.name} stands on a closed-set network and on features that are not trained with it; make "
            "a start of them with runs/resynthesis_start.py and give it with --init-from"
        )
    if recipe.network.stage == "whole" and "generator" in read_checkpoint(init_from)[1].get("untrained", ()):
        raise InputError(
            f"the generator of '{init_from}' is untrained; train it first, with --recipe.network.stage generator"
        )


def training_files(recipe: Recipe, root: Path) -> list[Path]:
    """The files that a run learns from: training images, their labels, and the objects that are pasted.

    Raises:
        InputError: if a set is unknown or not there.
    """
    samples = [sample for _, sample in SceneList(root, tuple(dict.fromkeys(recipe.scenes.sets)), "train").samples]
    found = [each for sample in samples for each in (sample.image, sample.label) if each is not None]
    folders = [name for name, _ in recipe.outliers.objects] if pastes(recipe.outliers) else []
    folders += [recipe.scenes.surfaces] if recipe.scenes.surfaces else []
    return found + sorted(each for name in folders for each in (root / name).rglob("*") if each.is_file())


def check_teacher(recipe: Recipe, teacher: Path | None) -> None:
    """Refuse a teacher too many or too few.

    Raises:
        InputError: if the recipe learns from a teacher and none is given, or the other way round.
    """
    if (teacher is None) == recipe.distillation.wanted:
        raise InputError(
            "the recipe's distillation.weight is above 0 but no teacher is given; name a checkpoint with --teacher"
            if teacher is None
            else "a teacher is given but the recipe's distillation.weight is 0; set it, such as 1"
        )


def teacher_maps(
    recipe: Recipe, root: Path, out: Path, teacher: Path | None, tell: Tell = lambda *_: None
) -> Path | None:
    """The teacher's maps of the training scenes, in the run's folder, made where they are not there yet.

    Raises:
        InputError: if the teacher cannot be read.
    """
    if teacher is None:
        return None
    read_checkpoint(teacher)  # says what is wrong with it
    maps = out / f"teacher-{sha256_of(teacher)[:12]}.safetensors"
    if not maps.is_file():
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise InputError(f"'{maps}' is not there yet; let one process make it, with --until 1, then start several")
        write_maps(maps, teacher, root, recipe.scenes.sets, tell)
    return maps


def found_weights(recipe: Recipe, root: Path, out: Path, data: str, first: bool) -> Tensor | None:
    """Weights of the classes, from a pass over the training labels whose counts are kept in the run's folder.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        out: folder of the run.
        data: SHA-256 of the training data; kept counts of other data are not used.
        first: whether this process writes.
    """
    if recipe.class_weights.rule == "none" and recipe.class_weights.void in (0, 1):
        return None
    stored, classes = out / COUNTS, recipe.network.classes
    key = {"data": data, "sets": list(recipe.scenes.sets), "classes": classes}
    kept = json.loads(stored.read_text()) if stored.is_file() else {}
    counts = np.array(kept.pop("counts")) if "counts" in kept and key == {k: kept.get(k) for k in key} else None
    if counts is None:
        counts = class_counts(root, recipe.scenes.sets, classes)
        if first:
            write_whole(stored, json.dumps({**key, "counts": counts.tolist()}).encode(), "class counts")
    weights = class_weights(counts, recipe.class_weights, bool(recipe.network.void and recipe.class_weights.void))
    return None if weights is None else torch.from_numpy(weights)


def initialise(network: nn.Module, init_from: Path, reinit: Sequence[str], normalisation: str) -> dict[str, Any]:
    """Give a network the weights of a checkpoint, but for reinit and untrained parts; what to write about it.

    Raises:
        InputError: if the checkpoint cannot be read, does not fit, or was trained on images normalised in another way.
    """
    state, before = read_checkpoint(init_from)
    if before.get("normalisation", normalisation) != normalisation:
        raise InputError(
            f"'{init_from}' was trained on images normalised as '{before['normalisation']}' and the recipe says "
            f"'{normalisation}'; set network.normalisation to {before['normalisation']}"
        )
    without = (*reinit, *(f"{each}." for each in before.get("untrained", ())), FITTED_PREFIX)
    given = {name: each for name, each in state.items() if not name.startswith(without)}
    own = network.state_dict()
    if unknown := sorted(name for name, each in given.items() if name not in own or own[name].shape != each.shape):
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise InputError(
            f"'{init_from}' does not fit the recipe's network: {', '.join(unknown[:3])}{more} (not in it, or of "
            f"another shape); leave them out by their prefixes, such as --reinit {unknown[0].partition('.')[0]}"
        )
    network.load_state_dict({**own, **given})
    return {"init_from": init_from.name, "init_from_sha256": sha256_of(init_from), "reinit": list(reinit)}


def with_classes(recipe: Recipe, names: Sequence[str], root: Path) -> Recipe:
    """The recipe with as many outputs as its data sets have classes, where these are not Cityscapes'.

    Raises:
        InputError: if the recipe asks for another number, validates on other classes, or learns from a teacher.
    """
    if list(names) == list(CITYSCAPES_CLASSES):
        return recipe
    if recipe.network.classes not in (len(names), Network().classes):
        raise InputError(f"network.classes is {recipe.network.classes}, and the class map has {len(names)} classes")
    if list(class_names(root, [*recipe.scenes.sets, *recipe.scenes.validation])) != list(names):
        raise InputError("scenes.validation has other classes than scenes.sets; name the same sets there")
    if recipe.distillation.wanted:
        raise InputError("a teacher knows Cityscapes' classes, and the class map has others; set distillation.weight 0")
    return replace(recipe, network=replace(recipe.network, classes=len(names)))


def about(recipe: Recipe, origin: dict[str, Any], names: Sequence[str] = CITYSCAPES_CLASSES) -> dict[str, Any]:
    """The metadata that travels in a checkpoint of this recipe."""
    left = {"encoder": ["decoder"], "generator": ["comparison"]}.get(recipe.network.stage, [])
    untrained = {"untrained": left} if left else {}
    return {
        "network": recipe.network.name,
        "arguments": network_arguments(recipe),
        "normalisation": recipe.network.normalisation,
        "classes": list(names[: recipe.network.classes]),
        "recipe": recipe.to_dict(),
        "origin": {"date": time.strftime("%Y-%m-%d"), "data": list(recipe.scenes.sets), **origin},
        **untrained,
    }
