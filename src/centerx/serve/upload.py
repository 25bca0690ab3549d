"""The picture of a request: its raw body, or the field `image` of a form."""

from __future__ import annotations

import python_multipart  # noqa: F401  # starlette reads forms with it, and misses it only when one arrives
from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message

FIELD = "image"
BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: BINARY["schema"]}}}
# What the OpenAPI page says of the body.
REQUEST_BODY = {"required": True, "content": {"image/*": BINARY, "multipart/form-data": FORM}}


async def read_upload(request: Request, max_bytes: int) -> tuple[str, bytes]:
    """The name ('' for a raw body) and the bytes of the uploaded file.

    Args:
        request: whose body is read, no further than `max_bytes`, whatever length it declares.
        max_bytes: allowed for the whole body.

    Raises:
        HTTPException: 413 larger than that; 400 empty, a form without the file, or cut off by the sender.
    """
    received = 0

    def check(size: int) -> None:
        if size > max_bytes:
            raise HTTPException(413, f"the body is larger than {max_bytes} bytes, send a smaller file")

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        check(received)
        return message

    check(int(request.headers.get("content-length", 0)))  # before the client sends it all
    limited = Request(request.scope, receive)
    try:
        name, content = await _read(limited)
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early, send it again") from None
    if not content:
        raise HTTPException(400, "the picture is empty, 0 bytes, send an image file")
    return name, content


async def _read(request: Request) -> tuple[str, bytes]:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return "", await request.body()
    async with request.form(max_files=1) as form:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise HTTPException(400, f"the form has no file {FIELD!r}, send one such as `curl -F {FIELD}=@picture.jpg`")
        return file.filename or "", await file.read()
