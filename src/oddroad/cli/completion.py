"""Shell completion: a script that completes verbs, options and their values, made by tyro from the verbs themselves."""

from __future__ import annotations

import contextlib
import functools
import io
import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import tyro

from oddroad.errors import InputError, pick

SHELLS = {
    "bash": 'eval "$(oddroad --completion bash)"    # or this line in ~/.bashrc',
    "zsh": 'oddroad --completion zsh > "${fpath[1]}/_oddroad"',
    "tcsh": "oddroad --completion tcsh > ~/.oddroad.tcsh; source ~/.oddroad.tcsh",
    "fish": "oddroad --completion fish > ~/.config/fish/completions/oddroad.fish",
}
"""Shell -> how its script is installed."""


def completion(shell: str, verbs: Mapping[str, Callable[..., Any]]) -> str:
    """The script for a shell.

    Args:
        shell: bash, zsh, tcsh or fish.
        verbs: verb -> function; a verb of two words becomes a verb with a sub-verb.

    Raises:
        InputError: if the shell is not one of these, or its script needs a package that is not installed.
    """
    pick(SHELLS, shell, "shell with completion")
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            tyro.cli(tree(verbs), prog="oddroad", args=["--tyro-print-completion", shell])
    except ImportError:
        raise InputError(
            f"completion for {shell} needs shtab, which is not installed; run: pip install shtab"
        ) from None
    return out.getvalue()


def tree(verbs: Mapping[str, Callable[..., Any]]) -> Any:
    """The verbs as the union type from which tyro makes a parser with sub-commands."""
    groups: dict[str, dict[str, Callable[..., Any]]] = {}
    for name, function in verbs.items():
        first, _, second = name.partition(" ")
        groups.setdefault(first, {})[second] = function
    kinds = [
        Annotated[Any, tyro.conf.subcommand(name, constructor=table[""] if "" in table else group(table))]
        for name, table in groups.items()
    ]
    return functools.reduce(operator.or_, [*kinds, Annotated[None, tyro.conf.Suppress]])


def group(verbs: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """A function whose one argument is the choice among sub-verbs."""

    def choose(verb: Any) -> None:
        del verb

    kind = tyro.conf.OmitSubcommandPrefixes[tree(verbs)]
    choose.__annotations__ = {"verb": kind}
    return choose
