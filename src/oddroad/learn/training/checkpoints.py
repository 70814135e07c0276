"""The state of a run on disk: written whole or not at all, the last two kept, a damaged one noticed and skipped."""

from __future__ import annotations

import io
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from oddroad.errors import InputError
from oddroad.files import write_whole

KEPT = 2
"""States kept: the last one, and the one before it in case the last is damaged."""


NAME = re.compile(r"step-(\d+)\.ckpt")


def states_of(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of each state in a folder, the newest first."""
    found = [(NAME.fullmatch(each.name), each) for each in folder.glob("step-*.ckpt")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def damage(path: Path) -> str:
    """What is wrong with a state, in words; empty if it is whole: every part of the file has its checksum."""
    try:
        with zipfile.ZipFile(path) as opened:
            bad = opened.testzip()
            return "" if bad is None else f"the checksum of its part '{bad}' is wrong"
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return str(error)


def newest_state(folder: Path) -> tuple[int, Path | None]:
    """Step and path of the newest whole state; (0, None) if there is none. Damaged ones are named on stderr.

    Raises:
        InputError: if there are states and all of them are damaged.
    """
    states = states_of(folder)
    for at, (step, path) in enumerate(states):
        wrong = damage(path)
        if not wrong:
            return step, path
        if at + 1 < len(states):
            told = f"the run goes on from the one before it, step {states[at + 1][0]}"
            print(f"oddroad: state '{path}' is damaged ({wrong}); {told}", file=sys.stderr)
    if states:
        raise InputError(
            f"every state in '{folder}' is damaged ({wrong}); delete that folder to start the run from the beginning"
        )
    return 0, None


class WholeFiles(CheckpointIO):
    """Writes states beside their place, to the disk, and then renames them; reads them as data, not as code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one state.

        Raises:
            InputError: if it cannot be written, such as on a full disk; what was there before stays as it is.
        """
        path = Path(path)
        held = io.BytesIO()
        torch.save(checkpoint, held)
        write_whole(path, held.getbuffer(), f"state of step {checkpoint.get('global_step', 0)}")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read one state.

        Raises:
            InputError: if it is damaged.
        """
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
            told = str(error).strip().splitlines()[0][:160]
            raise InputError(
                f"state '{path}' cannot be read ({told}); delete it to go on from the one before"
            ) from None

    def remove_checkpoint(self, path: Any) -> None:
        """Delete one state."""
        Path(path).unlink(missing_ok=True)


class States(Checkpoint):
    """Saves the state of the run every so many steps and at its end.

    Args:
        folder: where to.
        every: steps between states.
    """

    def __init__(self, folder: Path, every: int):
        super().__init__()
        self.folder, self.every = folder, every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time to."""
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self.folder / f"step-{trainer.global_step:08d}.ckpt")
            if trainer.is_global_zero:
                for _, path in states_of(self.folder)[KEPT:]:
                    path.unlink(missing_ok=True)
