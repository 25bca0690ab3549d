"""Objects on pictures: flat arrays, one row an object, from the readers to the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from centerx.fields import CORNERS, OFFSET, SIZE, Array, Field
from centerx.geometry import box_area, clip_boxes, spanned_boxes, transform_boxes

OF_BOXES = {OFFSET.name: "centers", SIZE.name: "sizes"}  # fields that the box tells
SCORE = "score"  # among the values of what a teacher found, (N, 1) in [0, 1]


class Objects(NamedTuple):
    """N objects of one picture or of a batch, in NumPy or in torch.

    Attributes:
        image: (N,) int64 number of the picture in the batch, ascending.
        labels: (N,) int64 class indices.
        ignore: (N,) bool; True where an object is neither a positive nor a negative (crowd, difficult, cut away).
        boxes: (N, 4) xyxy pixels; an object that is marked by a point has it twice, and no area.
        values: by name of a field, (N, D): what the objects carry beside the box. Readers give `area` in square pixels,
            and `corners` where objects have them; a teacher's detections have a `score`.
        known: by name of a field, (N,) bool: whether the field is labelled. A field that is absent here is known of
            all objects if they have values of it (or it is told by the box), and of none if they have not;
            `with_fields` fills in the latter. Of a field whose values are known apart (N, num_values), in [0, 1] where
            a teacher is sure to some degree.
        fields: those of `values` that move with the picture.
    """

    image: Array
    labels: Array
    ignore: Array
    boxes: Array
    values: Mapping[str, Array] = {}
    known: Mapping[str, Array] = {}
    fields: tuple[Field, ...] = ()

    @property
    def centers(self) -> Array:
        """(N, 2) centres of the boxes, x then y."""
        return (self.boxes[:, 2:] + self.boxes[:, :2]) / 2

    @property
    def sizes(self) -> Array:
        """(N, 2) width and height of the boxes."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def is_point(self) -> Array:
        """(N,) bool: whether an object is marked by a point, a box without sides."""
        return (self.boxes[:, 2:] == self.boxes[:, :2]).all(axis=1)

    def value(self, field: Field) -> Array:
        """Return the (N, D) values of a field in pixels: of offset and size those of the boxes."""
        if field.name in OF_BOXES:
            return getattr(self, OF_BOXES[field.name])
        values = self.values[field.carried.name]
        return values if field.told is None else field.told(values)

    @property
    def outlined(self) -> Array:
        """(N,) bool: whether the corners of an object are known, and move with it; the box is what they span."""
        if all(field.name != CORNERS.name for field in self.fields):
            return self.labels != self.labels
        return self.known.get(CORNERS.name, self.labels == self.labels)

    def where(self, keep: Array) -> Objects:
        """Return the rows that a mask or an index selects."""
        return self.map(lambda rows: rows[keep])

    def map(self, change: Callable[[Array], Array]) -> Objects:
        """Return the objects with every array changed."""
        return Objects(
            change(self.image),
            change(self.labels),
            change(self.ignore),
            change(self.boxes),
            {name: change(rows) for name, rows in self.values.items()},
            {name: change(rows) for name, rows in self.known.items()},
            self.fields,
        )

    def with_fields(self, fields: Sequence[Field]) -> Objects:
        """Return float32 objects that carry these fields alone, beside the box.

        A field of which they have no values gets zeros and is not known of any object; what `known` says of the others
        stays.
        """
        carried = tuple(dict.fromkeys(field.carried for field in fields if field.name not in OF_BOXES))
        count = len(self.labels)
        absent = {field.name: np.zeros((count, field.channels)) for field in carried if field.name not in self.values}
        values = {**self.values, **absent}
        known = {**self.known, **{field.name: unknown(count, field) for field in carried if field.name in absent}}
        return self._replace(
            boxes=self.boxes.astype(np.float32),
            values={field.name: field.kind.normal(values[field.name]).astype(np.float32) for field in carried},
            known={each.name: known[each.name] for each in (field.carried for field in fields) if each.name in known},
            fields=carried,
        )

    def warp(self, matrix: np.ndarray) -> Objects:
        """Return the objects moved by a matrix (3, 3) in pixels, in NumPy.

        A turned box becomes the upright one around it; where the corners of an object are known, the one around them,
        which is smaller.
        """
        mirrored = np.linalg.det(matrix[:2, :2]) < 0
        swapped = {
            field.name: self.known[field.name][:, list(field.flip)]
            for field in self.fields
            if mirrored and field.apart and field.flip and field.name in self.known
        }
        values = {**self.values, **{field.name: field.warp(self.values[field.name], matrix) for field in self.fields}}
        boxes = transform_boxes(self.boxes, matrix)
        if self.outlined.any():
            around = spanned_boxes(values[CORNERS.name]).astype(boxes.dtype)
            boxes = np.where(self.outlined[:, None], around, boxes)
        return self._replace(boxes=boxes, values=values, known={**self.known, **swapped})

    def crop(self, image_hw: tuple[int, int], min_visible: float) -> Objects:
        """Return the objects that a picture shows, their boxes clipped to it, in NumPy.

        The box of an object whose corners are known is not clipped, as its centre is that of all corners. Joints
        outside are not known.

        Args:
            image_hw: height and width of the picture in pixels.
            min_visible: share of a box's area that must be inside; below it the object is ignored.
        """
        clipped = clip_boxes(self.boxes, image_hw)
        inside = (clipped == self.boxes).all(axis=1)
        visible = np.where(self.is_point, inside, box_area(clipped) / np.maximum(box_area(self.boxes), 1e-9))
        boxes = np.where(self.outlined[:, None], self.boxes, clipped)
        limit = np.array([image_hw[1], image_hw[0]])
        known = dict(self.known)
        for field in self.fields:
            if field.apart:
                points = self.values[field.name].reshape(len(boxes), field.num_values, 2)
                known[field.name] = known[field.name] * ((points >= 0) & (points < limit)).all(axis=2)
        cut = self._replace(boxes=boxes, ignore=self.ignore | (visible < min_visible), known=known)
        return cut.where(visible > 0)


def make_objects(
    boxes: np.ndarray,
    labels: np.ndarray,
    ignore: np.ndarray | None = None,
    values: Mapping[str, np.ndarray] | None = None,
    known: Mapping[str, np.ndarray] | None = None,
) -> Objects:
    """Return the objects of one picture; none is ignored unless `ignore` says so."""
    count = len(labels)
    none = np.zeros(count, dtype=bool)
    return Objects(
        np.zeros(count, dtype=np.int64), labels, none if ignore is None else ignore, boxes, values or {}, known or {}
    )


def unknown(count: int, field: Field) -> np.ndarray:
    """Return that a field is not known of some objects: (N,), or (N, parts) where its values are known apart."""
    return np.zeros((count, field.parts) if field.apart else count, dtype=bool)


def join_objects(parts: Sequence[Objects], join: Callable[[list[Array]], Array] = np.concatenate) -> Objects:
    """Return the objects of all parts, one after another.

    `values` are those that all parts have; a field that moves and that some parts lack is not known of their objects.

    Args:
        parts: at least one. join: of arrays along the first axis, `torch.cat` for tensors.
    """
    parts = [part for part in parts if len(part.labels)] or parts[:1]
    fields = tuple(dict.fromkeys(field for part in parts for field in part.fields))
    parts = [_with_unknown(part, fields) for part in parts]
    values = [name for name in parts[0].values if all(name in part.values for part in parts)]
    known = dict.fromkeys(name for part in parts for name in part.known)
    return Objects(
        join([part.image for part in parts]),
        join([part.labels for part in parts]),
        join([part.ignore for part in parts]),
        join([part.boxes for part in parts]),
        {name: join([part.values[name] for part in parts]) for name in values},
        {name: join([part.known.get(name, part.labels == part.labels) for part in parts]) for name in known},
        fields,
    )


def _with_unknown(objects: Objects, fields: Sequence[Field]) -> Objects:
    lacking = [field for field in fields if field.name not in objects.values]
    if not lacking:
        return objects
    nothing = {field.name: objects.boxes[:, [0] * field.channels] * 0 for field in lacking}
    none = {
        field.name: objects.boxes[:, [0] * field.parts] != objects.boxes[:, [0] * field.parts]
        if field.apart
        else objects.labels != objects.labels
        for field in lacking
    }
    return objects._replace(values={**objects.values, **nothing}, known={**objects.known, **none})
