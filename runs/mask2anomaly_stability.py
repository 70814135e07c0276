"""The supplement's table 4: how much the choice of the outlier objects changes the result, against DenseHybrid.

    python runs/mask2anomaly_stability.py DATA OUT [--images N]

Both were fine-tuned twice, on objects of two disjoint halves of the COCO images; the deviation is the standard
deviation of the two, with n - 1 = 1, as in the paper.
"""

from __future__ import annotations

import numpy as np
from mask2anomaly_shared import SETS, cell, command_line, judged, save_text, table

METHODS = (
    ("Mask2Anomaly", "mask2anomaly", "mask2anomaly"),
    ("DenseHybrid", "densehybrid", "dense_hybrid"),
)


def main() -> None:
    """Print the table."""
    run = command_line(__doc__)
    rows, names = [], []
    for title, folder, score in METHODS:
        both = [judged(f"{folder}_{subset}", run) for subset in ("s1", "s2")]
        names = [name for name in SETS if name in both[0]]
        for subset, results in zip(("S1", "S2"), both, strict=True):
            rows.append([f"{title}-{subset}", *(cell(results[name][score]) for name in names), "-"])
        spread = {
            key: [100 * np.std([each[name][score][key] for each in both], ddof=1) for name in names]
            for key in ("ap", "fpr95")
        }
        pairs = [f"± {ap:.2f} / ± {fpr:.2f}" for ap, fpr in zip(spread["ap"], spread["fpr95"], strict=True)]
        rows.append(
            [f"deviation of {title}", *pairs, f"± {np.mean(spread['ap']):.2f} / ± {np.mean(spread['fpr95']):.2f}"]
        )
    save_text(run, "table_4", table(["AP / FPR95, %", *names, "mean deviation"], rows))


if __name__ == "__main__":
    main()
