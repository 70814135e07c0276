"""Scores, networks, losses in a file of one's own: run once, it adds to the tables; nothing in the package changes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from oddroad.errors import InputError
from oddroad.evaluation.predictors import Predictor
from oddroad.files import sha256_of
from oddroad.learn.predictor import open_checkpoint


def load_plugin(path: str | Path) -> None:
    """Run a Python file of the user's own, which adds to SCORES, FITTED, NETWORKS or LOSSES.

    The file can do whatever its author can do: run only your own.

    Raises:
        InputError: if there is no such file, or it fails; says the line.
    """
    path = Path(path)
    spec = importlib.util.spec_from_file_location(f"oddroad_plugin_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"no plugin '{path}'; expected a Python file (.py) that adds to the tables of oddroad.learn")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = next((f" line {at.lineno}" for at in reversed(frames_of(error)) if at.filename == str(path)), "")
        raise InputError(f"plugin '{path}'{line}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def frames_of(error: BaseException):
    """The stack of an exception, outermost first."""
    import traceback

    return traceback.extract_tb(error.__traceback__)


def open_with_plugin(
    plugin: str, model: str, scores: Sequence[str] = (), threads: int = 0, flip_tta: bool = False
) -> Predictor:
    """A predictor for one of our checkpoints, with the scores of a plugin; also in a worker process.

    Args:
        plugin: the Python file, whose SHA-256 goes into the results.
        model: path of the checkpoint.
        scores: names in SCORES; by default the usual ones.
        threads: of PyTorch; 0 leaves them as they are.
        flip_tta: each score is the mean over the image and its mirror image.

    Raises:
        InputError: if the plugin, the checkpoint or a score cannot be used.
    """
    load_plugin(plugin)
    if Path(model).suffix != ".ckpt":
        raise InputError(
            f"'{model}' has its scores inside; a plugin needs the checkpoint (.ckpt), or export it with --plugin"
        )
    found = open_checkpoint(model, scores, threads, flip_tta=flip_tta)
    return replace(found, about={**found.about, "plugin": sha256_of(Path(plugin))})
