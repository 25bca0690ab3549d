"""`centerx.inspect`: how a model file is read, and what it finds on a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError
from centerx.joints import describe_joints

if TYPE_CHECKING:
    import numpy as np

    from centerx.resize import Resize
    from centerx.runtime import Predictor
    from centerx.runtime.foreign.adapter import Adapter, Section
    from centerx.runtime.foreign.recognise import AdapterSource
    from centerx.runtime.foreign.session import ForeignSession
    from centerx.runtime.info import ModelInfo
    from centerx.runtime.picture import Picture
    from centerx.types import Detections

FRAMES = {
    "picture": "the size of the picture",
    "inside": "the ratio is kept",
    "longest": "the longest side as that of the input",
    "shortest": "the shortest side as that of the input",
}
SHOWN_NAMES = 5  # of the classes
CORNER_ORDERS = {
    "canonical": "four, clockwise from the one nearest to the top left of the picture",
    "labelled": "four, in the order of the labels",
}
ANGLE = "of the longer side, in degrees above -90 and up to 90, clockwise; of a square that of either side"


class View(NamedTuple):
    """What a model finds on a picture.

    Attributes:
        image: (H, W, 3) uint8 RGB, the picture.
        detections: in its pixels.
        seen: (h, w, 3) uint8 RGB, what the network gets, brought back to colours.
        seen_detections: in pixels of the input.
        others: what is found where a detector of another project is read differently, by the difference.
    """

    image: np.ndarray
    detections: Detections
    seen: np.ndarray
    seen_detections: Detections
    others: Mapping[str, Detections]


class Inspection(NamedTuple):
    """How a model file is read.

    Attributes:
        path: the file.
        detector: it, opened.
        adapter: of a detector of another project; None for a model of this one.
        rows: what was understood, by what it is about, for a person.
    """

    path: Path
    detector: Predictor
    adapter: Adapter | None
    rows: Mapping[str, str]

    def view(self, picture: Picture, score: float = 0.3) -> View:
        """Run the model on a picture, and a detector of another project also with what is mistaken most easily.

        Args:
            picture: as for a detector.
            score: leave out what scores lower.

        Raises:
            InputError: the picture cannot be read.
        """
        from centerx.geometry import Letterbox
        from centerx.runtime.picture import to_image
        from centerx.runtime.predictor import Predictor

        detector, session = self.detector, self.detector.session
        image = to_image(picture, value_range=session.info.value_range)
        placed = detector.preprocess(image)
        unmoved = placed._replace(letterbox=Letterbox((1.0, 1.0), (0.0, 0.0), placed.image.shape[:2]))
        found, inside = (detector.detect([each])[0].above(score) for each in (placed, unmoved))
        if self.adapter is None:
            return View(image, found, placed.image, inside, {})
        foreign: ForeignSession = session  # type: ignore[assignment]
        others = {
            what: Predictor(foreign.with_input(**changed), detector.input_hw)(image).above(score)
            for what, changed in _other_inputs(self.adapter).items()
        }
        return View(image, found, foreign.seen(placed.image), inside, others)

    def to_json(self, view: View | None = None) -> dict[str, Any]:
        """Return the tree of `centerx inspect --json`.

        Args:
            view: what was found on a picture, if one was looked at.
        """
        from centerx.runtime.entry import to_dict

        info = self.detector.session.info
        tree: dict[str, Any] = {
            "model": str(self.path),
            "task": info.task,
            "classes": list(info.class_names),
            "input_size": list(self.detector.input_hw),
            "rows": dict(self.rows),
        }
        if info.task == "pose":
            tree["joints"] = describe_joints(info.joints, info.class_names)
        if info.task == "quads":
            tree["corner_order"] = info.corner_order
        if view is not None:
            hw = view.image.shape[:2]
            found = {"as read": view.detections, **view.others}
            tree["found"] = {what: to_dict("", hw, each)["detections"] for what, each in found.items()}
        return tree

    def write_adapter(self) -> Path:
        """Write the adapter beside the model, to be edited, and return its path.

        Raises:
            InputError: the model is of this project, or has an adapter there already.
            OSError: it cannot be written.
        """
        from centerx.runtime.foreign.adapter import sidecar, write_adapter

        if self.adapter is None:
            raise InputError(f"{self.path}: a model of this project says itself how it is read, leave --write out")
        if sidecar(self.path).exists():
            raise InputError(f"{sidecar(self.path)}: is there already, edit it or move it away")
        return write_adapter(self.adapter, self.path)


def inspect(
    model: str | Path,
    *,
    adapter: AdapterSource = None,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
) -> Inspection:
    """Open a model file and tell how it is read.

    Args:
        model: a file of this project, or a detector of another one.
        adapter: how a detector of another project is read: keys, or the path of a YAML file. Default: the file
            `NAME.adapter.yaml` beside it, or the known families.
        backend: what runs the file, by name.
        size: height and width of the input in pixels, of a file that takes any.

    Raises:
        InputError: the file cannot be opened, or is not recognised.
    """
    from centerx.runtime import load
    from centerx.runtime.foreign.session import ForeignSession

    detector = load(model, backend, size, adapter)
    session = detector.session
    if isinstance(session, ForeignSession):
        return Inspection(Path(model), detector, session.adapter, _foreign_rows(detector, session))
    return Inspection(Path(model), detector, None, _own_rows(detector))


def _other_inputs(adapter: Adapter) -> dict[str, dict[str, Any]]:
    """Changes of an adapter's input, by what they are."""
    seen = adapter.input
    other = "bgr" if seen.colour == "rgb" else "rgb"
    changes: dict[str, dict[str, Any]] = {f"channels {_channels(other)}": {"colour": other}}
    if seen.frame == "input":
        stretched = seen.resize == "stretch"
        text = "keeping the ratio" if stretched else "stretched"
        changes[text] = {"resize": "fit" if stretched else "stretch"}
    return changes


def _own_rows(detector: Predictor) -> dict[str, str]:
    info = detector.session.info
    return {
        "model": f"centerX, task {info.task}",
        "input": f"images {_sides(detector)}, bytes, channels R G B",
        "resize": _resize_text(info.resize),
        "classes": _classes_text(info.class_names),
        **_task_rows(info),
        "suppression": f"peaks of the heatmap, {info.top_k} at most",
    }


def _foreign_rows(detector: Predictor, session: ForeignSession) -> dict[str, str]:
    adapter, seen = session.adapter, session.adapter.input
    rows = {
        "model": f"{adapter.family or 'of no known family'}, task {session.info.task}",
        "recognised by": session.recognised_by,
        "input": f"{session.picture}, used at {_sides(detector)}",
        "other inputs": ", ".join(f"{name} {_text(values)}" for name, values in adapter.extra.items()),
        "resize": _resize_text(seen.rule),
        "colours": f"channels {_channels(seen.colour)}, {_numbers_text(adapter)}",
        "outputs": ", ".join(map(str, session.runner.declared.outputs)),
        "boxes": _section_text(adapter.boxes),
        "scores": _section_text(adapter.scores),
        "labels": f"column {adapter.labels.column} of {adapter.labels.output}" if adapter.labels else "",
        "classes": _classes_text(adapter.class_names),
        **(_joint_rows(session.info) if session.info.task == "pose" else {}),
        "suppression": f"IoU {adapter.nms} within a class" if adapter.nms is not None else "none here",
    }
    return {what: text for what, text in rows.items() if text}


def _task_rows(info: ModelInfo) -> dict[str, str]:
    """What a model of this project says of objects beside boxes."""
    if info.task == "pose":
        return _joint_rows(info)
    if info.task == "quads":
        return {"corners": CORNER_ORDERS[info.corner_order]}
    if info.task == "rotated":
        return {"corners": "four, clockwise; the first two lie along the longer side", "angle": ANGLE}
    return {}


def _joint_rows(info: ModelInfo) -> dict[str, str]:
    joints = describe_joints(info.joints, info.class_names)
    rows = {
        "joints": f"{len(joints['names'])}: {', '.join(joints['names'])}",
        "skeleton": ", ".join(map(" - ".join, joints["skeleton"])) or "none",
        "mirror image": ", ".join(map(" for ".join, joints["pairs"])) or "no joints change places",
    }
    if info.joints.classes:
        rows |= {f"joints of {name}": ", ".join(own) or "none" for name, own in joints["classes"].items()}
    return rows


def _section_text(section: Section) -> str:
    """The keys that are not as they are anyway."""
    values = section.model_dump(exclude_defaults=True)
    return ", ".join(f"{key} {_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{key} {_text(each)}' for key, each in value.items())})"
    if isinstance(value, (list, tuple)):
        several = [_text(each) for each in value]
        return " ".join(several if len(several) <= SHOWN_NAMES + 1 else [several[0], "to", several[-1]])
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _numbers_text(adapter: Adapter) -> str:
    """What becomes of a byte."""
    seen = adapter.input
    scaled = "bytes" if seen.scale == 1 else f"bytes * {seen.scale:.6g}"
    if any(seen.mean) or set(seen.std) != {1.0}:
        return f"({scaled} - {_text(seen.mean)}) / {_text(seen.std)}"
    return scaled


def _channels(colour: str) -> str:
    return " ".join(colour.upper())


def _sides(detector: Predictor) -> str:
    height, width = detector.input_hw
    return f"{height}x{width}{', takes any size' if detector.session.any_size else ''}"


def _resize_text(rule: Resize) -> str:
    shape = FRAMES.get(rule.frame, "the ratio is kept" if rule.keep_ratio else "stretched")
    place = f"{'in the middle' if rule.centred else 'top-left'}, padded with {rule.pad_value}"
    padded = rule.keep_ratio and (not rule.varies or rule.multiple > 1)
    multiple = f"sides of multiples of {rule.multiple}" if rule.multiple > 1 else ""
    return ", ".join(filter(None, (shape, multiple, place if padded else "", rule.filter)))


def _classes_text(names: tuple[str, ...]) -> str:
    return f"{len(names)}: {', '.join(names[:SHOWN_NAMES])}{', ...' if len(names) > SHOWN_NAMES else ''}"
