"""Oddroad's checkpoints: safetensors with the recipe as JSON metadata. Nothing in them can run code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from oddroad.errors import InputError, pick
from oddroad.files import load_json, write_whole
from oddroad.json_values import above_zero, check_depth, keyed, listed, maybe, named, refuse, text
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.wrapped import Ensemble, Tempered
from oddroad.learn.outputs import Score
from oddroad.learn.scores import FITTED, SCORES

KEY = "oddroad"


ABOUT = {
    "network": text, "arguments": keyed({}), "normalisation": text, "classes": listed(text, 1), "licence": maybe(text),
    "temperature": above_zero, "scores": named(keyed({"arguments": keyed({})}, ("arguments",))),
    "recipe": maybe(keyed({})),
}  # fmt: skip
"""Key of a checkpoint's metadata -> what its value must be, where it is there."""


LARGEST_ARGUMENT = 100_000
"""Of a whole number among the arguments of a network, such as its channels."""


FITTED_PREFIX = "scores."
"""Tensors of fitted scores are stored under this prefix and the score's name, beside those of the network."""


NOT_EXPORTED = {
    "odin": "'odin' needs a gradient for every image, which no .onnx file computes; use max_logit or energy",
    "mc_dropout": "'mc_dropout' draws random numbers in every pass, so no file can be checked against it; "
    "use an ensemble, or entropy",
}
"""Names that people ask for as scores and that are networks around a network here: why not, and what to use."""


def save_checkpoint(
    path: Path, network: nn.Module, about: Mapping[str, Any], scores: Mapping[str, nn.Module] | None = None
) -> None:
    """Write the weights of a network and what they are; the file appears whole or not at all.

    Args:
        path: where to.
        network: its state dict is written.
        about: JSON values: ``network`` (key in NETWORKS), ``arguments`` it is built with, ``normalisation``,
            ``classes`` (names), and what else is worth keeping (recipe, origin, licence).
        scores: fitted scores by name; with each, ``about["scores"][name]["arguments"]`` is written.

    Raises:
        InputError: if it cannot be written, such as on a full disk; what was there before stays as it is.
    """
    about = dict(about)
    tensors: dict[str, Tensor] = {name: each.detach().cpu().contiguous() for name, each in network.state_dict().items()}
    for name, score in (scores or {}).items():
        kept = {**about.get("scores", {}).get(name, {}), "arguments": score.arguments}
        about["scores"] = {**about.get("scores", {}), name: kept}
        for key, each in score.state_dict().items():
            tensors[f"{FITTED_PREFIX}{name}.{key}"] = each.detach().cpu().contiguous()
    write_whole(path, save(tensors, metadata={KEY: json.dumps(about)}), "checkpoint")


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict and the metadata of an oddroad checkpoint.

    Raises:
        InputError: if there is no such file, or it is not an oddroad checkpoint.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint '{path}'")
    try:
        with safe_open(path, "pt") as opened:
            about = (opened.metadata() or {}).get(KEY)
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' is not an oddroad checkpoint ({error}); 'oddroad convert' reads those of others"
        ) from None
    if about is None:
        raise InputError(f"'{path}' does not say what network it holds; 'oddroad convert' reads such files")
    try:
        values = load_json(about)
        check_about(values)
    except ValueError as error:
        raise InputError(f"'{path}' says of its network what cannot be right: {str(error)[:200]}") from None
    return state, values


def check_about(about: Any) -> None:
    """Refuse metadata of a checkpoint of which a value is not what it should be.

    Raises:
        InputError: naming the place and what is expected there.
    """
    check_depth(about, "the metadata")
    keyed(ABOUT, ("network",))(about, "the metadata")
    for name, value in about.get("arguments", {}).items():
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_ARGUMENT:
            refuse(value, f"argument '{name}'", f"a number up to {LARGEST_ARGUMENT}")


def load_network(path: Path, **changes: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and the checkpoint's metadata.

    Args:
        path: the checkpoint.
        changes: arguments of the network that replace those of the checkpoint, such as ``stride=2``.

    Raises:
        InputError: if the file is not an oddroad checkpoint, its weights do not fit the network it names, or the
            network does not take an argument.
    """
    state, about = read_checkpoint(path)
    about["arguments"] = {**about.get("arguments", {}), **changes}
    make = pick(NETWORKS, about.get("network", ""), "network")
    if unknown := sorted(about["arguments"].keys() - inspect.signature(make).parameters):
        raise InputError(f"network '{about['network']}' does not take {', '.join(unknown)}")
    state = {key: each for key, each in state.items() if not key.startswith(FITTED_PREFIX)}
    try:
        with torch.device("meta"):  # what it would take, before memory is taken for it
            planned = sum(each.numel() for each in make(**about["arguments"]).state_dict().values())
        held = sum(each.numel() for each in state.values())
        if planned > 2 * held + 1_000_000:
            raise ValueError(f"it would have {planned} numbers, and the file holds {held}")
        network = make(**about["arguments"])
    except InputError:
        raise
    except Exception as error:  # PyTorch raises errors of many kinds for arguments that make no network
        raise InputError(
            f"'{path}' asks for a network that cannot be made: {about['network']} with {about['arguments']} "
            f"({' '.join(str(error).split())[:120]})"
        ) from None
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        said = [*str(error).splitlines(), ""]
        raise InputError(f"the weights of '{path}' do not fit {about['network']}: {said[1][:300]}") from None
    return network.eval(), about


def load_networks(paths: Sequence[Path], **changes: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The network of one checkpoint, or the ensemble of several, each at its own temperature; and what it is.

    Raises:
        InputError: if a checkpoint cannot be used, or the classes, normalisations or strides differ.
    """
    if len(paths) == 1:
        return load_network(paths[0], **changes)
    members = []
    first: dict[str, Any] = {}
    for path in paths:
        network, about = load_network(path, **changes)
        first = first or about
        for key in ("classes", "normalisation"):
            if about.get(key) != first.get(key):
                raise InputError(f"{key} of '{path}' and '{paths[0]}' differ; an ensemble needs them equal")
        members.append(Tempered(network, float(about.get("temperature", 1.0))))
    if not members:
        raise InputError("no checkpoint given; expected one, or several for an ensemble")
    names = ", ".join(path.name for path in paths)
    about = {"network": "ensemble", "origin": {"members": names}, "licence": first.get("licence", "")}
    about |= {key: first[key] for key in ("classes", "normalisation") if key in first}
    return Ensemble(members, known=len(first.get("classes", ()))).eval(), about


def load_scores(path: Path | None, names: Sequence[str]) -> dict[str, Score]:
    """Scores by name: those of SCORES, and fitted ones with the state that the checkpoint holds.

    Args:
        path: the checkpoint; None for an ensemble, which has no fits.
        names: keys in SCORES and FITTED.

    Raises:
        InputError: if there is no such score, or the checkpoint holds no fit of it.
    """
    found: dict[str, Score] = {}
    for name in names:
        if name in NOT_EXPORTED:
            raise InputError(NOT_EXPORTED[name])
        if name not in FITTED:
            found[name] = pick({**SCORES, **FITTED}, name, "score")
            continue
        if path is None:
            raise InputError(f"score '{name}' is fitted to one network; for several use mutual_information or entropy")
        state, about = read_checkpoint(path)
        if name not in about.get("scores", {}):
            raise InputError(
                f"score '{name}' is fitted on in-distribution data and '{path}' holds no fit of it; run "
                f"'oddroad calibrate {path} --scores {name} --data ...' first"
            )
        prefix = f"{FITTED_PREFIX}{name}."
        try:
            score = FITTED[name](**about["scores"][name]["arguments"])
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"the fit of '{name}' in '{path}' is damaged: {str(error)[:120]}") from None
        try:
            score.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        except RuntimeError as error:
            raise InputError(f"the fit of '{name}' in '{path}' is damaged: {str(error).splitlines()[1]}") from None
        found[name] = score.eval()
    return found
