"""Typed description of a training run: frozen dataclasses, read from YAML, every key checked."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from oddroad.errors import InputError
from oddroad.shipped_recipes import find_recipe

NETWORK_NAMES = (
    "erfnet", "erfnet_lite", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "enet", "bisenetv1",
    "bisenetv2", "ddrnet23_slim", "pidnet_s", "mask2former", "mask2anomaly", "mask2anomaly_frozen",
    "mask2anomaly_lean", "mask2former_swin", "mask2anomaly_swin", "mask2former_small", "mask2anomaly_small",
    "mask2anomaly_lite", "image_resynthesis", "synthcp", "synboost",
)  # fmt: skip
"""The keys of NETWORKS, for help texts and completion, which do not import PyTorch."""

RESYNTHESIS_NAMES = ("image_resynthesis", "synthcp", "synboost")
"""Networks that compare the image with a synthesis of it, each around a closed-set network."""

OWN_NAMES = ("erfnet_lite", "mask2anomaly_lite", *RESYNTHESIS_NAMES)
"""Networks that nobody else publishes weights of."""

PUBLISHED_NAMES = tuple(each for each in NETWORK_NAMES if each not in OWN_NAMES)
"""Those that others publish weights of."""


@dataclass(frozen=True)
class Network:
    """The network.

    Attributes:
        name: erfnet, erfnet_lite, efficientnet_lite0 (or 1, 2), enet, bisenetv1, bisenetv2, ddrnet23_slim, pidnet_s,
            mask2former, mask2anomaly, or a variant of the last two: _swin, _small, _frozen, _lean; image_resynthesis,
            synthcp or synboost, each around the network resynthesis.closed_set.
        classes: number of class outputs.
        outlier: give it an outlier head.
        auxiliary: give it its training heads.
        normalisation: of images: "unit" (RGB in [0, 1]), "imagenet" or "cityscapes"; of a converted network also with
            ":bgr" or ":0-255" behind it.
        isomax: channels of an IsoMax+ head in place of the linear classifier; 0 for none.
        void: one more output beside the classes: void if ``class_weights.void`` is above 0, else an abstention.
        stage: "whole", or "encoder" for ERFNet's first stage: its encoder alone, by the encoder's own classifier; or
            "generator" for the first stage of image_resynthesis, synthcp and synboost.
        stride: of erfnet and enet: 1 or 2; 0 for the published one.
    """

    name: str = "ddrnet23_slim"
    classes: int = 19
    outlier: bool = True
    auxiliary: bool = True
    normalisation: str = "imagenet"
    isomax: int = 0
    void: bool = False
    stage: Literal["whole", "encoder", "generator"] = "whole"
    stride: int = 0


@dataclass(frozen=True)
class Scenes:
    """The in-distribution scenes and how they are augmented.

    Attributes:
        sets: names of data sets below the data root, mapped to the 19 classes of Cityscapes; one named twice: twice.
        crop: height and width of a crop.
        scale: smallest and largest enlargement of a scene that is 256 pixels high, before the crop.
        photometric: probability of each photometric augmentation (colour, blur, noise, JPEG).
        appearance: share of the crops with appearance augmentation: other light; tinted, textured, marked surfaces.
        loss_stride: the loss is computed on every n-th pixel of each row and column.
        class_balance: share of the scenes drawn so that all classes are met equally often, the others uniformly.
        validation: names of the data sets whose validation scenes are evaluated.
        weights: names of data sets, each with how much more often each of its scenes is drawn.
        weather: share of the crops with fog, rain, night, a low sun or drops on the lens.
        cameras: share of the crops with what unseen cameras show: bonnet, wiper, painted lines, concrete; if above 0,
            what a data set leaves out at the lower edge (the own bonnet) is known.
        surfaces: folder of close-ups of road surfaces below the data root, for grain; "" for none.
        inscriptions: share of the crops with letters and panels on vehicles, houses and walls, known as these are.
    """

    sets: tuple[str, ...] = ("cityscapes_small", "camvid", "idd_lite")
    crop: tuple[int, int] = (256, 512)
    scale: tuple[float, float] = (1.0, 2.2)
    photometric: float = 0.3
    appearance: float = 0.0
    loss_stride: int = 2
    class_balance: float = 0.0
    validation: tuple[str, ...] = ("cityscapes_small", "camvid")
    weights: tuple[tuple[str, float], ...] = ()
    weather: float = 0.0
    cameras: float = 0.0
    surfaces: str = ""
    inscriptions: float = 0.0


@dataclass(frozen=True)
class Outliers:
    """The outlier objects pasted on the scenes.

    Attributes:
        objects: folders below the data root, each with its share of the draws: ``images`` and ``labels`` of COCO
            objects in YOLO segmentation text, or pictures of cut-outs with an alpha channel.
        probability: share of the scenes that get outlier objects.
        max_objects: largest number of outlier objects on a scene.
        shapes: share of random shapes of random texture among them, the rest are COCO objects.
        in_distribution: share of the scenes that get pasted objects of closed-set classes, with their label.
        on_road: share of the objects that stand on the road.
        varied: share of the objects with a shadow, and with a light and an edge that vary.
        patches: share of the scenes on which pieces of the road are pasted elsewhere on it, and stay known.
        validation: folders of objects, like ``objects``, whose objects validate; of COCO pictures the held-out classes.
    """

    objects: tuple[tuple[str, float], ...] = (("coco128-seg", 1.0),)
    probability: float = 0.6
    max_objects: int = 3
    shapes: float = 0.35
    in_distribution: float = 0.3
    on_road: float = 0.7
    varied: float = 0.0
    patches: float = 0.0
    validation: tuple[tuple[str, float], ...] = (("coco128-seg", 1.0),)


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
    """What is learned from a teacher, another network.

    Attributes:
        weight: of the divergence from the teacher's classes among the losses; 0, and ``outlier`` 0: no teacher.
        temperature: by which both are softened.
        sees: "scenes": each in-distribution scene once; "crops": each crop, with what is pasted on it.
        outlier: with "crops", weight of the distance from the teacher's outlier logit (smooth L1).
        shrink: with "crops", how many times smaller than the teacher, which sees scenes.crop, the network sees one.
        smaller: with "crops", the share of the size at which the teacher looks a second time, averaging; 0: once.
    """

    weight: float = 0.0
    temperature: float = 2.0
    sees: Literal["scenes", "crops"] = "scenes"
    outlier: float = 0.0
    shrink: int = 1
    smaller: float = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anything is learned from a teacher."""
        return self.weight > 0 or self.outlier > 0


@dataclass(frozen=True)
class Resynthesis:
    """The parts of image_resynthesis, synthcp and synboost, and how they are trained.

    Attributes:
        closed_set: name of the closed-set network that they stand on.
        closed_set_void: it has one more output beside the classes, as the published ERFNet has.
        closed_set_stride: of erfnet and enet: 1 or 2; 0 for the published one.
        closed_set_isomax: channels of its IsoMax+ head; 0 for none.
        size: height and width of the generator's images, multiples of 32.
        width: of the generator; its channels at full size.
        features: efficientnet_lite0, or vgg19 with weights of your own.
        absolute: weight of the absolute difference of the pixels among the generator's losses.
        perceptual: weight of the difference of the features.
        adversarial: weight of the discriminator's verdict; 0 for no discriminator.
        matching: weight of the difference of the discriminator's inner maps.
        discriminator_lr: its learning rate.
        swap: share of the things whose class is swapped to train the comparison.
        seen: share of the images whose class map is what the closed-set network sees instead of the truth.
        void: unlabelled pixels, but for the own bonnet, are anomalies.
    """

    closed_set: str = "erfnet"
    closed_set_void: bool = True
    closed_set_stride: int = 0
    closed_set_isomax: int = 0
    size: tuple[int, int] = (128, 256)
    width: int = 16
    features: Literal["efficientnet_lite0", "vgg19"] = "efficientnet_lite0"
    absolute: float = 5.0
    perceptual: float = 5.0
    adversarial: float = 0.5
    matching: float = 5.0
    discriminator_lr: float = 4e-4
    swap: float = 0.5
    seen: float = 0.0
    void: bool = False


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
        resynthesis: the parts of image_resynthesis, synthcp and synboost.
        optim: how the weights are found.
        losses: names in LOSSES, each with its weight.
        seed: of every random choice.
    """

    network: Network = field(default_factory=Network)
    scenes: Scenes = field(default_factory=Scenes)
    outliers: Outliers = field(default_factory=Outliers)
    class_weights: ClassWeights = field(default_factory=ClassWeights)
    distillation: Distillation = field(default_factory=Distillation)
    resynthesis: Resynthesis = field(default_factory=Resynthesis)
    optim: Optimiser = field(default_factory=Optimiser)
    losses: tuple[tuple[str, float], ...] = (("cross_entropy", 1.0),)
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a card or a checkpoint; those of the resynthesis only where there is one."""
        values = asdict(self)
        if self.network.name not in RESYNTHESIS_NAMES:
            del values["resynthesis"]  # runs from before there was one go on
        return values


def read_recipe(path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> Recipe:
    """A YAML recipe, every key and value checked.

    Args:
        path: the file, or the name of a recipe that comes with the package, such as ``laptop/ce``.
        changes: dotted keys and values that replace those of the file, such as ``{"optim.lr": 1e-3}``.

    Raises:
        InputError: if the file is missing or no YAML, or a key or a value is not one of a recipe's; the message names
            the file, the key, and the nearest key there is.
    """
    import yaml

    path = find_recipe(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: the 13th month, among others
        raise InputError(f"recipe '{path}' is not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict):
        raise InputError(f"recipe '{path}' holds {in_words(values)}; expected keys and values")
    for name, value in changes.items():
        *groups, key = name.split(".")
        inner = values
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[key] = value
    try:
        return typed(Recipe, values, "")
    except InputError as error:
        raise InputError(f"recipe '{path}': {error}") from None


def differing_keys(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ in two nested mappings, such as ``optim.lr``, in their order.

    >>> differing_keys({"seed": 1, "optim": {"lr": 1}}, {"seed": 1, "optim": {"lr": 2}, "more": 3})
    ['optim.lr', 'more']
    """
    found: list[str] = []
    for key in dict.fromkeys([*one, *other]):
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            found += differing_keys(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            found.append(f"{prefix}{key}")
    return found


def typed(kind: Any, value: Any, key: str) -> Any:
    """A value of YAML as a type of a recipe's fields: a dataclass, a tuple, a Literal, bool, int, float or str.

    Args:
        kind: the type.
        value: plain values; a mapping also stands for a tuple of pairs.
        key: dotted name of the value, for messages; "" for the whole.

    Raises:
        InputError: if it is no such value; the message names the key.
    """
    if is_dataclass(kind):
        return typed_dataclass(kind, value, key)
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        pairs = list(value.items()) if isinstance(value, Mapping) and inner[-1] is Ellipsis else value
        if not isinstance(pairs, (list, tuple)) or not (inner[-1] is Ellipsis or len(pairs) == len(inner)):
            raise InputError(f"'{key}' is {in_words(value)}; expected {type_words(kind)}")
        kinds = [inner[0]] * len(pairs) if inner[-1] is Ellipsis else inner
        return tuple(typed(each, one, key) for each, one in zip(kinds, pairs, strict=True))
    if get_origin(kind) is Literal:
        if value not in inner:
            near = difflib.get_close_matches(str(value), inner, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"'{key}' is {in_words(value)}; expected {type_words(kind)}{hint}")
        return value
    try:
        number = not isinstance(value, bool) and kind in (int, float)
        found = kind(value) if number and isinstance(value, (int, float, str)) else value  # YAML 1.1 reads 1e-3 as text
    except (ValueError, OverflowError):  # .inf is no whole number, and one of 400 digits no float
        found = None
    if type(found) is not kind or (kind is int and found != float(value)) or (kind is float and found != found):
        raise InputError(f"'{key}' is {in_words(value)}; expected {type_words(kind)}")
    return found


def typed_dataclass(kind: Any, value: Any, key: str) -> Any:
    """A mapping as a dataclass; see ``typed``."""
    types = get_type_hints(kind)
    if not isinstance(value, Mapping):
        raise InputError(f"'{key}' is {in_words(value)}; expected keys and values, of: {', '.join(types)}")
    prefix = f"{key}." if key else ""
    for each in value:
        if each not in types:
            near = difflib.get_close_matches(str(each), types, n=1)
            hint = f"; did you mean '{prefix}{near[0]}'?" if near else "."
            raise InputError(f"no key '{prefix}{each}'{hint} There are: {', '.join(types)}")
    return kind(**{name: typed(types[name], given, f"{prefix}{name}") for name, given in value.items()})


SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 3, 60, 60
"""Writes values for messages."""


def in_words(value: Any) -> str:
    """A value of YAML for a message: "the text 'fast'"."""
    kinds = {str: "the text", bool: "the truth value", int: "the number", float: "the number", list: "the list"}
    short = SHORT.repr(value)  # lists that hold one another over and over are endless in full
    return f"{kinds[type(value)]} {short}" if type(value) in kinds else "nothing" if value is None else short


def type_words(kind: Any) -> str:
    """A type of a recipe's fields for a message: "a list of 2 values, each a number"."""
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of: {', '.join(map(str, inner))}"
    if get_origin(kind) is tuple:
        count = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        pair = get_origin(inner[0]) is tuple
        return "names, each with a number" if pair else f"a list of {count}values, each {type_words(inner[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
