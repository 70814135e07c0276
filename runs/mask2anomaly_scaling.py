"""Steps against AP: Mask2Anomaly beside a pixel network of its size, with one start of the encoder and the same scenes.

    python runs/mask2anomaly_scaling.py DATA OUT START [--steps 200 400 800 1600] [--json FILE] [--figure FILE]

START is a checkpoint of efficientnet_lite0, whose encoder both begin with (recipes/starts/embedded.ckpt: it has seen
road scenes and pasted objects); pixel decoder, queries, pyramid and heads are random. Stage one (known classes) goes
on from length to length, its learning rate falling to the end of each; from each of them stage two (pasted objects)
is trained anew: mask_contrastive for the masks, the outlier head for the pixels. Judged after both stages on held-out
objects pasted on validation scenes and on the benchmarks that are there (nothing is chosen on them), seen at 384x768.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mask2anomaly_shared import SETS, Run, detector_of, measured

from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.networks import NETWORKS
from oddroad.learn.scores import SCORES
from oddroad.learn.training.fit import fit
from oddroad.recipe import Recipe, read_recipe
from oddroad.reporting.figures import COLOURS, plotting, save

RECIPES = Path(__file__).parent.parent / "recipes"
BODY = {"mask2anomaly_lite": "model.pixel_level_module.encoder.", "efficientnet_lite0": "encoder."}
"""Network -> what its encoder's parameters are called."""

DEPTHWISE = tuple(f"blocks.{each}.depthwise" for each in range(16))
"""Kept as they are: their gradient is most of a step, their weights are 6 % of the encoder's."""

LOSSES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "mask2anomaly_lite": ({"mask_matching": 1.0}, {"mask_matching": 1.0, "mask_contrastive": 1.0}),
    "efficientnet_lite0": (
        {"cross_entropy": 1.0, "auxiliary_cross_entropy": 0.3},
        {"cross_entropy": 1.0, "auxiliary_cross_entropy": 0.3, "outlier_head": 1.0},
    ),
}
"""Network -> the losses of both stages."""

SCORES_OF = {
    "mask2anomaly_lite": (("mask_msp",), ("mask_msp", "mask2anomaly")),
    "efficientnet_lite0": (("max_logit", "entropy"), ("outlier_head", "max_logit")),
}
"""Network -> the scores after both stages."""


def start_of(network: str, start: Path, out: Path) -> Path:
    """A checkpoint of the network with the encoder of another one, the rest random from seed 0."""
    path = out / f"{network}.start.ckpt"
    if not path.is_file():
        body, about = load_network(start)
        torch.manual_seed(0)
        arguments = {"classes": 19, "outlier": network == "efficientnet_lite0", "auxiliary": True}
        made = NETWORKS[network](**arguments)
        encoder = {key: each for key, each in body.state_dict().items() if key.startswith("encoder.")}
        own = made.state_dict()
        taken = {BODY[network] + key.removeprefix("encoder."): each for key, each in encoder.items()}
        if unknown := taken.keys() - own.keys():
            raise InputError(f"'{start}' holds '{min(unknown)}', which {network} has not")
        made.load_state_dict({**own, **taken})
        words = {"start": f"encoder of '{start.name}', the rest random"}
        save_checkpoint(
            path, made, {**about, "network": network, "arguments": arguments, "origin": words, "scores": {}}
        )
    return path


def recipe_of(network: str, stage: int, steps: int, seed: int) -> Recipe:
    """The small recipe of the stage, for the network."""
    body = BODY[network]
    changes: dict[str, Any] = {
        "network.name": network, "network.normalisation": "imagenet",
        "network.outlier": network == "efficientnet_lite0",
        "losses": LOSSES[network][stage], "optim.steps": steps, "seed": seed,
        "optim.frozen": [body + each for each in ("conv_stem", "bn0", "blocks.0.", *DEPTHWISE)],
    }  # fmt: skip
    return read_recipe(RECIPES / f"mask2anomaly_small_{'second' if stage else 'first'}.yaml", changes)


def judge(checkpoint: Path, scores: tuple[str, ...], run: Run) -> dict[str, dict[str, dict[str, float]]]:
    """Set -> score -> AP and FPR95."""
    detector = detector_of(checkpoint, {each: SCORES[each] for each in scores})
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in SETS:
        if (results := measured(detector, name, run)) is not None:
            found[name] = {each: {key: float(one[key]) for key in ("ap", "fpr95")} for each, one in results.items()}
    return found


def train(network: str, steps: int, second: int, given: argparse.Namespace) -> dict[str, Any]:
    """Both stages of one length, and their figures."""
    start, place = start_of(network, given.start, given.out), given.out / network
    how: dict[str, Any] = {"validate_every": 10**6, "save_every": 100}
    began = time.process_time()
    first = fit(
        recipe_of(network, 0, steps, given.seed), given.data, place / f"first_{given.seed}", init_from=start, **how
    )
    kept = place / f"first_{given.seed}_{steps}.ckpt"
    kept.write_bytes(first.read_bytes())
    last = fit(
        recipe_of(network, 1, second, given.seed), given.data, place / f"second_{given.seed}_{steps}",
        init_from=kept, **how,
    )  # fmt: skip
    seconds = time.process_time() - began
    run = Run(given.data, given.out, given.images)
    figures = [judge(path, SCORES_OF[network][stage], run) for stage, path in enumerate((kept, last))]
    return {"network": network, "steps": steps, "seconds": round(seconds), "first": figures[0], "second": figures[1]}


def table(rows: list[dict[str, Any]]) -> str:
    """A row for each network, length, stage and score; a column for each set."""
    sets = list(rows[0]["second"])
    lines = [f"| Network, stage, score | Steps | {' | '.join(sets)} |", f"| --- | --- |{' --- |' * len(sets)}"]
    for row in rows:
        for stage in ("first", "second"):
            for score in row[stage][sets[0]]:
                cells = " | ".join(
                    f"{100 * row[stage][name][score]['ap']:.1f} / {100 * row[stage][name][score]['fpr95']:.1f}"
                    for name in sets
                )
                lines.append(f"| {row['network']}, {stage}, `{score}` | {row['steps']} | {cells} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """AP against the steps of stage one, a panel for each set."""
    sets = list(rows[0]["second"])
    figure, axes = plotting().subplots(1, len(sets), figsize=(3.6 * len(sets), 3.3))
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        lines.setdefault(row["network"], []).append(row)
    for axis, name in zip(axes, sets, strict=True):
        for colour, (network, each) in zip(COLOURS, lines.items(), strict=False):
            for stage, style in (("first", "--"), ("second", "-")):
                score = next(iter(each[0][stage][name]))
                values = [100 * row[stage][name][score]["ap"] for row in each]
                steps = [row["steps"] for row in each]
                label = f"{network}, {score}" if stage == "second" else f"{network}, {score}, without objects"
                axis.plot(steps, values, style, marker="o", markersize=4, color=colour, label=label)
        axis.set(xscale="log", xlabel="steps of stage one", title=f"{name}, AP in %")
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=6)
    save(figure, path)


def main() -> None:
    """Train and judge what is missing; print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("start", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 400, 800, 1600], help="of stage one, rising")
    parser.add_argument("--second", type=int, default=120, help="steps of stage two")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--images", type=int, default=0, help="only the first so many images of each set")
    parser.add_argument("--json", type=Path, help="figures; what it holds is not made again")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept: Path = given.json or given.out / "scaling.json"
    rows: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else []
    for steps in sorted(given.steps):
        for network in LOSSES:
            if not any((row["network"], row["steps"]) == (network, steps) for row in rows):
                rows.append(train(network, steps, given.second, given))
                write_whole(kept, (json.dumps(rows, indent=1) + "\n").encode(), "figures")
                print(table(rows[-1:]), flush=True)
    rows.sort(key=lambda row: (row["network"], row["steps"]))
    print(table(rows))
    if given.figure is not None:
        draw(rows, given.figure)


if __name__ == "__main__":
    main()
