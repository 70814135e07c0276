"""Published holes of dependencies: the table in ``advisories.toml``, and what of ours it concerns."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Advisory:
    """A hole that was published.

    Attributes:
        package: its name as PyPI writes it.
        ids: CVE, GHSA or OSV numbers, or the changes that close it.
        what: what can happen, in words.
        source: address.
        fixed: the first release known to be without it; None where single releases are refused.
        bad: releases that are refused one by one.
        also: earlier releases in which it is closed too.
    """

    package: str
    ids: tuple[str, ...]
    what: str
    source: str
    fixed: Version | None = None
    bad: tuple[Version, ...] = ()
    also: tuple[Version, ...] = ()

    def concerns(self, version: Version) -> bool:
        """Whether a release has the hole."""
        if version in self.bad:
            return True
        closed = any(each <= version and version.release[:1] == each.release[:1] for each in self.also)
        return self.fixed is not None and version < self.fixed and not closed

    def line(self) -> str:
        """The hole in one line."""
        return f"{', '.join(self.ids)}: {self.what} ({self.source})"


@dataclass(frozen=True)
class Open:
    """A hole that is not closed up to the release ``newest``, the last one that was looked at."""

    package: str
    ids: tuple[str, ...]
    what: str
    source: str
    newest: Version


def read(path: Path = ROOT / "release" / "advisories.toml") -> tuple[list[Advisory], list[Open]]:
    """The table: holes that are closed in some release, and those that are not."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))

    def common(row: Mapping) -> dict:
        return {
            "package": canonicalize_name(row["package"]),
            "ids": tuple(row["ids"]),
            "what": row["what"],
            "source": row["source"],
        }

    closed = [
        Advisory(
            **common(row),
            fixed=Version(row["fixed"]) if "fixed" in row else None,
            bad=tuple(map(Version, row.get("bad", ()))),
            also=tuple(map(Version, row.get("also", ()))),
        )
        for row in table["advisory"]
    ]
    return closed, [Open(**common(row), newest=Version(row["newest"])) for row in table.get("open", ())]


def requirements(path: Path = ROOT / "pyproject.toml") -> dict[str, list[Requirement]]:
    """What the package needs: "" for the runtime, else the name of the extra; those of other extras are left out."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    own = canonicalize_name(project["name"])
    parsed = {group: [Requirement(each) for each in listed] for group, listed in groups.items()}
    return {group: [each for each in listed if canonicalize_name(each.name) != own] for group, listed in parsed.items()}


def lowest(requirement: Requirement) -> Version | None:
    """The lowest release that a requirement allows; None where it sets no bound.

    >>> str(lowest(Requirement("numpy>=1.26,!=2.0.0")))
    '1.26'
    """
    bounds = [Version(each.version) for each in requirement.specifier if each.operator in (">=", "==", "~=")]
    return max(bounds, default=None)


def allowed_holes(listed: Iterable[Requirement], table: Iterable[Advisory]) -> list[str]:
    """A line for each requirement that allows a release with a hole, or that has no lower bound at all."""
    table, found = list(table), []
    for each in listed:
        bound = lowest(each)
        if bound is None:
            found.append(f"{each} has no lower bound")
            continue
        for hole in (hole for hole in table if hole.package == canonicalize_name(each.name)):
            inside = [bad for bad in hole.bad if each.specifier.contains(bad)]
            if inside or hole.concerns(bound):
                found.append(f"{each} allows {inside[0] if inside else bound}: {hole.line()}")
    return found


def installed_holes(installed: Mapping[str, str], table: Iterable[Advisory]) -> list[str]:
    """A line for each installed release (name -> version) with a hole."""
    versions = {canonicalize_name(name): Version(version) for name, version in installed.items()}
    return [
        f"{hole.package} {versions[hole.package]}: {hole.line()}"
        for hole in table
        if hole.package in versions and hole.concerns(versions[hole.package])
    ]
