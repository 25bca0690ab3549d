"""Joints: the named points of an object, such as those of a body, and what is known of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from centerx.errors import InputError

SIGMA = 0.05  # of a joint without one of its own
COCO_SIGMAS = {
    name: sigma
    for names, sigma in (
        ("nose", 0.026),
        ("eye", 0.025),
        ("ear", 0.035),
        ("shoulder", 0.079),
        ("elbow", 0.072),
        ("wrist", 0.062),
        ("hip", 0.107),
        ("knee", 0.087),
        ("ankle", 0.089),
    )
    for name in ((names,) if names == "nose" else (f"left_{names}", f"right_{names}"))
}  # of the COCO keypoint challenge
COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
COCO_SKELETON = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    *(("nose", f"{side}_eye") for side in ("left", "right")),
    *(
        (f"{side}_{first}", f"{side}_{second}")
        for side in ("left", "right")
        for first, second in (
            *(("eye", "ear"), ("ear", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist")),
            *(("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle")),
        )
    ),
)
SIDES = re.compile(r"(?<![A-Za-z])(?i:left|right)|(?<=[a-z0-9])(?:Left|Right)(?![a-z])")
LARGEST_SIGMA = 10.0
SHORT = re.compile(r"(?<![A-Za-z])[LlRr](?=[_. -])|(?<=[_. -])[LlRr](?![A-Za-z])|(?<=[a-z0-9])[LR]$|^[LR](?=[A-Z])")
OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def numbered_joints(count: int) -> tuple[str, ...]:
    """Return what joints are called that nobody named."""
    return tuple(f"joint {place}" for place in range(1, count + 1))


class Joints(NamedTuple):
    """The J joints of a data set or of a detector.

    Attributes:
        names: different ones; empty where there are no joints.
        flip: of each joint the one that is in its place in a mirror image; empty where nobody has said.
        skeleton: pairs of joints to draw a line between.
        sigmas: of each joint, how far it may be placed off: of COCO's similarity of keypoints; empty: not told.
        classes: of each class its joints, ascending; empty: every class has all.
        named: whether somebody gave the names, or they are numbers.
    """

    names: tuple[str, ...] = ()
    flip: tuple[int, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    classes: tuple[tuple[int, ...], ...] = ()
    named: bool = True

    def of_class(self, label: int) -> tuple[int, ...]:
        """Return the joints of a class."""
        return self.classes[label] if self.classes else tuple(range(len(self.names)))

    def table(self, num_classes: int) -> list[list[float]]:
        """Return (C, J): 1 where a class has a joint, else 0."""
        every = range(len(self.names))
        return [[float(joint in self.of_class(label)) for joint in every] for label in range(num_classes)]

    def places(self, names: Sequence[str]) -> list[int]:
        """Return where each of some names stands among these, -1 of one that does not."""
        return [self.names.index(name) if name in self.names else -1 for name in names]

    def order(self, names: Sequence[str]) -> list[int] | None:
        """Return the same as `places`; None where the names are these in this order."""
        return None if tuple(names) == self.names else self.places(names)

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Joints:
        """Read the text of `to_json`.

        Raises:
            ValueError: it is none, or its parts do not go together.
        """
        tree = json.loads(text)
        if not isinstance(tree, dict) or tree.keys() - set(cls._fields):
            raise ValueError("joints are no mapping of what is known of joints")
        names = _texts(tree.get("names", []))
        flip, skeleton, classes = (
            tuple(tree.get("flip", ())),
            tuple(tuple(pair) for pair in tree.get("skeleton", ())),
            tuple(tuple(each) for each in tree.get("classes", ())),
        )
        sigmas = tuple(float(each) for each in tree.get("sigmas", ()))
        numbers = [*flip, *(each for pair in skeleton for each in pair), *(each for some in classes for each in some)]
        if any(type(each) is not int or not 0 <= each < len(names) for each in numbers):
            raise ValueError("joints are numbered beyond their names")
        if (flip and not is_mirror(flip, len(names))) or any(len(pair) != 2 for pair in skeleton):
            raise ValueError("flip must say of each joint which one it changes places with, skeleton be pairs of them")
        if sigmas and (len(sigmas) != len(names) or not all(0 < each < LARGEST_SIGMA for each in sigmas)):
            raise ValueError(f"sigmas must be a number of each joint, above 0 and below {LARGEST_SIGMA:g}")
        return cls(names, flip, skeleton, sigmas, classes, bool(tree.get("named", True)))


def describe_joints(joints: Joints, class_names: Sequence[str]) -> dict[str, Any]:
    """Return joints by their names: `names`, `pairs` of a mirror image, `skeleton`, and `classes`, those of each."""
    names = joints.names
    return {
        "names": list(names),
        "pairs": [[names[place], names[other]] for place, other in enumerate(joints.flip) if place < other],
        "skeleton": [[names[first], names[second]] for first, second in joints.skeleton],
        "classes": {name: [names[place] for place in joints.of_class(label)] for label, name in enumerate(class_names)},
    }


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("names of joints must be texts")
    if len(set(value)) < len(value):
        raise ValueError("names of joints must differ")
    return tuple(value)


def is_mirror(flip: Sequence[int], count: int) -> bool:
    """Whether numbers of joints say with which each changes places, or that it keeps its own."""
    return sorted(flip) == list(range(count)) and all(flip[other] == place for place, other in enumerate(flip))


def twice_paired(pairs: Sequence[Sequence[str]]) -> str | None:
    """Return a joint that is in two pairs, or twice in one; None where there is none."""
    named = [name for pair in pairs for name in pair]
    return next((name for name in named if named.count(name) > 1), None)


def default_sigmas(names: Sequence[str]) -> tuple[float, ...]:
    """Return those of COCO for joints that have its names, `SIGMA` for the others."""
    return tuple(COCO_SIGMAS.get(name, SIGMA) for name in names)


def mirrored_name(name: str) -> str | None:
    """Return the name with left and right exchanged; None where it says neither."""
    for pattern in (SIDES, SHORT):
        found = pattern.search(name)
        if found:
            word = found.group()
            other = OTHER[word.lower()]
            other = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
            return name[: found.start()] + other + name[found.end() :]
    return None


def flip_by_names(names: Sequence[str], where: str) -> tuple[int, ...]:
    """Return of each joint the one in its place in a mirror image, by left and right in their names.

    Args:
        names: of the joints.
        where: whose joints they are, for the error.

    Raises:
        InputError: a joint of one side has no partner.
    """
    flip = []
    for place, name in enumerate(names):
        other = mirrored_name(name)
        if other is not None and other not in names:
            raise InputError(
                f"{where}: the joint {name!r} has no {other!r}, so a mirror image cannot be told; name the pairs in "
                "joints.pairs, or set augment.flip=0"
            )
        flip.append(place if other is None else names.index(other))
    return tuple(flip)


def can_be_mirrored(names: Sequence[str], named: bool) -> bool:
    """Whether `flip_by_names` tells the mirror image of joints: they have names, and each side has its other."""
    return named and all(mirrored_name(name) in (None, *names) for name in names)


def mirror_of(joints: Joints) -> tuple[int, ...]:
    """Return of each joint the one in its place in a mirror image, by the data or by names; else empty."""
    if joints.flip:
        return joints.flip
    return flip_by_names(joints.names, "") if can_be_mirrored(joints.names, joints.named) else ()


def flip_by_pairs(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[int, ...]:
    """Return the same by pairs of names; a joint in no pair keeps its place."""
    flip = list(range(len(names)))
    for first, second in pairs:
        one, other = names.index(first), names.index(second)
        flip[one], flip[other] = other, one
    return tuple(flip)


def renamed_joints(joints: Joints, place: Sequence[int], num_classes: int) -> Joints:
    """Return joints of other classes.

    Args:
        joints: of the former.
        place: of each former class its new one, -1 of one that is left out.
        num_classes: how many there are then.
    """
    if not joints.classes:
        return joints
    of_new = [[joints.classes[old] for old, now in enumerate(place) if now == new] for new in range(num_classes)]
    return joints._replace(classes=tuple(tuple(sorted(set().union(*some))) for some in of_new))


def join_joints(parts: Sequence[tuple[Joints, Sequence[str]]], class_names: Sequence[str]) -> Joints:
    """Return the joints of several data sets or detectors together; those of one name are one.

    Args:
        parts: joints, and the class names that they are of.
        class_names: of the result; a class has the joints that it has in any part.

    Raises:
        InputError: the joints of one are numbers alone, and another one has others; two tell other mirror images.
    """
    parts = [part for part in parts if part[0].names]
    names = tuple(dict.fromkeys(name for joints, _ in parts for name in joints.names))
    nameless = next((joints for joints, _ in parts if not joints.named), None)
    if nameless is not None:
        other = next((joints for joints, _ in parts if joints.names != nameless.names), None)
        if other is not None:
            raise InputError(
                f"joints: one part of the data has {len(nameless.names)} joints without names, another "
                f"{len(other.names)} ({', '.join(other.names[:4])}...); name them with joints beside its path"
            )
    of_class: list[set[int]] = [set() for _ in class_names]
    lines: dict[tuple[int, int], None] = {}
    flip: dict[int, int] = {}
    for joints, own_classes in parts:
        places = [names.index(name) for name in joints.names]
        lines |= dict.fromkeys((places[first], places[second]) for first, second in joints.skeleton)
        for place, partner in enumerate(joints.flip):
            if flip.setdefault(places[place], places[partner]) != places[partner]:
                raise InputError(
                    f"joints: one part of the data has {names[flip[places[place]]]!r} in the place of "
                    f"{joints.names[place]!r} in a mirror image, another {joints.names[partner]!r}; set joints.pairs"
                )
        for label, name in enumerate(own_classes):
            if name in class_names:
                of_class[list(class_names).index(name)] |= {places[each] for each in joints.of_class(label)}
    differ = any(len(each) < len(names) for each in of_class)
    for place, name in enumerate(names if flip else ()):  # what nobody tells beside what somebody does
        mirrored = mirrored_name(name)
        if place not in flip and mirrored in (None, *names):
            flip[place] = place if mirrored is None else names.index(mirrored)
    whole = tuple(flip[place] for place in range(len(names))) if len(flip) == len(names) else ()
    whole = whole if is_mirror(whole, len(names)) else ()
    classes = tuple(tuple(sorted(each)) for each in of_class) if differ else ()
    return Joints(names, whole, tuple(lines), classes=classes, named=nameless is None)


NO_JOINTS = Joints()
