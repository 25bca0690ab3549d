"""Break one file of a data set in one way, which a seed decides."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from centerx.images import SUFFIXES

Random = random.Random
Change = Callable[[Path, Random], None]
NUMBERS = (
    "nan", "inf", "-inf", "1e400", "1e39", "-1e39", "1" + "0" * 400, "0x10", "1_0", "١٢", "１", "1,5", "--1", "1e", "+",
    "", "null", "true", "99999999999", "-99999", "-1", "0", "1e-300", "0.5.5", "twelve",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, "", " ", "x" * 5000, "\x1b[31mred", "a\nb", "\ud800", -1, 0, 1e39, -1e39, 10**400,
    float("nan"), float("inf"), "12", "nan", [1], [[1]], [None] * 4, ["1", "2", "3", "4"], [1, 2, 3], [1, 2, 3, 4, 5],
    {"a": 1}, "../../../../etc/passwd", "/dev/zero", "CON", 2**63, 1.5, "false", "no", "2",
)  # fmt: skip
JUNK = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe4\xf6\xfc",
    b"\x1b[2J",
    b"&lol;",
    b"<",
    b"{",
    b'"',
    b"!!python/x ",
    b"\r",
)


class Case(NamedTuple):
    """A broken copy of a base.

    Attributes:
        path: what is to be read.
        file: that was changed, relative to the folder.
        change: its name.
    """

    path: Path
    file: str
    change: str


def truncate(file: Path, rng: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def flip(file: Path, rng: Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 30))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def cut_out(file: Path, rng: Random) -> None:
    content = file.read_bytes()
    start = rng.randrange(len(content))
    file.write_bytes(content[:start] + content[start + rng.randint(1, 40) :])


def repeat_part(file: Path, rng: Random) -> None:
    content = file.read_bytes()
    start = rng.randrange(len(content))
    end = start + rng.randint(1, 60)
    file.write_bytes(content[:end] + content[start:end] * rng.choice((1, 3)) + content[end:])


def insert_junk(file: Path, rng: Random) -> None:
    content, place = file.read_bytes(), 0
    place = rng.randrange(len(content) + 1)
    file.write_bytes(content[:place] + rng.choice(JUNK) + content[place:])


def empty(file: Path, rng: Random) -> None:
    file.write_bytes(b"")


def zeros(file: Path, rng: Random) -> None:
    file.write_bytes(bytes(len(file.read_bytes())))


def noise(file: Path, rng: Random) -> None:
    file.write_bytes(rng.randbytes(rng.choice((1, 100, 5000))))


def other_content(file: Path, rng: Random) -> None:
    """What another kind of file holds."""
    kinds = (
        b"<html><body>404</body></html>",
        b"{}",
        b"[]",
        b"null",
        b"0",
        b"PK\x03\x04" + bytes(60),
        b"version https://",
    )
    file.write_bytes(rng.choice(kinds))


def missing(file: Path, rng: Random) -> None:
    file.unlink()


def folder_instead(file: Path, rng: Random) -> None:
    file.unlink()
    file.mkdir()


def pipe(file: Path, rng: Random) -> None:
    file.unlink()
    os.mkfifo(file)


def broken_link(file: Path, rng: Random) -> None:
    file.unlink()
    file.symlink_to(rng.choice(("nowhere", file.name, "/dev/null/x")))


def link_to_device(file: Path, rng: Random) -> None:
    file.unlink()
    file.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/proc/self/mem")))


def loop_of_folders(file: Path, rng: Random) -> None:
    (file.parent / "loop").symlink_to("..")


def twin(file: Path, rng: Random) -> None:
    """The same file under a name that is nearly the same."""
    names = (file.stem + file.suffix.upper(), f"{file.stem} copy{file.suffix}", f"._{file.name}", f"{file.name}~")
    shutil.copy(file, file.with_name(rng.choice(names)))


def renamed(file: Path, rng: Random) -> None:
    name = rng.choice(
        (f"{file.stem}x{file.suffix}", "\x01" + file.name, file.stem, "a" * 240 + file.suffix, f" {file.name}")
    )
    file.rename(file.with_name(name))


def encoded(file: Path, rng: Random) -> None:
    content = file.read_bytes().decode("utf-8", "replace")
    way = rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037", "utf-7"))
    file.write_bytes(content.encode(way, "replace"))


def line_ends(file: Path, rng: Random) -> None:
    file.write_bytes(
        file.read_bytes().replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", "\u2028".encode())))
    )


def number(file: Path, rng: Random) -> None:
    """Another number, or what looks like one."""
    content = file.read_text(encoding="utf-8")
    found = list(re.finditer(r"(?<![\w.])-?\d+(?:\.\d+)?", content))
    if found:
        match = rng.choice(found)
        file.write_text(content[: match.start()] + rng.choice(NUMBERS) + content[match.end() :], encoding="utf-8")


def word(file: Path, rng: Random) -> None:
    """A word left out, repeated or swapped with another."""
    words = re.split(r"([\s,;<>\":]+)", file.read_text(encoding="utf-8"))
    one, other = (rng.randrange(0, len(words), 2) for _ in range(2))
    match rng.randrange(3):
        case 0:
            words[one] = ""
        case 1:
            words[one] += " " + words[one]
        case 2:
            words[one], words[other] = words[other], words[one]
    file.write_text("".join(words), encoding="utf-8")


def lines(file: Path, rng: Random) -> None:
    """A line left out, repeated, or swapped with another."""
    rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
    one, other = (rng.randrange(len(rows)) for _ in range(2))
    match rng.randrange(3):
        case 0:
            del rows[one]
        case 1:
            rows.insert(other, rows[one])
        case 2:
            rows[one], rows[other] = rows[other], rows[one]
    file.write_text("".join(rows), encoding="utf-8")


def long_line(file: Path, rng: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content + rng.choice((b"1 ", b"[", b"<a>", b"a: ", b"- ", b"{a: ", b" ", b"\n", b'"')) * 100_000)


def json_node(file: Path, rng: Random) -> None:
    """A value of a JSON file replaced, left out, repeated or wrapped."""
    text = file.read_text(encoding="utf-8")
    by_line = file.suffix in (".odgt", ".jsonl")
    rows = text.splitlines() if by_line else [text]
    row = rng.randrange(len(rows))
    tree = json.loads(rows[row])
    spots = list(_spots(tree))
    holder, key = rng.choice(spots)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(holder[key])
        case 1:
            holder[f"{key}2"] = holder.pop(key)
        case 2:
            holder[key] = [holder[key]]
        case 3:
            for _ in range(rng.choice((3, 400))):
                holder[key] = [holder[key]]
        case _:
            holder[key] = rng.choice(VALUES)
    rows[row] = json.dumps(tree)
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def deep_json(file: Path, rng: Random) -> None:
    content = file.read_text(encoding="utf-8")
    place = rng.choice([match.end() for match in re.finditer("[:,\\[]", content)] or [0])
    deep = rng.choice(("[" * 100_000, '{"a":' * 50_000, "[" * 900 + "]" * 900 + ","))
    file.write_text(content[:place] + deep + content[place:], encoding="utf-8")


def xml_node(file: Path, rng: Random) -> None:
    """A tag left out, repeated or renamed, or its text replaced."""
    content = file.read_text(encoding="utf-8")
    found = list(re.finditer(r"<(\w+)([^<>]*)>([^<>]*)</\1>", content))
    if not found:
        return
    match = rng.choice(found)
    tag, attributes, text = match.groups()
    texts = (
        *NUMBERS,
        "a" * 5000,
        "&#10;",
        "&amp;",
        "&#27;[31m",
        "<![CDATA[7]]>",
        "<!-- 7 -->",
        "7<x/>8",
        "../../a.jpg",
    )
    new = rng.choice((
        "", match[0] * 2, f"<{tag}x{attributes}>{text}</{tag}x>", f"<{tag}{attributes}/>",
        *[f"<{tag}{attributes}>{rng.choice(texts)}</{tag}>"] * 4,
    ))  # fmt: skip
    file.write_text(content[: match.start()] + new + content[match.end() :], encoding="utf-8")


def entities(file: Path, rng: Random) -> None:
    content = file.read_text(encoding="utf-8")
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(9))
    kinds = (bomb, '<!ENTITY l8 SYSTEM "file:///etc/passwd">')
    body = re.sub(r"^<\?xml.*?\?>", "", content)
    file.write_text(f"<!DOCTYPE a [{rng.choice(kinds)}]>{body.replace('>cat<', '>&l8;<', 1)}", encoding="utf-8")


def yaml_value(file: Path, rng: Random) -> None:
    """The value of a key replaced, or a line of another depth."""
    rows = file.read_text(encoding="utf-8").splitlines()
    row = rng.randrange(len(rows))
    values = (
        *NUMBERS, "[]", "{}", "[1, 2", "!!python/object:os.system x", "!!timestamp 9", "!!float x", "2024-99-99",
        "{.inf: a}", "&a [*a]", "*b", "|", "no", "~", "'", "[[[[]]]]", "- a", "{a: b: c}", "[" * 2000,
    )  # fmt: skip
    key, colon, _ = rows[row].partition(":")
    rows[row] = rng.choice((
        *(f"{key}{colon} {rng.choice(values)}" for _ in range(3)),
        rows[row] + "\n" + rows[row], "  " + rows[row], "\t" + rows[row], f"{key}x{colon} 1", f"? {rows[row]}",
    ))  # fmt: skip
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def other_size(file: Path, rng: Random) -> None:
    """The same picture in another size."""
    with Image.open(file) as image:
        smaller = image.convert("RGB").resize((max(1, image.width // 2), max(1, image.height - 3)))
    smaller.save(file)


def bomb(file: Path, rng: Random) -> None:
    """A header that announces a picture of 20,000 x 20,000."""
    Image.new("1", (20_000, 20_000)).save(file, "PNG")


def other_format(file: Path, rng: Random) -> None:
    with Image.open(file) as image:
        image.convert(rng.choice(("L", "RGB", "1"))).save(file, rng.choice(("PNG", "BMP", "TIFF", "PPM")))


BYTES = (truncate, truncate, flip, flip, cut_out, repeat_part, insert_junk)
FILES = (
    empty, zeros, noise, other_content, missing, folder_instead, pipe, broken_link, link_to_device, twin, renamed,
    loop_of_folders,
)  # fmt: skip
TEXTS = (encoded, line_ends, number, number, number, word, word, lines, long_line)
OF_SUFFIX: dict[str, tuple[Change, ...]] = {
    ".json": (json_node,) * 8 + (deep_json,),
    ".jsonl": (json_node,) * 8 + (deep_json,),
    ".odgt": (json_node,) * 8 + (deep_json,),
    ".xml": (xml_node,) * 6 + (entities,),
    ".yaml": (yaml_value,) * 8,
}
OF_PICTURES = (*BYTES, *FILES, other_size, other_size, bomb, other_format)


def break_one(folder: Path, path: Path, kind: str, rng: Random) -> Case:
    """Change one file of a base in its place.

    Args:
        folder: of the base.
        path: what is to be read, in it.
        kind: of the base.
        rng: decides what is changed, and how.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    shown = [file for file in files if file.suffix.lower() in SUFFIXES]
    labels = [file for file in files if file not in shown]
    pick = shown if kind == "pictures" or (shown and rng.random() < 0.12) else labels
    file = rng.choice(pick)
    name = file.relative_to(folder).as_posix()
    if pick is shown:
        changes: tuple[Change, ...] = OF_PICTURES
    elif file.suffix == ".sqlite":
        changes = BYTES + FILES
    else:
        few = rng.choice(((rng.choice(FILES),), BYTES, TEXTS, TEXTS, OF_SUFFIX.get(file.suffix, TEXTS)))
        changes = few
    change = rng.choice(changes)
    change(file, rng)
    return Case(path, name, change.__name__)


def _spots(tree: Any) -> Any:
    """Every place in a tree: a mapping or list, and a key of it."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _spots(value)
