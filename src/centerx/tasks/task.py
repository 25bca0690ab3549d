"""A task as data: its fields, and how detections are assembled, written, drawn and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from centerx.fields import JOINT_HEATMAP, JOINT_OFFSET, OFFSET, Array, Field, Peaks, Points, Scalar
from centerx.geometry import spanned_boxes
from centerx.joints import NO_JOINTS, Joints

if TYPE_CHECKING:
    from centerx.types import Detections

Arrays = Mapping[str, Array]


class Output(NamedTuple):
    """What a detector gives beside scores and labels.

    Attributes:
        name: of the output, such as `boxes`.
        kind: its geometry.
        clipped: whether positions are clipped to the picture.
        shape: of one detection's, in files and in `Detections`; None: (D,).
    """

    name: str
    kind: type[Scalar] = Points
    clipped: bool = True
    shape: tuple[int, ...] | None = None

    def shaped(self, values: Array) -> Array:
        """Return rows (..., D) in the shape of the output, such as (..., 4, 2)."""
        return values if self.shape is None else values.reshape(*values.shape[:-1], *self.shape)

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Return rows in the shape of the output as (..., D)."""
        if self.shape is None:
            return values
        return values.reshape(*values.shape[: values.ndim - len(self.shape)], -1)


class ArrayFunctions(NamedTuple):
    """What NumPy and torch call by different names; everything else of a task is operators.

    Attributes:
        join: arrays -> one, along axis 1.
        halves: array -> its first and its second half along axis 1.
        clip: positions in pairs of x and y (B, D, h, w), and the input's height and width -> positions inside.
        least: array -> its minimum over axis 1, which stays.
        minimum: two arrays -> the smaller of each two values.
        arctan: array -> the angle in radians of each tangent.
        sign: array -> -1, 0 or 1.
        where: condition and two arrays -> the first where it holds, else the second.
        top: array and a number -> the largest values along its last axis, and where they are.
        take: array and indices along its last axis -> the values there; all other axes are alike.
        spread: array (B, J, M) and a number K -> (B, K, J, M).
        nearest: array -> the index of the least value along its last axis, which stays with one entry.
        highest: heatmap (B, J, h, w) -> bool, whether a cell is the highest of its 3x3 neighbourhood.
        rows: a table of numbers, and labels (B, K) -> its rows (B, K, ...) as an array like others.
        whole: array of positive numbers -> whole numbers, rounded down, as indices.
        pair: two arrays whose last axis is 1 -> one, whose last axis is 2.
        sigmoid: logits -> probabilities.
    """

    join: Callable[[list[Array]], Array]
    halves: Callable[[Array], Sequence[Array]]
    clip: Callable[[Array, tuple[int, int]], Array]
    least: Callable[[Array], Array]
    minimum: Callable[[Array, Array], Array]
    arctan: Callable[[Array], Array]
    sign: Callable[[Array], Array]
    where: Callable[[Array, Array, Array], Array]
    top: Callable[[Array, int], Sequence[Array]]
    take: Callable[[Array, Array], Array]
    spread: Callable[[Array, int], Array]
    nearest: Callable[[Array], Array]
    highest: Callable[[Array], Array]
    rows: Callable[[Sequence[Sequence[float]], Array], Array]
    whole: Callable[[Array], Array]
    pair: Callable[[Array, Array], Array]
    sigmoid: Callable[[Array], Array]


class Task(NamedTuple):
    """What a detector finds.

    Attributes:
        name: in configurations and in the metadata of model files.
        fields: beside the centre, in the order of the network's branches.
        outputs: what a detector gives. The first are positions, and what they span is the box of a detection.
        has_area: whether a detection whose box has no area is none.
        assemble: centre (B, 2, ...) and fields (B, D, ...) in cells, and array functions -> the outputs in cells, with
            their channels on axis 1.
        empty: the outputs (B, D, ...) in pixels; the lower right corners of the pictures (B, 2, ...) in pixels, None
            where they fill the input; and array functions -> (B, 1, ...) bool, where nothing can be found.
        to_dict: detections -> what the JSON of `predict` says of each, beside its label and score.
        draw: picture (H, W, 3), objects or detections, class names, scores or None -> a picture with them.
        metrics: the module and function that measure detections, as `evaluation.coco.coco_metrics` does.
        curves: those that fill in the curves of precision and recall, as `evaluation.coco.accumulate` does.
        overlap: those that compare detections with objects, as `evaluation.coco.box_overlap` does.
        cover: those that tell which share of a detection lies on an object, as `evaluation.coco.box_cover` does; empty
            where detections have no area.
        joints: of the objects, where they have some.
        refine: detections (B, K, D) by name, their labels (B, K), the maps of the branches with probabilities as
            heatmaps, pixels per cell, and array functions -> all outputs (B, K, D); None where they are complete.
    """

    name: str
    fields: tuple[Field, ...]
    outputs: tuple[Output, ...]
    has_area: bool
    assemble: Callable[[Array, Arrays, ArrayFunctions], dict[str, Array]]
    empty: Callable[[Arrays, Array | None, ArrayFunctions], Array]
    to_dict: Callable[[Detections], list[dict[str, Any]]]
    draw: Callable[..., np.ndarray]
    metrics: str
    curves: str
    overlap: str
    cover: str = ""
    joints: Joints = NO_JOINTS
    refine: Callable[[dict[str, Array], Array, Arrays, int, ArrayFunctions], dict[str, Array]] | None = None

    @property
    def joint_branches(self) -> tuple[Field, ...]:
        """The fields that are learned at joints instead of centres: their heatmap, and their offset inside a cell."""
        if self.refine is None:
            return ()
        count = len(self.joints.names)
        return JOINT_HEATMAP._replace(num_values=count, flip=self.joints.flip), JOINT_OFFSET

    @property
    def branches(self) -> tuple[Field, ...]:
        """The fields of the network's branches, without the heatmap; the last is the centre's offset."""
        return (*self.fields, *self.joint_branches, OFFSET)

    @property
    def center_branches(self) -> tuple[Field, ...]:
        """Those of them that are learned at centres."""
        return (*self.fields, OFFSET)

    @property
    def carried(self) -> tuple[Field, ...]:
        """The fields that objects are to carry, from which those of the branches are told."""
        return tuple(dict.fromkeys(field.carried for field in self.fields))

    @property
    def is_box(self) -> bool:
        """Whether a detection is a box and nothing more."""
        return [output.name for output in self.outputs] == ["boxes"]

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of what objects must have beside the centre to judge detections by them."""
        return tuple(field.name for field in self.carried)

    @property
    def attributes(self) -> tuple[str, ...]:
        """What labels can tell of a class: `center`, then each field; the columns of a supervision table."""
        return ("center", *(field.name for field in self.fields))

    def decode(
        self, raw: Arrays, cell: Array, stride: int, input_hw: tuple[int, int], functions: ArrayFunctions
    ) -> dict[str, Array]:
        """Return the outputs at every cell, in pixels and clipped to the input, but for those that `refine` gives.

        Positions that are assembled for `refine` alone are not clipped.

        Args:
            raw: the maps of the branches by name, (B, D, h, w).
            cell: (2, h, w) column and row of each cell.
            stride: pixels per cell.
            input_hw: height and width of the input in pixels.
            functions: of the arrays' library.
        """
        values = {field.name: field.kind.decode(raw[field.name], cell) for field in self.center_branches}
        assembled = self.assemble(values.pop(OFFSET.name), values, functions)
        outputs = [each for each in self.outputs if each.name in assembled]
        scaled = {each.name: each.kind.scale(assembled[each.name], stride) for each in outputs}
        found = {
            each.name: functions.clip(scaled[each.name], input_hw) if each.clipped else scaled[each.name]
            for each in outputs
        }
        return {name: Points.scale(assembled[name], stride) for name in assembled if name not in found} | found

    def with_probabilities(self, maps: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
        """Return the maps of the branches with probabilities instead of the logits of heatmaps."""
        heatmaps = {field.name: functions.sigmoid(maps[field.name]) for field in self.branches if field.kind is Peaks}
        return {**maps, **heatmaps}

    def boxes(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return xyxy (..., 4) of detections, around the positions of the first output (..., D)."""
        return spanned_boxes(outputs[self.outputs[0].name])
