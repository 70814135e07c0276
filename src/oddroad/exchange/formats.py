"""The formats, and how results become one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oddroad.errors import InputError, counted, pick
from oddroad.exchange.coco import write_coco
from oddroad.exchange.csv_files import write_csv
from oddroad.exchange.fiftyone import write_fiftyone
from oddroad.exchange.labelme import write_labelme
from oddroad.exchange.mcap import write_mcap
from oddroad.exchange.media import Media
from oddroad.exchange.rerun import write_rerun
from oddroad.exchange.results import Results, read_results
from oddroad.exchange.supervision import write_supervision

FORMATS: dict[str, Callable[[Results, Path, Media | None], list[str]]] = {
    "coco": write_coco,
    "csv": write_csv,
    "fiftyone": write_fiftyone,
    "supervision": write_supervision,
    "rerun": write_rerun,
    "mcap": write_mcap,
    "labelme": write_labelme,
}
"""Name of a format -> the function that writes it, and returns what is to be known about what it wrote."""


def convert(path: Path, to: str, out: Path, media: Path | None = None) -> tuple[Results, list[str]]:
    r"""Write the results of ``oddroad detect`` in the format of another tool.

    >>> import json, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> run = {"type": "run", "schema_version": 1, "oddroad": "1.0", "model": "m", "score": "energy", "threshold": 4.0}
    >>> region = {"box": [1, 0, 3, 2], "area": 4, "mean": 5.0, "peak": 6.0,
    ...           "segmentation": {"size": [2, 4], "counts": "242"}}
    >>> frame = {"type": "frame", "source": "a.jpg", "index": None, "time": None, "width": 4, "height": 2,
    ...          "status": "ok", "regions": [region]}
    >>> _ = (folder / "detections.jsonl").write_text(f"{json.dumps(run)}\n{json.dumps(frame)}\n")
    >>> results, notes = convert(folder, "coco", folder / "coco.json")
    >>> [(each["bbox"], each["area"]) for each in json.loads((folder / "coco.json").read_text())["annotations"]]
    [([1, 0, 2, 2], 4)]

    Args:
        path: a ``detections.jsonl``, or a folder of them.
        to: one of FORMATS.
        out: the file or folder to write.
        media: the file or folder that the frames came from.

    Returns:
        the results, and what is to be known about them and about what was written, a line each.

    Raises:
        InputError: if there is no such format, the results cannot be used, or nothing can be written.
    """
    write = pick(FORMATS, to, "format")
    results = read_results(path)
    if out.resolve() in {each.resolve() for each in results.files}:
        raise InputError(f"'{out}' is what is read; choose another file with --out")
    if not results.judged:
        damaged = f"; {counted(len(results.not_judged), 'damaged frame')} not judged" if results.not_judged else ""
        raise InputError(
            f"no frame was judged in '{path}'{damaged}: that says nothing about what was on the road, and there is "
            "nothing to convert; run 'oddroad detect' again"
        )
    return results, results.notes + write(results, out, None if media is None else Media(media))
