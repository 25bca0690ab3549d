"""Texts that are not UTF-8: decoded and told, or refused; never two different ones made alike."""

import contextlib
import gc
from pathlib import Path

import pytest

from centerx.data.dataset import UnusableData
from centerx.data.text import parse_json, read_text
from centerx.problems import Kind, Problem
from tests.data.handmade import write_text


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("cat\n犬", "utf-8", ""),
        ("cat\n犬", "utf-8-sig", ""),
        ("cat\n犬", "utf-16", "UTF-16"),
        ("\ufeffcat\n犬", "utf-16-be", "UTF-16"),
        ("\ufeffcat\n犬", "utf-32-le", "UTF-32"),
        ("人\n车", "gbk", "GBK"),
        ("安全帽\n反光衣\nperson", "gbk", "GBK"),
        ("blé\nblè", "latin-1", "cp1252"),
        ("Größe\nMüll\ncœur", "cp1252", "cp1252"),
    ],
)
def test_encodings(tmp_path: Path, text: str, encoding: str, told: str) -> None:
    file = write_text(tmp_path / "classes.txt", text.encode(encoding))
    problems: list[Problem] = []
    assert read_text(file, problems) == text.removeprefix("\ufeff")
    assert [problem.kind for problem in problems] == ([Kind.DECODED_TEXT] if told else [])
    assert all(f"{told}: " in problem.what and text.split()[1] in problem.what for problem in problems)


@pytest.mark.parametrize(
    "content",
    [
        "собака\nкошка".encode("cp1251"),
        "собака\nкошка".encode("koi8-r"),
        "犬\n猫".encode("shift-jis"),
        "人\n車輛".encode("big5"),
        "σκύλος".encode("cp1253"),
        "cat\ndog".encode("utf-16-le"),  # without its mark
        b"\xff\xfec",
        bytes(range(256)),
        b"cat\0",
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnusableData, match=r"classes\.txt: not a text file"):
        read_text(write_text(tmp_path / "classes.txt", content), [])


def test_a_key_twice_is_found_among_many() -> None:
    """As fast as they are read: in steps for each pair of keys it would take hours."""
    keys = ", ".join(f'"{number}": 0' for number in range(200_000))
    assert len(parse_json(f"{{{keys}}}")) == 200_000
    with pytest.raises(ValueError, match="the key '77777' twice"):
        parse_json(f'{{{keys}, "77777": 1}}')


def test_garbage_is_collected_again_after_parsing():
    for text in ("{}", '{"a": 1, "a": 2}'):
        with contextlib.suppress(ValueError):
            parse_json(text)
        assert gc.isenabled()
    gc.disable()
    try:
        parse_json("[]")
        assert not gc.isenabled()
    finally:
        gc.enable()
