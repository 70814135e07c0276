"""Audit of what oddroad depends on, which says how much it audited: "nothing was audited" is never "nothing was found".

python release/audit.py [--without-service]

Three parts, each with its numbers:

1. the lower bounds in pyproject.toml against the table of published holes beside this file;
2. the installed packages against the same table;
3. the installed packages by ``pip-audit --strict``, against the public database of advisories. Where that cannot be
   reached, such as behind a package mirror, pip-audit alone says "No known vulnerabilities found" and exits 0.

Exit code 0: nothing was found, and every package was audited; 1: something was found; 3: part three could not audit all
packages. With ``--without-service`` this last is said and is no failure, where a network is known not to be there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import advisories

OWN = "oddroad"


@dataclass
class Service:
    """What pip-audit did.

    Attributes:
        audited: packages for which an answer came.
        skipped: packages for which none came, each with the reason.
        found: a line for each hole.
        said: what it wrote to its error output, where it gave no results.
    """

    audited: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    said: str = ""


def installed() -> dict[str, str]:
    """Name -> version of every installed package but ours; "+cpu" and the like are no part of a release's number."""
    found = {each.name: each.version.partition("+")[0] for each in importlib.metadata.distributions()}
    return {name: version for name, version in sorted(found.items()) if name != OWN}


def results_of(text: str) -> Service:
    """pip-audit's JSON, counted."""
    service = Service()
    for each in json.loads(text)["dependencies"]:
        name = f"{each['name']} {each.get('version', '')}".strip()
        if "skip_reason" in each:
            service.skipped[name] = each["skip_reason"]
            continue
        service.audited.append(name)
        for hole in each["vulns"]:
            closed = ", ".join(hole["fix_versions"]) or "no release"
            service.found.append(f"{name}: {hole['id']} {' '.join(hole.get('aliases', []))}, fixed in {closed}")
    return service


def ask(packages: Mapping[str, str], timeout: float = 600.0) -> Service:
    """Ask pip-audit about packages, and count what it answered about.

    Without ``--strict``, which would stop at the first package that cannot be audited: here each is counted, and one
    that was skipped is a failure of the whole.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
        words = [sys.executable, "-m", "pip_audit", "-r", str(listed), "--disable-pip", "--no-deps", "-f", "json"]
        try:
            done = subprocess.run(
                [*words, "--progress-spinner", "off", "--timeout", "10"],
                capture_output=True, text=True, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Service(said=f"no answer within {timeout:g} s")
    if "No module named pip_audit" in done.stderr:
        raise SystemExit("pip-audit is not installed; run: pip install 'pip-audit>=2.10'")
    start = done.stdout.find("{")
    if start < 0:
        return Service(said=" ".join(done.stderr.split())[-300:])
    return results_of(done.stdout[start:])


def main(words: list[str] | None = None) -> int:
    """Run the audit; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--without-service", action="store_true", help="a database that cannot be reached is no failure"
    )
    options = parser.parse_args(words)
    table, unsolved = advisories.read()
    groups = advisories.requirements()
    listed = [each for group in groups.values() for each in group]
    packages = installed()
    holes = [*advisories.allowed_holes(listed, table), *advisories.installed_holes(packages, table)]
    known = {each.package for each in table}
    present = [name for name in packages if advisories.canonicalize_name(name) in known]
    print(f"bounds: {len(listed)} requirements of {len(groups)} groups against {len(table)} published holes")
    print(f"installed: {len(packages)} packages, of which the table knows {len(present)}")
    for each in unsolved:
        print(f"open up to {each.newest}: {each.package}: {', '.join(each.ids)}: {each.what}")
    last = {each.package: max(other.newest for other in unsolved if other.package == each.package) for each in unsolved}
    for name, version in packages.items():
        newest = last.get(advisories.canonicalize_name(name))
        if newest is not None and advisories.Version(version) > newest:
            print(f"{name} {version} is newer than what was looked at ({newest}): is the hole closed in it?")
    service = ask(packages)
    total = len(packages)
    print(f"pip-audit: {len(service.audited)} of {total} packages audited, {total - len(service.audited)} not")
    if len(service.audited) < total:
        why = next(iter(service.skipped.values()), service.said) or "it said nothing"
        kind = "NOTHING WAS AUDITED" if not service.audited else "NOT EVERYTHING WAS AUDITED"
        print(f"{kind} by the public database: {why}")
    for line in (*holes, *service.found):
        print(f"FOUND {line}")
    if holes or service.found:
        return 1
    if len(service.audited) < total and not options.without_service:
        return 3
    print(f"nothing found in what was audited ({len(present)} by the table, {len(service.audited)} by the database)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
