"""FiftyOne: a dataset with pictures, detections with masks, and score maps (https://docs.voxel51.com)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddroad.errors import InputError
from oddroad.exchange.media import Media, saved_map
from oddroad.exchange.names import new_folder, picture_names, save_picture
from oddroad.exchange.rerun import map_limits
from oddroad.exchange.results import FrameResult, Results
from oddroad.regions import mask_in_box

if TYPE_CHECKING:
    import fiftyone


def to_fiftyone(results: Results, media: Media, pictures: Path, name: str | None = None) -> fiftyone.Dataset:
    """The results as a FiftyOne dataset: a sample a frame.

    >>> results, media = read_results("out/drive"), Media(Path("drive.mp4"))  # doctest: +SKIP
    >>> fiftyone.launch_app(to_fiftyone(results, media, Path("pictures")))  # doctest: +SKIP

    A sample has ``detections`` (label "anomaly", mask, ``confidence`` the peak in the unit of the score, ``index`` the
    track, and ``mean``, ``percentile``, ``area``, ``hits``), ``heatmap`` where maps were saved, all with one ``range``,
    and ``source``, ``frame_index``, ``time``, ``utc``, ``status``. Where a damaged frame was not judged, ``detections``
    is None and the sample is tagged "not judged"; where nothing was found, ``detections`` is empty.

    Args:
        results: from ``read_results``.
        media: where the frames came from.
        pictures: folder that frames of videos are written to; it must stay as long as the dataset.
        name: of the dataset; a dataset without a name is gone with the process.

    Raises:
        InputError: if a picture is missing, or FiftyOne cannot start its database.
    """
    import fiftyone
    from fiftyone.core.config import FiftyOneConfigError

    names = dict(zip(map(id, results.frames), picture_names(results.frames), strict=True))
    limits = map_limits(results)
    samples: list[Any] = []
    for frame, image in media.images(results.frames):
        path = media.path(frame) if frame.index is None else pictures / names[id(frame)]
        if frame.index is not None:
            save_picture(path, image)
        samples.append(sample_of(frame, path.resolve(), limits))
    try:
        dataset = fiftyone.Dataset(name)
    except FiftyOneConfigError as error:
        raise InputError(
            f"FiftyOne cannot start its database: {str(error).splitlines()[0]}; set FIFTYONE_DATABASE_URI to a MongoDB"
        ) from None
    for run in results.runs[-1:]:
        dataset.info = {"model": run.model, "score": run.score, "threshold": run.threshold, "oddroad": run.oddroad}
    dataset.add_samples(samples, progress=False)
    return dataset


def sample_of(frame: FrameResult, path: Path, limits: tuple[float, float]) -> fiftyone.Sample:
    """One frame as a sample; ``limits`` are lowest and highest value of all maps."""
    import fiftyone

    height, width = frame.size
    sample = fiftyone.Sample(
        filepath=str(path),
        tags=[] if frame.regions is not None else ["not judged"],
        metadata=fiftyone.ImageMetadata(width=width, height=height),
        source=frame.source,
        frame_index=frame.index,
        time=frame.time,
        utc=frame.utc,
        status=frame.status,
        reason=frame.reason,
    )
    sample["detections"] = None
    if frame.regions is not None:
        found: list[Any] = []
        for region, track in frame.found():
            x0, y0, x1, y1 = region.box
            more = {} if track is None else {"index": track.id, "hits": track.hits}
            found.append(
                fiftyone.Detection(
                    label="anomaly",
                    bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                    mask=mask_in_box(region),
                    confidence=region.peak,
                    mean=region.mean,
                    percentile=region.percentile,
                    area=region.area,
                    **more,
                )
            )
        sample["detections"] = fiftyone.Detections(detections=found)
    heat = saved_map(frame)
    if heat is not None:
        sample["heatmap"] = fiftyone.Heatmap(map=heat, range=list(limits))
    return sample


def write_fiftyone(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write a folder that ``fiftyone.Dataset.from_dir`` reads as a ``FiftyOneDataset``, with its pictures.

    Raises:
        InputError: if there are no media, the folder is not new, or FiftyOne cannot start its database.
    """
    import fiftyone

    if media is None:
        raise InputError("FiftyOne shows pictures: pass the file or folder that 'oddroad detect' read with --media")
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as pictures:
        dataset = to_fiftyone(results, media, Path(pictures))
        try:
            dataset.export(export_dir=str(folder), dataset_type=fiftyone.types.FiftyOneDataset, progress=False)
        finally:
            dataset.delete()
    return [f"open it with: fiftyone.Dataset.from_dir('{out}', dataset_type=fiftyone.types.FiftyOneDataset)"]
