"""A detector with its card's page and its checkpoint: into a repository of the Hugging Face Hub, and out of one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from oddroad.card import Card, describe
from oddroad.errors import InputError
from oddroad.files import sha256_of
from oddroad.inference.common import read_head
from oddroad.inference.model import find_model
from oddroad.models import hub
from oddroad.models.reference import Reference
from oddroad.models.resolve import Result
from oddroad.models.store import workbench
from oddroad.models.web_source import Limits

HEADER = 100 << 20
"""Bytes of a checkpoint's header at most, the format's own limit."""


def publish(
    model: str, repository: str, checkpoint: Path | None, licence: str, private: bool, message: str
) -> tuple[str, str]:
    """Push a detector; see ``oddroad models push``.

    Returns:
        what ``--model`` takes, and the SHA-256 of the file.

    Raises:
        InputError: if a file is none of ours, there is no token, or the server refuses.
    """
    target = Reference.parse(repository)
    if target.kind != "hub" or target.file or target.revision or target.digest:
        raise InputError(f"'{target.shown}' is no repository; expected hf:ORG/NAME")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,63}", licence):
        raise InputError(f"--licence '{licence}'; expected an identifier such as apache-2.0, cc-by-nc-4.0 or other")
    path = find_model(model)
    card = read_head(path)[0]
    if path.suffix != ".onnx":
        raise InputError(f"'{path}' is no .onnx file; push the one that it was made of")
    digest, name = sha256_of(path), f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', path.stem)}.onnx"
    files: dict[str, Path | bytes] = {name: path}
    if checkpoint is not None:
        check_safetensors(checkpoint)
        files[hub.CHECKPOINT] = checkpoint
    files[hub.README] = page(card, target.repository, name, digest, licence, checkpoint is not None).encode()
    hub.push(target.repository, files, message or f"{card.name}, sha256:{digest[:12]}", private)
    return f"hf:{target.repository}", digest


def page(card: Card, repository: str, file: str, digest: str, licence: str, checkpoint: bool) -> str:
    """README.md of a repository: the header that the Hub reads, and what the card says.

    Args:
        card: of the detector.
        repository: ``org/name``.
        file: name of the .onnx file.
        digest: SHA-256 of it.
        licence: identifier of the terms.
        checkpoint: whether the checkpoint is there, too.
    """
    header = {
        "license": licence,
        "library_name": "oddroad",
        "pipeline_tag": "image-segmentation",
        "tags": ["anomaly-segmentation", "out-of-distribution", "road", "onnx"],
    }
    if licence == "other":
        header["license_name"] = "see-card"
    lines = [f"{key}: {json.dumps(value)}" for key, value in header.items()]
    more = f"\n`{hub.CHECKPOINT}` is the oddroad checkpoint that it was exported from.\n" if checkpoint else ""
    return f"""---
{chr(10).join(lines)}
---

# {card.name}

Anomaly segmentation of road scenes: an RGB image in, a score map out, higher means more anomalous.
It is no safety function.

```sh
pip install 'oddroad[hub]'
oddroad detect drive.mp4 --model hf:{repository}@sha256:{digest}
```

Terms: {card.licence or "not stated"}

`{file}` has SHA-256 `{digest}`.
{more}
## Card

```text
{describe(card)}
```
"""


def check_safetensors(path: Path) -> None:
    """Refuse a checkpoint that is no whole safetensors file.

    Raises:
        InputError: if it is not there, or something else.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if 2 <= length <= min(HEADER, size) else None
        assert isinstance(header, dict)
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        whole = size == 8 + length + max(ends, default=0)
    except OSError as error:
        raise InputError(f"cannot read the checkpoint '{path}': {error.strerror}") from None
    except (ValueError, AssertionError, KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise InputError(f"'{path}' is no whole oddroad checkpoint (safetensors)")


def copy_out(result: Result, out: Path, limits: Limits) -> list[Path]:
    """Copy a fetched detector into a folder, and of a repository its page and its checkpoint.

    Raises:
        InputError: if something cannot be fetched or written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = [Path(shutil.copy2(result.path, out / result.record.file))]
    if result.repository is None:
        return written
    with workbench() as folder:
        for name, most in ((hub.README, Limits(hub.MOST_TEXT, 60)), (hub.CHECKPOINT, limits)):
            file = result.repository.file(name)
            if file is None:
                continue
            partial = folder / name
            hub.pull(result.repository, file, partial, most)
            if name == hub.CHECKPOINT:
                check_safetensors(partial)
            written.append(Path(shutil.copy2(partial, out / name)))
    return written
