"""Files that say where joints are and know no objects: a heatmap for each joint, of a box or of the whole picture.

They complete boxes that are known: of each joint the highest place of its heatmap, a quarter of a cell towards the
higher neighbour, as in Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from centerx.errors import InputError
from centerx.geometry import scale_matrix, shift_matrix, transform_points, warp_image
from centerx.joints import Joints, default_sigmas, flip_by_pairs, twice_paired
from centerx.runtime.foreign.adapter import Input, Names, Positive, Section, explain, read_tree, sidecar
from centerx.runtime.foreign.runner import Runner

KEY = "joint_heatmaps"  # of an adapter: what makes it one of these
GREY = 114  # of the picture that a file is tried with
QUARTER = 0.25  # of a cell


class JointHeatmaps(Section):
    """An output with a heatmap for each joint, (1, J, h, w)."""

    output: str = Field(description="its name")
    names: Names = Field(description="of the joints, in the order of the channels")
    see: Literal["box", "picture"] = Field("box", description="what the file is shown: each box by itself, or all")
    margin: Positive = Field(1.25, description="of a box that is shown, relative to its sides")
    activation: Literal["none", "sigmoid"] = Field("none", description="none: probabilities, or like them, already")
    pairs: tuple[tuple[str, str], ...] = Field((), description="joints that change places in a mirror image")
    skeleton: tuple[tuple[str, str], ...] = Field((), description="joints to draw a line between")

    @model_validator(mode="after")
    def _known(self) -> JointHeatmaps:
        unknown = {name for pair in (*self.pairs, *self.skeleton) for name in pair} - set(self.names)
        if unknown:
            raise ValueError(f"there is no joint {unknown.pop()!r}")
        if twice_paired(self.pairs) is not None:
            raise ValueError(f"{twice_paired(self.pairs)!r} is in two pairs")
        return self


class JointAdapter(Section):
    """How such a file sees, and what it says."""

    input: Input = Input()
    joint_heatmaps: JointHeatmaps
    classes: Annotated[Names, Field(min_length=1)] = Field(description="classes of objects that have these joints")

    @property
    def joints(self) -> Joints:
        """The joints."""
        told = self.joint_heatmaps
        lines = tuple((told.names.index(first), told.names.index(second)) for first, second in told.skeleton)
        return Joints(told.names, flip_by_pairs(told.names, told.pairs), lines, default_sigmas(told.names))


def joint_adapter(path: Path, source: Mapping[str, Any] | str | Path | None) -> JointAdapter | None:
    """Return the adapter of a file that says where joints are; None of any other file.

    Args:
        path: the file.
        source: keys or the path of a YAML file; without it the sidecar is asked.

    Raises:
        InputError: it has the key `joint_heatmaps`, and others are wrong.
    """
    if isinstance(source, Mapping):
        tree, where = dict(source), f"{path}: adapter"
    elif source is None and not sidecar(path).is_file():
        return None
    else:
        where = str(source or sidecar(path))
        tree = read_tree(Path(where))
    if KEY not in tree:
        return None
    try:
        return JointAdapter.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}, docs/poses.md lists the keys") from None


class JointFinder:
    """Finds the joints of boxes.

    Args:
        path: the file, for messages.
        runner: of it.
        adapter: how it sees, and what it says.

    Raises:
        InputError: the file is not as the adapter says.
    """

    def __init__(self, path: Path, runner: Runner, adapter: JointAdapter) -> None:
        self.path, self.runner, self.adapter = path, runner, adapter
        inputs = runner.declared.inputs
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (3, None):
            given = ", ".join(map(str, inputs))
            raise InputError(f"{path}: takes {given}, but a file of joints takes one picture (1, 3, height, width)")
        self.picture = inputs[0]
        sides = adapter.input.size or self.picture.shape[2:]
        if None in sides:
            raise InputError(f"{path}: takes {self.picture}, set input.size: [height, width] in pixels")
        self.input_hw = int(sides[0] or 0), int(sides[1] or 0)
        self._heatmaps(np.full((*self.input_hw, 3), GREY, np.uint8))

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the joints (N, J, 2) in pixels of objects, and how sure they are (N, J), in [0, 1].

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) xyxy pixels of the objects.

        Raises:
            InputError: the file says something else than its adapter tells.
        """
        count = len(self.adapter.joint_heatmaps.names)
        points, scores = np.zeros((len(boxes), count, 2)), np.zeros((len(boxes), count))
        whole = np.array([0, 0, image.shape[1], image.shape[0]], dtype=np.float64)
        if self.adapter.joint_heatmaps.see == "picture":
            matrix, heatmaps = self._seen(image, whole)
        for row, box in enumerate(np.asarray(boxes, dtype=np.float64)):
            if self.adapter.joint_heatmaps.see == "box":
                matrix, heatmaps = self._seen(image, with_margin(box, self.adapter.joint_heatmaps.margin))
            cell = np.array(self.input_hw[::-1]) / heatmaps.shape[:0:-1]
            inside = transform_points(box.reshape(1, 2, 2), matrix)[0] / cell
            places, scores[row] = highest(heatmaps, inside)
            points[row] = transform_points((places * cell)[None], np.linalg.inv(matrix))[0]
        return points, scores

    def _seen(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The map from the picture to the input that shows a box whole and in its middle, and what the file says."""
        height, width = self.input_hw
        scale = min(width / max(box[2] - box[0], 1.0), height / max(box[3] - box[1], 1.0))
        middle = (box[:2] + box[2:]) / 2
        matrix = shift_matrix(width / 2, height / 2) @ scale_matrix(scale, scale) @ shift_matrix(*-middle)
        return matrix, self._heatmaps(warp_image(image, matrix, self.input_hw))

    def _heatmaps(self, image: np.ndarray) -> np.ndarray:
        """(J, h, w) probabilities of a picture of the input's size."""
        seen, told = self.adapter.input, self.adapter.joint_heatmaps
        ordered = (image if seen.colour == "rgb" else image[..., ::-1]).astype(np.float32)
        array = (ordered * np.float32(seen.scale) - np.array(seen.mean, np.float32)) / np.array(seen.std, np.float32)
        array = np.ascontiguousarray(array.transpose(2, 0, 1)[None]).astype(self.picture.type)
        outputs = self.runner({self.picture.name: array})
        if told.output not in outputs:
            raise InputError(f"{self.path}: has no output {told.output}, it gives {', '.join(outputs)}")
        heatmaps = np.asarray(outputs[told.output], dtype=np.float32)
        if heatmaps.ndim != 4 or heatmaps.shape[:2] != (1, len(told.names)) or not np.isfinite(heatmaps).all():
            raise InputError(
                f"{self.path}: {told.output} is {'x'.join(map(str, heatmaps.shape))}, but heatmaps of "
                f"{len(told.names)} joints are 1x{len(told.names)}xHxW finite numbers, correct joint_heatmaps.names"
            )
        sure = 1 / (1 + np.exp(-heatmaps[0])) if told.activation == "sigmoid" else heatmaps[0]
        return np.asarray(sure.clip(0, 1))


def with_margin(box: np.ndarray, margin: float) -> np.ndarray:
    """Return a box (4,) xyxy of `margin` times the sides about the same middle."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * margin
    return np.concatenate([middle - half, middle + half])


def highest(heatmaps: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (J, 2) of the highest values of heatmaps (J, h, w) in cells, and these values (J,).

    Args:
        heatmaps: of the joints.
        inside: (2, 2) left top and right bottom of the object in cells; places are sought in the cells that it touches.
    """
    count, height, width = heatmaps.shape
    limit = np.array([width, height])
    low = np.clip(np.floor(inside[0]), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(inside[1]), low + 1, limit).astype(int)
    part = heatmaps[:, low[1] : high[1], low[0] : high[0]]
    best = part.reshape(count, -1).argmax(axis=1)
    row, column = np.divmod(best, part.shape[2])
    row, column = row + low[1], column + low[0]
    joint = np.arange(count)
    padded = np.pad(heatmaps, [(0, 0), (1, 1), (1, 1)], mode="edge")
    across = padded[joint, row + 1, column + 2] - padded[joint, row + 1, column]
    down = padded[joint, row + 2, column + 1] - padded[joint, row, column + 1]
    places = np.stack([column, row], axis=1) + 0.5 + QUARTER * np.sign(np.stack([across, down], axis=1))
    return places, heatmaps[joint, row, column]
