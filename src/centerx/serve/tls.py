"""TLS: the certificate is tried before anything else, and handshakes end soon."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from centerx.contents import read_plain
from centerx.errors import InputError
from centerx.serve.access import MOST_BYTES, warn_of_readers
from centerx.serve.protocol import GRACE_SECONDS, HEAD_SECONDS

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good


def require_certificate(certificate: Path, key: Path) -> None:
    """Raise unless a server can use a certificate; warn if others can read its key.

    Args:
        certificate: PEM file of the certificate, with those between it and the root after it.
        key: PEM file of its private key, without a password.

    Raises:
        InputError: a file cannot be read, is none of these, or the two do not belong together.
    """
    try:
        for path in (certificate, key):
            read_plain(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}), check the path") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:  # an empty password is a ValueError, and asks nobody
        reason = "it has a password" if isinstance(error, ValueError) else error.reason or "unreadable"
        raise InputError(
            f"--tls-cert {certificate} --tls-key {key}: no certificate in PEM and its key without a password "
            f"({reason.replace('_', ' ').lower()}), give two that belong together"
        ) from None
    warn_of_readers(key)


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which handshakes, and the ends of connections, take as long as heads and bodies may."""

    async def create_server(self, *args: Any, ssl: Any = None, **options: Any) -> Any:
        """Listen, see `asyncio.loop.create_server`."""
        if ssl is not None:
            options |= {"ssl_handshake_timeout": HEAD_SECONDS, "ssl_shutdown_timeout": GRACE_SECONDS}
        return await super().create_server(*args, ssl=ssl, **options)
