"""The types that every part shares, and nothing else.

Axes: B images of a batch, C classes, N objects, F fields, P places, K detections of a picture, (H, W) the input in
pixels, (h, w) the output grid; one cell of the grid is `stride` pixels. Boxes are continuous xyxy: pixel i covers
[i, i + 1].

Named tuples, because Lightning, torch.export and DataLoader walk through them unaided; what was found on one picture is
a class of its own, which checks itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from centerx.errors import InputError, nearest
from centerx.joints import NO_JOINTS, Joints
from centerx.objects import Objects

if TYPE_CHECKING:
    from torch import Tensor

    from centerx.geometry import Letterbox

Categories = Mapping[int, str] | Sequence[Mapping[str, Any]]  # of COCO: names by id, or its list of id and name


class Sample(NamedTuple):
    """One picture with its annotations, on the CPU, in NumPy.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: on it, in its pixels.
        supervised: (C, 1 + F) bool; whether labels tell of a class its centres (column 0) and each field of the task.
            The rest has no supervisor but teachers.
        image_id: the data set's own id.
        detections: of each stored teacher what it found on the picture, in the teacher's own labels and with `SCORE`
            among their values; nothing where it has not seen the picture.
        answered: of each stored teacher whether it has seen the picture.
    """

    image: np.ndarray
    objects: Objects
    supervised: np.ndarray
    image_id: int | str
    detections: tuple[Objects, ...] = ()
    answered: tuple[bool, ...] = ()

    def move(self, change: Callable[[Objects], Objects]) -> Sample:
        """Return the sample with everything on it moved alike: its objects, and what stored teachers found."""
        return self._replace(objects=change(self.objects), detections=tuple(map(change, self.detections)))


class Batch(NamedTuple):
    """Pictures of one size, stacked.

    Attributes:
        images: (B, 3, H, W) uint8 RGB: each model normalises for itself, so a teacher sees its own pixels.
        objects: of all pictures, as tensors in input pixels.
        supervised: (B, C, 1 + F) bool.
        letterboxes: how each picture was placed; None where augmentation chose the placement.
        image_ids: B ids.
        skipped: what was wrong with pictures that could not be read and were replaced.
        detections: of each stored teacher what it found on all pictures, as tensors in input pixels, see `Sample`.
        answered: of each stored teacher (B,) bool, whether it has seen the pictures.
        names: the files of the pictures; of a mosaic those of all its parts.
    """

    images: Tensor
    objects: Objects
    supervised: Tensor
    letterboxes: list[Letterbox | None]
    image_ids: list[int | str]
    skipped: list[str]
    detections: tuple[Objects, ...] = ()
    answered: tuple[Tensor, ...] = ()
    names: tuple[str, ...] = ()


class Places(NamedTuple):
    """Cells at which a network learns fields: of labelled objects, or all cells, weighted by what a teacher sees.

    P is the most places on one picture; those with fewer are padded with weight 0.

    Attributes:
        cells: (B, P) int64 flat cell y * w + x; None where the places are all cells in order.
        goals: by field, (B, D, P) what the network is to say there.
        weights: by field, (B, P) float32 of each place, 0 where the field is not known; (B, parts, P) of one whose
            values are known apart.
    """

    cells: Tensor | None
    goals: dict[str, Tensor]
    weights: dict[str, Tensor]


class Targets(NamedTuple):
    """What labels tell a CenterNet to say of a batch.

    Attributes:
        heatmap: (B, C, h, w) float32 in [0, 1], exactly 1 at the centre cell of an object.
        weight: (B, C, h, w) float32; 0 where a class is unsupervised or an ignored object lies.
        places: the centre cell of each object, and its neighbours where the targets reach that far.
        joints: the same of joints, as if each were the centre of an object and had a class of its own; None of tasks
            without them.
    """

    heatmap: Tensor
    weight: Tensor
    places: Places
    joints: Targets | None = None


class Maps(NamedTuple):
    """What a network says of B pictures.

    Attributes:
        heatmap: (B, C, h, w) logits, never after a sigmoid.
        fields: by field, (B, D, h, w) in cells; `offset` is the centre inside its cell, x then y.
        sure: by field whose values are known apart, (B, parts, h, w) in [0, 1] how sure a teacher is of each.
        logits: by field that is said as a distribution, (B, D * K, h, w); `fields` has its mean.
    """

    heatmap: Tensor
    fields: dict[str, Tensor]
    sure: Mapping[str, Tensor] = {}
    logits: Mapping[str, Tensor] = {}


class RawDetections(NamedTuple):
    """The K best places of each of B pictures, in input pixels; those that are no peaks score 0.

    Attributes:
        values: by output of the task, (B, K, D) float32, such as `boxes` (B, K, 4) xyxy.
        scores: (B, K) float32 in [0, 1], falling.
        labels: (B, K) int64 class indices.
    """

    values: dict[str, Any]
    scores: Any
    labels: Any


class Detection(NamedTuple):
    """One object found on a picture.

    Attributes:
        box: xyxy in pixels; of a point, the point twice.
        score: in [0, 1].
        label: class index.
        class_name: of it; `class N` where the detections have no names.
    """

    box: tuple[float, float, float, float]
    score: float
    label: int
    class_name: str

    @property
    def center(self) -> tuple[float, float]:
        """x and y of the centre, in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """Objects found on one picture, best first, in NumPy.

    `found[found.scores > 0.5]` selects by a mask, indices or a slice and gives `Detections`; `found[0]` and iteration
    give each `Detection`.

    Attributes:
        boxes: (K, 4) xyxy pixels of the picture; of a task of points, each point twice.
        scores: (K,) in [0, 1].
        labels: (K,) int64 class indices.
        class_names: the name of each class index; may be empty.
        values: by name, (K, ...) whatever else the task gives.
        task: the name of what was looked for, a key of `tasks.TASKS`.
        joints: of task pose, whose `values` are `keypoints` (K, J, 2) in pixels and `keypoint_scores` (K, J).

    Raises:
        ValueError: the arrays do not belong together.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    task: str = "boxes"
    joints: Joints = NO_JOINTS

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.scores.ndim != 1 or self.labels.shape != (count,):
            raise ValueError(
                f"detections: boxes {self.boxes.shape}, scores {self.scores.shape} and labels {self.labels.shape} must "
                "be (K, 4), (K,) and (K,)"
            )
        if any(len(rows) != count for rows in self.values.values()):
            raise ValueError(f"detections: each of {', '.join(self.values)} must have {count} rows")
        if self.class_names and count and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(f"detections: labels must be below {len(self.class_names)}, the number of class names")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def centers(self) -> np.ndarray:
        """(K, 2) x and y of the centres, in pixels."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def where(self, keep: Any) -> Detections:
        """Return the detections that a mask or an index selects."""
        values = {name: rows[keep] for name, rows in self.values.items()}
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep], values=values)

    def above(self, score: float) -> Detections:
        """Return the detections that score at least `score`."""
        return self.where(self.scores >= score)

    def of(self, *names: str) -> Detections:
        """Return the detections of the classes named.

        Raises:
            InputError: there is no such class.
        """
        for name in names:
            if name not in self.class_names:
                known = ", ".join(self.class_names) or "none, as these detections have no class names"
                raise InputError(f"no class {name!r}{nearest(name, self.class_names)}, known: {known}")
        return self.where(np.isin(self.labels, [self.class_names.index(name) for name in names]))

    @property
    def names(self) -> list[str]:
        """The class name of each detection, `class N` where there are no names."""
        return [self.class_names[label] if self.class_names else f"class {label}" for label in self.labels.tolist()]

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Detection: ...

    @overload
    def __getitem__(self, key: slice | np.ndarray | list[int] | list[bool]) -> Detections: ...

    def __getitem__(self, key: Any) -> Detection | Detections:
        if isinstance(key, str):
            raise InputError(f"detections are not selected by {key!r}: use of({key!r}) for a class")
        if isinstance(key, int | np.integer):
            left, top, right, bottom = self.boxes[key].tolist()
            label = int(self.labels[key])
            name = self.class_names[label] if self.class_names else f"class {label}"
            return Detection((left, top, right, bottom), float(self.scores[key]), label, name)
        return self.where(key)

    def __iter__(self) -> Iterator[Detection]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        best = [f"{name} {score:.2f}" for name, score in zip(self.names[:3], self.scores[:3], strict=True)]
        listed = f": {', '.join([*best, *(['...'] if len(self) > 3 else [])])}" if best else ""
        return f"Detections({len(self)}{listed}{'' if self.task == 'boxes' else f'; task {self.task}'})"

    def _repr_html_(self) -> str:
        html: str = _connect().to_table(self).html()
        return html

    @classmethod
    def from_supervision(cls, found: Any, class_names: Sequence[str] = (), score: float | None = None) -> Detections:
        """Make them of `supervision.Detections`; masks and tracker ids are not taken.

        Args:
            found: with a `class_id` each.
            class_names: the name of each class index. Without it those in `data["class_name"]`, and `class N` for the
                indices that no detection has.
            score: of each detection where `found` has no confidence.

        Raises:
            InputError: class ids or scores are missing, or a class id has no name.
        """
        return _connect().from_supervision(found, class_names, score)

    def to_supervision(self) -> Any:
        """Return `supervision.Detections`; a point is a box without sides.

        Raises:
            ModuleNotFoundError: without the extra `centerx[supervision]`.
        """
        return _connect().to_supervision(self)

    @classmethod
    def from_coco(
        cls, rows: Iterable[Mapping[str, Any]], categories: Categories, score: float | None = None
    ) -> Detections:
        """Make them of the rows of one picture in a COCO results file, or of its annotations.

        Args:
            rows: each with `category_id`, `bbox` (left, top, width, height in pixels) or `keypoints` of one point, and
                `score`. Joints are not taken.
            categories: names by id, or the list `categories` of a COCO file; their order is that of the labels.
            score: of each where the rows have none, such as annotations.

        Raises:
            InputError: rows are of several pictures, or lack one of these.
        """
        return _connect().from_coco(rows, categories, score)

    def to_coco(self, image_id: int | str, categories: Categories) -> list[dict[str, Any]]:
        """Return rows of a COCO results file.

        Args:
            image_id: of the picture.
            categories: as for `from_coco`; ids are found by the names of the classes.

        Raises:
            InputError: a class is none of `categories`.
        """
        return _connect().to_coco(self, image_id, categories)

    @classmethod
    def from_yolo(
        cls,
        rows: Any,
        image_hw: tuple[int, int],
        class_names: Sequence[str] = (),
        score: float | None = None,
    ) -> Detections:
        """Make them of YOLO's rows for one picture.

        Args:
            rows: (K, 5) or (K, 6) class index, centre x and y, width and height relative to the picture in [0, 1], and
                a score; or the text of such a file.
            image_hw: height and width of the picture in pixels.
            class_names: the name of each class index.
            score: of each where the rows have none, such as labels.

        Raises:
            InputError: the rows are not of this form.
        """
        return _connect().from_yolo(rows, image_hw, class_names, score)

    def to_yolo(self, image_hw: tuple[int, int]) -> np.ndarray:
        """Return (K, 6) float64: class index, centre x and y, width and height relative to the picture, and score.

        Args:
            image_hw: height and width of the picture in pixels.

        Raises:
            InputError: these are points.
        """
        return _connect().to_yolo(self, image_hw)

    @classmethod
    def from_pandas(cls, frame: Any, class_names: Sequence[str] = (), score: float | None = None) -> Detections:
        """Make them of a `pandas.DataFrame` with the columns of `to_pandas`.

        Args:
            frame: a row for each detection; `label` and the places are needed.
            class_names: the name of each class index. Without it those in `class_name`, and `class N` for the indices
                that no detection has.
            score: of each where there is no column `score`.

        Raises:
            InputError: a column is missing, or a value is impossible.
        """
        return _connect().from_pandas(frame, class_names, score)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, a row for each detection.

        Its columns are `class_name`, `label`, `score`, `x0`, `y0`, `x1`, `y1` in pixels, of points `x` and `y`, and the
        further values that are one number each.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return _connect().to_table(self).frame()

    def draw(self, picture: Any, bgr: bool = False) -> np.ndarray:
        """Return the picture with the detections drawn, (H, W, 3) uint8 RGB.

        Args:
            picture: that they were found on, of any kind that a detector takes.
            bgr: whether an array has its channels in the order BGR.

        Raises:
            InputError: the picture cannot be read.
        """
        return _connect().draw(self, picture, bgr)

    def plot(self, picture: Any, bgr: bool = False) -> Any:
        """Return a `matplotlib.figure.Figure` of what `draw` returns; its arguments are the same.

        Raises:
            InputError: the picture cannot be read.
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return _connect().plot(self, picture, bgr)


def _connect() -> Any:
    """Return the module with other libraries' forms, which lies above this one and is imported when asked for."""
    return import_module("centerx.connect")
