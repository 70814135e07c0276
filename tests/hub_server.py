"""A local server that speaks the Hugging Face Hub's protocol, as far as a client that pulls and pushes models asks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_geheimesTokenOfTheTest123"


@dataclass
class Repo:
    """A repository: files of each commit, the newest last."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A commit by its hash, or the newest for main."""
        if revision == "main" and self.commits:
            return self.commits[-1]
        return next((each for each in self.commits if each[0] == revision), None)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add files; the commit's hash."""
        every = {**(self.commits[-1][1] if self.commits else {}), **files}
        oid = hashlib.sha1(repr((len(self.commits), sorted(every))).encode()).hexdigest()
        self.commits.append((oid, every))
        return oid


def as_it_is(path: str, value: Any) -> Any:
    """What is true."""
    return value


@dataclass
class Hub:
    """The state of the server.

    Attributes:
        repos: ``org/name`` -> repository.
        large: uploaded large files by SHA-256.
        asked: every request, method and path.
        stated: changes what is stated about a file, (path, facts) -> facts.
    """

    address: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    stated: Callable[[str, dict[str, Any]], dict[str, Any]] = as_it_is
    content: Callable[[str, bytes], bytes] = as_it_is


def is_large(path: str) -> bool:
    """Files that the Hub keeps beside git."""
    return path.endswith((".onnx", ".safetensors"))


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say(self, value: Any, status: int = 200, **headers: str) -> None:
        """Send JSON."""
        self.answer(status, json.dumps(value).encode(), **headers)

    def body(self) -> bytes:
        """What was sent."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    @property
    def known(self) -> bool:
        """Whether the request has the token."""
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repo(self, name: str) -> Repo | None:
        """A repository that this client may see; else an error is sent."""
        found = self.hub.repos.get(name)
        if found is None or (found.private and not self.known):
            self.say({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
            return None
        return found

    def do_GET(self) -> None:
        """Facts about a repository, and files."""
        self.hub.asked.append(f"{self.command} {self.path}")
        self.hub.given.append(self.headers.get("Authorization", ""))
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            return self.facts(found[1], found[2] or "main")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.file(*found.groups())
        if found := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            return self.answer(200, self.hub.large[found[1]], "application/octet-stream")
        self.say({"error": "not found"}, 404)

    do_HEAD = do_GET

    def facts(self, name: str, revision: str) -> None:
        """What a repository holds."""
        repo = self.repo(name)
        if repo is None:
            return
        commit = repo.at(revision)
        if commit is None:
            return self.say({"error": "no revision"}, 404, X_Error_Code="RevisionNotFound")
        siblings = []
        for path, data in commit[1].items():
            facts: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if is_large(path):
                facts["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(self.hub.stated(path, facts))
        self.say({"id": name, "modelId": name, "sha": commit[0], "private": repo.private, "siblings": siblings})

    def file(self, name: str, revision: str, path: str) -> None:
        """A file, large ones by way of another address."""
        repo = self.repo(name)
        if repo is None:
            return
        commit = repo.at(revision)
        if commit is None or path not in commit[1]:
            return self.say({"error": "no entry"}, 404, X_Error_Code="EntryNotFound")
        data = commit[1][path]
        digest = hashlib.sha256(data).hexdigest()
        facts = {"X_Repo_Commit": commit[0], "ETag": f'"{digest}"', "X_Linked_Etag": f'"{digest}"'}
        if is_large(path):
            self.hub.large[digest] = self.hub.content(path, data)
            place = f"{self.hub.address}/cdn/{digest}"
            return self.answer(302, X_Linked_Size=str(len(data)), Location=place, **facts)
        self.answer(200, data, "text/plain", X_Linked_Size=str(len(data)), **facts)

    def do_POST(self) -> None:
        """Repositories made, commits begun and ended."""
        self.hub.asked.append(f"POST {self.path}")
        path, body = self.path.partition("?")[0], self.body()
        if not self.known and not path.startswith("/verify"):
            return self.say({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
            if name in self.hub.repos:
                return self.say({"error": "You already created this model repo", "url": self.hub.address}, 409)
            self.hub.repos[name] = Repo(given.get("visibility") == "private" or bool(given.get("private")))
            return self.say({"url": f"{self.hub.address}/{name}", "name": name, "id": name})
        if path == "/api/validate-yaml":
            return self.say({"warnings": [], "errors": []})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if is_large(each["path"]) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.say({"files": files})
        if found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = [
                {
                    **each,
                    "authenticated": True,
                    "actions": {"upload": {"href": f"{self.hub.address}/put/{each['oid']}"}},
                }
                for each in json.loads(body)["objects"]
            ]
            return self.say({"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            files: dict[str, bytes] = {}
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.hub.large[value["oid"]]
            oid = self.hub.repos[found[1]].commit(files)
            return self.say(
                {"commitOid": oid, "commitUrl": f"{self.hub.address}/{found[1]}/commit/{oid}", "success": True}
            )
        self.say({"error": "not found"}, 404)

    def do_PUT(self) -> None:
        """A large file."""
        self.hub.asked.append(f"PUT {self.path}")
        data = self.body()
        self.hub.large[hashlib.sha256(data).hexdigest()] = data
        self.answer(200)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # whoever stops reading is no fault of the server
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running server."""
    hub = Hub()
    with serving(type("Bound", (Handler,), {"hub": hub})) as address:
        hub.address = address
        yield hub
