"""Image files -> (H, W, 3) uint8 RGB, upright. Pillow, because it tells a truncated file from a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from centerx.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})
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


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, as a viewer shows it.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency is
    dropped; of an animation the first frame is taken.

    Raises:
        InputError: the file is missing, not a picture, truncated or unreasonably large.
    """
    with _opened(path) as image:
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
    with _opened(path) as image:
        width, height = image.size
        # Of a TIFF, Pillow gives the upright size and later the upright pixels by itself.
        turned = image.format != "TIFF" and image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def nonsense_orientation(path: Path) -> str:
    """The EXIF orientation where it is none of 1 to 8, which leaves the picture as stored; '' where it is, or absent.

    Raises:
        InputError: as `image_hw`.
    """
    with _opened(path) as image:
        orientation = image.getexif().get(EXIF_ORIENTATION)
    return "" if orientation in (None, 1, *UPRIGHT) else str(orientation)


def list_images(folder: Path) -> list[Path]:
    """Every image file below `folder`, sorted, by suffix."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file, check the path") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({_one_line(error)}), replace or remove it") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
