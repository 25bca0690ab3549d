"""Read text files in UTF-8, or in another encoding that is guessed and reported."""

from __future__ import annotations

import codecs
import gc
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from centerx.contents import read_plain
from centerx.data.dataset import UnusableData
from centerx.problems import Kind, Problem

MARKS = {  # a mark comes before its own prefixes
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
NOT_ASCII = re.compile(rb"[\x80-\xff]+")
SHOWN = 5  # lines in the report, by which a user can check the guess


def read_text(file: Path, problems: list[Problem]) -> str:
    """Read a text file. If it is not UTF-8, its encoding is guessed, and the result is reported.

    Args:
        file: the file.
        problems: list to which problems are appended.

    Raises:
        UnusableData: it is not a text, or its encoding cannot be guessed.
    """
    if not file.is_file():
        raise UnusableData(file, "no ordinary file")
    text, encoding = decode(file)
    if encoding != "UTF-8":
        lines = [line.strip() for line in text.splitlines() if encoding.startswith("UTF") or not line.isascii()]
        shown = ", ".join(line for line in lines[:SHOWN] if line)
        what = f"not UTF-8, read as {encoding}: {shown[:100]}; save it as UTF-8 if that is wrong"
        problems.append(Problem(Kind.DECODED_TEXT, str(file), what))
    return text


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cyclic garbage meanwhile: reading makes millions of objects and none of it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def parse_json(content: Path | str) -> Any:
    """Parse a JSON file, or a text in JSON.

    Raises:
        ValueError: it is malformed, nested too deep, or has a key twice in one mapping.
        OSError: the file cannot be read, or is no ordinary file.
    """
    try:
        with uncollected():
            return json.loads(
                read_plain(content) if isinstance(content, Path) else content, object_pairs_hook=to_mapping
            )
    except RecursionError:
        raise ValueError("nested too deep") from None


def to_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs of keys and values as a mapping.

    Raises:
        ValueError: a key is there twice.
    """
    tree = dict(pairs)
    if len(tree) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} twice in one mapping")
    return tree


def decode(file: Path) -> tuple[str, str]:
    """Decode a text file.

    Returns:
        The text without byte order mark, and the encoding: UTF-8, one given by a byte order mark, or a guess.

    Raises:
        UnusableData: as for `read_text`.
    """
    data = read_plain(file)
    encoding = _marked(data)
    try:
        text = data.decode("utf-8-sig" if encoding == "UTF-8" else encoding)
    except UnicodeDecodeError:
        guess = next((name for name, fits in GUESSES.items() if encoding == "UTF-8" and fits(data)), None)
        if guess is None or "\0" in (text := data.decode(guess)):
            raise UnusableData(file, "not a text file in UTF-8, save it as UTF-8") from None
        return text, guess
    if "\0" in text:
        raise UnusableData(file, "not a text file")
    return text, encoding


def decode_head(file: Path, size: int) -> str:
    """Decode the first bytes of a file by its byte order mark, else as UTF-8; what is no text is replaced.

    Args:
        file: the file.
        size: number of bytes.
    """
    with file.open("rb") as opened:
        data = opened.read(size)
    encoding = _marked(data)
    return data.decode("utf-8-sig" if encoding == "UTF-8" else encoding, errors="replace")


def _marked(data: bytes) -> str:
    """Return the encoding that a byte order mark gives; UTF-8 without one."""
    return next((name for mark, name in MARKS.items() if data.startswith(mark)), "UTF-8")


def _seems_gbk(data: bytes) -> bool:
    """Return whether all non-ASCII bytes are pairs of Chinese characters, at least half of the 3,755 common."""
    runs = NOT_ASCII.findall(data)
    if any(len(run) % 2 or min(run) < 0xA1 for run in runs) or not _decodes(data, "GBK"):
        return False
    leads = [lead for run in runs for lead in run[::2] if lead >= 0xB0]  # lower ones are punctuation
    return sum(lead <= 0xD7 for lead in leads) * 2 >= max(1, len(leads))


def _seems_western(data: bytes) -> bool:
    """Return whether all non-ASCII bytes are letters of Western Europe, single or in pairs, among more ASCII ones."""
    if not _decodes(data, "cp1252") or any(len(run) > 2 for run in NOT_ASCII.findall(data)):
        return False
    letters = [letter for letter in data.decode("cp1252") if not letter.isascii()]
    return all(map(str.isalpha, letters)) and sum(map(str.isalpha, data.decode("cp1252"))) > 2 * len(letters)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


GUESSES: dict[str, Callable[[bytes], bool]] = {"GBK": _seems_gbk, "cp1252": _seems_western}
