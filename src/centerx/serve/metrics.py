"""Metrics of the server for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Metrics of one server, with their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("centerx_requests", "answers of /predict", ["status"], registry=self.registry)
        self.seconds = Histogram(
            "centerx_request_seconds", "from a request to its answer", buckets=SECONDS, registry=self.registry
        )
        self.batch = Histogram("centerx_batch_size", "pictures a call", buckets=BATCHES, registry=self.registry)
        self.waiting = Gauge("centerx_queue_length", "pictures that wait for a batch", registry=self.registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Set the function that returns the length of the queue when metrics are read."""
        self.waiting.set_function(waiting)

    def count(self, status: int, seconds: float) -> None:
        """Record a response with its status and its time in seconds."""
        self.requests.labels(status).inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class Measure:
    """ASGI middleware that counts and times the responses of one path.

    Args:
        app: the application.
        metrics: where responses are recorded.
        path: path of the requests that count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, path: str) -> None:
        self.app, self.metrics, self.path = app, metrics, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.count(message["status"], time.perf_counter() - started)
            await send(message)

        started = time.perf_counter()
        try:
            await self.app(scope, receive, noted)
        except Exception:  # outer middleware turns it into a response
            self.metrics.count(500, time.perf_counter() - started)
            raise
