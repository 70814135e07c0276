"""The supplement's table 3: six ways to make a score of classes and masks, on Mask2Anomaly after both stages.

python runs/mask2anomaly_inference.py DATA OUT [--images N]
"""

from __future__ import annotations

from mask2anomaly_shared import MAIN, SETS, command_line, judged, save_text, table

from oddroad.learn.scores.masks import INFERENCE

WAYS = {
    "mask_identity": ("I", "I", "I"),
    "mask_softmax": ("softmax", "softmax", "I"),
    "mask_sigmoid": ("sigmoid", "sigmoid", "I"),
    "mask_sigmoid_softmax": ("sigmoid", "softmax", "I"),
    "mask_msp": ("softmax", "sigmoid", "I"),
    "mask_msp_softmax": ("softmax", "sigmoid", "softmax"),
}
"""Functions of C and of M, and f, as the paper's rows name them."""

PUBLISHED = {
    "mask_identity": "16.64 / 91.66", "mask_softmax": "21.13 / 57.94", "mask_sigmoid": "39.30 / 65.34",
    "mask_sigmoid_softmax": "13.83 / 58.63", "mask_msp": "85.56 / 5.51", "mask_msp_softmax": "84.24 / 10.81",
}  # fmt: skip
"""The paper's averages over its five sets, of its network."""


def main() -> None:
    """Print the table."""
    run = command_line(__doc__)
    results = judged(MAIN, run)
    names = [name for name in SETS if name in results]
    rows = []
    for score in INFERENCE:
        found = [results[name][score] for name in names]
        mean = tuple(100 * sum(each[key] for each in found) / len(found) for key in ("ap", "fpr95"))
        cells = [f"{100 * each['ap']:.2f} / {100 * each['fpr95']:.2f}" for each in found]
        rows.append([score, *WAYS[score], *cells, f"{mean[0]:.2f} / {mean[1]:.2f}", PUBLISHED[score]])
    head = ["score", "C", "M", "f", *names, "mean", "paper's mean, its sets and network"]
    save_text(run, "table_3", table(head, rows))


if __name__ == "__main__":
    main()
