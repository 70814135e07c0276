"""What the server counts, for Prometheus."""

from __future__ import annotations

from typing import Any

from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Reply


class Figures:
    """Counters of one server, in a registry of its own.

    Args:
        desk: whose views are counted when somebody asks.
    """

    def __init__(self, desk: Desk):
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: Any = CollectorRegistry()
        self.requests = Counter(
            "oddroad_requests_total", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "oddroad_request_seconds", "Seconds from a request to its answer", ["route"], registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )  # fmt: skip
        views = desk.views
        gauges = (
            ("oddroad_views", "Sources that are open", lambda: len(views.views)),
            ("oddroad_frames_kept", "Frames of open sources", lambda: sum(v.done for v in list(views.views.values()))),
            ("oddroad_kept_bytes", "Bytes of frames and maps on disk", views.size),
        )
        for name, words, value in gauges:
            Gauge(name, words, registry=self.registry).set_function(value)
        self.waiting = Gauge(
            "oddroad_waiting", "Requests that wait for a detector, or are with it", registry=self.registry
        )

    def page(self, desk: Desk, call: Call) -> Reply:
        """The counts as text."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Reply(generate_latest(self.registry), CONTENT_TYPE_LATEST)
