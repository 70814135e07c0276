"""Our checkpoints: safetensors with the recipe as JSON metadata. Nothing in them can run code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from oddroad.errors import InputError, pick
from oddroad.learn.networks import NETWORKS

KEY = "oddroad"


def save_checkpoint(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write the weights of a network and what they are; the file appears whole or not at all.

    Args:
        path: where to.
        network: its state dict is written.
        about: JSON values: ``network`` (key in NETWORKS), ``arguments`` it is built with, ``normalisation``,
            ``classes`` (names), and what else is worth keeping (recipe, origin, licence).
    """
    tensors: dict[str, Tensor] = {name: each.detach().cpu().contiguous() for name, each in network.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={KEY: json.dumps(about)})
    partial.replace(path)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict and the metadata of one of our checkpoints.

    Raises:
        InputError: if there is no such file, or it is not one of ours.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint '{path}'")
    try:
        with safe_open(path, "pt") as opened:
            about = (opened.metadata() or {}).get(KEY)
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' is not a checkpoint of ours ({error}); 'oddroad convert' reads those of others"
        ) from None
    if about is None:
        raise InputError(f"'{path}' does not say what network it holds; 'oddroad convert' reads such files")
    return state, json.loads(about)


def load_network(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and the checkpoint's metadata.

    Raises:
        InputError: if the file is not one of ours, or its weights do not fit the network it names.
    """
    state, about = read_checkpoint(path)
    network = pick(NETWORKS, about["network"], "network")(**about.get("arguments", {}))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"the weights of '{path}' do not fit {about['network']}: {str(error).splitlines()[1]}"
        ) from None
    return network.eval(), about
