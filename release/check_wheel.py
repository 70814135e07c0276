"""What is in a built wheel: every file of the package, nothing else, each as RECORD says, and a bill of materials.

python release/check_wheel.py dist/*.whl

A wheel that lacks a data file installs without a word and fails on the first user's machine.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def packaged() -> set[str]:
    """The files of the package as the wheel shall hold them, by git, or by the folder where there is none."""
    listed = subprocess.run(["git", "ls-files", "-z", "src", "recipes"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.split("\0")
    else:
        names = [path.relative_to(ROOT).as_posix() for top in ("src", "recipes") for path in (ROOT / top).rglob("*.*")]
    found = {
        name.removeprefix("src/")
        for name in names
        if name.startswith("src/oddroad/") and name.partition("/recipes")[0] != "src/oddroad"
    }
    found |= {f"oddroad/{name}" for name in names if name.startswith("recipes/") and name.endswith(".yaml")}
    return {name for name in found if not name.endswith(".pyc")}


def wrong(wheel: Path, expected: Iterable[str]) -> list[str]:
    """What is wrong with a wheel, a line each."""
    found: list[str] = []
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/RECORD"))
        inside = {name for name in names if not name.startswith(f"{info}/")}
        found += [f"lacks {name}" for name in sorted(set(expected) - inside)]
        found += [f"holds {name}, which is no file of the package" for name in sorted(inside - set(expected))]
        rows = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode()))}
        for name in sorted(names - {f"{info}/RECORD"}):
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
            if rows.get(name) != f"sha256={digest}":
                found.append(f"{name} is not what RECORD says")
        place = f"{info}/sboms/oddroad.cdx.json"
        if place not in names:
            return [*found, "lacks its bill of materials"]
        for each in json.loads(archive.read(place))["components"]:
            if each.get("isExternal"):
                continue
            content = archive.read(each["bom-ref"]) if each["bom-ref"] in names else b""
            if hashlib.sha256(content).hexdigest() != each["hashes"][0]["content"]:
                found.append(f"{each['bom-ref']} is not what the bill of materials says")
    return found


def main(words: list[str]) -> int:
    """Check the wheels; returns 1 if one is wrong, or if none was given."""
    expected = packaged()
    for word in words:
        lines = wrong(Path(word), expected)
        print(f"{word}: {len(expected)} files of the package, {len(lines)} wrong")
        for line in lines:
            print(f"  {line}")
        if lines:
            return 1
    return 0 if words and expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
