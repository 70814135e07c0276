"""Lists of detectors with hash, size, speed class, terms: of the package, the fetched, of a folder, of a server."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from urllib.parse import urljoin, urlsplit

from oddroad.errors import InputError
from oddroad.files import sha256_of
from oddroad.inference.common import read_head
from oddroad.inference.model import EMBEDDED, find_model
from oddroad.models import hub
from oddroad.models.reference import PIN, Reference
from oddroad.models.store import place, records
from oddroad.models.web_source import Limits, check_address, download

SPEED = {"default": "real time", "default-fp32": "slow", "accurate": "slow"}
"""Speed classes of the embedded detectors, on 960x540 video with overlays and two cores of a server: "real time" above
25 FPS, "slow" below; the figures are on the weights' card.
"""

INDEX = "models.json"
"""What lists the detectors of a server: the output of ``oddroad models FOLDER --json FOLDER/models.json``."""

MOST_LISTED = 1000


@dataclass(frozen=True)
class Listed:
    """A detector in a list.

    Attributes:
        name: what ``--model`` takes, without the hash.
        sha256: of its file; "" where it is not known before it is fetched.
        bytes: size of the file; None where it is not known.
        speed: speed class, of embedded detectors; else "".
        precision: what it computes in; "" where it is not known.
        terms: terms of its weights, as its card states them.
        where: "package", "fetched", "folder", "server" or "hub".
        file: path, or address relative to the index.
        problem: why it cannot be used; "" if it can.
    """

    name: str
    sha256: str
    bytes: int | None
    speed: str
    precision: str
    terms: str
    where: str
    file: str = ""
    problem: str = ""

    @property
    def pinned(self) -> str:
        """What ``--model`` takes, with the hash where it is known."""
        return f"{self.name}{PIN}{self.sha256}" if self.sha256 else self.name


def of_file(name: str, path: Path, where: str, speed: str = "") -> Listed:
    """A file on this machine, its card read; one that is no detector is listed with the reason."""
    try:
        card = read_head(path)[0]
    except InputError as error:
        return Listed(name, "", path.stat().st_size, "", "", "", where, path.name, str(error))
    licence = card.licence or "not stated"
    return Listed(name, sha256_of(path), path.stat().st_size, speed, card.precision, licence, where, path.name)


def here() -> list[Listed]:
    """The detectors of the package and the fetched ones."""
    found = [of_file(name, find_model(name), "package", SPEED.get(name, "")) for name in EMBEDDED]
    return found + [of_file(each.name or each.reference, place(each), "fetched") for each in records()]


def in_folder(folder: Path) -> list[Listed]:
    """The .onnx files directly in a folder.

    Raises:
        InputError: if there is none.
    """
    files = sorted(each for each in folder.iterdir() if each.suffix == ".onnx" and each.is_file())
    if not files:
        raise InputError(f"no .onnx file in '{folder}'")
    return [of_file(str(each), each, "folder") for each in files[:MOST_LISTED]]


def on_server(address: str) -> list[Listed]:
    """What the index of a server lists; ``address`` is that of the index, or of the folder that holds it.

    Raises:
        InputError: if there is no index, or it is none.
    """
    base = address if urlsplit(address).path.endswith(".json") else urljoin(address.rstrip("/") + "/", INDEX)
    check_address(base, pinned=False)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / INDEX
        download(base, target, Limits(bytes=1 << 22, seconds=60))
        text = target.read_bytes()
    shown = Reference.parse(base).shown
    try:
        rows = json.loads(text)["models"][:MOST_LISTED]
        found = []
        for each in rows:
            place = Reference.parse(urljoin(base, str(each["file"])))
            size = each.get("bytes")
            found.append(
                Listed(
                    place.text, str(each["sha256"]), size if isinstance(size, int) else None, "",
                    str(each.get("precision", "")), str(each.get("terms", "")) or "not stated", "server",
                )
            )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"'{shown}' is no list of detectors; 'oddroad models FOLDER --json FOLDER/{INDEX}' writes one"
        ) from None
    return found


def on_hub(reference: Reference) -> list[Listed]:
    """The detectors of a repository; their terms are known when they are fetched.

    Raises:
        InputError: if it is not there or holds none.
    """
    found = hub.look_up(reference.repository, reference.revision)
    if not found.detectors:
        hub.choose(reference, found)
    mark = f"@{reference.revision}" if reference.revision else ""
    return [
        Listed(f"hf:{found.name}/{each.path}{mark}", each.sha256, each.bytes, "", "", "in its card", "hub")
        for each in found.detectors
    ]


def listed(source: str | None) -> list[Listed]:
    """The detectors of a source: None for this machine, a folder, an address, or ``hf:org/name``.

    Raises:
        InputError: if the source is none of these, or holds no detector.
    """
    if source is None:
        return here()
    reference = Reference.parse(source)
    if reference.kind == "hub":
        return on_hub(reference)
    if reference.kind == "address":
        return on_server(reference.text)
    path = Path(reference.text)
    if path.is_dir():
        return in_folder(path)
    if path.is_file() or reference.text in EMBEDDED:
        return [of_file(reference.text, find_model(source), "folder", SPEED.get(reference.text, ""))]
    raise InputError(f"'{source}' is no folder, no address and no hf:ORG/NAME; leave it out to list what is here")


def table(rows: list[Listed]) -> str:
    """A list for people, two lines a detector: what it is, and how it is pinned."""
    lines = []
    for each in rows:
        size = "" if each.bytes is None else f"{each.bytes / 1e6:.1f} MB"
        facts = [each.where, size, each.precision, each.speed, shorten(each.terms.partition(":")[0], 100)]
        lines += [f"{each.name}: {each.problem or ', '.join(filter(None, facts))}"]
        if not each.problem and each.sha256:
            lines += [f"    {each.pinned}"]
    return "\n".join(lines)
