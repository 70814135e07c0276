"""A table of texts as Markdown, LaTeX, HTML and CSV, by pandas."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKDOWN = {"best": "**{}**", "second": "<u>{}</u>"}
LATEX = {"best": "textbf:--rwrap;", "second": "underline:--rwrap;"}
HTML = {"best": "font-weight: bold", "second": "text-decoration: underline"}
"""How the best and the second best value of a column are marked."""

SYMBOLS = {"†": r"$^\dagger$", "σ": r"$\sigma$", "±": r"$\pm$"}
"""Characters that LaTeX has names for."""


@dataclass(frozen=True)
class Sheet:
    """A table ready to be written.

    Attributes:
        heads: title of each column, each another one.
        rows: the texts of each row.
        marks: (row, column) -> "best" or "second".
        published: number of the first published row, below which all are; None for none.
        numbers: what the CSV file holds: title -> values of the rows, unrounded.
        text_columns: numbers of the columns that hold words; they are aligned left.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Mapping[tuple[int, int], str] = field(default_factory=dict)
    published: int | None = None
    numbers: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    text_columns: frozenset[int] = frozenset({0})

    def alignment(self, left: str, right: str) -> list[str]:
        """One of two words for each column, by what it holds."""
        return [left if at in self.text_columns else right for at in range(len(self.heads))]


def frame_of(sheet: Sheet, wrap: Callable[[str, str], str] = lambda text, mark: text) -> Any:
    """The texts as a DataFrame, marked texts wrapped."""
    import pandas as pd

    rows = [
        [wrap(text, sheet.marks.get((number, at), "")) for at, text in enumerate(row)]
        for number, row in enumerate(sheet.rows)
    ]
    return pd.DataFrame(rows, columns=list(sheet.heads))


def markdown(sheet: Sheet) -> str:
    """The table for Markdown; best bold, second underlined."""

    def wrap(text: str, mark: str) -> str:
        return MARKDOWN.get(mark, "{}").format(text.replace("|", r"\|"))

    aligned = sheet.alignment("left", "right")
    return frame_of(sheet, wrap).to_markdown(index=False, disable_numparse=True, colalign=aligned) + "\n"


def styled(sheet: Sheet, ways: Mapping[str, str], escape: str) -> Any:
    """The texts as a pandas Styler whose marked cells have properties."""
    import numpy as np

    properties = np.full((len(sheet.rows), len(sheet.heads)), "", object)
    for place, mark in sheet.marks.items():
        properties[place] = ways[mark]
    style = frame_of(sheet).style.hide(axis="index").format(escape=escape).format_index(escape=escape, axis=1)
    own = zlib.crc32(
        repr((sheet.heads, sheet.rows, sheet.marks)).encode("utf-8", "backslashreplace")
    )  # else it is random
    return style.set_uuid(f"{own:08x}").apply(lambda _: properties, axis=None)


def latex(sheet: Sheet) -> str:
    """The table for LaTeX (booktabs); best bold, second underlined; a rule before the published rows."""
    text = styled(sheet, LATEX, "latex").to_latex(hrules=True, column_format="".join(sheet.alignment("l", "r")))
    for symbol, name in SYMBOLS.items():
        text = text.replace(symbol, name)
    if sheet.published:
        lines = text.splitlines()
        lines.insert(lines.index(r"\midrule") + 1 + sheet.published, r"\midrule")
        text = "\n".join(lines) + "\n"
    return text


def as_html(sheet: Sheet) -> str:
    """The table for a page; published rows have the class "published"."""
    import pandas as pd

    style = styled(sheet, HTML, "html")
    if sheet.published is not None:
        classes = [
            ["published" if number >= sheet.published else ""] * len(sheet.heads) for number in range(len(sheet.rows))
        ]
        style = style.set_td_classes(pd.DataFrame(classes, columns=list(sheet.heads)))
    left = [{"selector": f".col{at}", "props": "text-align: left"} for at in sorted(sheet.text_columns)]
    return style.set_table_styles(left).to_html()


def comma_separated(sheet: Sheet) -> str:
    """The unrounded numbers as CSV."""
    import pandas as pd

    return pd.DataFrame(dict(sheet.numbers)).to_csv(index=False, float_format="%.6g", lineterminator="\n")
