"""Typed description of a training run: frozen dataclasses, read from YAML, every key checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from oddroad.errors import InputError


@dataclass(frozen=True)
class Network:
    """The network.

    Attributes:
        name: key in NETWORKS.
        classes: number of class outputs.
        outlier: give it an outlier head.
        auxiliary: give it its training heads.
        normalisation: "unit", "imagenet" or "cityscapes".
        isomax: channels of an IsoMax+ head in place of the linear classifier; 0 for none.
        void: one more output beside the classes: void if ``class_weights.void`` is above 0, else an abstention.
        stage: "whole", or "encoder" for ERFNet's first stage: its encoder alone, by the encoder's own classifier.
        stride: of erfnet and enet: 1 or 2; 0 for the published one.
    """

    name: str = "ddrnet23_slim"
    classes: int = 19
    outlier: bool = True
    auxiliary: bool = True
    normalisation: str = "imagenet"
    isomax: int = 0
    void: bool = False
    stage: Literal["whole", "encoder"] = "whole"
    stride: int = 0


@dataclass(frozen=True)
class Scenes:
    """The in-distribution scenes and how they are augmented.

    Attributes:
        sets: names of data sets below the data root, their classes mapped to the 19 of Cityscapes; a set that is
            named twice is shown twice as often.
        crop: height and width of a crop.
        scale: smallest and largest enlargement of a scene that is 256 pixels high, before the crop.
        photometric: probability of each photometric augmentation (colour, blur, noise, JPEG).
        appearance: share of the crops with appearance augmentation: other light; tinted, textured, marked surfaces.
        loss_stride: the loss is computed on every n-th pixel of each row and column.
        class_balance: share of the scenes that are drawn so that every class is met equally often; the rest are drawn evenly.
        validation: names of the data sets whose validation scenes are judged.
    """

    sets: tuple[str, ...] = ("cityscapes_small", "camvid", "idd_lite")
    crop: tuple[int, int] = (256, 512)
    scale: tuple[float, float] = (1.0, 2.2)
    photometric: float = 0.3
    appearance: float = 0.0
    loss_stride: int = 2
    class_balance: float = 0.0
    validation: tuple[str, ...] = ("cityscapes_small", "camvid")


@dataclass(frozen=True)
class Outliers:
    """The outlier objects pasted on the scenes.

    Attributes:
        objects: folder with ``images`` and ``labels`` of COCO objects in YOLO segmentation text, below the data root.
        probability: share of the scenes that get outlier objects.
        max_objects: largest number of outlier objects on a scene.
        shapes: share of random shapes of random texture among them, the rest are COCO objects.
        in_distribution: share of the scenes that get pasted objects of closed-set classes, with their label.
        on_road: share of the objects that stand on the road.
    """

    objects: str = "coco128-seg"
    probability: float = 0.6
    max_objects: int = 3
    shapes: float = 0.35
    in_distribution: float = 0.3
    on_road: float = 0.7


@dataclass(frozen=True)
class ClassWeights:
    """Weights of the classes in the losses of single pixels, from a pass over the training labels.

    Attributes:
        rule: "none"; "enet": 1 / ln(constant + frequency) (Paszke et al., "ENet", 2016); "median_frequency": median of
            the frequencies / frequency (Eigen and Fergus, 2015).
        constant: of the rule "enet"; ENet has 1.02, ERFNet's decoder 1.10 and its encoder 1.2.
        void: factor on the weight of the void output, which pixels labelled 255 then teach; 0: they teach nothing.
    """

    rule: Literal["none", "enet", "median_frequency"] = "none"
    constant: float = 1.02
    void: float = 0.0


@dataclass(frozen=True)
class Distillation:
    """What is learned from a teacher, a network that sees each known scene once.

    Attributes:
        weight: of the divergence from the teacher's classes among the losses; 0 for no teacher.
        temperature: by which both are softened.
    """

    weight: float = 0.0
    temperature: float = 2.0


@dataclass(frozen=True)
class Optimiser:
    """How the weights are found.

    Attributes:
        name: "adamw", "adam" (its decay added to the gradient) or "sgd" (momentum 0.9).
        lr: highest learning rate.
        weight_decay: weight decay.
        steps: number of steps.
        warmup: steps of linear warm-up.
        power: exponent of the polynomial decay after it.
        batch: crops a step, over all processes.
        precision: "bf16", "fp16" (GPU) or "fp32".
        clip: largest norm of the gradient; 0 for no limit.
        ema: decay of the exponential moving average of the weights; 0 for none.
        frozen: parameter-name prefixes of parts of the network that are not trained: no gradient, no dropout, and
            batch norm by the statistics that they came with.
        lr_multipliers: parameter-name prefixes, each with the factor on its learning rate, such as that of a new
            classifier; of several that fit, the first holds.
        norms: "batch": batch norm by the statistics of each batch; "frozen": by those that it came with.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    steps: int = 6000
    warmup: int = 200
    power: float = 0.9
    batch: int = 8
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    clip: float = 5.0
    ema: float = 0.998
    frozen: tuple[str, ...] = ()
    lr_multipliers: tuple[tuple[str, float], ...] = ()
    norms: Literal["batch", "frozen"] = "batch"


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        network: the network.
        scenes: the in-distribution scenes.
        outliers: the pasted outlier objects.
        class_weights: weights of the classes in the losses.
        distillation: what is learned from a teacher.
        optim: how the weights are found.
        losses: names in LOSSES, each with its weight.
        seed: of every random choice.
    """

    network: Network = field(default_factory=Network)
    scenes: Scenes = field(default_factory=Scenes)
    outliers: Outliers = field(default_factory=Outliers)
    class_weights: ClassWeights = field(default_factory=ClassWeights)
    distillation: Distillation = field(default_factory=Distillation)
    optim: Optimiser = field(default_factory=Optimiser)
    losses: tuple[tuple[str, float], ...] = (("cross_entropy", 1.0),)
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a card or a checkpoint."""
        return asdict(self)


def flags(values: Mapping[str, Any], prefix: str) -> dict[str, list[str]]:
    """Nested values as command-line flags: {"optim": {"rate": 1}} -> {"--recipe.optim.lr": ["1"]}."""
    found: dict[str, list[str]] = {}
    for key, value in values.items():
        name = f"{prefix}.{str(key).replace('_', '-')}"
        if isinstance(value, Mapping) and key not in ("losses", "lr_multipliers"):
            found.update(flags(value, name))
        elif isinstance(value, Mapping):
            found[name] = [str(each) for pair in value.items() for each in pair]
        elif isinstance(value, bool):
            found[f"{prefix}.{'' if value else 'no-'}{str(key).replace('_', '-')}"] = []
        elif isinstance(value, (list, tuple)):
            found[name] = [str(each) for each in value]
        else:
            found[name] = [str(value)]
    return found


def read_flags(path: Path, prefix: str = "--recipe") -> list[str]:
    """A YAML recipe as command-line flags, which the command line then checks and the user's own flags override.

    Raises:
        InputError: if the file is missing or is not a YAML mapping.
    """
    import yaml

    if not path.is_file():
        raise InputError(f"no recipe '{path}'")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"recipe '{path}' is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"recipe '{path}' holds a {type(values).__name__}; expected keys and values")
    return [word for name, words in flags(values, prefix).items() for word in (name, *words)]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A YAML recipe with overrides such as ``--optim.lr 1e-3``.

    Raises:
        InputError: if the file is missing, or a key or value does not exist.
    """
    import contextlib
    import io

    import tyro

    errors = io.StringIO()
    words = [word.replace("--recipe.", "--", 1) for word in read_flags(path)] + list(overrides)
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(Recipe, args=words)
    except SystemExit:
        raise InputError(f"recipe '{path}': {' '.join(errors.getvalue().split())}") from None
