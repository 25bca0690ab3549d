"""Connections that cost little: heads that arrive soon, a bounded number at once, and an end that waits for nobody."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # from a connection, or the first byte of a further request, to the end of its head
GRACE_SECONDS = 2.0  # for a body to arrive once the server ends
BACKLOG = 128  # connections that are accepted before any of them is looked at
RESERVE = 64  # files for everything else
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
logger = logging.getLogger(__name__)


def most_connections(requests: int) -> int:
    """Return how many connections to keep at once: some for each request, as far as there are files for them.

    The soft limit of open files is raised as far as this process may.

    Args:
        requests: the most under way at once.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * requests + BACKLOG + RESERVE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return 4 * requests if soft == resource.RLIM_INFINITY else max(1, min(4 * requests, soft - BACKLOG - RESERVE))


class Connection(H11Protocol):
    """A connection that is closed when it sends no head, or when there are too many.

    Attributes:
        most: the most connections at once.
    """

    most = 1024
    _timer: asyncio.TimerHandle | None = None

    @classmethod
    def limited(cls, most: int) -> type[Connection]:
        """Return the class of connections of which there may be so many at once."""
        return type("Connection", (cls,), {"most": most})

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that has begun must end in time."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection, after its answer; a body that still arrives has GRACE_SECONDS."""
        super().shutdown()
        if self.cycle is not None and self.cycle.more_body:
            self.loop.call_later(GRACE_SECONDS, self._cut_body)

    def _cut_body(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.transport.is_closing():
            self.transport.abort()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LoopErrors:
    """What the event loop does with errors: out of files is told once a minute, and not for each connection."""

    def __init__(self) -> None:
        self._told = -60.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error of the loop, see `asyncio.loop.call_exception_handler`."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in OUT_OF_FILES):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told >= 60:
            self._told = time.monotonic()
            logger.warning(f"no connection is accepted for now: {error.strerror}")
