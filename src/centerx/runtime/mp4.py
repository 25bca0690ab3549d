"""Read which share of its frames an MP4 or MOV file shows. A trimmed file still contains frames that are not shown.

ISO 14496-12: a box is its size (4 bytes), its name (4 bytes) and its content. `elst` lists the parts of a track that
are shown and the duration of each, in units of `mvhd`. `mdhd` has the duration of all frames, in units of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

LARGEST = 64 << 20  # bytes of an index; that of a film of several hours has a few MB


def shown_share(path: Path) -> float | None:
    """Return the share in (0, 1] of the frames in the video's index that are shown.

    Returns:
        The share, or None if the file has no such index: another format, fragmented, or broken.
    """
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] != b"ftyp":
                return None
        moov = _find_index(path)
        boxes = dict(_boxes(moov)) if moov is not None else {}
        if b"mvhd" not in boxes or b"mvex" in boxes:
            return None
        film_units, _ = _times(boxes[b"mvhd"])
        for name, content in _boxes(moov or b""):
            track = dict(_boxes(content)) if name == b"trak" else {}
            media = dict(_boxes(track.get(b"mdia", b"")))
            if media.get(b"hdlr", b"")[8:12] == b"vide":
                units, lasting = _times(media[b"mdhd"])
                edits = dict(_boxes(track.get(b"edts", b"")))
                shown = _shown(edits[b"elst"]) / film_units if b"elst" in edits else 0
                return min(shown / (lasting / units), 1.0) or 1.0
    except (OSError, KeyError, struct.error, ZeroDivisionError):
        pass
    return None


def _find_index(path: Path) -> bytes | None:
    """Return the content of the box `moov`, which can be anywhere in the file; None if there is none."""
    with path.open("rb") as file:
        place, end = 0, path.stat().st_size
        while place + 8 <= end:
            file.seek(place)
            size, name = struct.unpack(">I4s", file.read(8))
            start = 8
            if size == 1:
                size, start = struct.unpack(">Q", file.read(8))[0], 16
            if name == b"moov":
                return file.read(size - start) if start <= size <= LARGEST else None
            if size < start:  # 0: up to the end
                return None
            place += size
    return None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each box."""
    place = 0
    while place + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        if size < 8:
            return
        yield name, content[place + 8 : place + size]
        place += size


def _times(box: bytes) -> tuple[int, int]:
    """Return the units per second and the duration in these units, from a box `mvhd` or `mdhd`."""
    units, duration = struct.unpack_from(*((">IQ", box, 20) if box[:1] == b"\x01" else (">II", box, 12)))
    return units, duration


def _shown(elst: bytes) -> int:
    """Return the total duration of the parts that show frames; a start of -1 marks a pause."""
    part = struct.Struct(">QqI" if elst[:1] == b"\x01" else ">IiI")
    count = int.from_bytes(elst[4:8])
    parts = part.iter_unpack(elst[8 : 8 + count * part.size])
    return sum(duration for duration, time, _ in parts if time >= 0)
