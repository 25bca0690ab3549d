"""An audit as a page: counts, pictures of what is suspicious, and pictures that are nearly the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from centerx.auditing.find import CLASS, DOUBLED, KINDS, MISSING, PLACE, SPURIOUS, Suspicion
from centerx.data.similar import SimilarPair
from centerx.page import Cell, Gallery, Section, Table, Text, encode_picture

MEANING = {
    MISSING: "A detection that no label explains.",
    CLASS: "A label on which another class is found, and its own is not.",
    PLACE: "A label beside a detection of its class, further off than is usual for the class.",
    DOUBLED: "A second label of one object.",
    SPURIOUS: "A label near which nothing is found, although most labels of its class and size are found.",
}
LABEL, FOUND, DOUBLE, OTHERS = (220, 38, 38), (22, 130, 246), (245, 158, 11), (150, 150, 150)
LEGEND = "Red: the label. Blue, dashed: what is found. Grey: other labels."
LEGENDS = {DOUBLED: "Red: the label. Orange: the label that it doubles. Grey: other labels."}
THUMBNAIL = 120, 156  # height and width in pixels of a similar picture
CROP = 200  # pixels of a crop's side on the page
LEAST_VIEW = 48  # pixels of the picture that a crop shows at least
CONTEXT = 1.8  # side of what a crop shows, relative to the boxes in it
DASH = 6  # pixels


def describe(suspicion: Suspicion, class_names: Sequence[str]) -> str:
    """Return the reason of a suspicion as one phrase."""
    name = class_names[suspicion.label]
    found = class_names[suspicion.found_label] if suspicion.found_label >= 0 else ""
    at = f"IoU {suspicion.iou:.2f}"
    return {
        MISSING: f"{name} found (rate {suspicion.rate:.2f}), no label",
        CLASS: f"labelled {name}, found {found} (rate {suspicion.rate:.2f}, {at})",
        PLACE: f"{name} found beside (rate {suspicion.rate:.2f}, {at})",
        DOUBLED: f"{name} again, {at} with another label",
        SPURIOUS: f"labelled {name}, nothing found there",
    }[suspicion.kind]


def draw_suspicion(image: np.ndarray, suspicion: Suspicion, boxes: np.ndarray) -> np.ndarray:
    """Draw what is around a suspicion.

    Args:
        image: (H, W, 3) uint8 RGB, the picture.
        suspicion: about it.
        boxes: (N, 4) xyxy of all its labels.

    Returns:
        (CROP, CROP, 3) uint8 RGB.
    """
    shown = np.stack([each for each in (suspicion.box, suspicion.found_box) if each is not None])
    low, high = shown[:, :2].min(axis=0), shown[:, 2:].max(axis=0)
    source_wh = np.array(image.shape[1::-1])
    size = int(np.ceil(min(max(float((high - low).max()) * CONTEXT, LEAST_VIEW), source_wh.max())))
    corner = np.floor((low + high - size) / 2).clip(0, np.maximum(source_wh - size, 0))  # inside the picture
    view = Image.fromarray(image).crop((int(corner[0]), int(corner[1]), int(corner[0]) + size, int(corner[1]) + size))
    canvas = view.resize((CROP, CROP), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    scale = CROP / size
    for row, box in enumerate(boxes):
        if row != suspicion.row:
            pen.rectangle(_corners(box, corner, scale), outline=DOUBLE if row == suspicion.other else OTHERS, width=2)
    if suspicion.row >= 0:
        pen.rectangle(_corners(suspicion.box, corner, scale), outline=LABEL, width=3)
    if suspicion.found_box is not None:
        _dashed(pen, _corners(suspicion.found_box, corner, scale))
    return np.asarray(canvas)


def suspicion_sections(
    suspicions: Sequence[Suspicion], crops: dict[int, np.ndarray], class_names: Sequence[str], files: Sequence[str]
) -> list[Section]:
    """Return a table of counts, and a section for each kind with its crops, the surest first.

    Args:
        suspicions: those to tell, the surest first.
        crops: by number of the suspicion, its picture; some may have none.
        class_names: of their classes.
        files: name of each picture.
    """
    counts = Counter((each.kind, each.label) for each in suspicions)
    labels = sorted({label for _, label in counts})
    head = ["kind", *(class_names[label] for label in labels), "all", "what"]
    rows: list[list[Cell]] = [
        [kind, *(counts[kind, label] for label in labels), sum(counts[kind, label] for label in labels), MEANING[kind]]
        for kind in KINDS
    ]
    sections = [Section("Counts", [Table(head, rows)])]
    for kind in KINDS:
        mine = [(number, each) for number, each in enumerate(suspicions) if each.kind == kind]
        if not mine:
            continue
        pictures = [
            encode_picture(
                crops[number], f"{each.score:.2f}: {describe(each, class_names)}. {files[each.picture]}", CROP
            )
            for number, each in mine
            if number in crops
        ]
        left = len(mine) - len(pictures)
        more = f" The surest {len(pictures)} of {len(mine)}." if left else ""
        sections.append(
            Section(kind.capitalize(), [Text(f"{MEANING[kind]} {LEGENDS.get(kind, LEGEND)}{more}"), Gallery(pictures)])
        )
    return sections


def similar_section(
    pairs: Sequence[SimilarPair],
    shown: Sequence[SimilarPair],
    thumbnails: dict[int, np.ndarray],
    files: Sequence[str],
    owners: Sequence[str],
) -> Section:
    """Return the section of pictures that are nearly the same.

    Args:
        pairs: all of them.
        shown: those to show.
        thumbnails: pictures by number, (H, W, 3) uint8 RGB of one size; some may be missing.
        files: name of each picture.
        owners: name of the data set of each picture.
    """
    counts = Counter(tuple(sorted((owners[pair.first], owners[pair.second]))) for pair in pairs)
    table = Table(["one", "the other", "pairs"], [[*names, count] for names, count in sorted(counts.items())])
    pictures = [
        encode_picture(
            np.concatenate([thumbnails[pair.first], thumbnails[pair.second]], axis=1),
            f"{pair.similarity:.3f}: {files[pair.first]} ({owners[pair.first]}), {files[pair.second]} "
            f"({owners[pair.second]})",
        )
        for pair in shown
        if pair.first in thumbnails and pair.second in thumbnails
    ]
    if not pairs:
        return Section("Similar pictures", [Text("No two pictures are nearly the same.")])
    more = (
        f" Shown: {len(pictures)} of {len(pairs)} pairs, those of two data sets first."
        if len(pictures) < len(pairs)
        else ""
    )
    text = f"Pictures of two splits that are nearly the same make a detector look better than it is.{more}"
    return Section("Similar pictures", [Text(text), table, Gallery(pictures)])


def _corners(box: np.ndarray, corner: np.ndarray, scale: float) -> list[float]:
    """Corners of a box in a crop; the last pixel is drawn too."""
    left, top, right, bottom = ((box - np.tile(corner, 2)) * scale).tolist()
    return [left, top, max(right - 1, left), max(bottom - 1, top)]


def _dashed(pen: ImageDraw.ImageDraw, corners: Sequence[float]) -> None:
    left, top, right, bottom = corners
    for x in np.arange(left, right, 2 * DASH).tolist():
        for y in (top, bottom):
            pen.line([x, y, min(x + DASH, right), y], fill=FOUND, width=2)
    for y in np.arange(top, bottom, 2 * DASH).tolist():
        for x in (left, right):
            pen.line([x, y, x, min(y + DASH, bottom)], fill=FOUND, width=2)
