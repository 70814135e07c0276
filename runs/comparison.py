"""Every method on one closed-set network, trained alike: trains and judges what has no result yet, seed by seed.

    python runs/comparison.py DATA OUT RESULTS

Called by comparison.sh. The network is ERFNet with the published encoder, which stays as it is; the decoder goes on
from the published one, the classifier begins anew. Every network of a seed sees the same crops in the same order. First
stage: cross-entropy, void, IsoMax+, LogitNorm. Second stage, with pasted objects: DenseHybrid and maximised entropy
from cross-entropy, PEBAL from Deep Gambler, which itself goes on from void, without objects: from a random classifier
its loss is least where it always abstains. The ensemble is that of the seeds. Figures of each network are written as
soon as it is judged; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from comparison_judge import METHODS, SETS, Images, Judge, extra_methods
from loss_study import rounded
from loss_study_train import NEVER, RECIPES, STARTS, Memory
from torch import Tensor

from oddroad.evaluation.evaluate import plain
from oddroad.files import write_whole
from oddroad.learn.checkpoints.convert import convert_file
from oddroad.learn.training.fit import fit
from oddroad.recipe import read_recipe

FIRST: dict[str, Any] = {"optim.steps": 200, "optim.warmup": 5, "optim.batch": 4}
SECOND: dict[str, Any] = {
    "optim.steps": 80, "optim.warmup": 5, "optim.batch": 4, "optim.lr": 1e-4, "optim.lr_multipliers": {},
    "outliers": {"probability": 0.6, "max_objects": 3, "shapes": 0.0, "in_distribution": 0.0, "on_road": 0.7},
}  # fmt: skip
"""Steps and objects of the stages; the objects are those of recipes/mask2anomaly_small_second.yaml."""


@dataclass(frozen=True)
class Network:
    """How a network is trained.

    Attributes:
        recipe: name in recipes/laptop.
        start: network whose weights it starts from; "" for the published ones.
        changes: of the recipe, beside those of the stage.
    """

    recipe: str = "ce"
    start: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


ALIKE: dict[str, Any] = {"class_weights.rule": "none", "class_weights.void": 0.0}
"""The classes weigh alike in losses that take no weights."""

NETWORKS = {
    "closed": Network(),
    "void": Network("void_erfnet"),
    "isomax": Network("eiml"),
    "logit_norm": Network("ln"),
    "gambler": Network("void_erfnet", "void", {**ALIKE, "losses": {"deep_gambler": 1.0}, "outliers.probability": 0.0}),
    "dense_hybrid": Network(
        start="closed",
        changes={**ALIKE, "network.outlier": True, "losses": {"dense_hybrid": 1.0},
                 "optim.lr_multipliers": {"outlier": 30.0}},
    ),
    "maximised_entropy": Network(start="closed", changes={**ALIKE, "losses": {"maximised_entropy": 1.0}}),
    "pebal": Network("void_erfnet", "gambler", {**ALIKE, "losses": {"pebal": 1.0}}),
}  # fmt: skip
"""In the order they are made: a start comes before what starts from it."""


class Study:
    """The folders of a run of this script, and what its networks share."""

    def __init__(self, given: argparse.Namespace):
        self.data, self.out, self.results = given.data, given.out, given.results
        self.given = given
        self.memory = Memory()
        self.features: dict[Any, Tensor] = {}
        self.images: Images | None = None
        self.seed: int | None = None

    def train(self, name: str, seed: int) -> Path:
        """The checkpoint of a network, trained where it is not there yet; processor time is kept beside it."""
        folder, how = self.out / name / str(seed), NETWORKS[name]
        if (folder / "model.ckpt").is_file():
            return folder / "model.ckpt"
        if seed != self.seed:
            self.memory.kept, self.seed = {}, seed
        self.memory.weights = {}
        stage = SECOND if how.start else FIRST
        changes = {"seed": seed + (1000 if how.start else 0), **stage, **how.changes, **self.given.changes}
        recipe = read_recipe(RECIPES / f"{how.recipe}.yaml", changes)
        folder.mkdir(parents=True, exist_ok=True)
        counts = self.out / "class_counts.json"
        if counts.is_file():  # of the same training scenes: one pass is enough
            shutil.copy(counts, folder / counts.name)
        published = self.out / "erfnet.ckpt"
        start = self.out / how.start / str(seed) / "model.ckpt" if how.start else published
        began = time.process_time()
        done = fit(
            recipe,
            self.data,
            folder,
            validate_every=NEVER,
            init_from=start,
            save_every=NEVER,
            reinit=() if how.start else STARTS["erfnet"][1],
            validation_scenes=1,
        )
        write_whole(folder / "seconds.json", json.dumps(time.process_time() - began).encode(), "time of training")
        if not counts.is_file() and (folder / counts.name).is_file():
            shutil.copy(folder / counts.name, counts)
        return done

    def hours(self, name: str, seed: int) -> float:
        """Hours of processor time that a network took, with what it starts from."""
        own = json.loads((self.out / name / str(seed) / "seconds.json").read_text()) / 3600
        start = NETWORKS[name].start
        return own + (self.hours(start, seed) if start else 0.0)

    def judge(
        self, name: str, seed: int, paths: Sequence[Path], hours: float | None, methods: Mapping[str, str]
    ) -> None:
        """Judge a network and write its figures."""
        given = self.given
        if self.images is None:
            self.images = Images.read(self.data, given.sets, given.images, given.scenes, given.fits)
        began = time.process_time()
        with torch.no_grad():
            found = Judge(name, paths, self.images, self.features).results(seed, hours, methods)
        self.results.mkdir(parents=True, exist_ok=True)
        text = json.dumps(plain(rounded({"results": found})), indent=1) + "\n"
        write_whole(self.result_of(name, seed), text.encode(), "results")
        print(f"{name} {seed}: judged in {time.process_time() - began:.0f} s of processor time", flush=True)

    def result_of(self, name: str, seed: int) -> Path:
        """Where the figures of a network go."""
        return self.results / f"{name}_{seed}.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge, network by network within a seed; then the ensemble of the seeds and further checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--extra", nargs="*", default=[], help="further rows, each TITLE=CHECKPOINT:SCORE")
    parser.add_argument("--sets", nargs="+", default=SETS, help="benchmarks to judge on")
    parser.add_argument("--images", type=int, default=0, help="of each benchmark, to try the script")
    parser.add_argument("--scenes", type=int, default=42, help="validation scenes for mean IoU and temperature")
    parser.add_argument("--fits", type=int, default=60, help="training scenes for the fitted scores")
    parser.add_argument(
        "--changes", type=yaml.safe_load, default={}, help='changes of every recipe, such as "{optim.steps: 1}"'
    )
    given = parser.parse_args(arguments)
    extra = extra_methods(given.extra)
    study = Study(given)
    given.out.mkdir(parents=True, exist_ok=True)
    if not (given.out / "erfnet.ckpt").is_file():
        convert_file(given.data / "weights" / STARTS["erfnet"][0], "erfnet", given.out / "erfnet.ckpt")
    study.memory.attach()
    for seed in given.seeds:
        for name in (each for each in NETWORKS if each in given.networks):
            if study.result_of(name, seed).is_file():
                continue
            began = time.process_time()
            path = study.train(name, seed)
            print(f"{name} {seed}: trained, {time.process_time() - began:.0f} s of processor time", flush=True)
            study.judge(name, seed, [path], study.hours(name, seed), METHODS[name])
    members = [given.out / "closed" / str(seed) / "model.ckpt" for seed in given.seeds]
    if len(members) > 1 and all(each.is_file() for each in members) and not study.result_of("ensemble", 0).is_file():
        hours = sum(study.hours("closed", seed) for seed in given.seeds)
        study.judge("ensemble", 0, members, hours, METHODS["ensemble"])
    for title, (path, score) in extra.items():
        name = "".join(each if each.isalnum() else "_" for each in title.lower())
        if not study.result_of(name, 0).is_file():
            study.judge(name, 0, [path], None, {title: score})


if __name__ == "__main__":
    main()
