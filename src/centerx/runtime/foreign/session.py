"""A detector file of another project as a session: a runner and an adapter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from centerx.errors import InputError
from centerx.runtime.foreign.adapter import Adapter, Input, require_size
from centerx.runtime.foreign.decode import Found, decode
from centerx.runtime.foreign.recognise import AdapterSource, recognise
from centerx.runtime.foreign.runner import Declared, Runner, Tensor, require_arrays
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import stack_rows
from centerx.tasks import LABELLED, POSE, QUADS, ROTATED
from centerx.types import RawDetections

logger = logging.getLogger(__name__)

GREY = 114  # of the picture that a file is tried with
TYPES = ("float32", "float16", "uint8")


def open_foreign(path: Path, open_runner: Callable[[bool], Runner], adapter: AdapterSource) -> ForeignSession:
    """Open a detector file of another project.

    Args:
        path: the file.
        open_runner: opens it; the argument says whether the sides that it declares are to be freed.
        adapter: a mapping of keys or the path of a YAML file; without it the sidecar and the known families are asked.

    Raises:
        InputError: the file cannot be read, is not recognised, or is not as its adapter says.
    """
    runner = open_runner(False)
    named(path, require_arrays, runner.declared)
    known = recognise(path, runner.declared, adapter, runner)
    if known.adapter.family:
        tell_once(logging.INFO, f"{path}: read as {known.adapter.family}, by {known.by}")
    for line in known.assumed:
        tell_once(logging.WARNING, f"{path}: {line}")
    if known.adapter.input.free:
        runner = open_runner(True)
    return ForeignSession(path, runner, known.adapter, known.by)


def named(path: Path, check: Callable[[Any], None], value: Any) -> None:
    """Check a value; an error names the file."""
    try:
        check(value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@lru_cache(maxsize=256)
def tell_once(level: int, message: str) -> None:
    """Log what holds for a file however often a command opens it."""
    logger.log(level, message)


def require_own(path: Path, adapter: AdapterSource) -> None:
    """Raise where a file of this project is given an adapter."""
    if adapter is not None:
        raise InputError(f"{path}: a model of this project says itself how it is read, leave the adapter out")


class ForeignSession:
    """A detector file of another project. It runs picture by picture, and once on a grey picture when it is opened.

    Args:
        path: the file, for messages.
        runner: of it.
        adapter: how it sees, and what its outputs mean.
        recognised_by: what told the adapter, in words.

    Raises:
        InputError: the file is not as the adapter says.
    """

    def __init__(self, path: Path, runner: Runner, adapter: Adapter, recognised_by: str = "its adapter") -> None:
        self.path, self.runner, self.adapter, self.recognised_by = path, runner, adapter, recognised_by
        self.picture = self._picture(runner.declared, adapter)
        layout = self._layout(self.picture, adapter.input)
        self.channels_last, self.batched = layout == "nhwc", len(self.picture.shape) == 4
        self.any_size, input_hw = self._size(self.picture, adapter.input)
        strides = adapter.boxes.anchors.strides if adapter.boxes.anchors else (1,)
        self.info = ModelInfo(
            adapter.class_names, input_hw, min(strides), top_k=adapter.top_k, resize=adapter.input.rule
        )
        if adapter.keypoints is not None:
            self.info = self.info._replace(task=POSE.name, joints=adapter.keypoints.joints)
        elif adapter.boxes.format == "rotated":
            self.info = self.info._replace(task=ROTATED.name)
        elif adapter.boxes.format == "corners":
            self.info = self.info._replace(task=QUADS.name, corner_order=LABELLED)
        named(path, require_size, input_hw)
        self.used = self._outputs()
        self._require_pixels()
        self(np.full((1, 3, *input_hw), GREY, np.uint8))
        if adapter.input.frame == "inside":
            self._require_narrower(input_hw)

    def __call__(self, images: np.ndarray) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first.

        Raises:
            InputError: the runtime refuses the pictures, or the outputs are not as the adapter says.
        """
        found = [self.detect(image) for image in images]
        return stack_rows([({"boxes": each.boxes, **each.values}, each.scores, each.labels) for each in found])

    def detect(self, image: np.ndarray) -> Found:
        """Return what is found on one picture (3, H, W) uint8 RGB."""
        input_hw = (image.shape[1], image.shape[2])
        try:
            outputs = self.runner({self.picture.name: self._tensor(image), **self._extra(input_hw)})
            for name in self.used:
                if not np.isfinite(outputs[name]).all():
                    raise InputError(f"{name} has numbers that are not finite, use another file or correct input.scale")
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told
                found = decode(outputs, self.adapter, input_hw)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        if (found.lost or len(sides)) and not (sides >= 1).all(axis=1).any():
            tell_once(
                logging.WARNING,
                f"{self.path}: every box of a picture lies outside the input or is smaller than a pixel; where that "
                "happens often, correct boxes.format, boxes.unit or boxes.columns",
            )
        return found

    def seen(self, image: np.ndarray) -> np.ndarray:
        """Return what the file gets of a picture of the input's size, (H, W, 3) uint8 RGB, brought back to colours."""
        told = self.adapter.input
        array = self._tensor(image.transpose(2, 0, 1)).astype(np.float32)
        array = array.reshape(array.shape[-3:])
        array = array if self.channels_last else array.transpose(1, 2, 0)
        if self.picture.type != "uint8":
            array = (array * np.array(told.std) + np.array(told.mean)) / told.scale
        ordered = array if told.colour == "rgb" else array[..., ::-1]
        return ordered.round().clip(0, 255).astype(np.uint8)

    def with_input(self, **changes: Any) -> ForeignSession:
        """Return a session of the same file with keys of `input` changed."""
        changed = self.adapter.input.model_copy(update=changes)
        return ForeignSession(self.path, self.runner, self.adapter.model_copy(update={"input": changed}))

    def _tensor(self, image: np.ndarray) -> np.ndarray:
        """(3, H, W) uint8 RGB -> the array of the input."""
        seen = self.adapter.input
        ordered = image if seen.colour == "rgb" else image[::-1]
        if self.picture.type == "uint8":
            array = ordered
        else:
            mean, std = (np.array(each, np.float32)[:, None, None] for each in (seen.mean, seen.std))
            array = ((ordered.astype(np.float32) * np.float32(seen.scale) - mean) / std).astype(self.picture.type)
        array = np.ascontiguousarray(array.transpose(1, 2, 0) if self.channels_last else array)
        return array[None] if self.batched else array

    def _require_pixels(self) -> None:
        """Raise where black and white are not two finite numbers for the file."""
        with np.errstate(all="ignore"):
            black, white = (self._tensor(np.full((3, 1, 1), level, np.uint8)) for level in (0, 255))
        if not np.isfinite([black, white]).all() or (black == white).any():
            raise InputError(
                f"{self.path}: black and white are {black.flat[0]:g} and {white.flat[0]:g} in {self.picture.type}, "
                "correct input.scale, input.mean or input.std"
            )

    def _require_narrower(self, input_hw: tuple[int, int]) -> None:
        """Raise where the file takes its size alone, whatever it declares."""
        multiple = self.adapter.input.multiple
        narrower = input_hw[0], -(-input_hw[1] // (2 * multiple)) * multiple
        try:
            self(np.full((1, 3, *narrower), GREY, np.uint8))
        except InputError:
            own, other = ("x".join(map(str, hw)) for hw in (input_hw, narrower))
            raise InputError(
                f"{self.path}: declares that it takes any size, but refuses {other} where it takes {own}: set "
                "input.frame: input"
            ) from None

    def _extra(self, input_hw: tuple[int, int]) -> dict[str, np.ndarray]:
        """Arrays of the further inputs, of their declared type and rank."""
        sides = dict(zip(("height", "width"), input_hw, strict=True))
        arrays = {}
        for tensor in self.runner.declared.inputs:
            if tensor.name in self.adapter.extra:
                numbers = [sides.get(str(each), each) for each in self.adapter.extra[tensor.name]]
                shape = (len(numbers),) if tensor.shape else ()
                flat = np.array(numbers).astype(tensor.type).reshape(shape)
                if len(tensor.shape) == 3 and len(numbers) == 1:  # a mask of the picture; some files fix its size
                    mask_hw = [side or due for side, due in zip(tensor.shape[1:], input_hw, strict=True)]
                    flat = np.broadcast_to(flat, mask_hw)
                arrays[tensor.name] = flat.reshape((1,) * (len(tensor.shape) - flat.ndim) + flat.shape)
        return arrays

    def _picture(self, declared: Declared, adapter: Adapter) -> Tensor:
        """The input for pictures."""
        given = ", ".join(map(str, declared.inputs))
        names = {tensor.name for tensor in declared.inputs}
        if not set(adapter.extra) <= names:
            lacking = ", ".join(sorted(set(adapter.extra) - names))
            raise InputError(f"{self.path}: has no input {lacking}, it takes {given}: correct extra")
        others = [tensor for tensor in declared.inputs if tensor.name not in adapter.extra]
        chosen = [tensor for tensor in others if adapter.input.name in (None, tensor.name)]
        if len(others) != 1 or len(chosen) != 1:
            raise InputError(
                f"{self.path}: takes {given}; name the one for pictures in input.name and the values of all others in "
                "extra"
            )
        (picture,) = chosen
        if picture.type not in TYPES:
            raise InputError(f"{self.path}: takes {picture}, but pictures of {', '.join(TYPES)} alone can be given")
        plain = Input()
        seen = adapter.input
        if picture.type == "uint8" and (seen.scale, seen.mean, seen.std) != (plain.scale, plain.mean, plain.std):
            raise InputError(f"{self.path}: takes bytes ({picture}), leave out input.scale, input.mean and input.std")
        return picture

    def _layout(self, picture: Tensor, seen: Input) -> str:
        """Order of the axes, told by the one of three channels."""
        shape = picture.shape[1:] if len(picture.shape) == 4 else picture.shape
        if len(shape) != 3:
            raise InputError(
                f"{self.path}: takes {picture}, but pictures have 3 or 4 axes, this is no detector of them"
            )
        if len(picture.shape) == 4 and picture.shape[0] not in (None, 1):
            raise InputError(
                f"{self.path}: takes {picture.shape[0]} pictures at once ({picture}), set input.free: true and "
                "input.size, or export it with a batch of 1"
            )
        fitting = [name for name, axis in (("nchw", 0), ("nhwc", 2)) if shape[axis] in (3, None)]
        exact = [name for name, axis in (("nchw", 0), ("nhwc", 2)) if shape[axis] == 3]
        chosen = [seen.layout] if seen.layout in fitting else [] if seen.layout else exact or fitting
        if len(chosen) != 1:
            raise InputError(
                f"{self.path}: takes {picture}, in which 3 channels are not found; correct input.layout"
                if seen.layout or not fitting
                else f"{self.path}: takes {picture}, say in input.layout whether that is nchw or nhwc"
            )
        return str(chosen[0])

    def _size(self, picture: Tensor, seen: Input) -> tuple[bool, tuple[int, int]]:
        """Whether any height and width is taken, and those to use."""
        axes = picture.shape[-3:-1] if self.channels_last else picture.shape[-2:]
        free = all(side is None for side in axes)
        if seen.rule.varies and not free:
            raise InputError(
                f"{self.path}: takes {picture}, so input.frame cannot be {seen.frame}; set it to input, or input.free: "
                "true"
            )
        if None in axes and seen.size is None:
            raise InputError(f"{self.path}: takes {picture}, set input.size: [height, width] in pixels")
        asked = seen.size or axes
        if any(side not in (None, due) for side, due in zip(axes, asked, strict=True)):
            raise InputError(f"{self.path}: takes {picture}, input.size {list(asked)} is another, leave it out")
        return free, (int(asked[0] or 0), int(asked[1] or 0))

    def _outputs(self) -> list[str]:
        """The names of the outputs that the adapter reads."""
        adapter = self.adapter
        parts = [*adapter.boxes.outputs, *adapter.scores.outputs]
        if adapter.scores.objectness is not None:
            parts += adapter.scores.objectness.outputs or ()
        names = [name for part in parts for name in ([part] if isinstance(part, str) else part)]
        names += [adapter.labels.output] if adapter.labels else []
        names += [adapter.count] if adapter.count else []
        names += [adapter.keypoints.output] if adapter.keypoints else []
        given = {tensor.name for tensor in self.runner.declared.outputs}
        used = list(dict.fromkeys(names))
        lacking = [name for name in used if name not in given]
        if lacking:
            raise InputError(
                f"{self.path}: has no output {', '.join(lacking)}, it gives "
                f"{', '.join(map(str, self.runner.declared.outputs))}: correct the adapter"
            )
        return used
