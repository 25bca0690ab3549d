"""Who may ask: keys, and how often each client does."""

from __future__ import annotations

import hmac
import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from centerx.contents import read_plain
from centerx.errors import InputError

KEY = re.compile(r"[!-~]{16,512}")
MOST_BYTES = 10_000_000  # of a file of keys, a certificate or its key
CLIENTS = 10_000  # that are remembered at once
IPV6_SITE = 64  # leading bits of an address of IPv6 that one site has
READ_BY_OTHERS = 0o044
logger = logging.getLogger(__name__)


class Access(NamedTuple):
    """Who may ask, and how often.

    Attributes:
        keys: of which every request must bear one; none for no keys.
        rate: the most requests a second of one client, above 0; infinite for no limit.
    """

    keys: Sequence[str] = ()
    rate: float = math.inf


EVERYONE = Access()


def read_keys(path: Path) -> tuple[str, ...]:
    """Read a file of keys, one a line. Blank lines and those that start with `#` are left out.

    Args:
        path: the file.

    Raises:
        InputError: the file cannot be read or has no key, or a line is no key: 16 to 512 visible ASCII characters.
    """
    try:
        lines = [line.decode("ascii", "replace") for line in read_plain(path, MOST_BYTES).splitlines()]
    except OSError as error:
        raise InputError(f"{path}: the keys cannot be read ({error.strerror or error}), check the path") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    keys = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    for number, key in keys:
        if not KEY.fullmatch(key):
            raise InputError(
                f"{path} line {number}: no key, write 16 to 512 ASCII letters, digits or signs without blanks, "
                "such as those of `openssl rand -hex 32`"
            )
    if not keys:
        raise InputError(f"{path}: has no key, write one a line, such as that of `openssl rand -hex 32`")
    warn_of_readers(path)
    return tuple(dict.fromkeys(key for _, key in keys))


def warn_of_readers(path: Path) -> None:
    """Log a warning if other users of this machine may read a secret file."""
    if path.stat().st_mode & READ_BY_OTHERS:
        logger.warning(f"{path}: other users of this machine can read it, run `chmod 600` on it")


class Rate:
    """Requests of each client by the generic cell rate algorithm: a second's worth at once, then so many a second.

    Args:
        rate: requests a second of one client, above 0.
        most: clients that are remembered; if there are more, the one that asked least recently is forgotten.
        now: clock in seconds.
    """

    def __init__(self, rate: float, most: int = CLIENTS, now: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._most, self._now = 1 / rate, most, now
        self._ahead = max(0.0, 1 - self._interval)  # seconds that a client may be ahead of its rate
        self.due: OrderedDict[str, float] = OrderedDict()  # when each client is back to none of its requests

    def wait(self, client: str) -> float:
        """Count a request, and return 0; or do not, and return the seconds until one is allowed."""
        now = self._now()
        due = max(now, self.due.get(client, now))
        self.due[client] = due
        self.due.move_to_end(client)
        if len(self.due) > self._most:
            self.due.popitem(last=False)
        if due - now > self._ahead + 1e-9:
            return due - now - self._ahead
        self.due[client] = due + self._interval
        return 0.0


class Guard:
    """ASGI middleware that answers 401 without a key, and 429 to who asks too often.

    Without a key, the path `open_path` is answered with `{"status":"ok"}` alone. A client is its key, or its address.

    Args:
        app: the application.
        access: who may ask, and how often.
        open_path: path that needs no key.
    """

    def __init__(self, app: ASGIApp, access: Access, open_path: str) -> None:
        self.app, self._open_path = app, open_path
        self._digests = [_digest(key) for key in access.keys]
        self._rate = Rate(access.rate) if math.isfinite(access.rate) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        app: ASGIApp = self.app
        if scope["type"] == "http":
            app = self._refusal(scope) or app
        await app(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        sent = _sent_key(Headers(scope=scope))
        number = self._number(sent) if sent else None
        if self._rate:
            wait = self._rate.wait(address(scope) if number is None else f"key {number}")
            if wait:
                seconds = math.ceil(wait)
                detail = f"too many requests, come again in {seconds} s"
                return JSONResponse({"detail": detail}, 429, {"Retry-After": str(seconds)})
        if not self._digests or number is not None:
            return None
        if not sent and scope["path"] == self._open_path and scope["method"] in ("GET", "HEAD"):
            return JSONResponse({"status": "ok"})
        what = "this key is not known" if sent else "a key is needed"
        detail = f"{what}, send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})

    def _number(self, sent: str) -> int | None:
        """Return which key was sent. All are compared, so that the time tells nothing of them."""
        digest, found = _digest(sent), None
        for number, known in enumerate(self._digests):
            if hmac.compare_digest(digest, known):
                found = number
        return found


def address(scope: Scope) -> str:
    """Return the address that a request comes from, of IPv6 that of its site, as one has 2^64 of them."""
    host = (scope.get("client") or ("",))[0]
    try:
        parsed = ip_address(host)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((int(parsed), IPV6_SITE), strict=False))


def _digest(key: str) -> bytes:
    """Return a value of a fixed length, so that comparing it does not tell the length of a key."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _sent_key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
