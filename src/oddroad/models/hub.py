"""Repositories of the Hugging Face Hub, or of a server that speaks its protocol (HF_ENDPOINT): pull and push."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oddroad.errors import InputError, counted
from oddroad.io.redaction import redact
from oddroad.models.reference import Reference
from oddroad.models.web_source import OFFLINE, SILENT, Fetched, Limits, check_address, download, is_loopback, offline

CHECKPOINT, README = "model.safetensors", "README.md"
"""Names of the checkpoint and of the card's page in a repository."""

TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
"""Modules whose errors mean that a server could not be reached."""

MOST_TEXT = 1 << 20
"""Bytes of a card's page at most."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        path: in the repository.
        bytes: its size; None where the server does not state it.
        sha256: of its content, where the server states it; else "".
    """

    path: str
    bytes: int | None
    sha256: str


@dataclass(frozen=True)
class Repository:
    """A repository at one commit.

    Attributes:
        name: ``org/name``.
        revision: the commit.
        files: what is in it.
    """

    name: str
    revision: str
    files: tuple[HubFile, ...]

    def file(self, path: str) -> HubFile | None:
        """A file by its path."""
        return next((each for each in self.files if each.path == path), None)

    @property
    def detectors(self) -> list[HubFile]:
        """The .onnx files."""
        return [each for each in self.files if each.path.endswith(".onnx")]


def endpoint() -> str:
    """Address of the server: HF_ENDPOINT, or the Hub's.

    Raises:
        InputError: if it is no address, or plain http to another machine, where a token could be read.
    """
    found = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"HF_ENDPOINT is '{redact(found)}'; expected an address such as https://huggingface.co")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InputError(f"HF_ENDPOINT is '{redact(found)}', plain http to another machine; use https")
    return found


def token() -> str | None:
    """The token of this user: HF_TOKEN, or what ``hf auth login`` keeps; None for none."""
    from huggingface_hub import get_token

    return get_token()


def client() -> Any:
    """The client library's interface to the server.

    Raises:
        InputError: if this run is offline.
    """
    if offline():
        raise InputError(f"this run is offline ({' or '.join(OFFLINE)} is set), and the Hub was not asked")
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # they are not ours, and no terminal is asked for
    return HfApi(endpoint=endpoint(), token=token() or False)


@contextmanager
def in_our_words(what: str) -> Iterator[None]:
    """Errors of the client library as one line, without tokens.

    Raises:
        InputError: for each of them.
    """
    from huggingface_hub import errors

    try:
        yield
    except InputError:
        raise
    except errors.GatedRepoError:
        raise InputError(f"{what} is gated: ask for access on its page, then give a token (HF_TOKEN)") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{what} is not there, or is private and the token (HF_TOKEN) may not read it") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{what} has no such revision") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        said: dict[Any, str] = {
            401: "does not know the token (HF_TOKEN)",
            403: "does not allow it with this token (HF_TOKEN)",
        }
        raise InputError(f"{what}: the server {said.get(status, f'answers {status}')}") from None
    except (errors.HFValidationError, ValueError) as error:
        raise InputError(f"{what}: {without_token(str(error))}") from None
    except Exception as error:  # which library carries the bytes differs by the client's version
        if type(error).__module__.partition(".")[0] not in TRANSPORTS and not isinstance(error, ConnectionError):
            raise
        late = f"did not answer within {SILENT:g} s" if "Timeout" in type(error).__name__ else "cannot be reached"
        raise InputError(f"{what}: '{redact(endpoint())}' {late} ({type(error).__name__}); try later") from None


def without_token(text: str) -> str:
    """A message as one short line, the token hidden."""
    secret = os.environ.get("HF_TOKEN")
    return " ".join((text.replace(secret, "***") if secret else text).split())[:200]


def look_up(name: str, revision: str = "") -> Repository:
    """A repository and its files.

    Raises:
        InputError: if it is not there, or the server cannot be reached.
    """
    api = client()
    with in_our_words(f"'hf:{name}{'@' if revision else ''}{revision}'"):
        found = api.model_info(name, revision=revision or None, files_metadata=True, timeout=SILENT)
    files = []
    for each in found.siblings or ():
        large = each.lfs
        files.append(HubFile(each.rfilename, each.size, getattr(large, "sha256", "") or "" if large else ""))
    return Repository(name, found.sha or revision or "main", tuple(files))


def choose(reference: Reference, found: Repository) -> HubFile:
    """The detector of a repository that is meant.

    Raises:
        InputError: if there is none, or several and none is named.
    """
    if reference.file:
        file = found.file(reference.file)
        if file is None or not reference.file.endswith(".onnx"):
            names = ", ".join(each.path for each in found.detectors) or "none"
            raise InputError(f"'{reference.shown}': no such .onnx file; in the repository: {names}")
        return file
    if len(found.detectors) == 1:
        return found.detectors[0]
    if not found.detectors:
        raise InputError(f"'{reference.shown}' holds no .onnx file; 'oddroad models push' writes such repositories")
    names = [each.path for each in found.detectors]
    raise InputError(
        f"'{reference.shown}' holds {len(names)} detectors; name one: hf:{found.name}/{names[0]} and so on"
    )


def pull(found: Repository, file: HubFile, target: Path, limits: Limits) -> Fetched:
    """Fetch one file of a repository, its size and hash as the server states them.

    Raises:
        InputError: if it cannot be fetched, or is not what the server states.
    """
    from huggingface_hub import hf_hub_url

    if file.bytes is not None and file.bytes > limits.bytes:
        raise InputError(
            f"'hf:{found.name}/{file.path}' is larger than {limits.bytes / 1e6:g} MB ({file.bytes / 1e6:.1f} MB); pass "
            "a larger --max-size"
        )
    address = hf_hub_url(found.name, file.path, revision=found.revision, endpoint=endpoint())
    check_address(address, pinned=False)
    secret = token()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    fetched = download(address, target, limits, headers, file.bytes)
    if (file.bytes is not None and fetched.bytes != file.bytes) or (file.sha256 and fetched.sha256 != file.sha256):
        raise InputError(
            f"'hf:{found.name}/{file.path}' is not what its repository states ({counted(fetched.bytes, 'byte')}, "
            f"sha256:{fetched.sha256[:12]}); it is not used"
        )
    return fetched


def push(name: str, files: dict[str, Path | bytes], message: str, private: bool) -> str:
    """Put files into a repository in one commit; it is made where it is not there yet.

    Args:
        name: ``org/name``.
        files: path in the repository -> a file, or its content.
        message: of the commit.
        private: whether a new repository is seen by its owners alone.

    Returns:
        the commit.

    Raises:
        InputError: if there is no token, or the server refuses.
    """
    api = client()
    if token() is None:
        raise InputError("pushing needs a token that may write: set HF_TOKEN, or run 'hf auth login'")
    from huggingface_hub import CommitOperationAdd

    with in_our_words(f"'hf:{name}'"):
        api.create_repo(name, private=private, exist_ok=True, repo_type="model")
        operations = [
            CommitOperationAdd(path, each if isinstance(each, bytes) else str(each)) for path, each in files.items()
        ]
        return str(api.create_commit(name, operations, commit_message=message).oid)
