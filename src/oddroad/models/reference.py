"""What ``--model`` takes, in words: a name or path, an address, ``hf:org/name``, each with a hash or without."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from oddroad.errors import InputError
from oddroad.io.redaction import redact

PIN = "@sha256:"
"""What stands between a name and the hash of the file that is meant."""

SHORTEST = 12
"""Digits of a hash at least."""

HUB = re.compile(r"hf:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})((?:/[\w.+-]+)*)(?:@([\w./+-]+))?")
"""``hf:org/name``, optionally a file in it, optionally a revision."""


@dataclass(frozen=True)
class Reference:
    """A detector as somebody named it.

    Attributes:
        kind: "local" (an embedded name, a path, the name of a fetched one), "address" or "hub".
        text: what was given, without the hash.
        digest: first digits of the SHA-256 that its file must have, in hexadecimal; "" for any.
        repository: ``org/name`` on the Hub.
        file: path of the file in the repository; "" for the only .onnx in it.
        revision: branch, tag or commit of the repository; "" for its main branch.
    """

    kind: str
    text: str
    digest: str = ""
    repository: str = ""
    file: str = ""
    revision: str = ""

    @classmethod
    def parse(cls, given: str) -> Reference:
        """Read a reference.

        >>> Reference.parse("hf:org/name/a.onnx@main@sha256:" + 64 * "0").file
        'a.onnx'

        Raises:
            InputError: if the hash, the address or the repository is none.
        """
        text, pin, digest = given.partition(PIN)
        digest = digest.lower()
        if pin and not (SHORTEST <= len(digest) <= 64 and re.fullmatch("[0-9a-f]+", digest)):
            raise InputError(
                f"model '{redact(text)}' is pinned to '{digest[:70]}'; expected {SHORTEST} to 64 digits of its "
                "SHA-256, as 'oddroad models' prints them"
            )
        if text.startswith("hf:"):
            found = HUB.fullmatch(text)
            if found is None or ".." in text:
                raise InputError(f"model '{text}'; expected hf:ORG/NAME, hf:ORG/NAME/FILE.onnx or hf:ORG/NAME@REVISION")
            return cls("hub", text, digest, found[1], found[2].lstrip("/"), found[3] or "")
        scheme, separator, _ = text.partition("://")
        if separator and re.fullmatch(r"[A-Za-z][\w+.-]*", scheme):
            if scheme.lower() not in ("http", "https"):
                raise InputError(f"model '{redact(text)}' is read by '{scheme}'; expected http or https, or a path")
            try:
                host, _ = urlsplit(text).hostname, urlsplit(text).port
            except ValueError:
                host = None
            if not host:
                raise InputError(f"model '{redact(text)}' is no address that can be read")
            return cls("address", text, digest)
        return cls("local", text, digest)

    @property
    def shown(self) -> str:
        """As it may be shown: without passwords and tokens."""
        return redact(self.text) if self.kind == "address" else self.text

    @property
    def key(self) -> str:
        """What tells it from others: the same whoever asks."""
        if self.kind != "address":
            return self.text
        parts = urlsplit(self.text)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()

    @property
    def file_name(self) -> str:
        """Name of the file, fit for any disk."""
        path = self.file if self.kind == "hub" else unquote(urlsplit(self.text).path)
        name = re.sub(r"[^\w.-]+", "_", PurePosixPath(path).name).lstrip(".")[:120]
        return name if name.endswith(".onnx") and len(name) > len(".onnx") else "model.onnx"


def check_pin(reference: Reference, digest: str, what: str) -> None:
    """Refuse a file that is not the one that was pinned.

    Args:
        reference: what was asked for.
        digest: SHA-256 of the file.
        what: the file, for the message.

    Raises:
        InputError: if they differ.
    """
    if reference.digest and not digest.startswith(reference.digest):
        raise InputError(
            f"{what} has sha256:{digest} and '{reference.shown}' is pinned to sha256:{reference.digest}; it was "
            "changed, and is not used: find out why, then pin the new one or leave the pin out"
        )
