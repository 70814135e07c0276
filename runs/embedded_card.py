"""Put the figures that ``oddroad evaluate`` measured into a detector's card, and print them as Markdown rows.

Run as ``python runs/embedded_card.py MODEL RESULTS``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from oddroad.calibration.fit import write_card
from oddroad.inference.model import read_card


def main() -> None:
    """Update the card in place and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("results", type=Path, help="JSON of 'oddroad evaluate'")
    given = parser.parse_args()
    card = read_card(given.model)
    measured = dict(card.measured)
    for each in json.loads(given.results.read_text())["results"]:
        name = f"{each['dataset']} ({each['images']} images, {each['protocol']})"
        if "ap" in each:
            figures = f"AP {100 * each['ap']:.1f}, FPR95 {100 * each['fpr95']:.1f}, F1* {100 * each['f1_star']:.1f}"
            print(f"| {name} | {each['score']} | {figures} | {100 * each['prevalence']:.2f} |")
        else:
            figures = f"mean IoU {100 * each['miou']:.1f}"
            print(f"| {name} | | {figures} | |")
        measured.setdefault(name, {})[each.get("score") or "classes"] = figures
    write_card(given.model, replace(card, measured=measured), given.model)


if __name__ == "__main__":
    main()
