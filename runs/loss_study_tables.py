"""Tables of docs/research/loss_study.md from the results in the repository, as Markdown on the standard output.

python runs/loss_study_tables.py runs/loss_study
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loss_study_figures import MAIN, SETS, USUAL, of, read_results

from oddroad.reporting.seeds import SCORES
from oddroad.reporting.tables import short

VOID = ("ERFNet", "ENet", "BiSeNetV2")
WEIGHTS = {"EIML + FL": ("EIML", "EIML + 0.25 FL", "EIML + FL", "EIML + 4 FL"),
           "LN + CE": ("LN", "LN + 0.25 CE", "LN + CE", "LN + 4 CE")}  # fmt: skip


def spread(values: Sequence[float], places: int = 2) -> str:
    """Mean ± standard deviation."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{places}f}"
    return f"{mean} ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else mean


def percent(results: list[dict[str, Any]], figure: str, **wanted: Any) -> list[float]:
    """A figure of the results with these values, in percent, in the order of the seeds."""
    return [100 * each[figure] for each in sorted(of(results, **wanted), key=lambda each: each["seed"])]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def rows_of(results: list[dict[str, Any]], rows: Sequence[str], scores: Sequence[str]) -> list[list[str]]:
    """Row, seeds, mIoU, AP and FPR95 of each set."""
    found = []
    for score in scores:
        for row in rows:
            cells = [SCORES[score], row, str(len(percent(results, "miou", row=row, score=""))),
                     spread(percent(results, "miou", row=row, score=""), 1)]  # fmt: skip
            for dataset in SETS:
                for figure in ("ap", "fpr95"):
                    own = percent(results, figure, row=row, score=score, dataset=dataset, temperature="1")
                    cells.append(spread(own, 2 if figure == "ap" else 1))
            found.append(cells)
    return found


def gains_of(results: list[dict[str, Any]], row: str, score: str, dataset: str) -> dict[str, dict[int, float]]:
    """Temperature -> seed -> AP less that at T = 1, in points."""
    own = of(results, row=row, score=score, dataset=dataset)
    base = {each["seed"]: each["ap"] for each in own if each["temperature"] == "1"}
    gains: dict[str, dict[int, float]] = {}
    for each in own:
        gains.setdefault(each["temperature"], {})[each["seed"]] = 100 * (each["ap"] - base[each["seed"]])
    return gains


def missing(results: Sequence[dict[str, Any]], long: bool = False) -> str:
    """Rows and seeds of the plan without a result, in words; the long study has three seeds of the void rows too."""
    there = {(each["row"], each["seed"]) for each in results if each["score"] == ""}
    wanted = [(row, seed) for row in MAIN for seed in range(3)]
    wanted += [(row, seed) for row in VOID for seed in range(3 if long else 1)]
    wanted += [(row, 0) for rows in WEIGHTS.values() for row in rows if row not in MAIN]
    lacking: dict[str, list[str]] = {}
    for row, seed in wanted:
        if (row, seed) not in there:
            lacking.setdefault(row, []).append(str(seed))
    words = "; ".join(f"{row}, seed {', '.join(seeds)}" for row, seeds in lacking.items())
    return f"Missing: {words}.\n" if words else "Every row and seed is there.\n"


def main() -> None:
    """Print everything, first which runs of the plan are not there."""
    folder = Path(sys.argv[1])
    results = read_results(folder)
    print(missing(results, long=folder.name == "long"))
    heads = ["score", "row", "seeds", "mIoU", *(f"{short(each)} {what}" for each in SETS for what in ("AP", "FPR95"))]
    print("## rows\n")
    print(table(heads, rows_of(results, MAIN, USUAL)))
    print("## less than CE with the same seed, AP\n")
    lines = []
    for score in USUAL:
        for row in MAIN[1:]:
            cells = [SCORES[score], row]
            for dataset in SETS:
                base, own = (percent(results, "ap", row=each, score=score, dataset=dataset, temperature="1")
                             for each in ("CE", row))  # fmt: skip
                gains = [b - a for a, b in zip(base, own, strict=False)]
                cells += [spread(gains), ", ".join(f"{each:+.2f}" for each in gains)]
            lines.append(cells)
    columns = [title for each in SETS for title in (short(each), "each seed")]
    print(table(["score", "row", *columns], lines))
    print("## intervals over images, seed 0, AP\n")
    lines = []
    for score in USUAL:
        for row in MAIN:
            cells = [SCORES[score], row]
            for dataset in SETS:
                for each in of(results, row=row, score=score, dataset=dataset, temperature="1", seed=0):
                    low, high = each["intervals"]["ap"]
                    cells.append(f"{100 * each['ap']:.2f} [{100 * low:.1f}, {100 * high:.1f}]")
            lines.append(cells)
    print(table(["score", "row", *map(short, SETS)], lines))
    print("## between and within rows, AP\n")
    lines = []
    for score in USUAL:
        for dataset in SETS:
            groups = [percent(results, "ap", row=row, score=score, dataset=dataset, temperature="1") for row in MAIN]
            groups = [each for each in groups if len(each) > 1]
            if len(groups) < 2:
                continue
            means = [statistics.fmean(each) for each in groups]
            within = statistics.fmean([statistics.variance(each) for each in groups]) ** 0.5
            lines.append([SCORES[score], short(dataset), f"{statistics.stdev(means):.2f}", f"{within:.2f}",
                          f"{max(means) - min(means):.2f}"])  # fmt: skip
    print(
        table(["score", "set", "between rows (sd of means)", "within a row (sd over seeds)", "range of means"], lines)
    )
    print("## temperature\n")
    lines = []
    for row in MAIN:
        calibrated = of(results, row=row, score="")
        if not calibrated:
            continue
        values = [each["temperature_fitted"]["value"] for each in calibrated]
        ece = [100 * each["temperature_fitted"]["ece"][k] for k in (0, 1) for each in calibrated]
        half = len(ece) // 2
        cells = [row, spread(values), f"{statistics.fmean(ece[:half]):.1f} → {statistics.fmean(ece[half:]):.1f}"]
        for score in USUAL[:2]:
            for dataset in SETS:
                gains = gains_of(results, row, score, dataset)
                if "fitted" in gains:
                    swept = {word: found[0] for word, found in gains.items() if word not in ("1", "fitted")}
                    best = max(swept, key=lambda word: swept[word], default="")
                    cells += [spread(list(gains["fitted"].values()))]
                    cells += [f"{swept[best]:+.2f} (T {best})" if best else "-"]
                else:
                    cells += ["-", "-"]
        lines.append(cells)
    titles = [
        f"{SCORES[s]} {short(d)}{what}" for s in USUAL[:2] for d in SETS for what in (" fitted", " best of sweep")
    ]
    print(table(["row", "fitted T", "ECE, %", *titles], lines))
    print("## weights of the terms\n")
    for rows in WEIGHTS.values():
        print(table(heads, rows_of(results, rows, USUAL)))
    print("## void\n")
    print(table(heads, rows_of(results, VOID, ("void", *USUAL))))


if __name__ == "__main__":
    main()
