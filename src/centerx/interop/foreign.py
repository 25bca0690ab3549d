"""Identify files that are not checkpoints of torch by their first bytes, for messages."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

HEAD = 1 << 16  # number of first bytes that are looked at
TORCH_PICKLE = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # what torch's files before zip begin with, a number of its own
PICKLES = (b"\x80", b"(dp", b"(lp", b"}q\x00", b"]q\x00")  # by protocol 2 and later; a mapping or list by earlier ones
UNPACK = "unpack it and give the checkpoint in it"
SAVE = "save its state_dict with torch.save and import that"
SIGNATURES = (
    (b"\x1f\x8b", "an archive (gzip)", UNPACK),
    (b"BZh", "an archive (bzip2)", UNPACK),
    (b"\xfd7zXZ\x00", "an archive (xz)", UNPACK),
    (b"\x28\xb5\x2f\xfd", "an archive (zstd)", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)", UNPACK),
    (b"Rar!", "an archive (rar)", UNPACK),
    (b"\x89HDF", "weights of Keras or MATLAB (HDF5)", SAVE),
    (b"\x93NUMPY", "an array of NumPy", SAVE),
    (b"%PDF", "a PDF", "give a checkpoint"),
    (b"\x89PNG", "a picture", "give a checkpoint"),
    (b"\xff\xd8\xff", "a picture", "give a checkpoint"),
)


class Foreign(NamedTuple):
    """A file of another kind.

    Attributes:
        what: its kind.
        todo: advice.
    """

    what: str
    todo: str


def foreign(path: Path) -> Foreign | None:
    """Identify a file that is not a checkpoint of torch or safetensors; return None if it is unknown.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return Foreign("an empty file", "download or copy it again")
    if is_safetensors(path):
        return None
    for start, what, todo in SIGNATURES:
        if head.startswith(start):
            return Foreign(what, todo)
    if head[257:262] == b"ustar":
        return Foreign("an archive (tar)", UNPACK)
    if head[4:8] == b"TFL3":
        return Foreign("a model of TensorFlow Lite", SAVE)
    if head.startswith(b"PK"):
        return of_zip(path)
    if head.startswith(PICKLES) and TORCH_PICKLE not in head[:20]:
        return of_pickle(head)
    return of_protobuf(path, head) or of_text(head)


def is_safetensors(path: Path) -> bool:
    """Return whether a file starts like safetensors: with the length of a header, and the header."""
    with path.open("rb") as file:
        length, start = int.from_bytes(file.read(8), "little"), file.read(1)
    return start == b"{" and length + 8 <= path.stat().st_size


def of_zip(path: Path) -> Foreign | None:
    """Identify a zip archive. torch's own files are zip archives too, and so are TorchScript programs."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return Foreign("a file cut short (its end is missing)", "download or copy it again")
    if any(name.endswith("/constants.pkl") for name in names):
        return Foreign("a program of TorchScript, which is not run", SAVE)
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return Foreign("arrays of NumPy", SAVE)
    return Foreign(f"an archive (zip) of {len(names)} files", UNPACK)


def of_pickle(head: bytes) -> Foreign | None:
    """Identify pickles of NumPy arrays, as in the model zoos of Detectron and detectron2."""
    if b"__author__" in head or b"matching_heuristics" in head or b"blobs" in head:
        return Foreign("a pickle of the model zoo of Detectron or detectron2, arrays of NumPy", SAVE)
    if b"numpy" in head and b"torch" not in head:
        return Foreign("a pickle with arrays of NumPy, such as those of detectron2's model zoo", SAVE)
    return None


def of_protobuf(path: Path, head: bytes) -> Foreign | None:
    """Identify an ONNX model, which starts with its version, followed by the producer or another field."""
    if head[:2] == b"\x08\x01":
        return Foreign("a model of TensorFlow", SAVE)
    begins = (
        head[:1] == b"\x08" and head[1] < 0x20 and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x3a", b"\x42")
    )
    if begins or path.suffix.lower() == ".onnx":
        return Foreign(
            "an ONNX model, a graph whose weights cannot be trained on",
            "import the checkpoint that it was exported from; ours run and teach as they are",
        )
    return None


def of_text(head: bytes) -> Foreign | None:
    """Identify a web page, a Git LFS pointer or another text, often the result of a failed download."""
    try:
        text = head[:1024].decode("utf-8-sig", errors="strict" if len(head) < 1024 else "ignore").strip()
    except UnicodeDecodeError:
        return None
    if not text or not all(each.isprintable() or each.isspace() for each in text):
        return None
    if other := in_place_of(text):
        return other
    if text.startswith("<"):
        return Foreign("an XML file", "download or name the checkpoint itself")
    if text[0] in "{[":
        return Foreign("a JSON file", "download or name the checkpoint itself")
    return Foreign(f"a text file (it begins {json.dumps(text[:30])})", "name the checkpoint itself")


def in_place_of(text: str) -> Foreign | None:
    """Identify, by its beginning, what a failed download often leaves."""
    folded = text[:1024].strip().casefold()
    if folded.startswith("<!doctype html") or "<html" in folded:
        return Foreign("an HTML page, as a browser saves it in place of a file", "download the file itself")
    if folded.startswith("version https://git-lfs"):
        return Foreign("a pointer of Git LFS to the file", "run `git lfs pull` to have the file itself")
    return None
