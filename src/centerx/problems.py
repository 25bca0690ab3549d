"""Problems of input data: the list of their kinds, and functions to count, log and write them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from centerx.errors import InputError
from centerx.files import quoted, write_json

logger = logging.getLogger(__name__)

Action = Literal["fixed", "skipped", "doubtful", "fatal"]
Policy = Literal["warn", "fail"]


class Kind(Enum):
    """Kind of a problem.

    Attributes:
        action: what the program does about it: fixed, skipped, doubtful (used as it is) or fatal (an error).
        meaning: description for the documentation.
    """

    UNREADABLE_LABELS = "fatal", "a file of labels that cannot be read, or is something else"
    UNREAD_LABELS = "fatal", "labels beside the pictures in a format that no reader takes"
    NO_PICTURES = "fatal", "a data set without one picture"
    NO_READABLE_PICTURE = "fatal", "a data set of which no picture can be read"
    NO_BOXES = "fatal", "labels without one box"
    ONLY_IGNORED_BOXES = "fatal", "boxes that are all ignored (`iscrowd`, `ignore`, `difficult`): none can be learned"
    MALFORMED_ENTRY = "skipped", "a line, row, object or mapping that lacks what it needs"
    UNKNOWN_REFERENCE = "skipped", "a picture, class or file that is named and not there"
    REPEATED_ID = "skipped", "an id or name that an earlier entry has"
    UNREADABLE_PICTURE = "skipped", "a picture that is missing or broken"
    LABELS_WITHOUT_PICTURE = "skipped", "a file of labels to which no picture belongs"
    PICTURE_WITHOUT_LABELS = "skipped", "a picture among others that each have a file of labels, of which it has none"
    FILE_LEFT_OUT = "skipped", "files of other kinds in a folder"
    PICTURE_WITHOUT_OBJECTS = "skipped", "a picture without objects, with `only_with_objects`"
    EMPTY_ROOT_CATEGORY = "skipped", "a class without boxes that others name as their supercategory"
    NOT_EXHAUSTIVE = "skipped", "a box of a class that is not labelled exhaustively on its picture"
    OTHER_SHAPE = "skipped", "a shape that has no box: a line, a point, a brush stroke, a tag"
    OTHER_ANNOTATION = "skipped", "a picture's further annotations, by others: the ground truth or the first is read"
    NEAR_DUPLICATE = "skipped", "a picture that looks like an earlier one, in a merge that leaves such out"
    BOX_NOT_FINITE = "skipped", "a box that is not finite"
    BOX_WITHOUT_AREA = "skipped", "a box of no width or height"
    BOX_OUTSIDE = "skipped", "a box outside its picture"
    BOX_UNDER_ONE_PIXEL = "skipped", "a box under one pixel at the size of the input: it is not trained"
    CUT_BY_TILE = "skipped", "a box of which a tile shows less than `data.tiles.min_visible`: ignored on that tile"
    NOT_WRITTEN = "skipped", "what the format that is written has no word for"
    BOX_CLIPPED = "fixed", "a box that leaves its picture: clipped"
    REPEATED_PICTURE = "fixed", "one picture listed or annotated more than once: used once, its labels joined"
    REPEATED_ANNOTATION_ID = "fixed", "annotations with one id: all are used"
    REPEATED_CLASS = "fixed", "a class listed more than once: they are one class"
    CLASS_COUNT = "fixed", "a number of classes that is not that of their names: the names count"
    NUMBERED_CLASSES = "fixed", "classes without names: called by their numbers"
    CHANGED_CLASS_NAME = (
        "fixed",
        "a class name behind a number, or one that YAML reads as another value: as written",
    )
    DECODED_TEXT = "fixed", "a text that is not UTF-8: decoded otherwise"
    EXTRA_VALUES = "fixed", "a row with more or fewer values than its kind has: its box is used"
    ROW_COUNT = "fixed", "a number of rows that is not the one announced: the rows are used"
    UNKNOWN_OBJECT = "fixed", "an object of an unknown kind: an ignored region"
    POLYGON = "fixed", "a polygon or another shape with an area: the box around it is used"
    ROTATED_BOX = "fixed", "a rotated box: tasks without corners use the upright box around it"
    UNUSABLE_CORNERS = (
        "fixed",
        "four corners that are three, without area or far from their box: the box alone is used",
    )
    UNUSABLE_JOINT = "fixed", "a joint outside its picture or of an unknown flag: it counts as not labelled"
    CROSSED_CORNERS = "fixed", "four corners whose sides cross: put in order around their middle"
    TURNED_BOXES = "fixed", "boxes of the picture as stored, with `frame: stored`: turned with it"
    ORIENTATION = "fixed", "an EXIF orientation that is none of 1 to 8: taken as upright"
    FOUND_ELSEWHERE = "fixed", "a picture, folder or list of names that is not where the data says: found near by"
    RENAMED_PICTURE = "fixed", "a picture whose name is not UTF-8 on one line: copied under another name"
    CONTRADICTING_NAME = "doubtful", "labels that name another picture than the one they are read for"
    CONFLICTING_LABELS = "doubtful", "one picture with other labels in another set of a merge: the first set's are used"
    NO_IMAGE_LABELS = "doubtful", "boxes without their image-level labels: a picture labels the classes of its boxes"
    TWO_PLACES = "doubtful", "data in two places that may be meant: the nearer is read"
    REPEATED_BOX = "doubtful", "the same box of the same class twice on a picture: both are used"
    FIVE_NUMBER_BOX = "doubtful", "boxes of five numbers in COCO: centre, sides, and radians clockwise on a screen"
    JOINT_OUTSIDE_BOX = "doubtful", "a joint that lies outside the box of its object"
    SWAPPED_JOINTS = "doubtful", "joints of a pair, such as left and right, that seem to be exchanged"
    CORNER_ORDER = "doubtful", "corners that go around the other way than those of most objects"
    RELATIVE_BOXES = "doubtful", "boxes that seem to be shares of the pictures' sides, where pixels are due"
    CLASS_WITHOUT_BOX = "doubtful", "a class without any box"
    ALIKE_CLASSES = "doubtful", "class names that differ in case, spaces, signs and a plural s alone"
    OTHER_SIZE = "doubtful", "a picture of another size than declared: its boxes are taken as they stand"
    TURNED_FRAME = "doubtful", "boxes that seem to be of the picture as stored, before its EXIF orientation"
    FEW_GREY_LEVELS = "doubtful", "a picture that uses few grey levels"
    TOO_MANY_OBJECTS = "doubtful", "more objects on a picture than the model can give (`model.top_k`)"
    VIDEO_ENDS_EARLY = "doubtful", "a video that ends before the frames that its header announces"

    def __init__(self, action: Action, meaning: str) -> None:
        self.action = action
        self.meaning = meaning

    @property
    def code(self) -> str:
        """Name in configurations, reports and messages: the name of the member in lower case."""
        return self.name.lower()


class Problem(NamedTuple):
    """One problem.

    Attributes:
        kind: its kind, which decides the action.
        where: file, with the line or record id if known.
        what: description.
        times: number of occurrences that it stands for.
    """

    kind: Kind
    where: str
    what: str
    times: int = 1

    @property
    def action(self) -> Action:
        """Action of the kind: fixed, skipped, doubtful (used as it is) or fatal (an error)."""
        return self.kind.action

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a JSON report. The key `fate` holds the action."""
        return {
            "kind": self.kind.code,
            "fate": self.action,
            "where": self.where,
            "what": self.what,
            "count": self.times,
        }


class Summary(NamedTuple):
    """All problems of one kind.

    Attributes:
        kind: their kind.
        times: number of occurrences.
        first: the first problem.
    """

    kind: Kind
    times: int
    first: Problem


def summarise(problems: Iterable[Problem]) -> list[Summary]:
    """Return a summary of each kind, in the order of `Kind`."""
    found: dict[Kind, Summary] = {}
    for problem in problems:
        _, times, first = found.get(problem.kind, (problem.kind, 0, problem))
        found[problem.kind] = Summary(problem.kind, times + problem.times, first)
    return [found[kind] for kind in Kind if kind in found]


def log_problems(
    problems: Iterable[Problem],
    source: str,
    policies: Mapping[Kind, Policy] | None = None,
    silent: bool = False,
) -> None:
    """Log a line for each kind of problem with its code, count, action and first example.

    Args:
        problems: the problems.
        source: name of the data that has them.
        policies: policy of each kind; the default is `warn`.
        silent: whether to log nothing.

    Raises:
        InputError: there is a problem of a kind with the policy `fail`.
    """
    summaries = summarise(problems)
    for kind, times, first in summaries:
        if (policies or {}).get(kind) == "fail":
            more = f" (and {times - 1} more)" if times > 1 else ""
            raise InputError(
                f"{first.where}: {first.what}{more}; repair it, or set data.on_problem.{kind.code}=warn to go on"
            )
    for kind, times, first in summaries if not silent else ():
        number = f"{times} {kind.action}" if kind.action != "fatal" else str(times)
        first_of = ", the first" if times > 1 else ""
        where = "" if first.where == source else f"{first.where}: "
        logger.warning(quoted(f"{source}: {kind.code}: {number}{first_of}: {where}{first.what}"))


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    """Write all problems as a JSON list."""
    write_json(path, [problem.to_dict() for problem in problems], indent=1)
