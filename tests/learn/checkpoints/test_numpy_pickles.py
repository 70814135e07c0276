"""Pickles of NumPy arrays, as detectron2's model zoo has them: read as data, whatever else is in them is refused."""

from __future__ import annotations

import os
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.learn.checkpoints.numpy_pickles import RefusedError, is_pickle, read_arrays
from oddroad.learn.checkpoints.reading import read_any
from oddroad.learn.networks import NETWORKS


def pickled(path: Path, held: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(held, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_numbers_and_containers(protocol: int, tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "b": np.arange(3, dtype=">i4"),
        "h": np.float16([0.5]),
        "none": np.zeros((0, 4), np.float32),
        "scalar": np.array(7),
        "bool": np.array([True, False]),
        "byte": np.uint8([200]),
    }
    held = {"model": OrderedDict(arrays), "__author__": "x", "best": np.float64(0.5), "it": (1, [2.5, None, b"\xff"])}
    found = read_arrays(pickled(tmp_path / "a.pkl", held, protocol))
    for name, value in arrays.items():
        assert np.array_equal(found["model"][name].numpy(), value), name
        assert found["model"][name].shape == value.shape
    assert found["__author__"] == "x"
    assert found["best"] == 0.5
    assert found["it"] == [1, [2.5, None, b"\xff"]]


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    """As Python 2 wrote it: the names of the old NumPy, and its raw bytes as a text."""
    value = np.float32([1.5, -2.0])
    raw = value.tobytes()
    body = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    assert list(pickletools.genops(body))
    (tmp_path / "old.pkl").write_bytes(body)
    assert read_arrays(tmp_path / "old.pkl").tolist() == [1.5, -2.0]


class Call:
    """Asks to be made by calling something."""

    def __init__(self, what: Callable[..., Any], *given: Any):
        self.what, self.given = what, given

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.what, self.given


def hostile(folder: Path) -> dict[str, Any]:
    """Pickles that ask for more than arrays; all of them harmless if they are obeyed."""
    made = str(folder / "was_run")
    return {
        "mkdir": Call(os.mkdir, made),
        "inside an array": np.array([Call(os.mkdir, made)], dtype=object),
        "getattr": Call(getattr, "", "join"),
        "eval": Call(eval, f"__import__('os').mkdir({made!r})"),
        "numpy's loader": Call(np.load, made),
        "object array": np.array([None, 1], dtype=object),
        "texts": np.array(["a", "b"]),
        "structured": np.zeros(2, [("a", "f4")]),
        "a class": Path("a"),
        "codec": Call(__import__("_codecs").encode, "a", "rot13"),
        "huge": Call(np._core.multiarray._reconstruct, np.ndarray, (1 << 40,), b"b"),
        "a subclass": np.ma.masked_array([1.0]),
    }


@pytest.mark.parametrize("which", [*hostile(Path(".")), "persistent"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_whatever_is_no_array_is_refused(which: str, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    if which == "persistent":
        path.write_bytes(b"\x80\x02Pid\n.")
    else:
        pickled(path, {"model": {"x": hostile(tmp_path)[which]}}, protocol)
    with pytest.raises(RefusedError):
        read_arrays(path)
    assert not (tmp_path / "was_run").exists()


def test_containers_in_containers_end(tmp_path: Path) -> None:
    held: Any = []
    for _ in range(100):
        held = [held]
    with pytest.raises(RefusedError, match="nested"):
        read_arrays(pickled(tmp_path / "deep.pkl", held))


def test_the_files_of_torch_are_left_to_torch(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert not is_pickle((tmp_path / "old.pth").read_bytes()[:32])
    assert read_any(tmp_path / "old.pth")["a"].tolist() == [1, 1]


def test_the_zoo_converts_and_a_hostile_one_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = NETWORKS["mask2former_small"](classes=19, outlier=False, auxiliary=False)
    arrays = {name: each.numpy() for name, each in network.state_dict().items()}
    pickled(tmp_path / "m.pkl", {"model": arrays, "__author__": "x", "matching_heuristics": True})
    pickled(tmp_path / "evil.pkl", {"model": {**arrays, "x": Call(os.mkdir, str(tmp_path / "was_run"))}})
    pickled(tmp_path / "cut.pkl", {"model": arrays})
    (tmp_path / "cut.pkl").write_bytes((tmp_path / "cut.pkl").read_bytes()[:5000])
    torch.save({"model": network.state_dict()}, tmp_path / "m.pth")
    for name in ("m.pkl", "m.pth"):
        words = ["convert", str(tmp_path / name), "--network", "mask2former_small"]
        assert main([*words, "--out", str(tmp_path / f"{name}.ckpt")]) == 0
    from safetensors.torch import load_file

    one, two = (load_file(tmp_path / f"{name}.ckpt") for name in ("m.pkl", "m.pth"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    capsys.readouterr()
    for name, message in (
        ("evil.pkl", "is refused: reading it would run"),
        ("cut.pkl", "is damaged, or no checkpoint"),
    ):
        words = ["convert", str(tmp_path / name), "--network", "mask2former_small", "--out", str(tmp_path / "no.ckpt")]
        assert main(words) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
    assert not (tmp_path / "no.ckpt").exists()
    assert not (tmp_path / "was_run").exists()


@pytest.mark.slow
def test_a_backbone_of_the_zoo_without_its_prefix(tmp_path: Path) -> None:
    network = NETWORKS["mask2former"](classes=19, outlier=False, auxiliary=False)
    own = {name: each.numpy() for name, each in network.state_dict().items() if "pixel_level_module.encoder." in name}
    names = {
        "embedder.embedder.convolution.": "stem.conv1.", "embedder.embedder.normalization.": "stem.conv1.norm.",
        "shortcut.convolution.": "shortcut.", "shortcut.normalization.": "shortcut.norm.",
    }  # fmt: skip
    arrays = {}
    for name, value in own.items():
        place = name.partition("pixel_level_module.encoder.")[2]
        for ours, theirs in names.items():
            place = place.replace(ours, theirs)
        parts = place.split(".")
        if "stages" in parts:
            stage, block = int(parts[parts.index("stages") + 1]), parts[parts.index("layers") + 1]
            rest = parts[parts.index("layers") + 2 :]
            if rest[0] == "layer":
                kind = {"convolution": [], "normalization": ["norm"]}[rest[2]]
                rest = [f"conv{int(rest[1]) + 1}", *kind, *rest[3:]]
            place = ".".join([f"res{stage + 2}", block, *rest])
        arrays[place] = value
    assert "stem.conv1.weight" in arrays
    pickled(tmp_path / "R-50.pkl", {"model": arrays, "__author__": "torchvision", "matching_heuristics": True})
    from oddroad.learn.checkpoints.convert import convert

    done = convert(tmp_path / "R-50.pkl", "mask2former")
    assert done.ignored == ["__author__", "matching_heuristics"]
    assert done.about["normalisation"] == "imagenet"
    assert all(np.array_equal(done.network.state_dict()[name].numpy(), value) for name, value in own.items())
    pickled(tmp_path / "R-50.pkl", {"model": arrays, "__author__": "MSRA"})
    assert convert(tmp_path / "R-50.pkl", "mask2former").about["normalisation"] == "imagenet:bgr:0-255"


def test_notes_with_numbers_that_nothing_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}r" + (5000).to_bytes(4, "little") + b".")
    with pytest.raises(InputError, match="a list of 5000 notes"):
        read_any(path)


def test_lists_that_hold_one_another_over_and_over(tmp_path: Path) -> None:
    held: list[Any] = [1]
    for _ in range(40):
        held = [held, held]
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(held, 2))
    with pytest.raises(InputError, match="parts of containers"):
        read_any(path)
