"""The report of a mined archive: one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oddroad.errors import counted
from oddroad.io.log_types import NANO
from oddroad.mining.selection import Footage, Selection

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
.group{border-top:1px solid #ddd;padding:.8rem 0;display:flex;gap:1rem;flex-wrap:wrap;align-items:flex-start}
.group img{max-height:180px;border-radius:4px}.small img{max-height:56px;margin:1px}.facts{min-width:260px;flex:1}
svg{background:#f6f6f6;border-radius:4px;max-width:100%}.note{color:#666}code{font-size:85%}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}svg{background:#222}.note{color:#999}
td,th,.group{border-color:#333}}
"""

ROWS = 40
"""Rows of the timeline at most: one for each camera of each log."""

BINS = 120
"""Columns of the timeline."""


@dataclass
class Cameras:
    """What each camera gave.

    Attributes:
        seconds: of driving that was mined.
        frames: that were judged.
        frames_with: of them, those with a finding.
        tracks: things that were found.
        false: of them, those that were said to be nothing odd.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    frames_with: dict[str, int] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)
    false: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, segments: Sequence[Mapping[str, Any]], selection: Selection, false: set[str]) -> Cameras:
        """The cameras of some rows of ``segments``; ``false`` are groups' first findings that are nothing odd."""
        found = cls()
        for row in segments:
            name = row["camera"]
            found.seconds[name] = found.seconds.get(name, 0.0) + (row["seconds"] or 0.0)
            for counts, column in (
                (found.frames, "judged"), (found.frames_with, "frames_with"), (found.tracks, "tracks"),
            ):  # fmt: skip
                counts[name] = counts.get(name, 0) + row[column]
        wrong = {selection.group[number] for number, row in enumerate(selection.rows) if row["id"] in false}
        for number, row in enumerate(selection.rows):
            if selection.group[number] in wrong:
                found.false[row["camera"]] = found.false.get(row["camera"], 0) + 1
        return found

    def table(self) -> str:
        """The cameras as an HTML table."""
        head = ("camera", "hours", "frames judged", "frames with a finding", "things", "things an hour",
                "called false", "false an hour")  # fmt: skip
        rows = []
        for name in sorted(self.seconds):
            hours = self.seconds[name] / 3600
            per_hour = f"{self.tracks[name] / hours:.1f}" if hours else "-"
            false = self.false.get(name, 0)
            rows.append((name, f"{hours:.3f}", self.frames[name], self.frames_with[name], self.tracks[name], per_hour,
                         false, f"{false / hours:.1f}" if hours else "-"))  # fmt: skip
        return table(head, rows)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table."""
    cells = "".join(f"<th>{html.escape(each)}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(str(each))}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def picture(data: bytes | None, title: str = "") -> str:
    """A WebP inside the page; nothing where there is none."""
    if not data:
        return ""
    return f'<img title="{html.escape(title)}" src="data:image/webp;base64,{b64encode(data).decode()}">'


def when(row: Mapping[str, Any]) -> str:
    """The time of a finding, for people."""
    if row["time"] is None:
        return f"picture {row['frame']}"
    if row["clock"] != "utc":
        return f"{row['time'] / NANO:.1f} s"
    return datetime.fromtimestamp(row["time"] / NANO, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def timeline(selection: Selection, segments: Sequence[Mapping[str, Any]]) -> str:
    """When each camera of each log saw something, from its start to its end: the darker, the more."""
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for row in segments:
        if row["start"] is not None:
            key, start, end = (row["log"], row["topic"]), row["start"] / NANO, row["end"] / NANO
            low, high = spans.get(key, (start, end))
            spans[key] = min(low, start), max(high, end)
    lines: dict[tuple[str, str], list[float]] = {}
    for row in selection.rows:
        if row["time"] is not None:
            lines.setdefault((row["log"], row["topic"]), []).append(row["time"] / NANO)
    shown = sorted(lines.items(), key=lambda each: -len(each[1]))[:ROWS]
    if not shown:
        return ""
    parts = [f'<svg width="1000" height="{22 * len(shown) + 4}" font-size="12" role="img">']
    for line, ((log, topic), times) in enumerate(sorted(shown)):
        first, last = spans.get((log, topic), (min(times), max(times)))
        counts = [0] * BINS
        for each in times:
            counts[min(max(int((each - first) / max(last - first, 1e-9) * BINS), 0), BINS - 1)] += 1
        name = html.escape(f"{log} {topic}"[-42:])
        parts.append(f'<text x="4" y="{22 * line + 16}" fill="currentColor">{name}</text>')
        most = max(counts)
        for at, count in enumerate(counts):
            if count:
                seconds = (last - first) * at / BINS
                parts.append(
                    f'<rect x="{300 + at * 690 // BINS}" y="{22 * line + 3}" width="5" height="17" fill="#d33" '
                    f'opacity="{0.25 + 0.75 * count / most:.2f}"><title>{count} from {seconds:.0f} s on</title></rect>'
                )
    left = f"<p class=note>{len(lines) - ROWS} more are not shown.</p>" if len(lines) > ROWS else ""
    return "".join([*parts, "</svg>", left])


def facts(row: Mapping[str, Any], size: int, likeness: float | None) -> str:
    """What is known about the first finding of a group."""
    p_value = "not calibrated" if row["p_value"] is None else f"{row['p_value']:.4f}"
    place = "" if row["latitude"] is None else f"<br>at {row['latitude']:.5f}, {row['longitude']:.5f}"
    alike = "" if likeness is None else f"<br>likeness {likeness:.3f}"
    more = f"<b>{size} things like this</b>" if size > 1 else "<b>one thing</b>"
    name = html.escape(f"{row['log']} {row['topic']}")
    return (
        f"<div class=facts>{more}<br>{name}<br>{when(row)}{place}<br>p-value {p_value}, mean {row['mean']:.3g}, "
        f"peak {row['peak']:.3g}, {counted(row['area'], 'pixel')}{alike}<br><code>{row['id']}</code></div>"
    )


def page(
    place: str,
    segments: Sequence[Mapping[str, Any]],
    selection: Selection,
    footage: Footage | None,
    failed: Sequence[Mapping[str, Any]],
    shown: Sequence[int],
    likeness: Sequence[float] | None = None,
    false: set[str] | None = None,
    seconds: float = 3.0,
) -> str:
    """The page.

    Args:
        place: of the archive.
        segments: rows of ``segments`` of the detector.
        selection: the findings.
        footage: to read clips from; None for a page without.
        failed: contents of the files in ``failed/``.
        shown: rows of the selection to show, each for its group, in this order.
        likeness: of the rows of the selection to what was searched for.
        false: ids of findings that are nothing odd; their groups count as false alarms.
        seconds: of the clips before and after a finding.
    """
    total = {name: sum(row[name] for row in segments) for name in ("read", "judged", "skipped", "damaged", "lost")}
    hours = sum(row["seconds"] or 0.0 for row in segments) / 3600
    meaning = selection.rows[0]["threshold_meaning"] if selection.rows else ""
    seen = (
        f"{counted(len(selection.rows), 'thing')} in {counted(len(selection.leaders()), 'group')}"
        if selection.rows
        else "no anomaly found"
    )
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Mined: {html.escape(place)}</title>"
        f"<style>{STYLE}</style><h1>What does not belong on the road</h1>",
        f"<p>{hours:.2f} h of driving in {counted(len(segments), 'segment')}: {counted(total['read'], 'frame')}, of "
        f"which {total['judged']} were judged, {total['skipped']} skipped, {total['damaged']} damaged, {total['lost']} "
        f"lost. "
        f"<b>{seen if total['judged'] else 'NOTHING WAS JUDGED'}.</b></p>",
        f"<p class=note>Threshold: {html.escape(meaning or 'see the card of the detector')}. Detector "
        f"<code>{selection.model}</code>.</p>",
        "<h2>Cameras</h2>", Cameras.of(segments, selection, false or set()).table(),
        "<p class=note>Things an hour are false alarms where nothing odd was on the road. What is false, people say: "
        "with --false-alarms, a file with ids of groups below.</p>",
        "<h2>Timeline</h2>", timeline(selection, segments),
        "<h2>Findings</h2>", "<p class=note>The least likely first, one group for what looks alike.</p>",
    ]  # fmt: skip
    sizes = {int(group): int((selection.group == group).sum()) for group in {selection.group[each] for each in shown}}
    for number in shown:
        row, group = selection.rows[number], int(selection.group[number])
        others = [each for each in (selection.group == group).nonzero()[0] if each != number][:8]
        clip = footage.clip(row, seconds) if footage is not None else b""
        gone = "" if clip or footage is None else "<span class=note>its log cannot be read any more</span>"
        small = "".join(picture(selection.rows[each]["thumbnail"], when(selection.rows[each])) for each in others)
        parts.append(
            f'<div class=group id="{row["id"]}">{picture(row["thumbnail"])}{picture(clip)}{gone}'
            f"{facts(row, sizes[group], None if likeness is None else likeness[number])}<div class=small>{small}</div>"
            "</div>"
        )
    if failed:
        rows = [(each["what"], each["reason"], each["tries"]) for each in failed]
        parts += ["<h2>Not mined</h2>", table(("what", "reason", "tries"), rows)]
    return "".join(parts) + "</html>"
