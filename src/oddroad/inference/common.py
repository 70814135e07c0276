"""What the engines share: the head of a file, precisions, how many prepared forms are kept."""

from __future__ import annotations

from pathlib import Path

from oddroad.card import CARD_KEY, Card
from oddroad.errors import InputError
from oddroad.inference.board_files import ENDINGS, read_beside
from oddroad.inference.host_resize import CLASSES, LOGITS
from oddroad.inference.integrity import check_digest
from oddroad.inference.onnx_graph import has_data_outside, metadata, output_names


def read_head(path: Path) -> tuple[Card, list[str]]:
    """The card of a file and the names of what it gives, without preparing it to run; every byte is checked.

    Raises:
        InputError: if the file is damaged or was changed, has no card, or one that this version cannot read.
    """
    if path.suffix in ENDINGS:
        return read_beside(path)
    data = path.read_bytes()
    try:
        text, outputs, outside = metadata(data).get(CARD_KEY), output_names(data), has_data_outside(data)
    except (ValueError, IndexError) as error:
        raise InputError(f"model '{path}' cannot be loaded, it is damaged or no ONNX file ({error})") from None
    if outside:
        raise InputError(f"model '{path}' has weights in other files; 'oddroad export' writes one file")
    if len(set(outputs)) < len(outputs):
        raise InputError(f"model '{path}' has two outputs of one name; export it again")
    if text is None:
        raise InputError(f"model '{path}' is an ONNX file without an oddroad card; 'oddroad export' writes those")
    try:
        card = Card.from_json(text)
    except InputError as error:
        raise InputError(f"model '{path}': {error}") from None
    check_digest(data, path)
    if missing := [name for name in card.scores if name not in outputs]:
        raise InputError(f"model '{path}' lacks the outputs {', '.join(missing)} that its card names; export it again")
    if card.portable and LOGITS in outputs:
        outputs.append(CLASSES)
    return card, outputs


SESSIONS = 4
"""Forms of a file that an engine keeps ready: for other outputs or, in OpenVINO, images of other sizes."""


PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""What the float part of a network may be computed in, and OpenVINO's name of it."""
