"""Workers on a Ray cluster: each segment is one task, given out a few at a time, so that nothing piles up anywhere.

Ray repeats tasks whose node has died, without a word and by default for ever; and it may run one twice. Both are
harmless here, as a segment is written once, and neither is left to Ray: it retries nothing, and the driver counts.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from typing import Any

from oddroad.errors import InputError
from oddroad.mining.places import reason_of
from oddroad.mining.pool import STALLED, Outcome, attempt
from oddroad.mining.worker import Settings

AHEAD = 2
"""Tasks that wait in the cluster for each of its cores: a worker that is done begins the next at once."""

REFRESH = 10.0
"""Seconds after which the cluster is asked again how many cores it has: nodes come and go."""


def run_here(key: str, values: Mapping[str, Any], settings: Settings, place: str) -> Outcome:
    """What a task does, in a process of the cluster that goes on with the next one and keeps the detector."""
    return attempt(key, values, settings, place, lambda frames: None)


def answers(address: str) -> None:
    """See whether anything answers at an address with a port: Ray itself waits for minutes.

    Raises:
        OSError: if nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class RayPool:
    """Tasks on a Ray cluster. All its machines must reach the sources, the store and the model at the same addresses.

    Args:
        settings: for the work.
        place: of the store.
        address: of the cluster; "auto" for the one this machine belongs to, "local" for a new one here.

    Raises:
        InputError: if there is no cluster.
    """

    def __init__(self, settings: Settings, place: str, address: str):
        import ray

        self.ray, self.settings, self.place = ray, settings, place
        self.started = not ray.is_initialized()
        if self.started:
            try:
                answers(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:  # it has errors of its own for each way not to be there
                raise InputError(
                    f"there is no Ray cluster at '{address}' ({reason_of(error)}); start one with 'ray start --head', "
                    "or leave --ray out to use this machine"
                ) from None
        self.task = ray.remote(num_cpus=settings.threads, max_retries=0, retry_exceptions=False)(run_here)
        self.shared = ray.put(settings)
        self.running: dict[Any, tuple[str, float]] = {}
        self.asked, self.cores = 0.0, 1

    @property
    def capacity(self) -> int:
        """Tasks at a time."""
        if time.monotonic() - self.asked > REFRESH:
            self.asked = time.monotonic()
            self.cores = max(int(self.ray.cluster_resources().get("CPU", 1)) // self.settings.threads, 1)
        return AHEAD * self.cores

    def submit(self, key: str, values: Mapping[str, Any]) -> None:
        """See ``Pool``."""
        found = self.task.remote(key, dict(values), self.shared, self.place)
        self.running[found] = key, time.monotonic()

    def wait(self, seconds: float) -> list[Outcome]:
        """See ``Pool``."""
        ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        if ready:
            more, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
            ready = list(dict.fromkeys([*ready, *more]))
        found = []
        for each in ready:
            key, _ = self.running.pop(each)
            try:
                found.append(self.ray.get(each))
            except self.ray.exceptions.RayError as error:
                name = type(error).__name__
                found.append(Outcome(key, None, f"its worker or node is gone ({name})", "died"))
        for each, (key, since) in list(self.running.items()):
            if time.monotonic() - since > 4 * STALLED:
                self.ray.cancel(each, force=True)
                self.running[each] = key, time.monotonic()
        return found

    def close(self) -> None:
        """See ``Pool``."""
        for each in self.running:
            with contextlib.suppress(Exception):
                self.ray.cancel(each, force=True)
        self.running.clear()
        if self.started:
            self.ray.shutdown()
