"""Identify files by their first bytes, for messages about files that are not what their suffix says."""

from __future__ import annotations

import errno
import stat
from codecs import getincrementaldecoder
from pathlib import Path
from typing import BinaryIO, NamedTuple

HEAD = 1024  # number of first bytes that are looked at
CONVERT = "convert it to JPEG or PNG"
REPLACE = "replace or remove it"
RENAME = "give it the suffix of a video, or remove it"
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw",
    ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip


class Content(NamedTuple):
    """Kind of content of a file.

    Attributes:
        what: its name with an indefinite article, such as `a video`.
        remedy: advice if a picture was expected.
    """

    what: str
    remedy: str = REPLACE


RAW = Content("a camera's raw picture", CONVERT)
HEIC = Content("a HEIC picture", CONVERT)
TIFF = Content("a TIFF that is broken or of a kind that is not read here", "save it with 8 or 16 bits, or grey float32")
VIDEO = Content("a video", RENAME)
STARTS = (  # offset, bytes
    (8, b"AVI ", VIDEO),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (0, b"FLV\x01", VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", VIDEO),
    (0, b"\x00\x00\x01\xba", VIDEO),
    (0, b"OggS", VIDEO),
    (0, b"\xff\x0a", Content("a JPEG XL picture", CONVERT)),
    (4, b"JXL ", Content("a JPEG XL picture", CONVERT)),
    (0, b"v/1\x01", Content("an OpenEXR picture", CONVERT)),
    (0, b"#?RADIANCE", Content("a Radiance HDR picture", CONVERT)),
    (128, b"DICM", Content("a DICOM file", CONVERT)),
    (0, b"II*\x00", TIFF),
    (0, b"MM\x00*", TIFF),
    (0, b"II+\x00", TIFF),
    (0, b"MM\x00+", TIFF),
    (0, b"\x93NUMPY", Content("a NumPy array", CONVERT)),
    (0, b"\x89HDF", Content("an HDF5 file")),
    (0, b"%PDF", Content("a PDF document", CONVERT)),
    (0, b"%!PS", Content("a PostScript file", CONVERT)),
    (0, b"PK\x03\x04", Content("a ZIP archive", "unpack it")),
    (0, b"\x1f\x8b", Content("a gzip archive", "unpack it")),
    (0, b"Rar!", Content("a RAR archive", "unpack it")),
    (0, b"7z\xbc\xaf\x27\x1c", Content("a 7z archive", "unpack it")),
    (0, b"version https://git-lfs", Content("a pointer of Git LFS", "fetch the file itself with git lfs pull")),
)
BRANDS = {  # of ISO media files
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), Content("an AVIF picture that is not read here", CONVERT)),
    b"crx ": RAW,
}
MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "an SVG drawing"))


def identify(head: bytes) -> Content | None:
    """Identify a file that is not a readable picture.

    Args:
        head: the first HEAD bytes of the file.

    Returns:
        The kind of content, None if it is unknown or a readable picture.
    """
    if not head.strip(b"\x00"):
        return Content("a file of zeros" if head else "an empty file")
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12], VIDEO)
    for offset, start, content in STARTS:
        if head.startswith(start, offset):
            return content
    if is_text(head):
        lower = head.lower()
        return next((Content(what) for mark, what in MARKUP if mark in lower), Content("a text"))
    return None


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read it, if it is an ordinary one: a pipe would be waited for, and a device has no end.

    Raises:
        OSError: it cannot be opened, or is no ordinary file.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "no ordinary file", str(path))
    return path.open("rb")


def read_plain(path: Path, most: int | None = None) -> bytes:
    """Return the content of an ordinary file.

    Args:
        path: the file.
        most: bytes that it may have; any number by default.

    Raises:
        OSError: as for `open_plain`, or the file is larger.
    """
    with open_plain(path) as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes", str(path))
    return content


def read_head(path: Path) -> bytes:
    """Return the first HEAD bytes of a file; empty if it cannot be read, or is no ordinary file."""
    try:
        with open_plain(path) as file:
            return file.read(HEAD)
    except OSError:
        return b""


def explain(content: Content | None) -> str:
    """Return the end of an error message, such as `(it is a text), replace or remove it`."""
    return f"(it is {content.what}), {content.remedy}" if content else f"(of no known format), {REPLACE}"


def is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are text, in UTF-8 or mostly ASCII."""
    if not head or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        getincrementaldecoder("utf-8")().decode(head)  # accepts a character that is cut at the end
    except UnicodeDecodeError:
        return sum(byte > 127 for byte in head) < 0.3 * len(head)
    return True
