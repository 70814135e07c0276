"""The verbs ``models ...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import JsonTo, printable_lines, say, write_json
from oddroad.errors import InputError


def models(source: Annotated[str | None, tyro.conf.Positional] = None, json: JsonTo = None) -> None:
    """List detectors with the hash of their files, size, speed class and terms; each with its pinned name.

    Example: oddroad models

    A pinned name, such as default@sha256:..., is taken wherever --model or MODEL is: another file under that name is
    then refused. 'oddroad models FOLDER --json FOLDER/models.json' writes the list that makes a folder on a web server
    a source. The speed class is of 960x540 video on two cores of a server: real time is above 25 FPS.

    Args:
        source: a folder, the address of a folder with models.json, or hf:ORG/NAME; by default what is in the package
            and what was fetched.
        json: the list as JSON: printed, or into FILE.
    """
    from dataclasses import asdict

    from oddroad.inference.tiers import listed, table

    rows = listed(source)
    if json is None:
        print(printable_lines(table(rows)))
    write_json(json, {"models": [asdict(each) | {"pinned": each.pinned} for each in rows]}, indent=1)


def fetch(
    reference: Annotated[str, tyro.conf.Positional],
    name: str = "",
    out: Path | None = None,
    max_size: float = 1024,
    timeout: float = 600,
) -> None:
    """Fetch a detector from an HTTP address or the Hugging Face Hub, check it, and keep it for --model.

    Example: oddroad models fetch hf:my-org/my-detector --name mine

    It is kept whole or not at all, under ODDROAD_CACHE or the user's cache folder, and is used from there without a
    network (ODDROAD_OFFLINE=1 refuses any). Fetching again brings what the name stands for today; with @sha256:...
    behind it, another file is refused. Private repositories are read with the token in HF_TOKEN; HF_ENDPOINT names
    another server. A repository's files need: pip install 'oddroad[hub]'.

    Args:
        reference: https://HOST/FILE.onnx, hf:ORG/NAME, hf:ORG/NAME/FILE.onnx or hf:ORG/NAME@REVISION, each with
            @sha256:... or without. Plain http is for this machine and for pinned files.
        name: a short name, for --model NAME.
        out: a folder for a copy; of a repository with its card (README.md) and its checkpoint, where it has one.
        max_size: largest file in MB.
        timeout: longest time for a file in seconds.
    """
    from oddroad.inference.model import EMBEDDED, licence_of
    from oddroad.models.reference import Reference
    from oddroad.models.resolve import fetch as fetch_file
    from oddroad.models.resolve import pinned
    from oddroad.models.web_source import Limits

    given = Reference.parse(reference)
    if given.kind == "local":
        raise InputError(
            f"'{reference}' is on this machine already; pass it as --model, or fetch an address or hf:ORG/NAME"
        )
    if name in EMBEDDED or not all(each.isalnum() or each in "_.-" for each in name) or name.startswith("."):
        raise InputError(f"--name '{name}'; expected letters, digits, _ . and -, and none of: {', '.join(EMBEDDED)}")
    if max_size <= 0 or timeout <= 0:
        raise InputError("--max-size and --timeout are above 0")
    limits = Limits(int(max_size * 1e6), timeout)
    result = fetch_file(given, licence_of, limits, name)
    record = result.record
    if result.before:
        say(f"changed: was sha256:{result.before}")
    say(f"fetched: {record.file}, {record.bytes / 1e6:.1f} MB; terms: {record.licence or 'not stated'}")
    print(pinned(record), flush=True)
    if out is not None:
        from oddroad.inference.publish import copy_out

        for each in copy_out(result, out, limits):
            say(f"written: {each}")


def push(
    model: Annotated[str, tyro.conf.Positional],
    repository: Annotated[str, tyro.conf.Positional],
    checkpoint: Path | None = None,
    licence: str = "other",
    private: bool = False,
    message: str = "",
) -> None:
    """Put a detector into a repository of the Hugging Face Hub, with a model card and, where given, its checkpoint.

    Example: oddroad models push mine.onnx hf:my-org/my-detector --checkpoint RUN/model.ckpt --private

    The repository is made where it is not there yet. It gets the .onnx file, README.md with what the card says, and
    model.safetensors, in one commit. Needs HF_TOKEN, and: pip install 'oddroad[hub]'.

    Args:
        model: what --model takes.
        repository: hf:ORG/NAME.
        checkpoint: the oddroad checkpoint (.ckpt) that the detector was exported from.
        licence: identifier of the terms for the Hub, such as apache-2.0 or cc-by-nc-4.0; the terms in words are those
            of the card.
        private: a new repository is seen by its owners alone.
        message: of the commit.
    """
    from oddroad.inference.publish import publish
    from oddroad.models.reference import PIN

    name, digest = publish(model, repository, checkpoint, licence, private, message)
    say(f"pushed: {name}")
    print(f"{name}{PIN}{digest}", flush=True)
