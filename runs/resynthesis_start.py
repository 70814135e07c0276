"""The start of a resynthesis training: a closed-set network and features, the rest random.

    python runs/resynthesis_start.py ERFNET.ckpt OUT.ckpt --features ENCODER.ckpt
    python runs/resynthesis_start.py ERFNET.ckpt OUT.ckpt --vgg19 vgg19.pth

ENCODER is an oddroad checkpoint of efficientnet_lite0: ImageNet's weights by 'oddroad convert', or recipes/starts/
embedded.ckpt, which has seen pasted objects. vgg19.pth is a state dict of torchvision's vgg19, which oddroad does not
distribute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from oddroad.errors import InputError
from oddroad.files import sha256_of
from oddroad.learn.checkpoints.format import load_network, read_checkpoint, save_checkpoint
from oddroad.learn.networks import NETWORKS
from oddroad.learn.resynthesis.features import vgg19_weights
from oddroad.types import CITYSCAPES_CLASSES

ENCODER = "encoder."


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description="The start of a resynthesis training.")
    parser.add_argument("closed_set", type=Path, help="oddroad checkpoint of the closed-set network")
    parser.add_argument("out", type=Path, help="checkpoint to write")
    parser.add_argument("--features", type=Path, help="oddroad checkpoint of efficientnet_lite0")
    parser.add_argument("--vgg19", type=Path, help="state dict of torchvision's vgg19, instead of --features")
    parser.add_argument("--size", default="128x256", help="HxW of the generator, multiples of 32")
    parser.add_argument("--width", type=int, default=16, help="of the generator")
    given = parser.parse_args()
    try:
        start(given)
    except InputError as error:
        parser.error(str(error))


def start(given: argparse.Namespace) -> None:
    """Join the parts and write them."""
    if (given.features is None) == (given.vgg19 is None):
        raise InputError("give --features ENCODER.ckpt or --vgg19 vgg19.pth, one of them")
    closed_set, about = load_network(given.closed_set)
    inner = about["arguments"]
    void = len(about["classes"]) < int(inner.get("classes", 19))
    rows, columns = (int(each) for each in given.size.split("x"))
    arguments = {
        "classes": len(about["classes"]),
        "closed_set": about["network"],
        "closed_set_void": void,
        "closed_set_stride": int(inner.get("stride", 0)),
        "closed_set_isomax": int(inner.get("isomax", 0)),
        "normalisation": about["normalisation"],
        "size": [rows, columns],
        "width": given.width,
        "features": "vgg19" if given.vgg19 else "efficientnet_lite0",
    }
    torch.manual_seed(0)
    network = NETWORKS["image_resynthesis"](**arguments)
    own = network.state_dict()
    found = {f"network.{name}": each for name, each in closed_set.state_dict().items()}
    if given.vgg19:
        state = torch.load(given.vgg19, map_location="cpu", weights_only=True)
        found |= {f"features.{name}": each for name, each in vgg19_weights(state).items()}
    else:
        state, _ = read_checkpoint(given.features)
        found |= {f"features.{name}": each.float() for name, each in state.items() if name.startswith(ENCODER)}
    taken = {name: each for name, each in found.items() if name in own and own[name].shape == each.shape}
    lacking = [name for name in own if name.startswith(("network.", "features.")) and name not in taken]
    if lacking:
        raise InputError(f"the parts do not give '{lacking[0]}'; expected a closed-set network and efficientnet_lite0")
    network.load_state_dict({**own, **taken})
    source = given.vgg19 or given.features
    origin = {
        "closed_set": given.closed_set.name, "closed_set_sha256": sha256_of(given.closed_set),
        "features": source.name, "features_sha256": sha256_of(source),
    }  # fmt: skip
    held = {
        "network": "image_resynthesis",
        "arguments": arguments,
        "normalisation": about["normalisation"],
        "classes": list(about.get("classes", CITYSCAPES_CLASSES)),
        "licence": about.get("licence", ""),
        "origin": origin,
        "untrained": ["generator", "comparison"],
    }
    save_checkpoint(given.out, network, held)
    print(f"{given.out}: {about['network']} of {given.closed_set}, features of {source}")


if __name__ == "__main__":
    main()
