"""Detections to and from the forms of other libraries, and onto pictures; `Detections` has a method for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from centerx.errors import InputError
from centerx.geometry import xywh_to_xyxy, xyxy_to_xywh
from centerx.runtime.picture import Picture, to_image
from centerx.show import Table, import_optional, plot_picture
from centerx.tasks import BOXES, KEYPOINT_SCORES, TASKS, task_of
from centerx.types import Categories, Detections

CORNERS = ("x0", "y0", "x1", "y1")
POINT = ("x", "y")


def are_points(found: Detections) -> bool:
    """Whether the detections have places and no boxes."""
    return found.task in TASKS and not TASKS[found.task].has_area


def from_supervision(found: Any, class_names: Sequence[str], score: float | None) -> Detections:
    """See `Detections.from_supervision`."""
    if found.class_id is None:
        raise InputError("supervision: these detections have no class_id, set it first")
    labels = np.asarray(found.class_id, dtype=np.int64)
    named = found.data.get("class_name", ())
    return assemble(found.xyxy, found.confidence, labels, class_names or names_of(labels, named), score)


def to_supervision(found: Detections) -> Any:
    """See `Detections.to_supervision`."""
    supervision = import_optional("supervision", "supervision")
    names = np.array(found.names, dtype=str)
    return supervision.Detections(
        xyxy=np.asarray(found.boxes, dtype=np.float32).reshape(-1, 4),
        confidence=np.asarray(found.scores, dtype=np.float32),
        class_id=np.asarray(found.labels, dtype=int),
        data={"class_name": names},
    )


def from_coco(rows: Iterable[Mapping[str, Any]], categories: Categories, score: float | None) -> Detections:
    """See `Detections.from_coco`."""
    rows = list(rows)
    names = category_names(categories)
    label_of = {own: label for label, own in enumerate(names)}
    images = list(dict.fromkeys(row.get("image_id") for row in rows))
    if len(images) > 1:
        raise InputError(f"rows: of {len(images)} pictures, such as {images[0]!r} and {images[1]!r}, give those of one")
    points = any(len(row.get("keypoints") or ()) == 3 and not any((row.get("bbox") or ())[2:]) for row in rows)
    key, length = ("keypoints", 3) if points else ("bbox", 4)
    for number, row in enumerate(rows):
        if row.get("category_id") not in label_of:
            raise InputError(f"rows[{number}]: category_id {row.get('category_id')!r} is none of categories")
        if len(row.get(key, ())) != length:
            raise InputError(f"rows[{number}]: {key} must be {length} numbers")
    places = np.array([row[key] for row in rows], dtype=np.float64).reshape(-1, length)
    boxes = np.tile(places[:, :2], 2) if points else xywh_to_xyxy(places)
    scores = [row["score"] for row in rows] if rows and all("score" in row for row in rows) else None
    labels = np.array([label_of[row["category_id"]] for row in rows], dtype=np.int64)
    return assemble(boxes, scores, labels, tuple(names.values()), score, "center" if points else "boxes")


def to_coco(found: Detections, image_id: int | str, categories: Categories) -> list[dict[str, Any]]:
    """See `Detections.to_coco`."""
    own = {name: number for number, name in category_names(categories).items()}
    unknown = next((name for name in found.names if name not in own), None)
    if unknown is not None:
        raise InputError(f"categories: lack the class {unknown!r}")
    if are_points(found):
        places = [{"keypoints": [x, y, 2]} for x, y in found.centers.tolist()]
    else:
        places = [{"bbox": box} for box in xyxy_to_xywh(found.boxes).tolist()]
        if "corners" in found.values:
            corners = np.reshape(found.values["corners"], (-1, 8)).tolist()
            places = [place | {"segmentation": [own]} for place, own in zip(places, corners, strict=True)]
    if "keypoints" in found.values:
        points = np.concatenate([found.values["keypoints"], found.values[KEYPOINT_SCORES][..., None]], axis=2)
        own_of = [list(found.joints.of_class(label)) for label in found.labels.tolist()]
        places = [
            place | {"keypoints": each[joints].ravel().tolist()}
            for place, each, joints in zip(places, points, own_of, strict=True)
        ]
    return [
        {"image_id": image_id, "category_id": own[name], **place, "score": float(score)}
        for name, place, score in zip(found.names, places, found.scores, strict=True)
    ]


def category_names(categories: Categories) -> dict[int, str]:
    """Return the name of each id.

    Raises:
        InputError: an id or a name is there twice.
    """
    pairs = (
        list(categories.items())
        if isinstance(categories, Mapping)
        else [(each["id"], each["name"]) for each in categories]
    )
    names = dict(pairs)
    if len(names) < len(pairs) or len(set(names.values())) < len(pairs):
        raise InputError("categories: an id or a name is there twice")
    return names


def from_yolo(rows: Any, image_hw: tuple[int, int], class_names: Sequence[str], score: float | None) -> Detections:
    """See `Detections.from_yolo`."""
    cells = [line.split() for line in rows.splitlines() if line.strip()] if isinstance(rows, str) else rows
    try:
        values = np.array(cells, dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError("rows: must be numbers, 5 or 6 in each row: class, x, y, width, height and a score") from None
    if not values.size:
        values = np.zeros((0, 6))
    if values.ndim != 2 or values.shape[1] not in (5, 6):
        raise InputError(f"rows: must be (K, 5) or (K, 6), not {values.shape}; outlines and poses are not read")
    labels = values[:, 0].astype(np.int64)
    inside = ((values[:, 1:5] >= 0) & (values[:, 1:5] <= 1)).all(axis=1)
    wrong = ~inside | (labels != values[:, 0]) | (labels < 0)
    if wrong.any():
        number = int(wrong.argmax())
        raise InputError(f"rows[{number}]: must be a class index and four values in [0, 1], not {values[number, :5]}")
    size = np.array([image_hw[1], image_hw[0]], dtype=np.float64)
    center, half = values[:, 1:3] * size, values[:, 3:5] * size / 2
    boxes = np.concatenate([center - half, center + half], axis=1)
    return assemble(boxes, values[:, 5] if values.shape[1] == 6 else None, labels, class_names, score)


def to_yolo(found: Detections, image_hw: tuple[int, int]) -> np.ndarray:
    """See `Detections.to_yolo`."""
    if are_points(found):
        raise InputError("to_yolo: these detections are points, and YOLO's rows are boxes; use to_coco")
    size = np.array([image_hw[1], image_hw[0]], dtype=np.float64)
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]) / size
    return np.column_stack([found.labels, found.centers / size, sides, found.scores]).astype(np.float64)


def to_table(found: Detections) -> Table:
    """Return a row for each detection."""
    points = are_points(found)
    places = found.centers if points else found.boxes
    more = {name: values for name, values in found.values.items() if np.ndim(values) == 1}
    columns = ("class_name", "label", "score", *(POINT if points else CORNERS), *more)
    lists = (
        found.names,
        found.labels.tolist(),
        found.scores.tolist(),
        *places.T.tolist(),
        *map(np.ndarray.tolist, more.values()),
    )
    rows = list(zip(*lists, strict=True))
    return Table(f"{len(rows)} detections", {}, columns, rows)


def from_pandas(frame: Any, class_names: Sequence[str], score: float | None) -> Detections:
    """See `Detections.from_pandas`."""
    points = "x" in frame and "x0" not in frame
    places = POINT if points else CORNERS
    missing = next((name for name in ("label", *places) if name not in frame), None)
    if missing is not None:
        raise InputError(f"frame: lacks the column {missing!r}, needed are label, score and {', '.join(places)}")
    labels = frame["label"].to_numpy(dtype=np.int64)
    rows = frame[list(places)].to_numpy(dtype=np.float64)
    scores = frame["score"].to_numpy(dtype=np.float64) if "score" in frame else None
    named = frame["class_name"].tolist() if "class_name" in frame else ()
    boxes = np.tile(rows, 2) if points else rows
    names = class_names or names_of(labels, named)
    return assemble(boxes, scores, labels, names, score, "center" if points else "boxes")


def names_of(labels: np.ndarray, named: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each class index up to the highest; `class N` where no detection has one."""
    if not len(named):
        return ()
    known = dict(zip(labels.tolist(), map(str, named), strict=True))
    return tuple(known.get(label, f"class {label}") for label in range(max(known) + 1))


def assemble(
    boxes: Any, scores: Any, labels: np.ndarray, class_names: Sequence[str], score: float | None, task: str = "boxes"
) -> Detections:
    """Return checked detections, best first.

    Args:
        boxes: (K, 4) xyxy.
        scores: (K,); None where there are none.
        labels: (K,).
        class_names: by label.
        score: of each where there are none.
        task: of the detections.

    Raises:
        InputError: there are no scores, or the values do not make detections.
    """
    if scores is None:
        if score is None and len(labels):
            raise InputError("the rows have no scores, say what they are to be, such as score=1.0 for labels")
        scores = np.full(len(labels), score or 0.0)
    rows, sure = np.asarray(boxes, dtype=np.float64).reshape(-1, 4), np.asarray(scores, dtype=np.float64)
    if not (np.isfinite(rows).all() and ((sure >= 0) & (sure <= 1)).all()):
        raise InputError("boxes must be finite and scores in [0, 1]")
    order = np.argsort(-sure, kind="stable")
    try:
        return Detections(rows[order], sure[order], labels[order], tuple(class_names), task=task)
    except ValueError as error:
        raise InputError(str(error)) from None


def draw(found: Detections, picture: Picture, bgr: bool) -> np.ndarray:
    """See `Detections.draw`."""
    image = to_image(picture, bgr)
    names = found.class_names or tuple(f"class {label}" for label in range(max(found.labels, default=-1) + 1))
    task = task_of(found) if found.task in TASKS else BOXES
    return task.draw(image, found, names, found.scores)


def plot(found: Detections, picture: Picture, bgr: bool) -> Any:
    """See `Detections.plot`."""
    return plot_picture(draw(found, picture, bgr))
