"""Pickles of NumPy arrays, the form of detectron2's model zoo, read as data: nothing in them is run.

Only what makes arrays of numbers and plain containers is known, by functions of this module; every other name in the
pickle is refused before it is looked up.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch's own files begin that are pickles and no archives."""

DEEPEST = 64
"""Containers in containers that are looked through."""

MOST_PARTS = 1_000_000
"""Arrays, numbers and containers that a file may hold; one that stands in two places counts twice."""


class RefusedError(pickle.UnpicklingError):
    """The pickle asks for something else than arrays; ``wanted`` is its name."""

    def __init__(self, wanted: str):
        super().__init__(wanted)
        self.wanted = wanted


ARRAY = object()
"""Stands for ``numpy.ndarray`` while the pickle is read, so that the class itself is never called."""


def empty_array(kind: object = None, shape: object = (0,), code: object = b"b", *more: object) -> np.ndarray:
    """What NumPy's pickles begin an array with; its numbers, shape and type come after, and NumPy checks them."""
    if kind is not ARRAY or shape != (0,) or more:
        raise RefusedError("an array made in another way than NumPy's")
    return np.empty(0, np.int8)


def number_type(code: object = None, align: object = 0, copy: object = 0, *more: object) -> np.dtype:
    """A type of plain numbers."""
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or text.lstrip("<>=|")[:1] not in ("b", "i", "u", "f", "?") or more:
        raise RefusedError(f"an array of {code!r}")
    return np.dtype(text, False, True)  # a copy, as its byte order is set after


def number(kind: object = None, data: object = b"", *more: object) -> Any:
    """One NumPy number, from its bytes."""
    held = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(kind, np.dtype) or kind.hasobject or not isinstance(held, bytes) or more:
        raise RefusedError("a NumPy number made in another way than NumPy's")
    return np.frombuffer(held, kind)[0]


def array_of(data: object = b"", kind: object = None, shape: object = (), order: object = "C") -> np.ndarray:
    """How the fifth protocol writes an array."""
    sides = shape if isinstance(shape, tuple) and all(type(each) is int for each in shape) else None
    if not isinstance(kind, np.dtype) or not isinstance(data, (bytes, bytearray)) or sides is None:
        raise RefusedError("an array made in another way than NumPy's")
    return np.frombuffer(data, kind).reshape(sides, order="F" if order == "F" else "C")


def no_bytes(*given: object) -> bytes:
    """How the second protocol writes no bytes."""
    if given:
        raise RefusedError("bytes made of something")
    return b""


def latin1_bytes(text: object = "", encoding: object = "latin1") -> bytes:
    """How the second protocol writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): number for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): array_of for core in ("core", "_core")},
    **{(module, "bytes"): no_bytes for module in ("__builtin__", "builtins")},
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): number_type,
    ("_codecs", "encode"): latin1_bytes,
    ("collections", "OrderedDict"): OrderedDict,
}
"""Names that may stand in a pickle of arrays, and what is taken for them."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of numbers, numbers, texts and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for.

        Raises:
            RefusedError: if it is not one of ALLOWED.
        """
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        """Nothing lies outside of the pickle."""
        raise RefusedError("something outside of the file")


def is_pickle(head: bytes) -> bool:
    """Whether a file begins as a plain pickle of protocol 2 or later, and not as one of torch's."""
    return head[:1] == b"\x80" and 2 <= int.from_bytes(head[1:2]) <= 5 and not head.startswith(TORCH_MAGIC)


def read_arrays(path: Path) -> Any:
    """What a pickle of NumPy arrays holds, each array as a tensor; texts of Python 2 are read as Latin-1.

    Raises:
        RefusedError: if it asks for anything else.
        Exception: of many kinds, if it is damaged.
    """
    with path.open("rb") as opened:
        check_notes(opened)
        opened.seek(0)
        return as_tensors(ArrayUnpickler(opened, encoding="latin1").load())


def check_notes(opened: BinaryIO) -> None:
    """Refuse a pickle that numbers its notes higher than it has words: the unpickler makes a list of that length.

    Raises:
        RefusedError: if it does.
        Exception: of many kinds, if it is damaged.
    """
    for words, (opcode, value, _) in enumerate(pickletools.genops(opened)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and value is not None and int(value) > words:
            raise RefusedError(f"a list of {value} notes")


def as_tensors(held: Any, depth: int = 0, seen: list[None] | None = None) -> Any:
    """Plain containers with tensors in place of arrays.

    Raises:
        RefusedError: if something else is in them, they are nested too deeply, or hold one another over and over.
    """
    seen = [] if seen is None else seen
    seen.append(None)
    if depth > DEEPEST:
        raise RefusedError(f"containers nested more than {DEEPEST} times")
    if len(seen) > MOST_PARTS:
        raise RefusedError(f"more than {MOST_PARTS} parts of containers")
    if isinstance(held, np.ndarray):
        if held.dtype.kind not in "biuf":
            raise RefusedError(f"an array of {held.dtype}")
        native = np.array(held, dtype=held.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(native.astype(np.int64) if native.dtype.kind == "u" and native.itemsize > 1 else native)
    if isinstance(held, dict):
        return {key: as_tensors(each, depth + 1, seen) for key, each in held.items()}
    if isinstance(held, (list, tuple)):
        return [as_tensors(each, depth + 1, seen) for each in held]
    if held is None or isinstance(held, (str, bytes, int, float, np.number, np.bool_)):
        return held
    raise RefusedError(f"a {type(held).__name__}")
