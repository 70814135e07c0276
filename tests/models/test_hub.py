"""Repositories of the Hub, with its own client library against a local server that speaks its protocol."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hub_server import TOKEN, Hub, Repo

from oddroad.cli.main import main
from oddroad.inference.model import find_model

pytest.importorskip("huggingface_hub")
yaml = pytest.importorskip("yaml")

DEFAULT = find_model("default").read_bytes()
DIGEST = hashlib.sha256(DEFAULT).hexdigest()


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    shown = capsys.readouterr()
    return shown.out.splitlines(), shown.err


def put(hub: Hub, private: bool = False, **files: bytes) -> None:
    """A repository with the default detector."""
    repo = hub.repos.setdefault("org/lite", Repo(private))
    repo.commit({"lite.onnx": DEFAULT, "README.md": b"# a card", **files})


def safetensors(path: Path) -> Path:
    """The smallest checkpoint."""
    header = b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    return path


class TestPush:
    def test_detector_card_and_checkpoint_in_one_commit_and_back(
        self, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        checkpoint = safetensors(tmp_path / "model.ckpt")
        given = ["default", "hf:org/mine", "--checkpoint", str(checkpoint), "--private", "--licence", "cc-by-nc-4.0"]
        assert main(["models", "push", *given]) == 0
        out, _ = lines(capsys)
        assert out[-1] == f"hf:org/mine@sha256:{DIGEST}"
        repo = hub.repos["org/mine"]
        assert repo.private
        assert len(repo.commits) == 1
        files = repo.commits[0][1]
        assert set(files) == {"oddroad-default.onnx", "model.safetensors", "README.md"}
        assert files["oddroad-default.onnx"] == DEFAULT
        header = yaml.safe_load(files["README.md"].decode().split("---")[1])
        assert header["license"] == "cc-by-nc-4.0"
        assert header["pipeline_tag"] == "image-segmentation"
        assert DIGEST in files["README.md"].decode()
        assert "Terms: research and non-commercial use" in files["README.md"].decode()
        assert main(["models", "fetch", "hf:org/mine", "--out", str(tmp_path / "out"), "--name", "mine"]) == 0
        assert (tmp_path / "out" / "model.safetensors").read_bytes() == checkpoint.read_bytes()
        assert (tmp_path / "out" / "oddroad-default.onnx").read_bytes() == DEFAULT
        assert (tmp_path / "out" / "README.md").read_bytes() == files["README.md"]
        from huggingface_hub import hf_hub_download

        theirs = hf_hub_download(
            "org/mine", "README.md", endpoint=hub.address, token=TOKEN, local_dir=tmp_path / "theirs"
        )
        assert Path(theirs).read_bytes() == files["README.md"]

    def test_what_is_refused(self, hub: Hub, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
        broken = tmp_path / "cut.ckpt"
        broken.write_bytes(safetensors(tmp_path / "whole.ckpt").read_bytes()[:-1])
        cases = [
            (["default", "org/mine"], "is no repository; expected hf:ORG/NAME"),
            (["default", "hf:org/mine", "--checkpoint", str(broken)], "is no whole oddroad checkpoint"),
            (["default", "hf:org/mine", "--checkpoint", str(tmp_path / "none")], "cannot read the checkpoint"),
            (["default", "hf:org/mine", "--licence", "Free!"], "expected an identifier such as apache-2.0"),
        ]
        for given, said in cases:
            assert main(["models", "push", *given]) == 2
            assert said in lines(capsys)[1]
        assert not hub.repos
        monkeypatch.setenv("HF_TOKEN", "hf_wrongOne42")
        assert main(["models", "push", "default", "hf:org/mine"]) == 2
        err = lines(capsys)[1]
        assert "does not know the token" in err
        assert "hf_wrong" not in err
        monkeypatch.delenv("HF_TOKEN")
        assert main(["models", "push", "default", "hf:org/mine"]) == 2
        assert "needs a token that may write" in lines(capsys)[1]


class TestPull:
    def test_as_model_of_the_verbs_and_then_without_a_network(
        self, hub: Hub, monkeypatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(hub)
        assert main(["info", "hf:org/lite"]) == 0
        out, err = lines(capsys)
        assert out[0] == "oddroad-default"
        assert f"hf:org/lite@sha256:{DIGEST}" in err
        asked = len(hub.asked)
        assert main(["info", "hf:org/lite"]) == 0
        assert main(["info", f"hf:org/lite@sha256:{DIGEST}"]) == 0
        assert main(["info", f"hf:org/lite@sha256:{DIGEST[:12]}"]) == 0
        monkeypatch.setenv("ODDROAD_OFFLINE", "1")
        assert main(["check", "hf:org/lite"]) == 0
        assert len(hub.asked) == asked
        capsys.readouterr()
        for verb in ("info", "models"):
            assert main([verb, "hf:org/other"]) == 2
            err = lines(capsys)[1]
            assert "offline" in err
            assert err.count("\n") == 1

    def test_a_changed_file_is_refused_when_pinned_and_told_when_not(
        self, hub: Hub, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(hub)
        assert main(["models", "fetch", "hf:org/lite"]) == 0
        accurate = find_model("accurate").read_bytes()
        hub.repos["org/lite"].commit({"lite.onnx": accurate})
        capsys.readouterr()
        assert main(["models", "fetch", f"hf:org/lite@sha256:{DIGEST}"]) == 2
        assert "it was changed, and is not used" in lines(capsys)[1]
        assert find_model("hf:org/lite").read_bytes() == DEFAULT  # what was fetched stays
        assert main(["models", "fetch", "hf:org/lite"]) == 0
        out, _ = lines(capsys)
        assert out[0] == f"changed: was sha256:{DIGEST}"
        assert find_model("hf:org/lite").read_bytes() == accurate
        assert find_model(f"hf:org/lite@sha256:{DIGEST}").read_bytes() == DEFAULT  # still in the store

    def test_revisions_files_and_names(self, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
        put(hub)
        first = hub.repos["org/lite"].commits[0][0]
        hub.repos["org/lite"].commit({"accurate.onnx": find_model("accurate").read_bytes()})
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        assert "holds 2 detectors; name one: hf:org/lite/lite.onnx" in lines(capsys)[1]
        assert main(["models", "fetch", "hf:org/lite/accurate.onnx", "--name", "far"]) == 0
        assert main(["models", "fetch", f"hf:org/lite@{first}"]) == 0
        assert main(["info", "far"]) == 0
        assert "oddroad-accurate" in lines(capsys)[0]
        assert main(["models", "fetch", "hf:org/lite@nothing"]) == 2
        assert "has no such revision" in lines(capsys)[1]
        assert main(["models", "fetch", "hf:org/lite/none.onnx"]) == 2
        assert "no such .onnx file; in the repository: lite.onnx, accurate.onnx" in lines(capsys)[1]
        assert main(["models", "hf:org/lite"]) == 0
        assert f"    hf:org/lite/lite.onnx@sha256:{DIGEST}" in lines(capsys)[0]
        assert main(["models"]) == 0
        out, _ = lines(capsys)
        size = find_model("accurate").stat().st_size / 1e6
        assert any(line.startswith(f"far: fetched, {size:.1f} MB, int8") for line in out)

    def test_private_repositories_need_the_token_which_stays_hidden(
        self, hub: Hub, monkeypatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(hub, private=True)
        assert main(["models", "fetch", "hf:org/lite"]) == 0
        assert all(given in ("", f"Bearer {TOKEN}") for given in hub.given)
        monkeypatch.setenv("HF_TOKEN", "hf_stale1234567890")
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        err = lines(capsys)[1]
        assert "is not there, or is private" in err
        assert "stale" not in err

    @pytest.mark.parametrize("what", ["sha256", "size", "more"])
    def test_what_is_not_as_stated_never_becomes_a_model(
        self, hub: Hub, store: Path, what: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(hub)
        hub.content = lambda path, data: data + b"x" if what == "more" else data
        if what == "sha256":
            hub.stated = lambda path, facts: (
                facts | {"lfs": {"sha256": "0" * 64, "size": facts["size"], "pointerSize": 1}}
            )
        if what == "size":
            hub.stated = lambda path, facts: facts | {"size": facts["size"] + 1}
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        err = lines(capsys)[1]
        assert "not used" in err
        assert err.count("\n") == 1
        assert not [each for each in store.rglob("*") if each.is_file()]

    def test_sizes_are_bounded_before_the_first_byte(self, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
        put(hub)
        assert main(["models", "fetch", "hf:org/lite", "--max-size", "1"]) == 2
        assert "is larger than 1 MB (3.5 MB); pass a larger --max-size" in lines(capsys)[1]
        assert not any("resolve" in each for each in hub.asked)

    def test_servers_that_cannot_be_asked(self, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        err = lines(capsys)[1]
        assert re.search(r"cannot be reached \(\w+\); try later", err)
        assert err.count("\n") == 1
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        assert "plain http to another machine; use https" in lines(capsys)[1]
        monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
        assert main(["models", "fetch", "hf:org/lite"]) == 2
        assert "expected an address such as https://huggingface.co" in lines(capsys)[1]
