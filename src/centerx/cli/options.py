"""Parts that several commands share: types of options, plurals, and the package extra that brings a module."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from centerx.errors import InputError

FRAME_HELP = "what the boxes are of: upright, the picture as a viewer shows it, or stored, before EXIF turns it"

Threads = Annotated[int | None, typer.Option(min=1, help="of the processor for a call of the network")]
Providers = Annotated[
    str | None, typer.Option(help="where to compute, by name, the best first, separated by commas, such as cuda,cpu")
]

TileSize = Annotated[
    str | None, typer.Option("--tiles", help="cut larger pictures into tiles of this side in pixels, or HxW")
]
Overlap = Annotated[float, typer.Option(help="least share of a tile that the next one has too, with --tiles")]
Whole = Annotated[
    bool, typer.Option("--whole", help="with --tiles, look at the picture as a whole too, for objects over an overlap")
]
Megapixels = Annotated[
    float | None,
    typer.Option("--max-megapixels", min=0.001, help="the most of a picture; 178 without it, as a file may be a trap"),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="keep what is found in FILE.part beside the JSON, and go on with what an earlier command left"
    ),
]

# Module that the core install lacks -> extra of the package that installs it.
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "lightning": "train",
    "timm": "train",
    "omegaconf": "train",
    "safetensors": "train",
    "faster_coco_eval": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "tensorboard": "train",
    "onnx": "export",
    "onnxscript": "export",
    "onnxslim": "export",
    "openvino": "openvino",
    "ai_edge_litert": "litert",
    "ncnn": "ncnn",
    "pnnx": "ncnn",
    "sklearn": "train",
    "optuna": "tune",
    "filelock": "tune",
    "ray": "cluster",
    "pandas": "notebook",
    "pyarrow": "parquet",
    "supervision": "supervision",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "python_multipart": "serve",
}


class ListOptions(TyperCommand):
    """A command whose repeatable options take several values each: `--images a b` means `--images a --images b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values; a `key=value` is none of them, unless it is a path."""
        lists = {name for each in self.params if getattr(each, "multiple", False) for name in each.opts}
        spread: list[str] = []
        option: str | None = None
        for arg in args:
            if arg.startswith("-"):
                name, equals, value = arg.partition("=")
                option = name if name in lists else None
                spread += [] if option and not equals else [option, value] if option else [arg]
            elif option and (not is_override(arg) or os.path.exists(arg)):
                spread += [option, arg]
            else:
                spread.append(arg)
        return super().parse_args(ctx, spread)


def is_override(word: str) -> bool:
    """Whether it is a `dotted.key=value`."""
    key, equals, _ = word.partition("=")
    return bool(equals) and all(part.isidentifier() for part in key.split("."))


def parse_size(text: str) -> tuple[int, int]:
    """Parse an input size.

    Args:
        text: height and width in pixels, such as `320x416`.

    Returns:
        Height and width in pixels.

    Raises:
        InputError: the text does not have this form, or a side is not a multiple of 32.
    """
    from centerx.geometry import INPUT_MULTIPLE as STEP

    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size: {text!r} is not HxW, such as 320x416")
    height, width = int(match[1]), int(match[2])
    if not height or not width or height % STEP or width % STEP:
        close = "x".join(str(max(STEP, round(side / STEP) * STEP)) for side in (height, width))
        raise InputError(f"--size: {text} must be multiples of {STEP}, such as {close}")
    return height, width


def parse_tiles(text: str | None) -> int | tuple[int, int] | None:
    """Parse the size of tiles: a side, or height and width, such as `1024` or `768x1024`.

    Raises:
        InputError: the text has neither form.
    """
    match = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text or "")
    if text is not None and match is None:
        raise InputError(f"--tiles: {text!r} is no side in pixels and not HxW, such as 1024 or 768x1024")
    return None if match is None else (int(match[1]), int(match[2] or match[1]))


def parse_names(text: str | None) -> list[str] | None:
    """Parse names that are separated by commas."""
    return None if text is None else [name.strip() for name in text.split(",")]


def plural(count: int, noun: str, ending: str = "s") -> str:
    """Return a number with its noun: `1 picture`, `2 pictures`."""
    return f"{count} {noun}{'' if count == 1 else ending}"


def complete_config(incomplete: str) -> list[str]:
    """Return the presets for the completion of a shell, which completes files by itself where there is none."""
    from centerx.api.presets import known_presets

    return [name for name in known_presets() if name.startswith(incomplete)]
