"""Sources and findings at addresses, on a real S3 server (moto's)."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("moto")
pytest.importorskip("s3fs")

from mining.fleet import fleet, settings
from mining.test_run import FRAMES, HerePool, counted, mined

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.mining.driver import only_run
from oddroad.mining.manifest import Manifest, check, read_findings, read_segments
from oddroad.mining.places import filesystem
from oddroad.mining.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a server of its own, with an archive in it."""
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "one",
            "AWS_SECRET_ACCESS_KEY": "two",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        system, _ = filesystem("s3://fleet")
        system.mkdir("fleet")
        yield "s3://fleet"
        server.stop()


@pytest.fixture(scope="module")
def drives(bucket, tmp_path_factory):
    """The archive's address, and its frames."""
    folder = tmp_path_factory.mktemp("s3") / "drives"
    frames = fleet(folder, FRAMES)
    system, _ = filesystem(bucket)
    system.put(str(folder), "fleet/", recursive=True)
    return f"{bucket}/drives", frames


def test_an_archive_at_an_address_is_mined_to_an_address(drives, bucket, red):
    address, frames = drives
    out = f"{bucket}/out"
    progress = mined(red, address, out)
    assert progress.failed == 0
    store = Store(out)
    assert counted(out) == Counter(frames)
    assert check(store, Manifest.read(store), thorough=True) == []
    assert read_findings(out).num_rows == progress.findings
    assert mined(red, address, out).done == 0
    names = {row["log"] for row in read_segments(out).to_pylist()}
    assert names == {"drive.mp4", "drive.mcap", "bag", "camera"}


def test_only_what_a_segment_needs_is_fetched(drives, red, tmp_path, monkeypatch):
    from oddroad.mining import mcap_blocks
    from oddroad.mining.plan import plan_log
    from oddroad.mining.sources import find_logs
    from oddroad.mining.worker import mine_segment

    address, _ = drives
    (source,) = find_logs([f"{address}/drive.mcap"], pytest.fail)
    segment = plan_log(source, ("/left",), 1.0, "copies").segments[1]
    fetched = []
    original = mcap_blocks.records_in

    def noted(opened, block):
        fetched.append(block.length)
        return original(opened, block)

    monkeypatch.setattr(mcap_blocks, "records_in", noted)
    mine_segment(segment.to_json(), settings(red), str(tmp_path / "out"))
    whole = filesystem(address)[0].info(f"{address}/drive.mcap")["size"]
    assert sum(fetched) < 0.6 * whole


def test_of_many_writers_one_is_first(bucket):
    store = Store(f"{bucket}/once")
    won = []
    threads = [
        threading.Thread(target=lambda each=each: won.append(store.create("a", b"%d" % each))) for each in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(won) == [False] * 7 + [True]
    assert store.read("b") is None
    assert [name for name, _ in store.names("")] == ["a"]


def test_a_second_run_at_the_same_address_is_refused(bucket):
    store = Store(f"{bucket}/locked")
    with only_run(store), pytest.raises(InputError, match="a run is at work on"), only_run(store):
        pass
    with only_run(store):
        pass


def test_addresses_that_cannot_be_used_are_one_line_each(drives, bucket, red, tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "out"), "--model", str(red), "--workers", "1"]
    assert main(["mine", "s3://nobody/drives", "odd://x", *arguments]) == 2
    assert "there is nothing to mine" in capsys.readouterr().err
    system, _ = filesystem(bucket)
    system.pipe_file("fleet/list.csv", f"source\n{drives[0]}/camera\ns3://nobody/drives\n".encode())
    assert main(["mine", f"{bucket}/list.csv", *arguments, "--seconds", "4"]) == 3
    said = capsys.readouterr().err
    assert "s3://nobody/drives (line 3): FAILED: " in said
    assert json.loads(Path(tmp_path, "out", "status.json").read_text())["failed"] == 1
    assert HerePool(settings(red), "").capacity == 1
