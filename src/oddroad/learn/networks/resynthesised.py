"""The resynthesis family by name: closed-set network and features from the tables, then one of the three methods."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from oddroad.errors import InputError, pick
from oddroad.learn.networks.efficientnet_lite import Encoder
from oddroad.learn.resynthesis.features import EncoderFeatures, Features, VGG19Features
from oddroad.learn.resynthesis.methods import ImageResynthesis, Resynthesised, SynBoost, SynthCP

METHODS: dict[str, type[Resynthesised]] = {
    "image_resynthesis": ImageResynthesis,
    "synthcp": SynthCP,
    "synboost": SynBoost,
}

FEATURES = {"efficientnet_lite0": lambda: EncoderFeatures(Encoder("lite0")), "vgg19": VGG19Features}
"""What image and synthesis are compared in; the weights of vgg19 are the user's."""


def resynthesised(
    method: str,
    classes: int = 19,
    closed_set: str = "erfnet",
    closed_set_void: bool = False,
    closed_set_stride: int = 0,
    closed_set_isomax: int = 0,
    normalisation: str = "unit",
    size: Sequence[int] = (128, 256),
    width: int = 16,
    features: str = "efficientnet_lite0",
) -> Resynthesised:
    """A method around a closed-set network.

    Args:
        method: key in METHODS.
        classes: number of closed-set classes.
        closed_set: key in NETWORKS.
        closed_set_void: whether it has one more output beside the classes.
        closed_set_stride: of erfnet and enet: 1 or 2; 0 for the published one.
        closed_set_isomax: channels of an IsoMax+ head; 0 for none.
        normalisation: what the closed-set network wants of an image.
        size: (H, W) of the generator.
        width: of the generator: 16 for 128x256 on a laptop.
        features: key in FEATURES.

    Raises:
        InputError: if a name is unknown, or the closed-set network is a resynthesis network itself.
    """
    from oddroad.learn.networks import NETWORKS

    if closed_set in METHODS:
        raise InputError(f"resynthesis.closed_set is '{closed_set}', itself a network around a network; choose erfnet")
    optional = {"stride": closed_set_stride, "isomax": closed_set_isomax}
    network: nn.Module = pick(NETWORKS, closed_set, "network")(
        classes=classes + closed_set_void, **{name: value for name, value in optional.items() if value}
    )
    seen_by: Features = pick(FEATURES, features, "features")()
    return METHODS[method](
        network, seen_by, classes=classes, normalisation=normalisation, size=size, width=width,
        **({"per_class": True} if method == "synthcp" else {}),
    )  # fmt: skip
