"""The supplement's figure 5: Mask2Former, + global mask attention, + contrastive loss, + refinement mask.

python runs/mask2anomaly_ablation.py DATA OUT [--images N]
"""

from __future__ import annotations

import numpy as np
from mask2anomaly_shared import (
    by_set,
    command_line,
    detector_of,
    frames_of,
    heat_picture,
    judged,
    maps_of,
    save_text,
    sheet,
    titled,
    truth_picture,
)  # fmt: skip

from oddroad.learn.scores import SCORES

STEPS = (
    ("Mask2Former", "mask2former", "mask_msp"),
    ("+ global mask attention", "mask2anomaly", "mask_msp"),
    ("+ contrastive loss", "mask2anomaly_s1", "mask_msp"),
    ("+ refinement mask", "mask2anomaly_s1", "mask2anomaly"),
)


def main() -> None:
    """Print the table, draw the pictures."""
    run = command_line(__doc__)
    save_text(run, "figure_5", by_set([(title, judged(name, run), score) for title, name, score in STEPS]))
    detectors = [(title, detector_of(run.checkpoint(name), {score: SCORES[score]})) for title, name, score in STEPS]
    rows = []
    for name in ("road_anomaly", "road_obstacle21"):
        frames = list(frames_of(name, run))
        for number in np.linspace(0, len(frames) - 1, min(3, len(frames))).astype(int):
            _, image, label = frames[number]
            row = [titled(image, "image", 300), titled(truth_picture(image, label), "label", 300)]
            for title, detector in detectors:
                row.append(titled(heat_picture(next(iter(maps_of(detector, image).values())), (0.0, 1.0)), title, 300))
            rows.append(row)
    sheet(run, "figure_5", rows)


if __name__ == "__main__":
    main()
