"""Image files -> (H, W, 3) uint8 RGB, upright. Pillow, because it tells a truncated file from a whole one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from centerx.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})
UPLOADS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")  # Pillow's names of what a stranger may send
EXIF_ORIENTATION = 0x0112
UPRIGHT = {  # EXIF orientation -> what turns the stored pixels upright; anything else is upright already
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Header(NamedTuple):
    """What the header of an image file says.

    Attributes:
        hw: height and width as a viewer shows the picture. stored_hw: before its EXIF orientation is applied.
        orientation: EXIF's number, 1 where there is none or nonsense.
    """

    hw: tuple[int, int]
    stored_hw: tuple[int, int]
    orientation: int


class TooManyPixelsError(InputError):
    """A picture whose header announces more pixels than are allowed."""


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, as a viewer shows it.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency is
    dropped; of an animation the first frame is taken.

    Raises:
        InputError: the file is missing, not a picture, truncated or unreasonably large.
    """
    with _opened(path, path) as image:
        image.load()
        return to_rgb(image)


def decode_image(content: bytes, name: str, max_pixels: int) -> np.ndarray:
    """Read an image file that a stranger sent, by the rules of `read_image`.

    Args:
        content: of the file, one of UPLOADS: Pillow reads more, and runs programs for some.
        name: what errors call it.
        max_pixels: allowed; the header is asked before anything is decoded.

    Raises:
        TooManyPixelsError: more pixels than that.
        InputError: not a picture, or truncated.
    """
    with _opened(io.BytesIO(content), name, UPLOADS) as image:
        if image.width * image.height > max_pixels:
            raise TooManyPixelsError(
                f"{name}: {image.width} x {image.height} pixels, at most {max_pixels} are allowed, shrink it"
            )
        image.load()
        return to_rgb(image)


def to_rgb(image: Image.Image) -> np.ndarray:
    """A loaded Pillow image -> (H, W, 3) uint8 RGB with its EXIF orientation applied."""
    # Not ImageOps.exif_transpose: it writes the whole EXIF anew and fails on a broken tag elsewhere.
    orientation = image.getexif().get(EXIF_ORIENTATION)
    upright = image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image
    if upright.mode.startswith("I") or upright.mode == "F":
        grey = np.asarray(upright, dtype=np.float64)
        if upright.mode.startswith("I;16") or grey.max(initial=0) > 255:
            grey = grey / 257  # 65535 -> 255
        grey = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(upright.convert("RGB"))


def image_hw(path: Path) -> tuple[int, int]:
    """Height and width as a viewer shows the picture, read from the header alone.

    Raises:
        InputError: the file is missing or has no readable header.
    """
    return image_header(path).hw


def image_header(path: Path) -> Header:
    """Read the header of an image file.

    Raises:
        InputError: as `image_hw`.
    """
    with _opened(path, path) as image:
        width, height = image.size
        orientation = image.getexif().get(EXIF_ORIENTATION)
        upright = image.format == "TIFF"  # of which Pillow gives the upright size, and later the upright pixels
    orientation = orientation if orientation in UPRIGHT else 1
    other = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return Header((height, width), other, orientation) if upright else Header(other, (height, width), orientation)


def nonsense_orientation(path: Path) -> str:
    """The EXIF orientation where it is none of 1 to 8, which leaves the picture as stored; '' where it is, or absent.

    Raises:
        InputError: as `image_hw`.
    """
    with _opened(path, path) as image:
        orientation = image.getexif().get(EXIF_ORIENTATION)
    return "" if orientation in (None, 1, *UPRIGHT) else str(orientation)


def list_images(folder: Path, deep: bool = True) -> list[Path]:
    """Every image file below `folder`, or directly in it, sorted, by suffix."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


@contextmanager
def _opened(file: Path | BinaryIO, name: object, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """A file whose header is read; `name` is what errors call it, `formats` are Pillow's names of those allowed."""
    try:
        with Image.open(file, formats=formats) as image:
            yield image
    except FileNotFoundError:
        raise InputError(f"{name}: no such image file, check the path") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"{name}: too large ({_one_line(error)}), shrink it") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a readable image (of no known format), replace or remove it") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: not a readable image ({_one_line(error)}), replace or remove it") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
