"""The same segments on a real Ray cluster of several nodes, one of which dies."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

import pytest
from mining.fleet import fleet, settings
from mining.test_run import FRAMES, complete

from oddroad.errors import InputError
from oddroad.mining.archive import Plan
from oddroad.mining.driver import Run
from oddroad.mining.store import Store

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes with two cores each, on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    here = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here / "src"), str(here / "tests")]))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 80_000_000})
        found.add_node(num_cpus=2, object_store_memory=80_000_000)
        found.wait_for_nodes()
        yield found
        ray.shutdown()
        found.shutdown()


def test_a_node_that_dies_loses_nothing_and_doubles_nothing(red, cluster, tmp_path):
    from oddroad.mining.ray_pool import RayPool

    folder = tmp_path / "drives"
    frames = fleet(folder, FRAMES)
    out, made = tmp_path / "out", settings(red)
    victim = cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
    cluster.wait_for_nodes()
    told: list[str] = []

    def kill_once(progress):
        if progress.done and not told:
            told.append("killed")
            cluster.remove_node(victim, allow_graceful=False)

    store = Store(str(out))
    with contextlib.closing(Plan(store, [str(folder)], (), 1.0, made.copies)) as plan:
        pool = RayPool(made, str(out), cluster.address)
        assert pool.capacity == 12
        progress = Run(store, plan, made, pool, 4, kill_once, told.append).work()
    assert told[0] == "killed"
    assert progress.failed == 0, told
    complete(out, frames)


def test_no_cluster_is_one_line(red, tmp_path):
    from oddroad.mining.ray_pool import RayPool

    with pytest.raises(InputError, match=r"there is no Ray cluster at '127\.0\.0\.1:1'"):
        RayPool(settings(red), str(tmp_path), "127.0.0.1:1")
