"""What a run's folder belongs to: everything that made the weights in it, so that no other run goes on from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.files import load_json, sha256_of, write_whole
from oddroad.learn.training.checkpoints import states_of
from oddroad.recipe import Recipe, differing_keys, typed

NAME = "run.json"
"""The file in a run's folder that says what the run is made of."""


@dataclass(frozen=True)
class Claim:
    """Everything that decides on the weights of a run.

    Attributes:
        recipe: the recipe in plain values.
        init_from: file name and SHA-256 of the checkpoint that the run starts from; None for random weights.
        reinit: parameter-name prefixes that it does not give.
        teacher: file name and SHA-256 of the teacher; None without one.
        data: SHA-256 of the training data's names and sizes, see ``data_digest``.
    """

    recipe: dict[str, Any]
    init_from: dict[str, str] | None
    reinit: tuple[str, ...]
    teacher: dict[str, str] | None
    data: str

    @classmethod
    def of(
        cls, recipe: Recipe, init_from: Path | None, reinit: Sequence[str], teacher: Path | None, data: str
    ) -> Claim:
        """The claim of a run.

        Raises:
            InputError: if a checkpoint is not there.
        """
        return cls(recipe.to_dict(), identity(init_from), tuple(reinit), identity(teacher), data)

    def plain(self) -> dict[str, Any]:
        """JSON values; file names do not count, their content does."""
        return json.loads(json.dumps(asdict(self)))


def identity(path: Path | None) -> dict[str, str] | None:
    """File name and SHA-256 of a checkpoint; None for none.

    Raises:
        InputError: if it is not there.
    """
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"no checkpoint '{path}'")
    return {"name": path.name, "sha256": sha256_of(path)}


def data_digest(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the places below the root and the sizes of files: the same wherever the root lies.

    Raises:
        InputError: if a file is not there.
    """
    found = hashlib.sha256()
    for each in files:
        place = each.relative_to(root) if each.is_relative_to(root) else each
        try:
            found.update(f"{place.as_posix()} {each.stat().st_size}\n".encode())
        except OSError as error:
            raise InputError(f"cannot read '{each}': {error.strerror}") from None
    return found.hexdigest()


def claimed(out: Path) -> dict[str, Any] | None:
    """The claim that a folder holds; None where nothing was trained in it yet, so that a failed start claims nothing.

    Raises:
        InputError: if something was trained in it and the file that says what is missing or damaged.
    """
    if not (out / "model.ckpt").is_file() and not states_of(out / "state"):
        return None
    try:
        return load_json((out / NAME).read_text())
    except (OSError, ValueError):
        raise InputError(
            f"'{out}' holds weights, but no readable {NAME} that says of which run; choose another folder with --out"
        ) from None


def check_claim(out: Path, claim: Claim, reached: int) -> list[int]:
    """Refuse a folder that holds another run; a finished run may be trained longer.

    Args:
        out: the folder.
        claim: of the run that asks for it.
        reached: the step of the newest state or model in the folder.

    Returns:
        steps of the schedules that the run had before this one; none if it was never trained longer.

    Raises:
        InputError: if the folder holds another run; the message names the keys that differ, and their values.
    """
    held = claimed(out)
    if held is None:
        return []
    before = list(held.pop("schedules", []))
    held["recipe"] = with_later_keys(held["recipe"])
    mine = claim.plain()
    differing = [key for key in differing_keys(held, mine) if key not in ("init_from.name", "teacher.name")]
    if not differing:
        return before
    steps = held["recipe"]["optim"]["steps"]
    if differing == ["recipe.optim.steps"] and claim.recipe["optim"]["steps"] > steps:
        if reached >= steps:
            return [*before, steps]
        raise InputError(
            f"'{out}' holds a run of {steps} steps that is at step {reached}; finish it with optim.steps {steps}, then "
            "train it longer"
        )
    told = [f"{key.removeprefix('recipe.')} is {value_in(held, key)}, here {value_in(mine, key)}" for key in differing]
    more = f" and {len(told) - 4} more" if len(told) > 4 else ""
    raise InputError(
        f"'{out}' holds another run: {'; '.join(told[:4])}{more}; choose another folder with --out, or give what that "
        "run was started with"
    )


def with_later_keys(recipe: Any) -> Any:
    """The plain values of a recipe, with those keys at their defaults that came after it was written."""
    try:
        return json.loads(json.dumps(typed(Recipe, recipe, "").to_dict()))
    except InputError:  # of a later version, or damaged: it differs, and the message names the keys
        return recipe


def write_claim(out: Path, claim: Claim, before: Sequence[int]) -> None:
    """Write the claim into the folder, with the steps of the schedules before this one."""
    values = {**claim.plain(), **({"schedules": list(before)} if before else {})}
    write_whole(out / NAME, json.dumps(values, indent=1).encode(), "description of the run")


def value_in(values: Any, key: str) -> str:
    """The value under a dotted key for a message; hashes are shortened, files are named."""
    for each in key.split("."):
        if isinstance(values, dict) and values.get("name") and each == "sha256":
            return f"that of '{values['name']}' ({values['sha256'][:12]})"
        values = values.get(each) if isinstance(values, dict) else None
    if isinstance(values, dict) and "sha256" in values:
        return f"'{values['name']}' ({values['sha256'][:12]})"
    if isinstance(values, str) and len(values) == 64:
        return values[:12]
    return "not given" if values is None else str(values)
