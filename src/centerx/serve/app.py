"""The web application: its routes, limits and OpenAPI description."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware

from centerx import __version__
from centerx.errors import InputError
from centerx.files import json_text, quoted
from centerx.images import TooManyPixelsError, decode_image
from centerx.resize import Letterboxed
from centerx.runtime import Predictor
from centerx.runtime.entry import to_dict
from centerx.serve.access import EVERYONE, Access, Guard
from centerx.serve.batcher import Batcher
from centerx.serve.metrics import Measure, Metrics
from centerx.serve.protocol import LoopErrors
from centerx.serve.reference import HEADERS, reference_page
from centerx.serve.upload import REQUEST_BODY, SCORE, USUAL_SCORE, Budget, chosen_score, read_upload, refuse_unknown
from centerx.types import Detections

PATH, HEALTH = "/predict", "/health"
BODIES = 512_000_000  # bytes of all bodies that are under way


class Limits(NamedTuple):
    """Limits of requests.

    Attributes:
        bytes: largest size of a body.
        pixels: largest number of pixels of a picture.
        seconds: longest time from the head of a request to its answer.
        requests: largest number of simultaneous requests.
    """

    bytes: int
    pixels: int
    seconds: float
    requests: int


class Found(BaseModel):
    """One object."""

    label: str
    score: float
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None


class Entry(BaseModel):
    """Objects on a picture: boxes as x1, y1, x2, y2, or points as x, y, in pixels of the picture as it is shown."""

    image: str
    width: int
    height: int
    detections: list[Found]


class Health(BaseModel):
    """The model that is served."""

    status: str = "ok"
    model: str
    backend: str
    classes: list[str]
    input_height: int
    input_width: int


class Problem(BaseModel):
    """What went wrong, in one line."""

    detail: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the body is empty, cut off or not the form expected"},
    401: {"model": Problem, "description": "a key is needed, `Authorization: Bearer KEY` or `X-API-Key: KEY`"},
    408: {"model": Problem, "description": "the body did not arrive in time"},
    413: {"model": Problem, "description": "too many bytes or pixels"},
    415: {"model": Problem, "description": "not an image, or a damaged one"},
    422: {"model": Problem, "description": "a wrong or unknown parameter or field"},
    429: {"model": Problem, "description": "too many requests of one client, `Retry-After` says when to come again"},
    503: {"model": Problem, "description": "too many requests are under way"},
    504: {"model": Problem, "description": "the answer was not ready in time"},
}


def create_app(
    predictor: Predictor,
    model: str,
    backend: str,
    limits: Limits,
    max_batch: int,
    origins: Sequence[str] = (),
    access: Access = EVERYONE,
) -> FastAPI:
    """Make the application that serves one model.

    Args:
        predictor: the model.
        model: name of the model in `/health`.
        backend: name of the backend in `/health`.
        limits: limits of requests.
        max_batch: largest number of pictures in one call of the network.
        origins: origins of web pages whose scripts may send requests, such as `http://localhost:3000`; `*` for all.
        access: who may ask, and how often.
    """
    metrics = Metrics()
    decoding = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
    batcher: Batcher[Letterboxed, Detections] = Batcher(predictor.detect, max_batch, metrics.batch.observe)
    metrics.watch(batcher.waiting)
    under_way = asyncio.Semaphore(limits.requests)
    budget = Budget(max(BODIES, 2 * limits.bytes))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        with closing(batcher), decoding:
            yield

    def preprocess(content: bytes, name: str) -> Letterboxed:
        """Decode and resize a picture before it waits for a batch, so that it needs little memory."""
        value_range = predictor.session.info.value_range
        return predictor.preprocess(decode_image(content, quoted(name) or "upload", limits.pixels, value_range))

    async def find(content: bytes, name: str) -> tuple[Letterboxed, Detections]:
        letterboxed = await asyncio.get_running_loop().run_in_executor(decoding, preprocess, content, name)
        return letterboxed, await asyncio.wrap_future(batcher.submit(letterboxed))

    app = FastAPI(
        title=f"centerX: {quoted(model)}", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
        redirect_slashes=False,  # to the host that the client names
        exception_handlers={RequestValidationError: _invalid_parameter, Exception: _server_error},
    )  # fmt: skip
    # The last one that is added is the first to see a request.
    app.add_middleware(Guard, access=access, open_path=HEALTH)
    app.add_middleware(Measure, metrics=metrics, path=PATH)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "HEAD", "POST"], allow_headers=["*"],
            expose_headers=["Retry-After"],
        )  # fmt: skip

    @app.post(PATH, response_model=Entry, responses=PROBLEMS, openapi_extra={"requestBody": REQUEST_BODY})
    async def predict(
        request: Request,
        score: Annotated[float, Query(ge=0, le=1, description="leave out what scores lower")] = USUAL_SCORE,
    ) -> Response:
        """Find objects on a picture: the raw body, or the file `image` of a form. Of an animation, the first frame.

        `score` may be a field of the form as well.
        """
        refuse_unknown("query parameter", request.query_params, [SCORE])
        asked = request.query_params.getlist(SCORE)
        chosen_score(asked)
        if under_way.locked():
            raise HTTPException(503, f"{limits.requests} requests are under way, try again", {"Retry-After": "1"})
        async with under_way, budget.share() as take:
            end = asyncio.get_running_loop().time() + limits.seconds
            with _http_errors(408, f"the body did not arrive within {limits.seconds:g} s, send a smaller file"):
                async with asyncio.timeout_at(end):
                    name, content, scores = await read_upload(request, limits.bytes, take)
            score = chosen_score([*asked, *scores])
            with _http_errors(504, f"no answer within {limits.seconds:g} s, try again later"):
                async with asyncio.timeout_at(end):
                    placed, found = await find(content, name)
        return answer(to_dict(name, placed.letterbox.source_hw, found.above(score)))

    @app.get(HEALTH, response_model=Health)
    @app.head(HEALTH, include_in_schema=False)
    async def health() -> Response:
        """Tell that the server runs, and what."""
        height, width = predictor.session.info.input_hw
        facts = {"status": "ok", "model": model, "backend": backend, "classes": list(predictor.class_names)}
        return answer(facts | {"input_height": height, "input_width": width})

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def read_metrics() -> Response:
        """Tell Prometheus requests by status, their seconds, sizes of batches and the length of the queue."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    @app.head("/docs", include_in_schema=False)
    async def read_reference() -> Response:
        """Describe the server to people."""
        return HTMLResponse(reference_page(app.openapi()), headers=HEADERS)

    return app


def answer(tree: dict[str, Any]) -> Response:
    """Return a JSON response, encoded as `predict` writes it."""
    return Response(json_text(tree, separators=(",", ":")), media_type="application/json")


@contextmanager
def _http_errors(timeout_status: int, timeout_detail: str) -> Iterator[None]:
    """Convert errors of a picture and timeouts to HTTP errors."""
    try:
        yield
    except TimeoutError:
        raise HTTPException(timeout_status, timeout_detail) from None
    except TooManyPixelsError as error:
        raise HTTPException(413, str(error)) from None
    except InputError as error:
        raise HTTPException(415, str(error)) from None


async def _invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    messages = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return JSONResponse({"detail": messages}, 422)


async def _server_error(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"a fault of the server ({type(error).__name__}), see its log"}, 500)
