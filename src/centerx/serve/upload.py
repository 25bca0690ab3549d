"""Read a request: the picture, as raw body or as field `image` of a form, and the least score."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import python_multipart  # noqa: F401  # starlette reads forms with it, and misses it only when one arrives
from fastapi import HTTPException, Request
from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import Message

from centerx.errors import nearest

FIELD, SCORE = "image", "score"
USUAL_SCORE = 0.3
MAX_FILES = 8  # read from a form; more than one is an error
SCORES = TypeAdapter(Annotated[float, Field(ge=0, le=1)])
BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "required": [FIELD],
        "additionalProperties": False,
        "properties": {
            FIELD: BINARY["schema"],
            SCORE: {"type": "number", "minimum": 0, "maximum": 1, "description": "the same as in the query"},
        },
    }
}
# OpenAPI description of the body.
REQUEST_BODY = {"required": True, "content": {"image/*": BINARY, "multipart/form-data": FORM}}


class Budget:
    """Bytes that all bodies under way may hold together.

    Args:
        total: their number.
    """

    def __init__(self, total: int) -> None:
        self.left = self.total = total

    @asynccontextmanager
    async def share(self) -> AsyncIterator[Callable[[int], None]]:
        """Yield a function that takes some bytes for a request; they are given back at the end of the block.

        The function raises HTTPException 503 if they are not left.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self.left:
                raise HTTPException(503, "the bodies under way are too large together, try again", {"Retry-After": "1"})
            self.left -= size
            taken += size

        try:
            yield take
        finally:
            self.left += taken


class FormParser(MultiPartParser):
    """Reads a form into memory, of which the budget knows, and never to a disk, which may be full or read-only."""

    spool_max_size = 0  # no limit


class Upload(NamedTuple):
    """Content of a request.

    Attributes:
        name: name of the file, empty for a raw body.
        content: bytes of the file.
        scores: all fields `score` of the form.
    """

    name: str
    content: bytes
    scores: list[str]


async def read_upload(request: Request, max_bytes: int, take: Callable[[int], None]) -> Upload:
    """Read the body of a request.

    Args:
        request: the request.
        max_bytes: largest size of the body. No more is read, whatever length the request declares.
        take: called with the size of each part, before it is kept.

    Raises:
        HTTPException: 413 if the body is larger; 400 if it is empty, incomplete, or a form without the file; 422 if the
            form has an unknown field.
    """
    received = 0

    def check(size: int) -> None:
        if size > max_bytes:
            raise HTTPException(413, f"the body is larger than {max_bytes} bytes, send a smaller file")

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        size = len(message.get("body", b""))
        received += size
        check(received)
        take(size)
        return message

    check(int(request.headers.get("content-length", 0)))  # before the client sends it all
    limited = Request(request.scope, receive)
    try:
        upload = await _read(limited)
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early, send it again") from None
    if not upload.content:
        raise HTTPException(400, "the picture is empty, 0 bytes, send an image file")
    return upload


def refuse_unknown(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise if a name is unknown.

    Args:
        kind: kind of the names in the message, such as `form field`.
        names: the names to check.
        known: the known names.

    Raises:
        HTTPException: 422, with the first unknown name.
    """
    known = tuple(known)
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise HTTPException(422, f"unknown {kind} {unknown!r}{nearest(unknown, known)}, known: {', '.join(known)}")


def chosen_score(texts: Iterable[str]) -> float:
    """Return the least score that a request asks for.

    Args:
        texts: all values of the parameter and the form field.

    Returns:
        The score in [0, 1], USUAL_SCORE if there is none.

    Raises:
        HTTPException: 422 if a value is not a number from 0 to 1, or if values differ.
    """
    try:
        values = {SCORES.validate_python(text) for text in texts}
    except ValidationError as error:
        raise HTTPException(422, f"{SCORE}: {error.errors()[0]['msg']}") from None
    if len(values) > 1:
        raise HTTPException(422, f"{SCORE}: {' and '.join(map(str, sorted(values)))} are asked for, send one")
    return values.pop() if values else USUAL_SCORE


async def _read(request: Request) -> Upload:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return Upload("", await request.body(), [])
    try:
        form = await FormParser(request.headers, request.stream(), max_files=MAX_FILES).parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    except ValueError:  # of a codec that is no charset
        raise HTTPException(400, "the form has a charset that is not read here, send it as UTF-8") from None
    files, scores = form.getlist(FIELD), form.getlist(SCORE)
    if not any(isinstance(file, UploadFile) for file in files):
        raise HTTPException(400, f"the form has no file {FIELD!r}, send one such as `curl -F {FIELD}=@picture.jpg`")
    refuse_unknown("form field", form, (FIELD, SCORE))
    if len(files) > 1:
        raise HTTPException(400, f"the form has {len(files)} fields {FIELD!r}, send one picture a request")
    texts = [score for score in scores if isinstance(score, str)]
    if len(texts) < len(scores):
        raise HTTPException(422, f"{SCORE}: is a file, send a number from 0 to 1")
    (file,) = files
    assert isinstance(file, UploadFile)
    return Upload(file.filename or "", await file.read(), texts)
