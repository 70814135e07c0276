"""Tables and figures of saved results on one page, beside the published ones. It computes nothing."""

from __future__ import annotations

import base64
import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from oddroad.errors import InputError, why
from oddroad.files import load_json
from oddroad.io.folder_lock import FolderLock
from oddroad.reporting import differences, figures, seeds
from oddroad.reporting.comparison import comparison_sheets
from oddroad.reporting.learning_curves import PLACE, read_curves
from oddroad.reporting.methods import method_names
from oddroad.reporting.result_format import check_result
from oddroad.reporting.sheets import Sheet, as_html, comma_separated, latex, markdown
from oddroad.reporting.tables import (
    BESIDE_HEADS,
    at_thresholds,
    beside,
    measured_table,
    sheet_of,
    short,
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
            results = load_json(path.read_text(encoding="utf-8"))["results"]
            rows = [{**each, **{key: each[key] for key in NEEDED}, "file": path} for each in results]
        except OSError as error:
            raise InputError(f"cannot read results '{path}': {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"'{path}' is no file of results; 'oddroad evaluate ... --json FILE' writes one") from None
        for each in rows:
            check_result(each, path)
        found += rows
    if not found:
        raise InputError("no results in these files; run 'oddroad evaluate ... --json FILE' first")
    return found


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading; "" for a part that goes on.
        table: HTML of a table, or "".
        picture: path of a figure, or None.
        alt: what the figure shows, in words.
        note: a line below.
    """

    title: str = ""
    table: str = ""
    picture: Path | None = None
    alt: str = ""
    note: str = ""

    @property
    def data(self) -> str:
        """The figure's bytes for inside the page."""
        return base64.b64encode(self.picture.read_bytes()).decode() if self.picture else ""


WRITERS: dict[str, Callable[[Sheet], str]] = {"md": markdown, "csv": comma_separated, "tex": latex}
"""Ending of a file -> what writes a table to it."""


def write_report(paths: Sequence[Path], out: Path) -> list[Path]:
    """Tables (.md, .csv, .tex), figures (.png) and one self-contained page (report.html) in a folder.

    Results that name their ``row`` and ``seed`` are gathered into one table of mean and standard deviation; those that
    name their ``method`` and ``seed`` into one of all methods and into tables like the second paper's. A result that is
    given twice is shown once.

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
    once: dict[tuple[str, str], dict[str, Any]] = {}
    for each, name in zip(results, method_names(results), strict=True):
        once.setdefault((name, each["dataset"]), each)
    results, names = list(once.values()), [name for name, _ in once]
    curves = {run_name(each, folders): read_curves(each / PLACE) for each in folders}
    with whole_folder(out) as made:
        names = fill(made, curves, everything, results, names, bool(folders))
    return [out / each for each in names]


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; at the end its files are moved into ``out``, the page last, each in place of an older one.

    Raises:
        InputError: if it cannot be written, or another report is being written there; what was in ``out`` stays.
    """
    with FolderLock(out):
        made = out / ".partial"
        try:
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            yield made
            for each in sorted(made.iterdir(), key=lambda path: path.suffix == ".html"):
                each.replace(out / each.name)
        except OSError as error:
            raise InputError(f"cannot write the report to '{out}': {why(error)}; an earlier one is kept") from None
        finally:
            shutil.rmtree(made, ignore_errors=True)


def fill(
    out: Path,
    curves: Mapping[str, Any],
    everything: Sequence[dict[str, Any]],
    results: Sequence[dict[str, Any]],
    names: Sequence[str],
    drawn: bool,
) -> list[str]:
    """Write tables, figures and page of results to a folder; the names of the files.

    Args:
        out: the folder.
        curves: learning curves by the name of their run.
        everything: all results.
        results: those to show, each once.
        names: of their methods.
        drawn: whether the learning curves are drawn.
    """
    written: list[Path] = []
    seeded = [each for each in everything if "seed" in each]
    sections = [
        Section(title, put(sheet, name, out, written), note=note)
        for name, title, sheet, note in comparison_sheets([each for each in seeded if "method" in each])
    ]
    sections += seed_tables([each for each in seeded if "method" not in each], out, written)
    sections += result_tables(results, names, out, written)
    sections += figure_sections(results, names, out, written)
    if drawn:
        written.append(figures.learning_curves(curves, out / "learning_curves.png"))
        sections.append(Section("Learning curves", picture=written[-1], alt="loss and mean IoU over the steps"))
    runs = [each for each in everything if each.get("temperature", "1") == "1"]
    written.append(out / "report.html")
    written[-1].write_text(page_of(runs, sections), encoding="utf-8")
    return [each.name for each in written]


def put(sheet: Sheet, name: str, out: Path, written: list[Path]) -> str:
    """Write a table to files of all kinds; its HTML for the page."""
    for ending, write in WRITERS.items():
        path = out / f"{name}.{ending}"
        path.write_text(write(sheet), encoding="utf-8")
        written.append(path)
    return as_html(sheet)


def seed_tables(results: Sequence[dict[str, Any]], out: Path, written: list[Path]) -> list[Section]:
    """The parts of the page with trainings of several seeds, which are also written as files."""
    if not results:
        return []
    lines, columns = seeds.lines_of(results)
    trained = [line for line in lines if line.temperature == seeds.AS_TRAINED]
    cooled = [line for line in lines if line.temperature != seeds.AS_TRAINED]
    titles = {"seeds": "Trainings with several seeds, beside the published rows", "temperatures": "The same at other T"}
    found = [
        Section(titles[name], put(seeds.sheet_of(chosen, columns), name, out, written))
        for name, chosen in (("seeds", trained), ("temperatures", cooled))
        if chosen
    ]
    note = (
        "Percent; mean ± standard deviation over the seeds. † published AP at or below the prevalence of its set: it "
        "carries no information."
    )
    return [*found, Section(note=note)]


def run_name(folder: Path, folders: Sequence[Path]) -> str:
    """The name of a run's folder, with as many folders above it as tell it from the others."""
    parts = {each: each.resolve().parts for each in folders}
    longest = max(map(len, parts.values()))
    for depth in range(1, longest + 1):
        ends = [each[-depth:] for each in parts.values()]
        if len(set(ends)) == len(set(parts.values())):
            return "/".join(parts[folder][-depth:])
    return str(folder)


NOTES = {
    "thresholds": "Deployed: the threshold of the model, or the one that was asked for. Best: the one of the best F1, "
    "chosen with the truth in hand. An object is found if a reported region lies on it; a false alarm lies on none.",
    "drives": "An object counts once, however long it is in view; an alarm is a track when it is first reported. "
    "Delays are means over the objects found, from the first frame in which one is seen.",
}
"""What is said below a table."""


def result_tables(
    results: Sequence[dict[str, Any]], names: Sequence[str], out: Path, written: list[Path]
) -> list[Section]:
    """The parts of the page with tables, which are also written as files."""
    found: list[Section] = []
    frames, drives = at_thresholds(results, names), at_thresholds(results, names, video=True)
    figures_of_frames = ("object_recall", "false_alarms_per_frame", "siou", "ppv", "f1_star")
    figures_of_drives = ("event_recall", "delay_frames", "delay_seconds", "false_alarms_per_hour", "vc_star")
    tables = {
        "pixels": measured_table(results, names, ("ap", "fpr95"), "Pixels: AP and FPR95"),
        "components": measured_table(results, names, ("siou", "ppv", "f1_star"), "Components: sIoU, PPV and F1*"),
        "thresholds": measured_table(*frames, figures_of_frames, "Objects and false alarms at the deployed threshold"),
        "drives": measured_table(*drives, figures_of_drives, "Drives: objects and alarms as events"),
        "classes": measured_table(results, names, ("miou", "ece"), "Closed-set classes: mIoU and calibration error"),
    }
    for name, table in tables.items():
        if table is None:
            continue
        full = with_published(table) if name == "pixels" else table
        note = (
            "Percent. Bold: best measured; underlined: second. Grey: published, other networks and partly hidden test "
            "sets. † AP at or below the prevalence: the score carries no information there."
        )
        if full.intervals:
            note += " [95 % interval over images, or over sequences where frames belong to one]."
        html = put(sheet_of(full), name, out, written)
        found.append(Section(full.title, html, note={"pixels": note, **NOTES}.get(name, "")))
        if name == "pixels" and (lines := beside(results, names)):
            sheet = Sheet(BESIDE_HEADS, lines, text_columns=frozenset({0, 1, 4, 6}))
            found.append(Section("Measured and published, same score and set", as_html(sheet)))
    if sheet := differences.differences_sheet(results, names):
        html = put(sheet, "differences", out, written)
        found.append(Section(differences.TITLE, html, note=differences.NOTE))
    return found


def figure_sections(
    results: Sequence[dict[str, Any]], names: Sequence[str], out: Path, written: list[Path]
) -> list[Section]:
    """The parts of the page with figures, which are written beside it."""
    found: list[Section] = []
    for dataset in dict.fromkeys(each["dataset"] for each in results):
        own = [(each, name) for each, name in zip(results, names, strict=True) if each["dataset"] == dataset]
        drawn = [
            (each, name) for each, name in own if each.get("ap") is not None and (each.get("curve") or {}).get("recall")
        ]
        title = short(str(dataset))
        if drawn:
            these, called = [each for each, _ in drawn], [name for _, name in drawn]
            path = figures.curves(these, called, out / f"curves_{dataset}.png")
            found.append(Section(f"{title}: curves", picture=path, alt=f"PR and ROC curves on {title}"))
            written.append(path)
            path = figures.grid(these, called, [frames_of(each) for each in these], out / f"frames_{dataset}.png")
            if path is not None:
                note = (
                    "By AP averaged over the methods. Orange: anomaly; grey: not judged. One scale for all frames of a "
                    "map."
                )
                head = f"{title}: best, median and worst frame"
                found.append(Section(head, picture=path, alt=f"frames of {title}", note=note))
                written.append(path)
        for number, (each, name) in enumerate(own):
            if each.get("reliability"):
                path = figures.reliability(each, name, out / f"reliability_{dataset}_{number}.png")
                found.append(Section(f"{title}: reliability of {name}", picture=path, alt="reliability"))
                written.append(path)
    return found


def frames_of(result: Mapping[str, Any]) -> Path:
    """The folder of the pictures that the evaluation kept beside its results."""
    return Path(result["file"]).with_suffix(".frames") / str(result.get("frames_folder", result["dataset"]))


def page_of(results: Sequence[Mapping[str, Any]], sections: Sequence[Section]) -> str:
    """The page: the remarks, the sections, then what was run."""
    from jinja2 import Environment

    remarks = dict.fromkeys(
        f"{each['dataset']} {each['model']} {each['score']}: {note}" for each in results for note in each["notes"]
    )
    rows = []
    for each in results:
        versions = ", ".join(f"{name} {number}" for name, number in each["versions"].items())
        row = [each[name] for name in ("model", "score", "dataset", "images", "protocol", "input_size")]
        row += [each["model_hash"][:12], f"{each['seconds']:.0f}", versions]
        rows.append([str(cell) for cell in row])
    heads = ["model", "score", "data set", "images", "protocol", "input", "model hash", "seconds", "versions"]
    ran = as_html(Sheet(heads, rows, text_columns=frozenset({0, 1, 2, 8}))) if rows else ""
    template = (resources.files("oddroad.reporting") / "page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(template).render(remarks=list(remarks), sections=sections, ran=ran)
