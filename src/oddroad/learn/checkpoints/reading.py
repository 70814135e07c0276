"""Files with weights in all the forms they come in. A checkpoint is untrusted input: it is read as data, never run."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import KEY
from oddroad.learn.checkpoints.numpy_pickles import RefusedError, is_pickle, read_arrays

NESTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "ema", "module")
"""Keys under which people keep the weights, the usual one first."""

NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]
"""A best accuracy is often kept as a NumPy number beside the weights; these make one from its bytes, nothing else."""


def read_any(path: Path) -> Any:
    """What a .safetensors, a torch file or a pickle of NumPy arrays holds; nothing in it is run.

    Raises:
        InputError: if there is no such file, it is damaged, it wants to run code, or it is an oddroad checkpoint.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint '{path}'")
    with path.open("rb") as file:
        head = file.read(32)
    if path.suffix == ".safetensors" or (len(head) >= 9 and head[8:9] == b"{"):
        return read_safetensors(path)
    if is_pickle(head):
        try:
            return read_arrays(path)
        except RefusedError as error:
            refuse(path, f"reading it would run {error.wanted}")
        except Exception as error:  # a damaged pickle can raise anything
            refuse_damaged(path, error)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMPY_NUMBERS):
            warnings.simplefilter("ignore")  # about old forms of pickles, which are read or refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", str(error))
        if wants or head.startswith((b"PK", b"\x80")):
            refuse(path, f"reading it would run {wants[1] if wants else 'more than the making of tensors'}")
        raise InputError(f"'{path}' is damaged, or no checkpoint: it begins with {head[:9]!r}") from None
    except Exception as error:  # a damaged pickle or archive can raise anything
        refuse_damaged(path, error)


def refuse(path: Path, why: str) -> NoReturn:
    """Say that a file wants to run code."""
    raise InputError(
        f"'{path}' is refused: {why}, and a checkpoint has to be data, not code; whoever made it can save the weights "
        "alone with torch.save(model.state_dict(), FILE)"
    ) from None


def refuse_damaged(path: Path, error: Exception) -> NoReturn:
    """Say that a file cannot be read."""
    told = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
    raise InputError(f"'{path}' is damaged, or no checkpoint: {told}") from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file.

    Raises:
        InputError: if it is damaged, or an oddroad checkpoint already.
    """
    try:
        with safe_open(path, "pt") as opened:
            if KEY in (opened.metadata() or {}):
                raise InputError(f"'{path}' is an oddroad checkpoint already; use it as it is")
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"'{path}' is a damaged safetensors file ({error})") from None


def find_state(held: Any, path: Path) -> tuple[dict[str, Tensor], str, list[str]]:
    """The state dict in what a file holds, where it was, and what lay beside it.

    Raises:
        InputError: if there is none.
    """
    if isinstance(held, Mapping):
        tensors = {str(key): each for key, each in held.items() if isinstance(each, Tensor)}
        nested = [key for key in NESTS if isinstance(held.get(key), Mapping)]
        if len(tensors) > 4 or (tensors and not nested):
            return tensors, "", [str(key) for key, each in held.items() if not isinstance(each, Tensor)]
        for key in nested:
            try:
                inner, where, beside = find_state(held[key], path)
            except InputError:
                continue
            return inner, f"{key}.{where}".rstrip("."), [*beside, *(str(other) for other in held if other != key)]
    kind = type(held).__name__
    what = f"{kind} with {', '.join(map(str, list(held)[:5])) or 'nothing'}" if isinstance(held, Mapping) else kind
    raise InputError(f"'{path}' holds no weights (a {what}); expected a state dict, or one under: {', '.join(NESTS)}")


def strip_prefix(state: Mapping[str, Tensor], names: Sequence[str]) -> tuple[dict[str, Tensor], str, list[str]]:
    """Remove the prefix under which most of the names are found, such as ``module.``.

    Returns:
        the entries under the prefix, without it; the prefix; and the keys that do not carry it.
    """
    wanted = set(names)
    counts: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        for cut in range(min(len(parts), 4)):
            if ".".join(parts[cut:]) in wanted:
                counts["".join(f"{part}." for part in parts[:cut])] += 1
    prefix = max(counts, key=lambda each: (counts[each], -len(each)), default="")
    inside = {key.removeprefix(prefix): each for key, each in state.items() if key.startswith(prefix)}
    return inside, prefix, [key for key in state if not key.startswith(prefix)]
