"""PyTorch modules before they are exported: batch norms folded, slopes made constant, weights rounded."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SMALL = 4096
"""Weights of fewer values than this stay float32: they are the delicate ones, and not worth the bytes."""


def fold_batchnorm(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy in evaluation mode whose batch norms that follow a convolution are part of it: the same function.

    Modules with a method ``folded`` are replaced by what it gives.

    Args:
        network: any network; a batch norm is found by running it and seeing whose output it normalises.
        images: (N, 3, H, W), an input to run it on.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            folded: Any = getattr(child, "folded", None)
            if folded is not None:
                setattr(parent, key, folded())
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors are kept so that no address is used twice
    pairs: dict[nn.Module, list[nn.Module]] = {}
    calls: dict[nn.Module, int] = {}

    def after_convolution(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        made[id(result)] = (module, result)

    def before_norm(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        if id(given[0]) in made:
            pairs.setdefault(module, []).append(made[id(given[0])][0])

    hooks = []
    for each in network.modules():
        if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)):
            hooks.append(each.register_forward_hook(after_convolution))
        elif isinstance(each, nn.BatchNorm2d):
            hooks.append(each.register_forward_pre_hook(before_norm))
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    merged: dict[nn.Module, nn.Module] = {}
    for norm, (convolution, *others) in pairs.items():
        # where a network runs at several sizes, each time the same two together
        if calls[norm] == calls[convolution] == 1 + len(others) and set(others) <= {convolution}:
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            merged[convolution] = torch.nn.utils.fuse_conv_bn_eval(convolution, norm, transposed)  # pyright: ignore
            merged[norm] = nn.Identity()
    for parent in list(network.modules()):
        for key, child in list(parent.named_children()):
            if child in merged:
                setattr(parent, key, merged[child])
    return network


def constant_slopes(network: nn.Module) -> nn.Module:
    """Replace, in place, each PReLU of one slope by a leaky ReLU: the same function, in a form that engines fuse."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.PReLU) and child.num_parameters == 1:
                setattr(parent, name, nn.LeakyReLU(float(child.weight.detach())))
    return network


def round_weights(module: nn.Module, weights: str) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Round the weights of all large convolutions in place to what the storage can hold.

    Returns:
        for each parameter the stored values, and for int8 the scale of each output channel that they are times.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    if weights == "float32":
        return found
    for name, each in module.named_modules():
        if not isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)) or each.weight.numel() < SMALL:
            continue
        value = each.weight.detach()
        if weights == "float16":
            stored, scale = value.half(), None
            each.weight.data = stored.float()
        else:
            axis = 1 if isinstance(each, nn.ConvTranspose2d) else 0
            others = [other for other in range(4) if other != axis]
            scale = (value.abs().amax(others, keepdim=True) / 127).clamp(min=1e-12)
            stored = (value / scale).round().to(torch.int8)
            each.weight.data = stored.float() * scale
        found[f"{name}.weight"] = (stored.numpy(), None if scale is None else scale.numpy())
    return found
