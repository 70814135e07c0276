"""A trainable checkpoint from an exported .onnx of ours: to go on training a detector of which only the file is left.

Run as ``python runs/embedded_restore.py MODEL DATA OUT``. Export folds batch norms into convolutions; here each is
opened again: its statistics are measured on training crops and its scale and shift set so that the function stays what
it was; and export divides the first convolution by the colours' deviation, which is taken back. Training heads, which a
file does not hold, are new. Prints the difference to the file, and writes nothing if there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from oddroad.learn.checkpoint import save_checkpoint
from oddroad.learn.data import Crops
from oddroad.learn.detector import NORMALISATION, Detector
from oddroad.learn.graph import normalisation
from oddroad.learn.networks import NETWORKS
from oddroad.learn.scores import SCORES
from oddroad.recipe import Outliers, Scenes
from oddroad.runtime import read_card

PREFIX = "network."
MOST = 0.05
"""Largest difference of a score to the file's, of values of some tens: the batch norms are opened in float32."""


def stored_tensors(path: Path) -> dict[str, np.ndarray]:
    """Parameters in a file by the network's own names, those in 8 or 16 bits multiplied out to float32."""
    graph = onnx.load(path).graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = {name: value for name, value in held.items() if not name.endswith((".stored", ".shape", ".scale"))}
    for name in [each.removesuffix(".stored") for each in held if each.endswith(".stored")]:
        value = held[f"{name}.stored"].astype(np.float32).reshape(held[f"{name}.shape"])
        found[name] = value * held.get(f"{name}.scale", np.float32(1))
    for node in graph.node:  # the exporter keeps equal statistics of two norms once, under one of their names
        if node.op_type == "BatchNormalization":
            norm = node.input[1].removesuffix(".weight")
            for key, name in zip(("bias", "running_mean", "running_var"), node.input[2:], strict=True):
                found[f"{norm}.{key}"] = held[name]
    return {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}


def unfold_colours(network: nn.Module, path: Path, colours: str) -> None:
    """Multiply the first convolution by the deviation of the colours, where the file has no division by it."""
    if normalisation(onnx.load(path).graph)[1]:
        return
    first = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
    first.weight.data *= 255 * torch.tensor(NORMALISATION[colours][1]).view(1, 3, 1, 1)


def folded_norms(network: nn.Module) -> dict[str, str]:
    """Names of convolutions, each with the batch norm that reads it and nothing else."""
    made: dict[int, tuple[str, Tensor]] = {}
    pairs: dict[str, str] = {}
    hooks = []
    for name, each in network.named_modules():
        if isinstance(each, nn.Conv2d):
            hooks.append(
                each.register_forward_hook(lambda _, __, y, name=name: made.update({id(y): (name, y)}))  # type: ignore[misc]
            )
        elif isinstance(each, nn.BatchNorm2d):
            hooks.append(
                each.register_forward_pre_hook(
                    lambda _, x, name=name: pairs.update({made[id(x[0])][0]: name} if id(x[0]) in made else {})  # type: ignore[misc]
                )
            )
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 128, 128))
    for hook in hooks:
        hook.remove()
    return pairs


def fill(network: nn.Module, tensors: dict[str, np.ndarray]) -> list[nn.BatchNorm2d]:
    """Put the file's parameters into the network; returns the batch norms that are a mere shift now."""
    modules = dict(network.named_modules())
    pairs = folded_norms(network)
    opened = []
    own = network.state_dict()
    for name, value in tensors.items():
        module, _, kind = name.rpartition(".")
        if module in pairs and kind == "bias":
            norm = modules[pairs[module]]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.data.fill_(1)
            norm.bias.data = torch.from_numpy(value.copy())
            opened.append(norm)
            if f"{module}.bias" in own:
                own[f"{module}.bias"].zero_()
        else:
            own[name].copy_(torch.from_numpy(value.reshape(own[name].shape).copy()))
    return opened


def measure(network: nn.Module, norms: list[nn.BatchNorm2d], crops: Crops, detector: Detector) -> None:
    """Give each of the batch norms the statistics of what it reads, its function unchanged."""
    sums = {each: [torch.zeros(each.num_features, dtype=torch.float64) for _ in range(2)] for each in norms}
    counts = dict.fromkeys(norms, 0)

    def look(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        x = given[0].double()
        sums[norm][0] += x.sum((0, 2, 3))
        sums[norm][1] += x.square().sum((0, 2, 3))
        counts[norm] += x.numel() // x.shape[1]

    hooks = [each.register_forward_pre_hook(look) for each in norms]
    with torch.inference_mode():
        for index in range(len(crops)):
            detector.look(crops[index][0][None].float())
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean = sums[norm][0] / counts[norm]
        variance = sums[norm][1] / counts[norm] - mean.square()
        norm.running_mean, norm.running_var = mean.float(), variance.float()
        norm.weight.data = (variance + norm.eps).sqrt().float()
        norm.bias.data = (norm.bias.double() + mean).float()


def main() -> None:
    """Restore, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--crops", type=int, default=256, help="training crops for the statistics")
    given = parser.parse_args()
    card = read_card(given.model)
    recipe = card.origin["recipe"]
    arguments = {key: recipe["network"][key] for key in ("classes", "outlier", "auxiliary")}
    network = NETWORKS[card.network](**arguments)
    norms = fill(network, stored_tensors(given.model))
    unfold_colours(network, given.model, recipe["network"]["normalisation"])
    detector = Detector(network, {name: SCORES[name] for name in card.scores}, size=card.size).eval()
    crops = Crops(given.data, Scenes(sets=tuple(recipe["scenes"]["sets"])), Outliers(), given.crops, seed=9)
    measure(network, norms, crops, detector)
    image = np.random.default_rng(0).integers(0, 256, (1, 540, 960, 3), np.uint8)
    with torch.inference_mode():
        ours = [each.numpy() for each in detector(torch.from_numpy(image))]
    theirs = onnxruntime.InferenceSession(given.model).run(list(card.scores), {"image": image})
    for name, one, other in zip(card.scores, ours, theirs, strict=True):
        found = float(np.abs(one - other).max())
        print(f"{name}: largest difference to the file {found:.2g}")
        if found > MOST:
            raise SystemExit(f"the restored network is not that of '{given.model}'; '{given.out}' was not written")
    about = {
        "network": card.network,
        "arguments": arguments,
        "normalisation": recipe["network"]["normalisation"],
        "classes": list(card.classes),
        "origin": {**card.origin, "restored": f"from the {card.weights} weights of {card.name}"},
        "licence": card.licence,
    }
    save_checkpoint(given.out, network, about)


if __name__ == "__main__":
    main()
