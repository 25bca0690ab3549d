"""`centerx serve`."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import signal
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from centerx.cli.options import Providers, Threads, parse_names
from centerx.cli.output import say
from centerx.errors import InputError

USUAL_PORTS = {"http": ":80", "https": ":443"}  # which browsers leave out of an origin
logger = logging.getLogger(__name__)


def serve(
    model: Annotated[Path, typer.Argument(help="an exported file, or a model file of a run")],
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 is all of this machine's")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="the most pictures in one call of the network")] = 8,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="of an upload")] = 20,
    max_megapixels: Annotated[float, typer.Option(min=0.001, max=178, help="of a picture")] = 50,
    timeout: Annotated[float, typer.Option(min=0.001, help="seconds from a request to its answer")] = 60,
    max_requests: Annotated[int, typer.Option(min=1, help="under way at once; more are told to come again")] = 256,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="of a web page that may ask from a browser, such as http://localhost:3000, or * for all; "
                          "repeat the option for several"),
    ] = None,
    api_keys: Annotated[
        Path | None, typer.Option(help="file with a key a line, of which requests must bear one")
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="requests a second of one client; more are told to come again"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="certificate in PEM, to serve https; with --tls-key")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="its private key in PEM, without a password")] = None,
    threads: Threads = None,
    providers: Providers = None,
) -> None:  # fmt: skip
    """Find objects on pictures that are sent over HTTP."""
    import uvicorn

    from centerx.runtime import backends_of, load
    from centerx.serve import Access, Limits, create_app
    from centerx.serve.access import read_keys
    from centerx.serve.protocol import BACKLOG, Connection, most_connections
    from centerx.serve.tls import CIPHERS, Loop, require_certificate

    access = Access(read_keys(api_keys) if api_keys else (), max_rate or math.inf)
    if tls_cert and tls_key:
        require_certificate(tls_cert, tls_key)
    elif tls_cert or tls_key:
        raise InputError("--tls-cert and --tls-key belong together, give both")
    backend = next(iter(backends_of(model)), "")
    limits = Limits(int(max_megabytes * 1e6), int(max_megapixels * 1e6), timeout, max_requests)
    origins = [read_origin(text) for text in allow_origin or []]
    predictor = load(model, threads=threads, providers=parse_names(providers))
    app = create_app(predictor, model.name, backend, limits, max_batch, origins, access)
    with listen(host, port) as listener:
        http = Connection.limited(most_connections(max_requests))
        config = uvicorn.Config(  # its warnings are of what clients send
            app, http=http, ws="none", backlog=BACKLOG, log_level="error", access_log=False,
            server_header=False, ssl_certfile=tls_cert, ssl_keyfile=tls_key, ssl_ciphers=CIPHERS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # uvicorn answers what is under way, then raises the signal again; it means no harm here.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        hang_up = getattr(signal, "SIGHUP", None)  # which Windows lacks and uvicorn leaves alone
        if hang_up and signal.getsignal(hang_up) != signal.SIG_IGN:
            signal.signal(hang_up, server.handle_exit)
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if tls_cert else "http"
        warn_of_strangers(listener.getsockname()[0], keys=bool(api_keys), tls=bool(tls_cert))
        with suppress(KeyboardInterrupt):
            say(f"serving {model.name} on {scheme}://{shown}:{listener.getsockname()[1]}, docs at /docs")
            with asyncio.Runner(loop_factory=Loop) as runner:
                runner.run(server.serve(sockets=[listener]))


def warn_of_strangers(address: str, keys: bool, tls: bool) -> None:
    """Log a warning if other machines can reach an address, and may all ask or are sent what nobody encrypts."""
    if ip_address(address).is_loopback:
        return
    if not keys:
        logger.warning("everyone who reaches this machine may ask, use --api-keys, or a proxy that knows its users")
    elif not tls:
        logger.warning("keys and pictures cross the network unencrypted, use --tls-cert, or a proxy with TLS")


def read_origin(text: str) -> str:
    """An origin as browsers send it.

    Raises:
        InputError: it is none.
    """
    origin = re.fullmatch(r"([a-z][a-z0-9+.-]*)://([^/?#@\s:]+|\[[0-9a-f:.]+\])(:\d+)?", text.lower())
    if origin is None:
        if text in ("*", "null"):
            return text
        raise InputError(
            f"--allow-origin: {text!r} is no origin, give one such as http://localhost:3000 without a path, or *"
        )
    scheme, host, port = origin.groups(default="")
    return f"{scheme}://{host}{'' if port == USUAL_PORTS.get(scheme) else port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        InputError: the port is taken or not allowed, or the host is no address of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).split(" (while")[0]
        raise InputError(f"--host {host} --port {port}: cannot listen there ({reason}), choose another") from None
