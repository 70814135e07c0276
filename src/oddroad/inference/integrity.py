"""Whether a file is what the exporter wrote: a digest of every byte, kept in its card and checked when it is loaded."""

from __future__ import annotations

import hashlib
import re

from oddroad.card import CARD_KEY, Card
from oddroad.errors import InputError
from oddroad.inference.onnx_graph import with_metadata

DIGEST = re.compile(rb'"digest": "([0-9a-f]{64})"')
"""Where the card holds the digest: SHA-256 of the file in which these 64 letters are zeros."""


EMPTY = b'"digest": "' + b"0" * 64 + b'"'


def digest_of(data: bytes) -> tuple[str, str]:
    """The digest that an ONNX file states and the one that it has, in hexadecimal; the first is empty without one."""
    found = DIGEST.search(data)
    if found is None:
        return "", hashlib.sha256(data).hexdigest()
    begin, end = found.span()
    return found[1].decode(), hashlib.sha256(b"".join((data[:begin], EMPTY, data[end:]))).hexdigest()


def with_card(data: bytes, card: Card) -> bytes:
    """An ONNX file with a card in place of the one it has, if any, and its digest in it.

    Args:
        data: the file: graph, weights and metadata.
        card: what it is; its digest is replaced.

    Raises:
        ValueError: if the data are no ONNX file.
    """
    text = card.sealed("0" * 64).to_json()
    data = with_metadata(data, CARD_KEY, text)
    return data.replace(EMPTY, b'"digest": "' + digest_of(data)[1].encode() + b'"', 1)


def check_digest(data: bytes, place: object) -> None:
    """Refuse a file whose bytes are not those that were exported.

    Args:
        data: the file.
        place: its path, for the message.

    Raises:
        InputError: if a byte of graph, weights or card was changed, or the card has no digest.
    """
    stated, true = digest_of(data)
    if not stated:
        raise InputError(f"model '{place}' has no digest in its card; export it again with 'oddroad export'")
    if stated != true:
        raise InputError(
            f"model '{place}' is not what was exported: its digest is {true[:12]}... and its card says "
            f"{stated[:12]}...; it was damaged or changed: copy or export it again"
        )
