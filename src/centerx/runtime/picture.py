"""Convert the picture types that a program may have to (H, W, 3) uint8 RGB."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from centerx.errors import InputError
from centerx.images import decode_image, read_image, to_rgb
from centerx.levels import AUTO, ValueRange

if TYPE_CHECKING:
    from torch import Tensor

    Picture = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray | Tensor
else:
    Picture = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray
KINDS = "a path, the bytes of a file, a binary file, a PIL picture, an array or a tensor"
NAMELESS = "the picture"
LONGEST_PATH = 4096
CHANNELS = (1, 3, 4)  # grey, RGB, RGB with an alpha channel
ADVICE = {  # `kind` of a dtype -> how to convert the array
    "f": "bring it to 0 to 255 first, from 0 to 1 by (picture * 255).round().astype('uint8')",
    "b": "convert it by picture.astype('uint8') * 255",
    "u": "bring it to 0 to 255 first, from 16 bits by (picture // 257).astype('uint8')",
    "i": "bring it to 0 to 255 first, and convert it by picture.astype('uint8')",
}


def to_image(picture: Picture, bgr: bool = False, value_range: ValueRange = AUTO) -> np.ndarray:
    """Read, decode or convert one picture.

    Args:
        picture: a path, the bytes of an image file, a binary file (read from its start), a PIL picture (its EXIF
            orientation is applied), or a uint8 array or an object that NumPy converts to one: (H, W, 3) RGB, (H, W, 4)
            with an alpha channel that is dropped, (H, W) or (H, W, 1) grey. A torch tensor, on any device, has its
            channels first or last, and values of uint8 or of floats in [0, 1].
        bgr: whether arrays and tensors have their channels in the order BGR, as OpenCV reads them. Files and PIL
            pictures are not affected.
        value_range: how files and PIL pictures of more than 8 bits are converted to 8 bits, see `levels.find_limits`.

    Returns:
        (H, W, 3) uint8 RGB, contiguous.

    Raises:
        InputError: the picture cannot be read, or has another type.
    """
    found: Any = picture
    if found is None or (isinstance(found, str) and not found):
        raise InputError("no picture: was the path right? (cv2.imread gives None where it finds none)")
    if isinstance(found, str | os.PathLike):
        return read_image(_path(os.fsdecode(found)), value_range)
    if isinstance(found, bytes | bytearray | memoryview):
        return _decode(bytes(found), NAMELESS, value_range)
    if isinstance(found, Image.Image):
        return _from_pil(found, value_range)
    if hasattr(found, "read"):
        return _decode(*_content(found), value_range)
    if is_tensor(found):
        return np.ascontiguousarray(_from_array(_from_tensor(found), bgr))
    if hasattr(found, "__array__"):
        return np.ascontiguousarray(_from_array(_array(found), bgr))
    if isinstance(found, list | tuple):
        raise InputError(
            f"a {type(found).__name__} is no picture: give several pictures to predict_batch, pixels as an array"
        )
    raise InputError(f"something of type {type(found).__name__} is no picture: give {KINDS}")


def to_list(pictures: Any) -> list[Picture]:
    """Convert a collection of pictures to a list.

    Args:
        pictures: any ordered iterable of pictures, an array (N, H, W, C), or a tensor (N, C, H, W) or (N, H, W, C).

    Raises:
        InputError: it is a single picture, or not an ordered iterable.
    """
    if pictures is None:
        raise InputError("no pictures: give a list of them")
    if is_one(pictures):
        what = f"an array {tuple(pictures.shape)}" if hasattr(pictures, "shape") else _kind(pictures)
        raise InputError(f"{what} is one picture: call the detector itself, or give a list")
    if hasattr(pictures, "__array__") and not is_tensor(pictures):
        pictures = _array(pictures)
    if isinstance(pictures, Mapping | Set) or not hasattr(pictures, "__iter__"):
        raise InputError(f"{_kind(pictures)} is no list of pictures: give one")
    return list(pictures)


def is_one(given: Any) -> bool:
    """Whether it is one picture, or its path, and not several."""
    if isinstance(given, str | os.PathLike | bytes | bytearray | memoryview | Image.Image) or hasattr(given, "read"):
        return True
    if not hasattr(given, "__array__"):
        return False
    return (given if is_tensor(given) else _array(given)).ndim in (0, 2, 3)


def _kind(given: Any) -> str:
    return f"something of type {type(given).__name__}"


def is_tensor(found: Any) -> bool:
    """Whether it is a tensor of torch, which is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, torch.Tensor)


def _path(text: str) -> Path:
    if len(text) > LONGEST_PATH:
        raise InputError(f"{text[:40]!r}...: {len(text)} characters are no path, decode them and give the bytes")
    if "://" in text and not os.path.exists(text):
        raise InputError(f"{text}: is no path, fetch it first and give the bytes")
    return Path(text)


def _decode(content: bytes, name: str, value_range: ValueRange) -> np.ndarray:
    if not content:
        raise InputError(f"{name}: 0 bytes, give those of an image file")
    return decode_image(content, name, sys.maxsize, value_range)


def _content(file: Any) -> tuple[bytes, str]:
    """Return the content of a binary file and its name for messages."""
    own = getattr(file, "name", None)
    name = own if isinstance(own, str) and own else NAMELESS
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        content = file.read()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{name}: cannot be read ({_reason(error)}), open it with 'rb'") from None
    if not isinstance(content, bytes | bytearray):
        raise InputError(f"{name}: gives {type(content).__name__}, not bytes, open it with 'rb'")
    return bytes(content), name


def _from_pil(image: Image.Image, value_range: ValueRange) -> np.ndarray:
    name = getattr(image, "filename", "") or NAMELESS
    if 0 in image.size:
        raise InputError(f"{name}: {image.width} x {image.height}, without pixels")
    try:
        image.load()
        return to_rgb(image, value_range)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: not a readable image ({_reason(error)}), replace it or open it again") from None


def _array(found: Any) -> np.ndarray:
    try:
        return np.asarray(found)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, or with gradients
        raise InputError(
            f"something of type {type(found).__name__} gives no array ({_reason(error)}), "
            "of a tensor give .detach().cpu().numpy()"
        ) from None


def _from_tensor(tensor: Any) -> np.ndarray:
    """Return a tensor as an array with its channels last, floats in [0, 1] as uint8."""
    shape = tuple(tensor.shape)
    first, last = (len(shape) == 3 and shape[axis] in CHANNELS for axis in (0, 2))
    if first and last:
        raise InputError(
            f"a tensor {shape} has channels first or last, which is not clear: give it as an array (H, W, C)"
        )
    array: np.ndarray
    if tensor.is_floating_point():
        values = tensor.detach().cpu().double().numpy()
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(
                f"a tensor of floats must be in [0, 1], not in [{values.min():.4g}, {values.max():.4g}]: "
                "undo its normalisation, or give uint8"
            )
        array = (values * 255).round().astype(np.uint8)
    else:
        array = tensor.detach().cpu().numpy()
    return array.transpose(1, 2, 0) if first else array


def _from_array(image: np.ndarray, bgr: bool) -> np.ndarray:
    channels = image.shape[2] if image.ndim == 3 else 1
    advice = []
    if not image.size and image.ndim in (2, 3):
        advice.append("this has no pixels")
    elif image.ndim == 4:
        advice.append("give several pictures to predict_batch")
    elif image.ndim == 3 and channels not in CHANNELS and image.shape[0] in CHANNELS:
        advice.append("put the channels last by picture.transpose(1, 2, 0)")
    elif image.ndim not in (2, 3) or channels not in CHANNELS:
        advice.append(f"give {KINDS}")
    if image.dtype != np.uint8 and image.dtype.kind in ADVICE:
        advice.append(ADVICE[image.dtype.kind])
    if advice or image.dtype != np.uint8:
        raise InputError(
            f"a picture must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}: "
            f"{'; '.join(advice) or f'give {KINDS}'}"
        )
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image[:, :, 2::-1] if bgr else image[:, :, :3]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
