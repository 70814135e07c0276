"""The verb ``train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import progress_bars, say
from oddroad.errors import InputError
from oddroad.recipe import Recipe

DEFAULTS = Recipe()


def train(
    root: Path,
    out: Path,
    recipe: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    values: Annotated[Recipe, tyro.conf.arg(name="recipe")] = DEFAULTS,
    validate_every: int = 1000,
    init_from: Path | None = None,
    until: int | None = None,
    reinit: tuple[str, ...] = (),
    save_every: int = 250,
    validation_scenes: int = 30,
    workers: int = 0,
    teacher: Path | None = None,
) -> None:
    """Train a network by a recipe; a run that was stopped, even killed, goes on where it was.

    A finished run whose --recipe.optim.steps is raised is trained longer. Your own images and masks are a set, too:
    a folder below --root with a class map (classes.yaml), by its name in --recipe.scenes.sets.

    Example: oddroad train --recipe embedded_first --recipe.optim.lr 5e-4 --root data --out runs/one

    On several devices: torchrun --nproc-per-node 2 -m oddroad.cli train ...

    Args:
        root: folder that holds the data sets.
        out: folder for logs, checkpoints and, at the end, model.ckpt.
        recipe: a YAML file, or the name of one that comes with oddroad ('oddroad recipes'); single values of it are
            changed by --recipe.GROUP.KEY VALUE.
        values: values of the recipe; each replaces that of the file.
        validate_every: steps between validations.
        init_from: an oddroad checkpoint to start from instead of random weights.
        until: stop at this step, with the schedule unfinished.
        reinit: parameter-name prefixes that --init-from does not give.
        save_every: steps between the states that a stopped run goes on from.
        validation_scenes: validation scenes of each data set.
        workers: processes that prepare crops while the network learns; 0 prepares them between the steps.
        teacher: an oddroad checkpoint to learn from, where the recipe's distillation.weight is above 0.
    """
    from oddroad.datasets import find_set
    from oddroad.datasets.own_report import own_inventories
    from oddroad.learn.training.fit import fit
    from oddroad.learn.training.module import slow_precision

    for name in dict.fromkeys([*values.scenes.sets, *values.scenes.validation]):
        if int(os.environ.get("RANK", 0)) == 0 and find_set(root, name).own:
            for each in own_inventories(root, name):
                say(each.describe())
                if each.problems:
                    raise InputError(f"'{root / name}': {each.problems[0]}")
    if int(os.environ.get("RANK", 0)) == 0 and (slow := slow_precision(values.optim.precision)):
        say(slow)
    options = (validate_every, init_from, save_every, until, reinit, validation_scenes, workers, teacher)
    with progress_bars("steps") as tell:
        model = fit(values, root, out, *options, tell)
    if int(os.environ.get("RANK", 0)) == 0:
        say(f"trained: {model}")
