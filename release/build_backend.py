"""How the package is built: by setuptools, and the wheel gets its software bill of materials (PEP 770).

pyproject.toml names this file as the build backend; every other hook is setuptools' own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sbom
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks that are not changed


def build_wheel(directory: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """Build the wheel, and add the bill of materials; returns the wheel's name."""
    name = build_meta.build_wheel(directory, settings, metadata)
    add_file(Path(directory) / name, "sboms/oddroad.cdx.json", sbom.text().encode())
    return name


def add_file(wheel: Path, inner: str, data: bytes) -> None:
    """Add a file to the .dist-info folder of a wheel, and its line to RECORD."""
    partial = wheel.with_name(f"{wheel.name}.partial")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as new:
        record = next(each for each in old.namelist() if each.endswith(".dist-info/RECORD"))
        place = record.removesuffix("RECORD") + inner
        for entry in old.infolist():
            if entry.filename == record:
                continue
            new.writestr(entry, old.read(entry))
        head = old.getinfo(record)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines = old.read(record).decode().splitlines()
        lines.insert(-1, f"{place},sha256={digest},{len(data)}")
        for filename, content in ((place, data), (record, ("\n".join(lines) + "\n").encode())):
            written = zipfile.ZipInfo(filename, head.date_time)
            written.external_attr, written.compress_type = head.external_attr, zipfile.ZIP_DEFLATED
            new.writestr(written, content)
    os.replace(partial, wheel)
