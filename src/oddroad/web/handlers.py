"""What the page asks for: sources, views, frames, maps, findings, exports."""

from __future__ import annotations

from oddroad.detection.lines import region_values
from oddroad.detection.promise import completed, said
from oddroad.detection.settings import Settings
from oddroad.detection.tracking import Tracking
from oddroad.regions import encode_rle
from oddroad.web import exports
from oddroad.web.desk import Desk
from oddroad.web.findings import Findings, Setting, levels_of
from oddroad.web.reply import Call, Refused, Reply, as_json, download
from oddroad.web.view import View

FOREVER = {"cache-control": "private, max-age=86400, immutable"}
"""For what never changes at its address."""

MOST_FINDINGS = 500
"""Frames in which one request finds, at most: the page asks again, and shows how far it is."""


def about(desk: Desk, call: Call) -> Reply:
    """The detectors with their cards, and the limits."""
    from importlib.metadata import version

    return as_json({
        "oddroad": version("oddroad"),
        "detectors": [each.about() for each in desk.detectors],
        "limits": {
            "upload_bytes": desk.limits.upload_bytes, "pixels": desk.limits.pixels, "frames": desk.limits.frames,
        },
        "results": bool(desk.results),
    })  # fmt: skip


def sources(desk: Desk, call: Call) -> Reply:
    """What can be opened."""
    found = [each.about() for each in desk.library.entries()]
    return as_json({"sources": found, "notes": desk.library.notes})


def upload(desk: Desk, call: Call) -> Reply:
    """Take a picture, video or log; of several pictures each with the same ``batch``, and ``last=1`` with the last."""
    assert call.file is not None
    name, batch = call.query.get("name", "file"), call.query.get("batch", "")
    if not batch:
        return as_json(desk.library.take([(name, call.file)], call.query.get("title", "")).about(), 201)
    entry = desk.library.collect(batch, name, call.file, call.query.get("last") == "1", call.query.get("title", ""))
    return as_json({"waiting": True}, 202) if entry is None else as_json(entry.about(), 201)


def open_view(desk: Desk, call: Call) -> Reply:
    """Open a source, given as ``source``; it is read and judged from now on."""
    values = call.json()
    every = values.get("every", 1)
    if not isinstance(every, int) or every < 1:
        raise Refused(f"'every' is {every!r}; expected a whole number, 1 or more")
    entry = desk.library.find(str(values.get("source", "")))
    return as_json(desk.views.open(entry, every).about(), 201)


def view_of(desk: Desk, call: Call) -> Reply:
    """How far a view is, and its frames from ``since`` on."""
    return as_json(desk.views.find(call.path["view"]).about(call.whole("since", 0)))


def stop_view(desk: Desk, call: Call) -> Reply:
    """Stop reading; what was judged stays."""
    view = desk.views.find(call.path["view"])
    view.stop("stopped")
    return as_json(view.about(view.done))


def close_view(desk: Desk, call: Call) -> Reply:
    """Stop, and delete what was kept."""
    desk.views.close(call.path["view"])
    return as_json({})


def frame_number(call: Call) -> int:
    """The number of a frame in the address.

    Raises:
        Refused: if it is none.
    """
    text = call.path["frame"]
    if not (text.isascii() and text.isdigit()):
        raise Refused(f"'{text[:20]}' is no number of a frame", 404)
    return int(text)


def picture(desk: Desk, call: Call) -> Reply:
    """A frame as a JPEG."""
    view = desk.views.find(call.path["view"])
    return Reply(view.kept.path(frame_number(call), ".jpg"), "image/jpeg", FOREVER)


def map_of(desk: Desk, call: Call) -> Reply:
    """The scores of a frame, float32 little-endian, row by row; ``x-map-size`` is its height and width."""
    view, detector = desk.views.find(call.path["view"]), desk.detector(call)
    low = view.kept.low_res(frame_number(call), detector)
    headers = {"x-map-size": f"{low.shape[0]}x{low.shape[1]}", **FOREVER}
    return Reply(low.astype("<f4").tobytes(), "application/octet-stream", headers)


def levels(desk: Desk, call: Call) -> Reply:
    """The lowest threshold without an alarm of frames from ``since`` on, for a smallest area of ``min_area``."""
    view, since = desk.views.find(call.path["view"]), call.whole("since", 0)
    end = since + min(call.whole("count", 100, 1), 200)
    setting = Setting(desk.detector(call), 0.0, area_of(call), desk.roi(call))
    return as_json({"since": since, "levels": levels_of(view, setting, since, end)})


def inside(desk: Desk, call: Call) -> Reply:
    """The region of interest in a frame as COCO's run-length code; null for the whole picture."""
    view, number = desk.views.find(call.path["view"]), frame_number(call)
    view.kept.path(number, ".jpg")
    found = view.inside(number, desk.detector(call), desk.roi(call))
    size = view.kept.frames[number].size
    return as_json({"size": size, "counts": None if found is None else encode_rle(found, (0, 0), size)})


def area_of(call: Call) -> int | None:
    """The smallest area that a request asks for; None for the card's."""
    return call.whole("min_area") if call.query.get("min_area") else None


def setting_of(desk: Desk, call: Call, view: View) -> tuple[Setting, str]:
    """What a request wants to find, and what its threshold means."""
    number = desk.detector(call)
    card = desk.detectors[number].model.card
    own = Tracking.of(card.calibration)
    age, hits = call.whole("max_age", own.max_age), call.whole("min_hits", own.min_hits, 1)
    threshold = desk.threshold(call, number)  # of the card's hits, as the page shows it
    setting = Setting(number, threshold.value, area_of(call), desk.roi(call), age)
    asked = Settings(
        min_area=setting.min_area, roi=setting.roi, min_hits=hits, max_age=age, every=view.every,
        threshold_meaning=threshold.meaning,
    )  # fmt: skip
    return setting, said(threshold.meaning, completed(asked, card)[1])


def findings(desk: Desk, call: Call) -> Reply:
    """Regions with their tracks in frames from ``since`` on, at a ``threshold``; whatever their hits."""
    view, since = desk.views.find(call.path["view"]), call.whole("since", 0)
    setting, meaning = setting_of(desk, call, view)
    found = desk.views.found_in(view).at(setting)
    done = found.extend(since + MOST_FINDINGS)
    frames = []
    for each in found.frames[since : since + MOST_FINDINGS]:
        frames.append(None if each is None else [
            {
                **{name: value for name, value in region_values(region).items() if name != "segmentation"},
                "track": None if track is None else track.id, "hits": None if track is None else track.hits,
            }
            for region, track in each
        ])  # fmt: skip
    return as_json({
        "since": since, "done": done, "of": view.done, "threshold": setting.threshold, "meaning": meaning,
        "frames": frames,
    })  # fmt: skip


def all_findings(desk: Desk, call: Call, end: int | None = None) -> tuple[View, Findings, int, str]:
    """View, findings up to a frame, smallest hits and the threshold's meaning, for an export."""
    view = desk.views.find(call.path["view"])
    setting, meaning = setting_of(desk, call, view)
    found = desk.views.found_in(view).at(setting)
    found.extend(view.done if end is None else end)
    own = Tracking.of(desk.detectors[setting.detector].model.card.calibration)
    return view, found, call.whole("min_hits", own.min_hits, 1), meaning


def export_jsonl(desk: Desk, call: Call) -> Reply:
    """``detections.jsonl`` of the frames that are there: what ``oddroad detect`` writes."""
    view, found, hits, meaning = all_findings(desk, call)
    return download(exports.jsonl(view, found, hits, meaning), "application/jsonl", "detections.jsonl")


def export_coco(desk: Desk, call: Call) -> Reply:
    """The same as a COCO file."""
    view, found, hits, meaning = all_findings(desk, call)
    return download(exports.coco(view, found, hits, meaning), "application/json", "coco.json")


def export_still(desk: Desk, call: Call) -> Reply:
    """The frame ``frame`` with what is marked, as a PNG."""
    number = call.whole("frame")
    view, found, hits, _ = all_findings(desk, call, number + 1)
    view.kept.path(number, ".jpg")
    return download(exports.still(view, found, number, hits), "image/png", f"{view.entry.title}_{number}.png")


def export_clip(desk: Desk, call: Call) -> Reply:
    """Frames ``begin`` up to ``end`` (not with it) with what is marked, as an MP4 (H.264)."""
    view, found, hits, _ = all_findings(desk, call)
    begin = call.whole("begin", 0)
    end = min(call.whole("end", view.done), view.done, len(found.frames))
    if begin >= end:
        raise Refused(f"there is no frame from {begin} to {end}")
    path = exports.clip(view, found, hits, begin, end, desk.folder)
    return download(path, "video/mp4", f"{view.entry.title}.mp4")
