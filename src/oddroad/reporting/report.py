"""Tables and figures of saved results on one page, beside the published ones. It computes nothing."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.reporting import figures, seeds
from oddroad.reporting.learning_curves import PLACE, read_curves
from oddroad.reporting.tables import (
    BESIDE_HEADS,
    Table,
    beside,
    comma_separated,
    head,
    latex,
    markdown,
    measured_table,
    method_names,
    short,
    text_of,
    with_published,
)

NEEDED = (
    "dataset", "score", "model", "model_hash", "protocol", "input_size", "images", "seconds", "versions", "notes",
)  # fmt: skip
"""What every result has."""


def load_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """All results of some files of 'oddroad evaluate --json', each with its ``file``.

    Raises:
        InputError: if a file is missing or is something else.
    """
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            results = json.loads(path.read_text())["results"]
            found += [{**each, **{key: each[key] for key in NEEDED}, "file": path} for each in results]
        except OSError as error:
            raise InputError(f"cannot read results '{path}': {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"'{path}' is no file of results; 'oddroad evaluate ... --json FILE' writes one") from None
    if not found:
        raise InputError("no results in these files; run 'oddroad evaluate ... --json FILE' first")
    return found


def html_table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """An HTML table; each row has a class and cells of HTML."""
    top = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{each}</td>" for each in cells) + "</tr>\n" for kind, cells in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>'


def as_html(table: Table) -> str:
    """The table for the page."""
    marks, wrap = table.marks(), {"best": "<b>{}</b>", "second": "<u>{}</u>", "": "{}"}
    rows = []
    for name in table.rows:
        cells = [wrap[marks.get((name, at), "")].format(text_of(table, name, at)) for at in range(len(table.columns))]
        rows.append(("published" if table.sources[name] else "measured", [html.escape(name), *cells]))
    return html_table(["Method", *map(head, table.columns)], rows)


def picture(path: Path, alt: str) -> str:
    """An image inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap } th { border-bottom: 2px solid #333 }
th:first-child, td:first-child { text-align: left } tr.published { color: #666 }
tr.measured + tr.published td { border-top: 1px solid #333 } tbody tr:hover { background: #f3f6fa }
img { max-width: 100% } 
.note { color: #555 }
.warn { background: #fff4e0; border-left: 4px solid #e69f00; padding: .4rem .8rem }
"""


def write_report(paths: Sequence[Path], out: Path) -> list[Path]:
    """Tables (.md, .csv, .tex), figures (.png) and one self-contained page (report.html) in a folder.

    Results that name their ``row`` and ``seed`` are gathered into one table of mean and standard deviation.

    Args:
        paths: files of 'oddroad evaluate --json', and folders of 'oddroad train', whose learning curves are drawn.
        out: the folder.

    Returns:
        the files written.

    Raises:
        InputError: if a file holds no results, or a folder no learning curves.
    """
    folders = [each for each in paths if each.is_dir()]
    files = [each for each in paths if not each.is_dir()]
    everything = load_results(files) if files or not folders else []
    results = [each for each in everything if "seed" not in each]
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    page: list[str] = []

    def put(name: str, text: str) -> None:
        (out / name).write_text(text, encoding="utf-8")
        written.append(out / name)

    page += seed_tables([each for each in everything if "seed" in each], put)
    names = method_names(results)
    page += result_tables(results, names, put)
    page += figure_sections(results, names, out, written)
    if folders:
        curves = {run_name(each, folders): read_curves(each / PLACE) for each in folders}
        written.append(figures.learning_curves(curves, out / "learning_curves.png"))
        page += ["<h2>Learning curves</h2>", picture(written[-1], "loss and mean IoU over the steps")]
    put("report.html", page_of([each for each in everything if each.get("temperature", "1") == "1"], page))
    return written


def seed_tables(results: Sequence[dict[str, Any]], put: Callable[[str, str], None]) -> list[str]:
    """The parts of the page with trainings of several seeds, which are also written as files."""
    if not results:
        return []
    lines, columns = seeds.lines_of(results)
    page: list[str] = []
    trained = [line for line in lines if line.temperature == seeds.AS_TRAINED]
    cooled = [line for line in lines if line.temperature != seeds.AS_TRAINED]
    titles = {"seeds": "Trainings with several seeds, beside the published rows", "temperatures": "The same at other T"}
    for name, chosen in (("seeds", trained), ("temperatures", cooled)):
        if not chosen:
            continue
        for ending, writer in {"md": seeds.markdown, "csv": seeds.comma_separated, "tex": seeds.latex}.items():
            put(f"{name}.{ending}", writer(chosen, columns))
        cells = [("", [html.escape(cell) for cell in seeds.cells_of(line, columns)]) for line in chosen]
        page += [f"<h2>{titles[name]}</h2>", html_table(seeds.heads_of(columns), cells)]
    page.append(
        '<p class="note">Percent; mean ± standard deviation over the seeds. † published AP at or below the prevalence '
        "of its set: it carries no information.</p>"
    )
    return page


def run_name(folder: Path, folders: Sequence[Path]) -> str:
    """The name of a run's folder, with its parent's where several runs have the same."""
    alike = sum(each.name == folder.name for each in folders) > 1
    return f"{folder.parent.name}/{folder.name}" if alike else folder.name


def result_tables(
    results: Sequence[dict[str, Any]], names: Sequence[str], put: Callable[[str, str], None]
) -> list[str]:
    """The parts of the page with tables, which are also written as files."""
    page: list[str] = []
    tables = {
        "pixels": measured_table(results, names, ("ap", "fpr95"), "Pixels: AP and FPR95"),
        "components": measured_table(results, names, ("siou", "ppv", "f1_star"), "Components: sIoU, PPV and F1*"),
        "classes": measured_table(results, names, ("miou", "ece"), "Known classes: mIoU and calibration error"),
    }
    for name, table in tables.items():
        if table is None:
            continue
        full = with_published(table) if name == "pixels" else table
        writers: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": comma_separated, "tex": latex}
        for ending, write in writers.items():
            put(f"{name}.{ending}", write(full).rstrip() + "\n")
        page += [f"<h2>{html.escape(full.title)}</h2>", as_html(full)]
        if name == "pixels":
            page.append(
                '<p class="note">Percent. Bold: best measured; underlined: second. Grey: published, other networks and '
                "partly hidden test sets. † AP at or below the prevalence: the score carries no information there.</p>"
            )
            if lines := beside(results, names):
                page += ["<h2>Measured and published, same score and set</h2>"]
                page.append(html_table(BESIDE_HEADS, [("", [html.escape(cell) for cell in line]) for line in lines]))
    return page


def figure_sections(
    results: Sequence[dict[str, Any]], names: Sequence[str], out: Path, written: list[Path]
) -> list[str]:
    """The parts of the page with figures, which are written beside it."""
    page: list[str] = []
    for dataset in dict.fromkeys(each["dataset"] for each in results):
        own = [(each, name) for each, name in zip(results, names, strict=True) if each["dataset"] == dataset]
        drawn = [(each, name) for each, name in own if each.get("ap") is not None and each["curve"]["recall"]]
        title = short(str(dataset))
        if drawn:
            these, called = [each for each, _ in drawn], [name for _, name in drawn]
            path = figures.curves(these, called, out / f"curves_{dataset}.png")
            page += [f"<h2>{html.escape(title)}: curves</h2>", picture(path, f"PR and ROC curves on {title}")]
            written.append(path)
            folders = [Path(each["file"]).with_suffix(".frames") for each in these]
            path = figures.grid(these, called, folders, out / f"frames_{dataset}.png")
            if path is not None:
                page += [
                    f"<h2>{html.escape(title)}: best, median and worst frame</h2>",
                    picture(path, f"frames of {title}"),
                ]
                page.append('<p class="note">By AP averaged over the methods. Orange: anomaly; grey: not judged. '
                            "One scale for all frames of a map.</p>")  # fmt: skip
                written.append(path)
        for number, (each, name) in enumerate(own):
            if each.get("reliability"):
                path = figures.reliability(each, name, out / f"reliability_{dataset}_{number}.png")
                page += [
                    f"<h2>{html.escape(title)}: reliability of {html.escape(name)}</h2>",
                    picture(path, "reliability"),
                ]
                written.append(path)
    return page


def page_of(results: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> str:
    """The page: what was run, the remarks, then the parts."""
    remarks = dict.fromkeys(
        f"{each['dataset']} {each['model']} {each['score']}: {note}" for each in results for note in each["notes"]
    )
    warned = "".join(f"<li>{html.escape(each)}</li>" for each in remarks)
    rows = []
    for each in results:
        versions = ", ".join(f"{name} {number}" for name, number in each["versions"].items())
        cells = [
            each["model"],
            each["score"],
            each["dataset"],
            str(each["images"]),
            each["protocol"],
            each["input_size"],
        ]
        cells += [each["model_hash"][:12], f"{each['seconds']:.0f}", versions]
        rows.append(("", [html.escape(str(cell)) for cell in cells]))
    heads = ["model", "score", "data set", "images", "protocol", "input", "model hash", "seconds", "versions"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>oddroad report</title>'
        f"<style>{STYLE}</style></head><body><h1>Anomaly segmentation of road scenes: report</h1>\n"
        + (f'<div class="warn"><ul>{warned}</ul></div>' if warned else "")
        + "\n".join(parts)
        + "<h2>What was run</h2>"
        + html_table(heads, rows)
        + "</body></html>\n"
    )
