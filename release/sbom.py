"""The software bill of materials of the wheel: CycloneDX 1.7, of what is inside and of what it needs beside it.

python release/sbom.py     prints it

It is made while the wheel is built (``build_backend.py``) of pyproject.toml and of the files that are packed, so that
it cannot say anything else than they do; the same files give the same bytes. It needs the standard library alone.

Source: CycloneDX 1.7 (ECMA-424); PEP 770 for its place, ``*.dist-info/sboms/``.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

DATA = {".onnx": "machine-learning-model", ".mp4": "data"}
"""Endings of packed files that are things of their own, with terms of their own, and what CycloneDX calls them."""


def project() -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirement(text: str) -> tuple[str, str, str]:
    """Name, extras and versions of a requirement.

    >>> requirement("ray[data]>=2.56")
    ('ray', 'data', '>=2.56')
    """
    found = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?\s*([^;]*?)\s*(?:;.*)?", text)
    if found is None:
        raise ValueError(f"requirement {text!r} is not understood")
    return re.sub(r"[-_.]+", "-", found[1]).lower(), found[2] or "", found[3].replace(" ", "")


def vers(versions: str) -> str:
    """Versions as CycloneDX writes a range of them.

    >>> vers(">=2,!=2.3")
    'vers:pypi/>=2|!=2.3'
    """
    parts = [each.replace("==", "", 1) if each.startswith("==") else each for each in versions.split(",") if each]
    return f"vers:pypi/{'|'.join(parts) or '*'}"


def needed() -> list[dict[str, Any]]:
    """What must or may be installed beside the wheel, each once; extras say so."""
    table = project()
    groups = {"": table["dependencies"], **table["optional-dependencies"]}
    found: dict[str, dict[str, Any]] = {}
    for group, listed in groups.items():
        for name, _, versions in map(requirement, listed):
            if name == table["name"] or group in ("dev", "docs"):
                continue
            entry = found.setdefault(
                name,
                {
                    "type": "library",
                    "bom-ref": f"pkg:pypi/{name}",
                    "name": name,
                    "isExternal": True,
                    "versionRange": vers(versions),
                    "scope": "required" if group == "" else "optional",
                    "purl": f"pkg:pypi/{name}",
                    "properties": [],
                },
            )
            if group:
                entry["properties"].append({"name": "oddroad:extra", "value": group})
    for entry in found.values():
        if not entry["properties"]:
            del entry["properties"]
    return sorted(found.values(), key=lambda each: each["name"])


def card_of(data: bytes) -> dict[str, Any]:
    """The card in an .onnx file of ours, read by the runtime's own reader, which needs nothing but Python."""
    spec = importlib.util.spec_from_file_location("onnx_graph", ROOT / "src/oddroad/inference/onnx_graph.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(module.metadata(data)["oddroad"])


def inside(files: Iterable[Path]) -> list[dict[str, Any]]:
    """What lies in the wheel that is no code of ours: weights and recordings, with their terms and hashes."""
    found = []
    for path in sorted(files):
        if path.suffix not in DATA:
            continue
        data = path.read_bytes()
        where = path.relative_to(ROOT / "src").as_posix()
        if path.suffix == ".onnx":
            card = card_of(data)
            about = {"name": card["name"], "description": f"detector ({card['network']})"}
            terms = {"name": card["licence"]}
        else:
            about = {"name": path.name, "description": "recording of the demonstration, by Udacity"}
            terms = {"id": "MIT"}
        found.append(
            {
                "type": DATA[path.suffix],
                "bom-ref": where,
                **about,
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}],
                "licenses": [{"license": terms}],
                "properties": [{"name": "oddroad:file", "value": where}],
            }
        )
    return found


def sbom() -> dict[str, Any]:
    """The bill of materials as JSON values."""
    table = project()
    ref = f"pkg:pypi/{table['name']}@{table['version']}"
    external, packed = needed(), inside((ROOT / "src" / table["name"]).rglob("*"))
    own = {
        "type": "library",
        "bom-ref": ref,
        "name": table["name"],
        "version": table["version"],
        "description": table["description"],
        "licenses": [{"license": {"id": table["license"]}}],
        "purl": ref,
    }
    metadata: dict[str, Any] = {"lifecycles": [{"phase": "build"}], "component": own}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        metadata["timestamp"] = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).isoformat()
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": metadata,
        "components": [*packed, *external],
        "dependencies": [
            {"ref": ref, "dependsOn": [each["bom-ref"] for each in external]},
            *({"ref": each["bom-ref"]} for each in (*packed, *external)),
        ],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {**body, "serialNumber": f"urn:uuid:{number}"}


def text() -> str:
    """The bill of materials as the file that goes into the wheel."""
    return json.dumps(sbom(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
