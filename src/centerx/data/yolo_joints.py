"""Joints in YOLO: values behind the box, and what a data.yaml says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from centerx.data.yolo_rows import Reading
from centerx.joints import Joints, is_mirror, numbered_joints
from centerx.problems import Kind, Problem

MOST = 1000  # joints of an object


class JointRows(NamedTuple):
    """How the rows of a data set hold joints.

    Attributes:
        number: of the joints; 0: there are none.
        flags: whether each has a flag behind its place.
    """

    number: int = 0
    flags: bool = True

    @property
    def width(self) -> int:
        """Values of a row with joints, behind its class."""
        return 4 + self.number * (3 if self.flags else 2)

    def joints(self, values: Sequence[float], width: int, height: int) -> list[float] | None:
        """Return x, y in pixels and a flag of each joint; None of a row without joints.

        Args:
            values: of the row, behind its class.
            width: of the picture in pixels.
            height: likewise.
        """
        if not self.number or len(values) != self.width:
            return None
        step = 3 if self.flags else 2
        told: list[float] = []
        for start in range(4, self.width, step):
            x, y = values[start : start + 2]
            flag = values[start + 2] if self.flags else 2.0 * (min(x, y) >= 0 and (x, y) != (0, 0))
            told += [x * width, y * height, flag]
        return told


def joint_rows(tree: Mapping[Any, Any], reading: Reading, file: Path, problems: list[Problem]) -> JointRows:
    """Return how rows hold joints: as `kpt_shape` says, else where boxes with flags behind them have one length.

    Args:
        tree: of the data.yaml.
        reading: of the rows.
        file: the data.yaml.
        problems: where to report.
    """
    shape = tree.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(type(each) is int for each in shape):
        count, width = shape
        if 1 <= count <= MOST and width in (2, 3):
            return JointRows(count, width == 3)
    if shape is not None:
        what = f"kpt_shape must be the number of joints and 2 or 3, not {shape!r}; joints are not read"
        problems.append(Problem(Kind.MALFORMED_ENTRY, str(file), what))
        return JointRows()
    if reading.holds == "box" and reading.tagged and len(reading.usual) == 1:
        (length,) = reading.usual
        if length >= 7 and (length - 4) % 3 == 0:
            return JointRows((length - 4) // 3)
    return JointRows()


def read_joints(
    tree: Mapping[Any, Any], rows: JointRows, class_names: Sequence[str], file: Path, problems: list[Problem]
) -> Joints:
    """Return the joints by `kpt_names` and `flip_idx`; their numbers are their names where nobody gives them.

    Args:
        tree: of the data.yaml.
        rows: how rows hold them.
        class_names: of the data set.
        file: the data.yaml.
        problems: where to report.
    """
    if not rows.number:
        return Joints()
    lists = tree.get("kpt_names")
    given = list(lists.values()) if isinstance(lists, dict) else [lists] if lists is not None else []
    names = given[0] if given else None
    usable = isinstance(names, list) and len(names) == rows.number and all(isinstance(each, str) for each in names)
    usable = usable and len(set(map(str, names or ()))) == rows.number and all(each == names for each in given)
    if given and not usable:
        what = f"kpt_names must be {rows.number} different names, the same of every class; joints are called by numbers"
        problems.append(Problem(Kind.MALFORMED_ENTRY, str(file), what))
    own = tuple(map(str, names)) if usable and names else numbered_joints(rows.number)
    flip = tree.get("flip_idx")
    right = isinstance(flip, list) and all(type(each) is int for each in flip)
    if flip is not None and (not right or not is_mirror(flip, rows.number)):
        what = (
            f"flip_idx must say of 0 to {rows.number - 1} which each changes places with, not {flip!r}; it is not used"
        )
        problems.append(Problem(Kind.MALFORMED_ENTRY, str(file), what))
        flip = None
    return Joints(own, tuple(flip or ()), named=usable)
