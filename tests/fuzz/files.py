"""Targets: detectors, checkpoints, saved maps, Parquet, and requests to the web server."""

from __future__ import annotations

import ast
import io
import json
import struct
import tempfile
import zipfile
from pathlib import Path
from random import Random

import numpy as np
from fuzz.mutation import as_text, change_bytes, change_message, change_text, change_values, encoded, one_of
from fuzz.target import Differs, Target, same


def detector_seeds() -> list[bytes]:
    """A small detector that is calibrated."""
    from mining.fleet import red_detector

    with tempfile.TemporaryDirectory() as made:
        return [red_detector(Path(made) / "red.onnx").read_bytes()]


def change_detector(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed detector; mostly with the digest that it then has, as whoever wants to do harm would write."""
    from oddroad.inference.integrity import DIGEST, digest_of

    data = one_of(change_message, change_message, change_message, change_bytes)(rng, rng.choice(seeds))
    if rng.random() < 0.9 and DIGEST.search(data):
        begin, end = DIGEST.search(data).span(1)  # type: ignore[union-attr]
        data = data[:begin] + digest_of(data)[1].encode() + data[end:]
    return data


def read_detector(data: bytes, folder: Path) -> None:
    """A detector: loaded, and a picture judged; metadata and outputs as onnx reads them."""
    import onnx

    from oddroad.inference.common import read_head
    from oddroad.inference.model import Model
    from oddroad.inference.onnx_graph import metadata

    path = folder / "a.onnx"
    path.write_bytes(data)
    _, outputs = read_head(path)
    try:
        theirs = onnx.load_model_from_string(data)
    except Exception:  # whatever protobuf says
        theirs = None
    if theirs is not None:
        same("metadata", metadata(data), {each.key: each.value for each in theirs.metadata_props})
        same("outputs", outputs, [each.name for each in theirs.graph.output])
    model = Model(path, threads=1)
    image = np.full((16, 24, 3), 90, np.uint8)
    image[4:8, 6:12] = (250, 10, 10)
    heat = model(image)
    if heat.shape != (16, 24) or heat.dtype != np.float32:
        raise Differs(f"a map of {heat.dtype} {heat.shape} of a picture of 16 x 24")
    model.detect(image, threshold=50.0)


def map_seeds() -> list[bytes]:
    """Saved maps of several types."""
    found = []
    values = np.linspace(-3, 4, 120).reshape(10, 12)
    for each in (values, values.astype(np.float32), values.astype(np.float16), (values * 9).astype(np.int32),
                 np.asfortranarray(values.astype(">f4")), values[None].astype(np.float32), values > 0):  # fmt: skip
        out = io.BytesIO()
        np.save(out, each)
        found.append(out.getvalue())
    out = io.BytesIO()
    np.savez(out, values)
    return [*found, out.getvalue()]


def change_map(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed map; also by the words of its header, whose length is right again."""
    data = rng.choice(seeds)
    if rng.random() < 0.6 and data[:6] == b"\x93NUMPY":
        size = int.from_bytes(data[8:10], "little")
        words = ("'<f8'", "'|O'", "'<U9'", "(10,)", "()", "None", "10**9", "-1", "2147483647", "True", "descr", "shape")
        head = encoded(change_text(rng, data[10 : 10 + size].decode("latin1"), words))[:60000]
        return data[:8] + len(head).to_bytes(2, "little") + head + data[10 + size :]
    return change_bytes(rng, data, seeds)


def read_saved(data: bytes, folder: Path) -> None:
    """A map; of a plain file, what an own reading of header and numbers says."""
    from oddroad.evaluation.saved_maps import read_map

    path = folder / "a.npy"
    path.write_bytes(data)
    ours = read_map(path)
    size = int.from_bytes(data[8:10], "little")
    if data[6:7] == b"\x01":
        about = ast.literal_eval(data[10 : 10 + size].decode("latin1"))
        count = int(np.prod(about["shape"]))
        flat = np.frombuffer(data, np.dtype(about["descr"]), count, 10 + size)
        theirs = flat.reshape(about["shape"], order="F" if about["fortran_order"] else "C").squeeze()
        if not np.array_equal(np.atleast_2d(ours).squeeze(), theirs.astype(ours.dtype), equal_nan=True):
            raise Differs("numbers of a map")


def hdf5_seeds() -> list[bytes]:
    """Saved maps as HDF5: plain, in chunks, packed, in a group."""
    import h5py

    found = []
    values = np.linspace(-3, 4, 480).reshape(20, 24).astype(np.float32)
    for options in (
        {},
        {"chunks": (5, 6)},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
    ):
        for library in ("earliest", "latest"):
            out = io.BytesIO()
            with h5py.File(out, "w", libver=library) as opened:
                opened.create_dataset("group/value" if options else "value", data=values, **options)
                opened.attrs["note"] = "text"
            found.append(out.getvalue())
    return found


def read_hdf5(data: bytes, folder: Path) -> None:
    """A map in an HDF5 file."""
    from oddroad.evaluation.saved_maps import read_map

    path = folder / "a.hdf5"
    path.write_bytes(data)
    read_map(path)


def checkpoint_seeds() -> list[tuple[str, bytes]]:
    """Checkpoints of others: torch's archives and old files, safetensors, pickles of NumPy arrays."""
    import pickle

    import safetensors.torch
    import torch

    state = {f"layer{number}.weight": torch.arange(12.0).reshape(3, 4) + number for number in range(6)}
    held = {"state_dict": state, "epoch": 3, "best": 0.5}
    found = []
    for values, old in ((state, False), (held, False), (held, True)):
        out = io.BytesIO()
        torch.save(values, out, _use_new_zipfile_serialization=not old)
        found.append((".pth", out.getvalue()))
    arrays = {name: each.numpy() for name, each in state.items()}
    for protocol in (2, 4, 5):
        found.append((".pkl", pickle.dumps({"model": arrays, "epoch": 3}, protocol)))
    found.append((".safetensors", safetensors.torch.save(state, {"format": "pt"})))
    return found


def change_checkpoint(rng: Random, seeds: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """A changed checkpoint; of archives a member, of safetensors the header."""
    ending, data = rng.choice(seeds)
    if data[:2] == b"PK" and rng.random() < 0.7:
        return ending, change_archive(rng, data)
    if ending == ".safetensors" and rng.random() < 0.7:
        return ending, change_header(rng, data)
    return ending, change_bytes(rng, data, [each for _, each in seeds])


def change_archive(rng: Random, data: bytes) -> bytes:
    """A ZIP archive with a changed member, whose check sum is right again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as held, zipfile.ZipFile(out, "w") as written:
        names = held.namelist()
        chosen = rng.choice([each for each in names if each.endswith(".pkl")] * 3 + names)
        for name in names:
            content = held.read(name)
            written.writestr(name, change_bytes(rng, content) if name == chosen else content)
    return out.getvalue()


def change_header(rng: Random, data: bytes) -> bytes:
    """A safetensors file with a changed header, whose length is right again."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    kind = rng.random()
    if "__metadata__" in head and "oddroad" in head["__metadata__"] and kind < 0.6:
        about = json.loads(head["__metadata__"]["oddroad"])
        head["__metadata__"]["oddroad"] = as_text(rng, change_values(rng, about))
        text = json.dumps(head)
    else:
        text = as_text(rng, change_values(rng, head))
    packed = encoded(text)
    return struct.pack("<Q", len(packed)) + packed + data[8 + size :]


def read_checkpoint_file(given: tuple[str, bytes], folder: Path) -> None:
    """A checkpoint of others; a safetensors file holds what its reader for NumPy says."""
    import safetensors.numpy

    from oddroad.learn.checkpoints.reading import find_state, read_any

    ending, data = given
    path = folder / f"a{ending}"
    path.write_bytes(data)
    held = read_any(path)
    state, _, _ = find_state(held, path)
    if ending == ".safetensors":
        theirs = safetensors.numpy.load(data)
        same("names", sorted(state), sorted(theirs))
        for name, each in state.items():
            if not np.array_equal(each.numpy(), theirs[name], equal_nan=True):
                raise Differs("numbers of a tensor")


def own_checkpoint_seeds() -> list[bytes]:
    """A checkpoint of oddroad's own."""
    import torch

    from oddroad.learn.checkpoints.format import save_checkpoint
    from oddroad.learn.networks import NETWORKS

    torch.manual_seed(0)
    arguments = {"classes": 4}
    network = NETWORKS["enet"](**arguments)
    about = {"network": "enet", "arguments": arguments, "normalisation": "unit", "classes": ["a", "b", "c", "d"],
             "recipe": {"seed": 0}, "licence": "l", "temperature": 1.0}  # fmt: skip
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "model.ckpt"
        save_checkpoint(path, network, about)
        return [path.read_bytes()]


def change_own(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed checkpoint of oddroad's own."""
    data = rng.choice(seeds)
    return change_header(rng, data) if rng.random() < 0.8 else change_bytes(rng, data)


def read_own(data: bytes, folder: Path) -> None:
    """A checkpoint of oddroad's own, as a network that can be evaluated."""
    from oddroad.learn.checkpoints.format import load_networks, load_scores

    path = folder / "model.ckpt"
    path.write_bytes(data)
    load_networks([path])
    load_scores(path, ["msp"])
    load_networks([path, path])


def parquet_seeds() -> list[tuple[str, bytes]]:
    """Lists of logs, and the tables of a mined archive, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet

    from oddroad.mining.tables import segments_schema

    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"source": ["a.mp4", "b.mp4"], "topic": ["", "/x"]}), out)
    schema = segments_schema()
    row = {each.name: {"string": "a", "int64": 1, "double": 0.5}.get(str(each.type), ["a"]) for each in schema}
    part = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist([{**row, "part": ""}], schema=schema), part, compression="zstd")
    return [("list", out.getvalue()), ("segments", part.getvalue())]


def change_parquet(rng: Random, seeds: list[tuple[str, bytes]]) -> tuple[str, bytes, bytes]:
    """A changed table, or a changed list of tables."""
    kind, data = rng.choice(seeds)
    listed = {"segments": [{"file": "segments/a.parquet", "rows": 1, "bytes": len(data)}], "findings": 0, "parts": 0,
              "models": {"a": {"name": "n", "score": "s", "threshold": 1.0}}}  # fmt: skip
    if kind == "segments" and rng.random() < 0.5:
        return kind, data, encoded(as_text(rng, change_values(rng, listed)))
    return kind, change_bytes(rng, data), json.dumps(listed).encode()


def read_parquet(given: tuple[str, bytes, bytes], folder: Path) -> None:
    """A list of logs, or a mined archive; a list holds the rows that polars reads."""
    import polars

    from oddroad.mining.manifest import Manifest, check, read_findings
    from oddroad.mining.sources import find_logs
    from oddroad.mining.store import Store

    kind, data, listed = given
    if kind == "list":
        path = folder / "a.parquet"
        path.write_bytes(data)
        told: list[str] = []
        found = list(find_logs([str(path)], lambda where, why: told.append(why)))
        try:
            rows = polars.read_parquet(path).height
        except BaseException:  # polars panics with an error of its own
            return
        if not told and len(found) != rows:
            raise Differs(f"{len(found)} logs of {rows} rows")
        return
    place = folder / "mined"
    (place / "segments").mkdir(parents=True, exist_ok=True)
    (place / "manifest.json").write_bytes(listed)
    (place / "segments" / "a.parquet").write_bytes(data)
    store = Store(str(place))
    check(store, Manifest.read(store), thorough=True)
    read_findings(str(place))


def change_hdf5(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed HDF5 file."""
    return change_bytes(rng, rng.choice(seeds), seeds)


FILES = {
    "detector": lambda: Target("detector", detector_seeds, change_detector, read_detector, "onnx: metadata, outputs"),
    "npy": lambda: Target("npy", map_seeds, change_map, read_saved, "own reading of header and numbers"),
    "hdf5": lambda: Target("hdf5", hdf5_seeds, change_hdf5, read_hdf5),
    "checkpoint": lambda: Target("checkpoint", checkpoint_seeds, change_checkpoint, read_checkpoint_file,
                                 "safetensors for NumPy: names, numbers"),
    "own_checkpoint": lambda: Target("own_checkpoint", own_checkpoint_seeds, change_own, read_own),
    "parquet": lambda: Target("parquet", parquet_seeds, change_parquet, read_parquet, "polars: number of rows"),
}  # fmt: skip
