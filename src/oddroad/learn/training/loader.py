"""Batches of a run in their order, from the step that it has reached."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import lightning as L
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from oddroad.learn.data.crops import Crops, pastes
from oddroad.learn.data.validation import Validation
from oddroad.learn.training.distillation import Teacher, place_of
from oddroad.recipe import Recipe


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
        scenes, size = self.crops.scene_list, self.crops.scenes.crop
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
        maps: file of the teacher's maps of the scenes; None for no teacher.
    """

    def __init__(self, recipe: Recipe, root: Path, scenes: int = 30, workers: int = 0, maps: Path | None = None):
        super().__init__()
        self.recipe, self.workers = recipe, workers
        self.root, self.scenes = root, scenes
        how = recipe.optim
        crops = Crops(root, recipe.scenes, recipe.outliers, how.steps * how.batch, recipe.seed)
        self.crops = Labelled(crops, recipe.network.classes)
        self.set_teacher(maps)

    def set_teacher(self, maps: Path | None) -> None:
        """Give the teacher's maps of the scenes with each crop; None for no teacher."""
        self.crops.teacher = None if maps is None else Teacher(maps, self.recipe.scenes.loss_stride)

    @cached_property
    def held_out(self) -> Validation:
        """The validation set, made when it is first asked for."""
        recipe, crop = self.recipe, self.recipe.scenes.crop
        objects = recipe.outliers.validation
        missing = next((self.root / name for name, _ in objects if not (self.root / name).is_dir()), None)
        clean = not objects or (not pastes(recipe.outliers) and missing is not None)
        if clean:
            print(f"oddroad: no objects in '{missing or 'outliers.validation'}': validation judges classes only")
        by = recipe.distillation.shrink
        size, sets = (2 * crop[0] // by, 2 * crop[1] // by), recipe.scenes.validation
        return Validation(self.root, objects, self.scenes, size, clean, sets)

    def train_dataloader(self) -> DataLoader:
        """The batches of the run, those not yet seen given out; a process takes its part of every batch."""
        assert self.trainer is not None
        waits = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        left = BatchesLeft(self.trainer, self.recipe.optim.steps, self.recipe.optim.batch)
        return DataLoader(self.crops, batch_sampler=left, **waits)  # pyright: ignore[reportArgumentType]

    def val_dataloader(self) -> DataLoader:
        """The validation images, one by one; each of them in one process."""
        assert self.trainer is not None
        mine = range(self.trainer.global_rank, len(self.held_out), self.trainer.world_size)
        return DataLoader(Subset(self.held_out, mine), 1, num_workers=0)
