#!/usr/bin/env bash
# torchmetrics' average precision depends on the unit of the scores, and on how they are cut into batches.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0 (large: some 200 MB without CUDA), scikit-learn 1.8.0 as the reference.
# Input:    20,000 scores, 2 % of them of anomalies; then the same + 20; then the same in two updates.
# Expected: AP is made of ranks: three times the same figure, as scikit-learn gives.
# Seen:     + 20 gives the prevalence, as the scores are put through a sigmoid, which is 1.0 in float32 for all of
#           them. In two updates, of which one lies wholly in 0 to 1, only the other goes through it: half the figure.
#           The documentation names the sigmoid, but not that it is decided per update.
# Cost:     energies and max-logits lie there: a good detector is thrown away, or a bad one published.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.8.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.classification import BinaryAveragePrecision

rng = np.random.default_rng(0)
labels = rng.random(20_000) < 0.02
scores = (rng.normal(size=20_000) + 1.5 * labels).astype(np.float32)


def torch_ap(*updates):
    metric = BinaryAveragePrecision()
    for values, truth in updates:
        metric.update(torch.tensor(values), torch.tensor(truth.astype(int)))
    return float(metric.compute())


inside = (scores >= 0) & (scores <= 1)
found = {
    "as they are": torch_ap((scores, labels)),
    "+ 20": torch_ap((scores + np.float32(20), labels)),
    "in two updates": torch_ap((scores[inside], labels[inside]), (scores[~inside], labels[~inside])),
}
right = average_precision_score(labels, scores)
print(f"scikit-learn: {right:.4f}, with 20 more: {average_precision_score(labels, scores + np.float32(20)):.4f}")
print(f"prevalence: {labels.mean():.4f}; torchmetrics: { {name: round(value, 4) for name, value in found.items()} }")
assert abs(found["as they are"] - right) < 1e-4, "torchmetrics changed"
assert abs(found["+ 20"] - labels.mean()) < 1e-4, "torchmetrics changed: scores near 20 are ranked"
assert found["in two updates"] < 0.6 * right, "torchmetrics changed: batches no longer matter"
PYTHON
