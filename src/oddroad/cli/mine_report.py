"""The verb ``mine report``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import tyro

from oddroad.cli.common import say
from oddroad.errors import InputError, counted, printable
from oddroad.files import write_whole


def mine_report(
    findings: Annotated[str, tyro.conf.Positional],
    /,
    out: Path | None = None,
    top: int = 30,
    like: str = "",
    choose: tuple[str, ...] = (),
    coco: Path | None = None,
    clips: Path | None = None,
    label_list: Path | None = None,
    count: int = 100,
    clip_seconds: float = 3.0,
    no_clips: bool = False,
    false_alarms: Path | None = None,
    model: str = "",
    detector: str = "default",
) -> None:
    """Show what 'oddroad mine' found on one page, and hand chosen findings to other tools.

    Example: oddroad mine report findings

    Args:
        findings: folder or address of a mined archive.
        out: the page; by default report.html in the folder.
        top: groups on the page.
        like: rank by likeness: the id of a finding, or a picture, of whose largest odd region the likeness counts.
        choose: ids of findings to export; by default the first of the page.
        coco: export the chosen ones as COCO: a folder for annotations.json and the pictures.
        clips: export the chosen ones as MCAP clips: a folder.
        label_list: export a list for labelling, as CSV: findings that differ from each other as much as can be.
        count: findings in the list for labelling.
        clip_seconds: of clips, before and after a finding.
        no_clips: a page without clips, which reads no log.
        false_alarms: a file with ids of findings that are nothing odd, one a line; their whole groups count as false.
        model: first digits of the hash of the detector, where several have looked at the archive.
        detector: for a picture after --like, the .onnx file that the archive was mined with.
    """
    from oddroad.mining.driver import FAILED
    from oddroad.mining.exports import labelling_list, write_clips, write_coco
    from oddroad.mining.manifest import read_segments
    from oddroad.mining.places import is_remote
    from oddroad.mining.report import page
    from oddroad.mining.selection import Footage, Selection, chosen, read_ids
    from oddroad.mining.store import Store

    if top < 1 or count < 1:
        raise InputError(f"--top is {top} and --count {count}; expected 1 or more")
    if out is None and is_remote(findings):
        raise InputError("pass --out with the file of the page; the findings lie at an address")
    segments = read_segments(findings).to_pylist()
    selection = Selection.read(findings, model)
    segments = [row for row in segments if not selection.model or row["model"] == selection.model]
    store = Store(findings)
    failed = [json.loads(store.read(name) or b"{}") for name, _ in store.names(FAILED)]
    footage = Footage(findings, str(Path(tempfile.gettempdir()) / "oddroad-copies"))
    order, likeness = selection.leaders(), None
    if like:
        wanted = embedding_for(like, selection, detector)
        order, likeness = selection.like(wanted), (selection.embeddings @ wanted).tolist()
    ids = read_ids(false_alarms) if false_alarms is not None else set()
    shown = order[:top]
    text = page(
        findings, segments, selection, None if no_clips else footage, failed, shown, likeness, ids, clip_seconds
    )
    target = out or Path(findings) / "report.html"
    write_whole(target, text.encode(), "page")
    say(f"{counted(len(selection.rows), 'thing')} in {counted(len(selection.leaders()), 'group')}; {target}")

    def tell(words: str) -> None:
        say(printable(words))

    numbers = chosen(selection, choose) if choose else shown
    rows = [selection.rows[each] for each in numbers]
    if coco is not None:
        say(
            f"{counted(write_coco(rows, footage, coco, tell), 'picture')} with {counted(len(rows), 'finding')} in "
            f"{coco}"
        )
    if clips is not None:
        say(f"{counted(write_clips(rows, footage, clips, clip_seconds, tell), 'clip')} in {clips}")
    if label_list is not None:
        numbers = chosen(selection, choose) if choose else selection.diverse(count)
        sizes = [int((selection.group == selection.group[each]).sum()) for each in numbers]
        groups = [int(selection.group[each]) for each in numbers]
        data = labelling_list([selection.rows[each] for each in numbers], groups, sizes)
        write_whole(label_list, data, "list for labelling")
        say(f"{len(numbers)} of {counted(len(selection.rows), 'thing')} in {label_list}")


def embedding_for(like: str, selection: Any, detector: str) -> Any:
    """The embedding of what is searched for.

    Raises:
        InputError: if it is neither a finding nor a picture, or the detector is another one.
    """
    from oddroad.inference.model import Model
    from oddroad.mining.selection import embedding_of_picture

    if not Path(like).is_file():
        return selection.embeddings[selection.number(like)]
    model = Model(detector)
    if not model.sha256.startswith(selection.model):
        raise InputError(
            f"the archive was mined with the detector {selection.model}, and --detector '{detector}' is "
            f"{model.sha256[:12]}; pass that .onnx file"
        )
    row = selection.rows[0] if selection.rows else {"score": None, "threshold": None}
    return embedding_of_picture(Path(like), model, row["score"], row["threshold"])
