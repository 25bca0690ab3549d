"""What the server counts, in the text that Prometheus reads."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("centerx_requests", "answers of /predict", ["status"], registry=self.registry)
        self.seconds = Histogram(
            "centerx_request_seconds", "from a request to its answer", buckets=SECONDS, registry=self.registry
        )
        self.batch = Histogram("centerx_batch_size", "pictures a call", buckets=BATCHES, registry=self.registry)
        self.waiting = Gauge("centerx_queue_length", "pictures that wait for a batch", registry=self.registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Ask `waiting` for the length of the queue whenever the metrics are read."""
        self.waiting.set_function(waiting)

    def count(self, status: int, seconds: float) -> None:
        """Note an answer."""
        self.requests.labels(status).inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)


class Measure:
    """The application around another that counts and times the answers of one path, whoever gives them.

    Args:
        app: the one inside. metrics: where it is counted. path: of the requests that count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, path: str) -> None:
        self.app, self.metrics, self.path = app, metrics, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
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
        except Exception:  # it becomes an answer further out
            self.metrics.count(500, time.perf_counter() - started)
            raise
