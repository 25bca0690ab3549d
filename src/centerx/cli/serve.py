"""`centerx serve`."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from centerx.cli.options import Providers, Threads, parse_names
from centerx.cli.output import say
from centerx.errors import InputError

USUAL_PORTS = {"http": ":80", "https": ":443"}  # which browsers leave out of an origin


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
    threads: Threads = None,
    providers: Providers = None,
) -> None:  # fmt: skip
    """Find objects on pictures that are sent over HTTP."""
    import uvicorn

    from centerx.runtime import backends_of, load
    from centerx.serve import Limits, create_app
    from centerx.serve.protocol import BACKLOG, Connection, most_connections

    backend = next(iter(backends_of(model)), "")
    limits = Limits(int(max_megabytes * 1e6), int(max_megapixels * 1e6), timeout, max_requests)
    origins = [read_origin(text) for text in allow_origin or []]
    predictor = load(model, threads=threads, providers=parse_names(providers))
    app = create_app(predictor, model.name, backend, limits, max_batch, origins)
    with listen(host, port) as listener:
        http = Connection.limited(most_connections(max_requests))
        config = uvicorn.Config(
            app, http=http, ws="none", backlog=BACKLOG, log_level="warning", access_log=False, server_header=False
        )
        server = uvicorn.Server(config)
        # uvicorn answers what is under way, then raises the signal again; it means no harm here.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        shown = f"[{host}]" if ":" in host else host
        with suppress(KeyboardInterrupt):
            say(f"serving {model.name} on http://{shown}:{listener.getsockname()[1]}, docs at /docs")
            server.run(sockets=[listener])


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
