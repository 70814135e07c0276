"""Detectors by address: what is fetched, what is refused, and what is never kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hub_server import serving

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model, find_model
from oddroad.models import store as store_module
from oddroad.models import web_source
from oddroad.models.reference import Reference

DEFAULT = find_model("default").read_bytes()
DIGEST = hashlib.sha256(DEFAULT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Files by path, and ways to misbehave."""

    files: dict[str, bytes]
    moved: dict[str, str]
    seen: list[tuple[str, str]]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        path = self.path.partition("?")[0]
        self.close_connection = True
        if path in self.moved:
            self.send_response(302)
            self.send_header("Location", self.moved[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path.startswith("/locked/") and not self.headers.get("Authorization"):
            self.send_error(401)
            return
        data = self.files.get(path.rpartition("/")[2])
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        if not path.startswith("/unstated/"):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if path.startswith("/cut/"):
            self.wfile.write(data[: len(data) // 2])
        elif path.startswith("/slow/"):
            for at in range(0, 200):
                self.wfile.write(data[at : at + 1])
                self.wfile.flush()
                time.sleep(0.02)
        else:
            self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Any]:
    """The class of the handler, with ``address``."""
    files = {"lite.onnx": DEFAULT, "text.onnx": b"<html>no model</html>", "empty.onnx": b""}
    bound = type("Bound", (Server,), {"files": files, "moved": {}, "seen": []})
    with serving(bound) as address:
        bound.address = address  # type: ignore[attr-defined]
        yield bound


def kept(store: Path) -> list[Path]:
    """Every file in the store."""
    return [each for each in store.rglob("*") if each.is_file()]


class TestReferences:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("default@sha256:abc", "12 to 64 digits"),
            ("default@sha256:" + "x" * 64, "12 to 64 digits"),
            ("default@sha256:" + "0" * 65, "12 to 64 digits"),
            ("hf:name", "expected hf:ORG/NAME"),
            ("hf:org/../x", "expected hf:ORG/NAME"),
            ("hf:org/name/../../x.onnx", "expected hf:ORG/NAME"),
            ("ftp://host/a.onnx", "is read by 'ftp'; expected http or https"),
            ("file:///etc/passwd", "is read by 'file'; expected http or https"),
            ("https://", "is no address that can be read"),
            ("http://host:port/a.onnx", "is no address that can be read"),
        ],
    )
    def test_what_is_none(self, given: str, said: str) -> None:
        with pytest.raises(InputError, match="model") as caught:
            find_model(given)
        assert said in str(caught.value)

    def test_names_of_files_are_fit_for_a_disk(self) -> None:
        names = {
            "https://h/a/../../x.onnx": "x.onnx", "https://h/.onnx": "model.onnx", "https://h/": "model.onnx",
            "https://h/..%2F..%2Fetc%2Fx.onnx": "x.onnx", "https://h/a%00b.onnx": "a_b.onnx",
            "https://h/x.exe": "model.onnx",
        }  # fmt: skip
        assert {each: Reference.parse(each).file_name for each in names} == names

    def test_pins_of_embedded_ones_and_of_paths(self, tmp_path: Path) -> None:
        own = Path(shutil.copy2(find_model("default"), tmp_path / "own.onnx"))
        assert find_model(f"default@sha256:{DIGEST}") == find_model("default")
        assert find_model(f"{own}@sha256:{DIGEST[:12]}") == own
        assert Model(f"{own}@sha256:{DIGEST.upper()}").path == own
        shutil.copy2(find_model("accurate"), own)
        with pytest.raises(InputError, match=f"is pinned to sha256:{DIGEST}; it was changed, and is not used"):
            find_model(f"{own}@sha256:{DIGEST}")
        with pytest.raises(InputError, match="it was changed"):
            find_model(f"accurate@sha256:{DIGEST}")


class TestFetch:
    def test_once_and_then_from_the_store(self, server: Any, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = find_model(f"{server.address}/lite.onnx")
        assert path.read_bytes() == DEFAULT
        assert path.name == "lite.onnx"
        assert (
            path
            == find_model(f"{server.address}/lite.onnx")
            == find_model(f"{server.address}/lite.onnx@sha256:{DIGEST}")
        )
        assert len(server.seen) == 1
        monkeypatch.setenv("ODDROAD_OFFLINE", "1")
        assert find_model(f"{server.address}/lite.onnx") == path
        with pytest.raises(InputError, match="was not fetched before, and this run is offline"):
            find_model(f"{server.address}/other.onnx")
        assert not list((store / "partial").iterdir())

    def test_a_changed_file_is_refused_when_pinned(
        self, server: Any, store: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.files["lite.onnx"] = find_model("accurate").read_bytes()
        assert main(["info", f"{server.address}/lite.onnx@sha256:{DIGEST}"]) == 2
        err = capsys.readouterr().err
        assert "it was changed, and is not used" in err
        assert err.count("\n") == 1
        assert not kept(store)

    def test_passwords_are_sent_and_hidden(self, server: Any, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        given = server.address.replace("http://", "http://me:geheim@")
        assert main(["models", "fetch", f"{given}/locked/lite.onnx"]) == 0
        assert server.seen[-1][1].startswith("Basic ")
        assert main(["models", "fetch", f"{given}/locked/none.onnx?token=geheim"]) == 2
        assert main(["models"]) == 0
        shown = capsys.readouterr()
        assert "geheim" not in shown.out + shown.err
        assert not any("geheim" in each.read_text() for each in store.rglob("*.json"))
        assert find_model(f"{server.address}/locked/lite.onnx")  # whoever asks, it is the same file
        assert main(["models", "fetch", f"{server.address}/locked/lite.onnx"]) == 2
        assert "give a user and password in the address" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("/cut/lite.onnx", "broke off after"),
            ("/none.onnx", "has no such file"),
            ("/text.onnx", "it is damaged or no ONNX file"),
            ("/empty.onnx", "sent an empty file"),
            ("/loop", "leads on more than 5 times"),
            ("/file", "neither http nor https; it is not followed"),
            ("/ftp", "neither http nor https; it is not followed"),
        ],
    )
    def test_what_is_no_model_is_never_kept(
        self, server: Any, store: Path, path: str, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.moved = {"/loop": "/loop", "/file": "file:///etc/hostname", "/ftp": "ftp://127.0.0.1/a.onnx"}
        assert main(["models", "fetch", f"{server.address}{path}"]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
        assert not kept(store)

    def test_limits_of_size_and_time(
        self, server: Any, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for path in ("/lite.onnx", "/unstated/lite.onnx"):
            assert main(["models", "fetch", f"{server.address}{path}", "--max-size", "0.1"]) == 2
            assert "is larger than 0.1 MB" in capsys.readouterr().err
        began = time.monotonic()
        assert main(["models", "fetch", f"{server.address}/slow/lite.onnx", "--timeout", "0.3"]) == 2
        assert "took more than 0.3 s" in capsys.readouterr().err
        monkeypatch.setattr(web_source, "SILENT", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            assert main(["models", "fetch", f"http://127.0.0.1:{silent.getsockname()[1]}/a.onnx"]) == 2
        assert "did not answer within 0.2 s" in capsys.readouterr().err
        assert time.monotonic() - began < 10
        assert main(["models", "fetch", "http://127.0.0.1:9/a.onnx"]) == 2
        assert "cannot be reached" in capsys.readouterr().err
        assert not kept(store)

    def test_plain_http_is_for_this_machine_and_for_pinned_files(self) -> None:
        with pytest.raises(InputError, match="is plain http, so that anyone on the way can change the file"):
            find_model("http://models.example.org/a.onnx")
        web_source.check_address("http://models.example.org/a.onnx", pinned=True)
        for host in ("localhost", "127.0.0.1", "[::1]", "a.localhost"):
            web_source.check_address(f"http://{host}:80/a.onnx", pinned=False)

    def test_redirections_stay_outside_and_lose_the_password(
        self, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with serving(type("Other", (Server,), {"files": server.files, "moved": {}, "seen": server.seen})) as other:
            server.moved = {"/moved.onnx": f"{other}/lite.onnx", "/same.onnx": "/lite.onnx"}
            given = server.address.replace("http://", "http://me:geheim@")
            assert find_model(f"{given}/moved.onnx")
            assert [bool(each) for _, each in server.seen] == [True, False]
            assert find_model(f"{given}/same.onnx")
            assert [bool(each) for _, each in server.seen[2:]] == [True, True]
            # as if the first server were outside of this network
            inside = web_source.is_inside
            port = other.rpartition(":")[2]
            calls: list[str] = []
            monkeypatch.setattr(web_source, "is_inside", lambda host: calls.append(host) or len(calls) == 1)
            server.moved = {"/again.onnx": f"http://localhost:{port}/lite.onnx"}
            assert main(["models", "fetch", f"{server.address}/again.onnx"]) == 2
            assert "from outside into this network; it is not followed" in capsys.readouterr().err
            assert [inside(each) for each in ("localhost", "10.0.0.1", "169.254.169.254", "8.8.8.8")] == [
                True,
                True,
                True,
                False,
            ]

    def test_a_store_that_was_changed_or_cannot_be_written(
        self, server: Any, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = find_model(f"{server.address}/lite.onnx")
        path.write_bytes(DEFAULT[:-1] + b"x")
        with pytest.raises(InputError, match="was changed since it was fetched; remove it"):
            find_model(f"{server.address}/lite.onnx")
        assert main(["models", "fetch", f"{server.address}/lite.onnx"]) == 0
        assert find_model(f"{server.address}/lite.onnx").read_bytes() == DEFAULT
        for each in (store / "names").iterdir():
            each.write_text("{")
        assert find_model(f"{server.address}/lite.onnx").read_bytes() == DEFAULT  # fetched again
        (store.parent / "file").write_text("")
        monkeypatch.setenv("ODDROAD_CACHE", str(store.parent / "file"))
        capsys.readouterr()
        assert main(["models", "fetch", f"{server.address}/lite.onnx"]) == 2
        assert "cannot write to the store of detectors" in capsys.readouterr().err

    def test_the_remains_of_a_killed_fetch_are_no_model_and_go(self, server: Any, store: Path) -> None:
        old, young = store / "partial" / "old", store / "partial" / "young"
        for each in (old, young):
            each.mkdir(parents=True)
            (each / "model.onnx").write_bytes(DEFAULT[:1000])
        os.utime(old, (1, 1))
        assert not store_module.records()
        find_model(f"{server.address}/lite.onnx")
        assert not old.exists()
        assert young.exists()

    def test_names(self, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("default", "a/b", ".x"):
            assert main(["models", "fetch", f"{server.address}/lite.onnx", "--name", name]) == 2
        assert main(["models", "fetch", "default"]) == 2
        assert "is on this machine already" in capsys.readouterr().err
        assert main(["models", "fetch", f"{server.address}/lite.onnx", "--name", "mine"]) == 0
        assert main(["models", "fetch", f"{server.address}/lite.onnx"]) == 0  # keeps its name
        assert capsys.readouterr().out.splitlines()[-1] == f"mine@sha256:{DIGEST}"
        assert find_model("mine").read_bytes() == find_model(f"mine@sha256:{DIGEST}").read_bytes() == DEFAULT
        with pytest.raises(InputError, match="is pinned to"):
            find_model("mine@sha256:" + 12 * "0")


class TestLists:
    def test_what_is_here(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["models", "--json"]) == 0
        rows = {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}
        assert set(rows) == {"default", "default-fp32", "accurate"}
        assert rows["default"]["sha256"] == DIGEST
        assert rows["default"]["bytes"] == len(DEFAULT)
        assert [each["speed"] for each in rows.values()] == ["real time", "slow", "slow"]
        assert all(each["terms"].startswith("research and non-commercial use") for each in rows.values())

    def test_a_folder_and_the_same_on_a_server(
        self, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "lite.onnx").write_bytes(DEFAULT)
        (folder / "text.onnx").write_bytes(b"no model")
        assert main(["models", str(folder)]) == 0
        out = capsys.readouterr().out
        assert f"    {folder / 'lite.onnx'}@sha256:{DIGEST}" in out.splitlines()
        assert "it is damaged or no ONNX file" in out
        (folder / "text.onnx").unlink()
        assert main(["models", str(folder), "--json", str(folder / "models.json")]) == 0
        server.files["models.json"] = (folder / "models.json").read_bytes()
        assert main(["models", server.address]) == 0
        pinned = capsys.readouterr().out.splitlines()[-1].strip()
        assert pinned == f"{server.address}/lite.onnx@sha256:{DIGEST}"
        assert find_model(pinned).read_bytes() == DEFAULT
        for broken in (b"{", b"[]", b'{"models": 3}', b'{"models": [{"file": "file:///etc/x"}]}'):
            server.files["models.json"] = broken
            assert main(["models", server.address]) == 2
            assert "is no list of detectors" in capsys.readouterr().err

    def test_what_is_no_source(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["models", str(tmp_path)]) == 2
        assert "no .onnx file in" in capsys.readouterr().err
        assert main(["models", "nothing"]) == 2
        assert "is no folder, no address and no hf:ORG/NAME" in capsys.readouterr().err
