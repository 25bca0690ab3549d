"""Read image files as upright (H, W, 3) uint8 RGB.

They are read with Pillow, because it detects truncated files. Whole JPEGs are decoded by simplejpeg to the same pixels,
in two thirds of the time.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from math import inf, isfinite
from mmap import ACCESS_READ, mmap
from os.path import splitext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from centerx.contents import HEAD, RAW, RAW_SUFFIXES, explain, identify, is_text, open_plain, read_head, read_plain
from centerx.errors import InputError
from centerx.levels import AUTO, ValueRange, find_limits, flat_levels, lost_levels, to_levels
from centerx.problems import Kind, Problem

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".qoi",
    ".pcx", ".sgi", ".ras",
})  # fmt: skip
BESIDE = frozenset({  # suffixes of files that usually lie beside pictures: labels, lists, notes
    ".txt", ".xml", ".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".csv", ".tsv", ".names", ".data", ".mat",
    ".odgt", ".pbtxt", ".record", ".tfrecord",
    ".cache", ".md", ".rst", ".log", ".ini", ".cfg", ".toml", ".db", ".html", ".py", ".ipynb", ".sh", ".bat",
})  # fmt: skip
NO_PICTURES = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"}  # Pillow opens them with other programs
UPLOADS = (
    "JPEG",
    "PNG",
    "BMP",
    "WEBP",
    "TIFF",
    "PPM",
    "GIF",
)  # formats of untrusted files, by Pillow's names
MOST_VALUES = 1 << 26  # pixels of 16-bit colours that are looked at for lost levels
MOST_BESIDE = 1 << 24  # bytes of a JPEG beside its pixels
MOST_SCANS = 100  # of a progressive JPEG, as many as libtiff takes; a scan of 80 bytes may go through all pixels
MOST_COMMENTS = 1000  # of a PPM in text, each of which takes Pillow a copy of the file
JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")  # of segments with a length, of the start and the end
STRIP = 1 << 22  # pixels that are converted at once
MOST_SUFFIXES = 8  # named in a message about files that are left out
COLOURS = "RGB", "RGBA", "RGBX", "LA"  # modes in which Pillow keeps the upper 8 of 16 bits
EXIF_ORIENTATION = 0x0112
UPRIGHT = {  # EXIF orientation -> transposition that turns stored pixels upright; other values need none
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Header(NamedTuple):
    """Header of an image file.

    Attributes:
        hw: height and width in pixels as a viewer shows the picture.
        stored_hw: height and width in pixels before the EXIF orientation is applied.
        orientation: EXIF orientation, 1 if it is missing or invalid.
        nonsense: EXIF orientation as text if it is not one of 1 to 8, else empty.
    """

    hw: tuple[int, int]
    stored_hw: tuple[int, int]
    orientation: int
    nonsense: str = ""


class TooManyPixelsError(InputError):
    """The header of a picture announces more pixels than are allowed."""


def allow_megapixels(most: float) -> None:
    """Change the largest number of pixels that a picture may have, in the whole process.

    A small file can announce a huge picture, so as to fill the memory of whoever opens it. Allow more than the usual
    178 million pixels only for files of known origin.

    Args:
        most: in millions; infinite for no limit.
    """
    Image.MAX_IMAGE_PIXELS = int(most * 1e6 / 2) if isfinite(most) else None  # Pillow refuses twice as many


def allowed_megapixels() -> float:
    """Return the largest number of pixels that a picture may have, in millions."""
    return 2 * Image.MAX_IMAGE_PIXELS / 1e6 if Image.MAX_IMAGE_PIXELS else inf


def read_image(path: Path, value_range: ValueRange = AUTO, reduction: int = 1) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, as a viewer shows it.

    The EXIF orientation is applied. Grey, palette, CMYK and deeper pictures are converted to 8-bit RGB. Transparency is
    dropped. Of an animation or several pages, the first is read.

    Args:
        path: the file.
        value_range: how values of more than 8 bits are converted to grey levels, see `levels.find_limits`.
        reduction: 1, 2, 4 or 8; a JPEG is decoded with so many times fewer rows and columns, rounded up, which is
            faster. Files of other formats are read whole, and turned ones whose sides are no multiples.

    Raises:
        InputError: the file is missing, not a picture, truncated, or too large.
    """
    with _opened(path, path) as image:
        if reduction > 1 and not (image.format == "JPEG" and _can_be_reduced(image, reduction)):
            reduction = 1
        return _decode(image, path, value_range, reduction=reduction)[0]


def inspect_image(path: Path, value_range: ValueRange = AUTO) -> tuple[np.ndarray, Problem | None]:
    """Read an image file, and report if it uses few grey levels.

    Args:
        path: as for `read_image`.
        value_range: as for `read_image`.

    Returns:
        (H, W, 3) uint8 RGB, and the problem or None.

    Raises:
        InputError: as for `read_image`.
    """
    with _opened(path, path) as image:
        picture, values = _decode(image, path, value_range, all_values=True)
    what = flat_levels(picture) if values is None else lost_levels(values, find_limits(values, value_range))
    return picture, Problem(Kind.FEW_GREY_LEVELS, str(path), what) if what else None


def decode_image(content: bytes, name: str, max_pixels: int, value_range: ValueRange = AUTO) -> np.ndarray:
    """Decode an image file from an untrusted source, by the rules of `read_image`.

    Args:
        content: bytes of the file. Its format must be one of UPLOADS, because Pillow runs programs for some others.
        name: name of the file in error messages.
        max_pixels: largest number of pixels; it is checked in the header, before decoding.
        value_range: as for `read_image`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        TooManyPixelsError: the picture has more pixels than allowed.
        InputError: the content is not a picture, or truncated.
    """
    file = io.BytesIO(content)
    with _opened(file, name, UPLOADS) as image:
        if image.width * image.height > max_pixels:
            raise TooManyPixelsError(
                f"{name}: {image.width} x {image.height} pixels, at most {max_pixels} are allowed, shrink it"
            )
        return _decode(image, file, value_range)[0]


def _can_be_reduced(image: Image.Image, reduction: int) -> bool:
    """Return whether blocks of pixels begin at the left and top of the upright picture."""
    turned = image.getexif().get(EXIF_ORIENTATION) in UPRIGHT
    return not turned or not any(side % reduction for side in image.size)


def to_rgb(image: Image.Image, value_range: ValueRange = AUTO) -> np.ndarray:
    """Convert a loaded Pillow image to (H, W, 3) uint8 RGB, with its EXIF orientation applied."""
    return _as_picture(image, _grey_values(image), value_range)


def image_hw(path: Path) -> tuple[int, int]:
    """Read the height and width of a picture, as a viewer shows it, from its header.

    Raises:
        InputError: the file is missing or has no readable header.
    """
    return image_header(path).hw


def image_header(path: Path) -> Header:
    """Read the header of an image file.

    Raises:
        InputError: as for `image_hw`.
    """
    with _opened(path, path) as image:
        width, height = image.size
        orientation = _orientation(image, path)
        upright = image.format == "TIFF"  # for TIFF, Pillow applies the orientation itself
    nonsense = "" if orientation in (None, 1, *UPRIGHT) else str(orientation)
    orientation = orientation if orientation in UPRIGHT else 1
    stored, turned = (height, width), (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return Header(stored, turned, orientation, nonsense) if upright else Header(turned, stored, orientation, nonsense)


def _orientation(image: Image.Image, path: Path) -> Any:
    """Return the EXIF orientation. A PNG is decoded only if metadata follows its pixels; Pillow would always do it."""
    decode = image.format != "PNG" or _tells_more_behind_pixels(path)
    return (image.getexif() if decode else Image.Image.getexif(image)).get(EXIF_ORIENTATION)


def _tells_more_behind_pixels(path: Path) -> bool:
    """Return whether a PNG has chunks of text or EXIF after its pixels (PNG specification, section 5.3)."""
    with open_plain(path) as file:
        file.seek(len(b"\x89PNG\r\n\x1a\n"))
        behind = False
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if behind and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            behind = behind or kind == b"IDAT"
            file.seek(length + 4, 1)  # the data and its checksum
    return False


def list_images(folder: Path, deep: bool = True) -> list[Path]:
    """List the image files in a folder, by suffix, sorted. Hidden files are left out.

    Args:
        folder: the folder.
        deep: whether to include subfolders.
    """
    return list_files(folder, SUFFIXES, deep)


def list_files(folder: Path, suffixes: Collection[str], deep: bool = True) -> list[Path]:
    """List the files in a folder by suffix, sorted.

    Hidden files and the content of hidden folders are left out, such as thumbnails, temporary folders of a killed
    command, and `._` files of macOS. Pipes and links to nothing are listed, and cannot be read.

    Args:
        folder: the folder.
        suffixes: suffixes in lower case; those of files may be in any case.
        deep: whether to include subfolders.

    Raises:
        InputError: see `list_names`.
    """
    return [folder / name for name in list_names(folder, suffixes, deep)]


def list_names(folder: Path, suffixes: Collection[str], deep: bool = True) -> list[str]:
    """List the files in a folder as `list_files` does, as texts relative to it, which take a tenth of the memory.

    Raises:
        InputError: the folder is the whole file system, which takes hours; a data.yaml of a stranger may name it.
    """
    if deep and os.path.realpath(folder) == "/":
        raise InputError(f"{folder}: is the whole file system, name a folder of pictures")
    return [name for name in _walk(folder, deep) if splitext(name)[1].lower() in suffixes]


def left_out(folder: Path, used: Collection[str] = SUFFIXES) -> Problem | None:
    """Report the files in a folder that are not used and not of a kind that usually lies beside pictures.

    Args:
        folder: the folder; subfolders are included.
        used: suffixes of the files that are used, in lower case.

    Returns:
        One problem for all of them, or None.
    """
    return other_files((folder / name for name in _walk(folder)), used)


def other_files(paths: Iterable[Path], used: Collection[str] = SUFFIXES) -> Problem | None:
    """Report unused files as `left_out` does, for a list of paths."""
    others = sorted(path for path in paths if _is_other(path, used))
    if not others:
        return None
    suffixes = sorted({path.suffix.lower() or "without suffix" for path in others})
    more = ", ..." if len(suffixes) > MOST_SUFFIXES else ""
    what = f"of a kind that is not read here ({', '.join(suffixes[:MOST_SUFFIXES])}{more})"
    return Problem(Kind.FILE_LEFT_OUT, str(others[0]), what, len(others))


def _walk(folder: str | Path, deep: bool = True, before: str = "") -> Iterator[str]:
    """Yield the files in a folder that are not hidden, sorted by the parts of their names, as texts relative to it."""
    names: list[str] = []
    folders: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if _is_folder(entry):
                    if not deep or entry.is_symlink():
                        continue
                    folders.add(entry.name)
                names.append(entry.name)
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        if not deep:
            raise
    names.sort()
    for name in names:
        if name in folders:
            yield from _walk(os.path.join(folder, name), before=f"{before}{name}/")
        else:
            yield before + name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_other(path: Path, used: Collection[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix in used or suffix in BESIDE or path.name.startswith(".") or not path.is_file():
        return False
    if suffix:
        return True
    head = read_head(path)
    return bool(head) and not is_text(head)  # LICENSE, Makefile


@contextmanager
def _opened(file: Path | io.BytesIO, name: object, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """Open an image file and read its header.

    Args:
        file: the file, or its content.
        name: name in error messages.
        formats: Pillow's names of the allowed formats; all by default.
    """
    if splitext(str(name))[1].lower() in RAW_SUFFIXES:  # Pillow would read the small preview in it
        raise InputError(f"{name}: not a readable image {explain(RAW)}")
    try:
        content = open_plain(file) if isinstance(file, Path) else nullcontext(file)
        with content as opened, Image.open(opened, formats=formats) as image:
            if image.format in NO_PICTURES:
                raise UnidentifiedImageError
            yield image
    except FileNotFoundError:
        raise InputError(f"{name}: no such image file, check the path") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(
            f"{name}: too large ({_one_line(error)}), shrink it, or allow it by max_megapixels if you trust it"
        ) from None
    except UnidentifiedImageError:
        head = read_head(file) if isinstance(file, Path) else file.getvalue()[:HEAD]
        raise InputError(f"{name}: not a readable image {explain(identify(head))}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: not a readable image ({_one_line(error)}), replace or remove it") from None


def _decode(
    image: Image.Image, file: Path | io.BytesIO, value_range: ValueRange, all_values: bool = False, reduction: int = 1
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode an opened image.

    Pillow keeps the upper 8 bits of 16-bit colours, which is right for `auto`. For other ranges and with `all_values`,
    OpenCV reads all bits.

    Returns:
        (H, W, 3) uint8 RGB, and the values of the file if they have more than 8 bits.
    """
    _require_little_work(image, file)
    if image.format == "JPEG" and (picture := _jpeg(image, reduction)) is not None:
        return picture, None
    if reduction > 1:
        image.draft(None, (max(image.width // reduction, 1), max(image.height // reduction, 1)))
    largest = _largest_colour(image)
    image.load()  # first, because OpenCV does not report truncated files
    if not largest:
        values = _grey_values(image)
        return _as_picture(image, values, value_range), values
    picture = _to_array(_upright(image)) if value_range == AUTO else None
    if picture is not None and not (all_values and image.width * image.height <= MOST_VALUES):
        return picture, None
    Image.Image.close(image)  # frees its pixels, before OpenCV takes memory for them
    values = _colour_values(file, largest)
    if picture is None:
        if values is None:
            raise ValueError("its 16-bit colours are of a kind that is not read here")
        picture = _levels(values, value_range)
    return picture, values


def _require_little_work(image: Image.Image, file: Path | io.BytesIO) -> None:
    """Raise if the work to decode a file is out of proportion to its pixels.

    Raises:
        ValueError: it is a progressive JPEG of many scans, or a PPM in text with many comments.
    """
    found: Iterator[object]
    if image.info.get("progressive"):
        found, most, what = _jpeg_scans(_bytes(file)), MOST_SCANS, "scans"
    elif image.format == "PPM" and image.tile[0][0] == "ppm_plain":  # type: ignore[attr-defined]
        found, most, what = re.finditer(b"#", _bytes(file)), MOST_COMMENTS, "comments"
    else:
        return
    if next(islice(found, most, None), None) is not None:
        raise ValueError(f"it has more than {most} {what}")


def _bytes(file: Path | io.BytesIO) -> bytes | mmap:
    if isinstance(file, io.BytesIO):
        return file.getvalue()
    with open_plain(file) as opened:
        return mmap(opened.fileno(), 0, access=ACCESS_READ)


def _jpeg_scans(content: bytes | mmap) -> Iterator[int]:
    """Yield the places of the scans of the first picture of a JPEG, not of one in its metadata."""
    at = 2
    while (found := JPEG_MARKER.search(content, at)) and found[1] != b"\xd9":  # the end of the picture
        at = found.end()
        if found[1] == b"\xda":
            yield at
        if found[1] != b"\xd8":
            at += int.from_bytes(content[at : at + 2], "big")


def _jpeg(image: Image.Image, reduction: int) -> np.ndarray | None:
    """Decode a JPEG of three colours, see `read_image`; None where Pillow has to judge it, as something is wrong."""
    if image.mode != "RGB":
        return None
    file: Any = image.fp  # type: ignore[attr-defined]
    if file.seek(0, os.SEEK_END) > 3 * image.width * image.height + MOST_BESIDE:  # Pillow need not read all of it
        return None
    file.seek(0)
    content = file.read()
    width, height = (-(-side // reduction) for side in image.size)
    try:
        if simplejpeg.decode_jpeg_header(content)[1::-1] != image.size:  # on Pillow's depends whether it is too large
            return None
        pixels = simplejpeg.decode_jpeg(content, min_height=height, min_width=width)
    except ValueError:
        return None
    turned = UPRIGHT.get(image.getexif().get(EXIF_ORIENTATION))  # type: ignore[arg-type]
    return pixels if turned is None else _to_array(Image.fromarray(pixels).transpose(turned))


def _as_picture(image: Image.Image, values: np.ndarray | None, value_range: ValueRange) -> np.ndarray:
    return _to_array(_upright(image)) if values is None else _levels(values, value_range)


def _levels(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Convert values (H, W) or (H, W, 3) of more than 8 bits to (H, W, 3) uint8."""
    limits = find_limits(values, value_range)
    picture = np.empty((*values.shape[:2], 3), dtype=np.uint8)
    for rows in _strips(*values.shape[:2]):
        levels = to_levels(values[rows], limits)
        picture[rows] = levels if levels.ndim == 3 else levels[:, :, None]
    return picture


def _to_array(image: Image.Image) -> np.ndarray:
    """Convert an image to (H, W, 3) uint8 RGB, strip by strip: a large one needs no second copy of itself."""
    if image.mode == "RGB" and image.width * image.height <= STRIP:
        return np.array(image)
    picture = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for rows in _strips(image.height, image.width):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        picture[rows] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    return picture


def _strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of a picture in strips of about STRIP pixels."""
    step = max(1, STRIP // width)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def _upright(image: Image.Image) -> Image.Image:
    # Not ImageOps.exif_transpose: it writes the whole EXIF anew and fails on a broken tag elsewhere.
    orientation = image.getexif().get(EXIF_ORIENTATION)
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _grey_values(image: Image.Image) -> np.ndarray | None:
    """Return (H, W) uint16, int32 or float32 values of a loaded image in a deep mode, which is always grey, or None."""
    return np.asarray(_upright(image)) if image.mode.startswith(("I", "F")) else None


def _largest_colour(image: Image.Image) -> int:
    """Return the largest value of a colour in the file of an image that is not loaded yet; 0 for 8 bits."""
    tiles = getattr(image, "tile", None)
    if image.mode not in COLOURS or not tiles:
        return 0
    codec, _, _, how = tiles[0]  # `how` is the layout of a pixel in the file, or a tuple that starts with it
    layout, *rest = how if isinstance(how, tuple) and how else (how,)
    if codec == "ppm":
        return int(rest[0]) if rest and int(rest[0]) > 255 else 0
    return 65535 if ";16" in str(layout) else 0


def _colour_values(file: Path | io.BytesIO, largest: int) -> np.ndarray | None:
    """Read upright (H, W, 3) uint16 RGB, scaled from 0..`largest` to 0..65535; None if OpenCV cannot read it."""
    import cv2

    content = read_plain(file) if isinstance(file, Path) else file.getvalue()
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or values.dtype != np.uint16:
        return None
    values = values[:, :, ::-1]
    for rows in _strips(*values.shape[:2]) if largest != 65535 else ():
        values[rows] = np.rint(values[rows] * (65535 / largest))
    return values


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
