"""Connections that cost little: heads that arrive soon, answers that are fetched soon, a bounded number at once, and an
end that waits for nobody. What can be read in two ways is refused.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # from a connection, or the first byte of a further request, to the end of its head
SEND_SECONDS = 20.0  # for a client to take what waits to be sent
GRACE_SECONDS = 2.0  # for a body to arrive, or an answer to be taken, once the server ends
LARGEST_HEAD = 1 << 16  # bytes
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


class Requests(h11.Connection):
    """Reads requests, and refuses those that a proxy may understand otherwise, so that none is hidden in another.

    Those are of a version that is not 1.0 or 1.1, in chunks before there were any, or with a length beside the chunks.
    """

    def next_event(self) -> Any:
        """Return the next event, see `h11.Connection.next_event`."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            chunked = b"transfer-encoding" in names
            if (
                event.http_version not in (b"1.0", b"1.1")
                or (chunked and event.http_version == b"1.0")
                or (chunked and b"content-length" in names)
            ):
                raise h11.RemoteProtocolError("can be read in two ways")
        return event


class Connection(H11Protocol):
    """A connection that is closed when it sends no head, or does not take its answer, or when there are too many.

    Attributes:
        most: the most connections at once.
    """

    most = 1024
    _timer: asyncio.TimerHandle | None = None
    _unsent: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = Requests(h11.SERVER, LARGEST_HEAD)

    @classmethod
    def limited(cls, most: int) -> type[Connection]:
        """Return the class of connections of which there may be so many at once."""
        return type("Connection", (cls,), {"most": most})

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it at once if there are too many."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1, low=0)  # so that `pause_writing` tells of what waits
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
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Learn that bytes wait to be sent; the client has SEND_SECONDS to take them."""
        super().pause_writing()
        self._stop_sending()
        self._unsent = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Learn that all is sent."""
        self._stop_sending()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end the connection; if an answer has begun, without a word."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = b'{"detail":"this is no HTTP request that can be read in one way alone"}'
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(content)).encode()),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=content),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.transport.close()

    def shutdown(self) -> None:
        """End the connection, after its answer; a body or an answer that is under way has GRACE_SECONDS."""
        super().shutdown()
        self.loop.call_later(GRACE_SECONDS, self._cut)

    def _cut(self) -> None:
        if (self.cycle is not None and self.cycle.more_body) or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_sending(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None


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
