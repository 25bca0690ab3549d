"""Text files as people save them: UTF-8, else a guess at the encoding that is told, or a refusal."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from centerx.data.dataset import UnusableData
from centerx.problems import Kind, Problem

MARKS = {  # a longer mark before one that it begins with
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
NOT_ASCII = re.compile(rb"[\x80-\xff]+")
SHOWN = 5  # lines by which a user sees whether the guess is right


def read_text(file: Path, problems: list[Problem]) -> str:
    """Read a text; one that is not UTF-8 is decoded as it seems to be meant, and told with what came out.

    Raises:
        UnusableData: it is no text, or nothing says how to decode it.
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


def decode(file: Path) -> tuple[str, str]:
    """The text of a file without its byte order mark, and the encoding: UTF-8, one by its mark, or a guess.

    Raises:
        UnusableData: as `read_text`.
    """
    data = file.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "UTF-8")
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


def _seems_gbk(data: bytes) -> bool:
    """Whether all is pairs of bytes that are Chinese characters, half of them or more of the 3,755 usual ones."""
    runs = NOT_ASCII.findall(data)
    if any(len(run) % 2 or min(run) < 0xA1 for run in runs) or not _decodes(data, "GBK"):
        return False
    leads = [lead for run in runs for lead in run[::2] if lead >= 0xB0]  # below are signs, such as a wide bracket
    return sum(lead <= 0xD7 for lead in leads) * 2 >= max(1, len(leads))


def _seems_western(data: bytes) -> bool:
    """Whether all is letters of Western Europe that stand alone or in twos among more plain ones."""
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
