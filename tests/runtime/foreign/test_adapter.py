"""The keys of an adapter, and the YAML beside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from centerx.errors import InputError
from centerx.runtime.foreign.adapter import LARGEST_SIDECAR, parse_adapter, read_tree, sidecar, write_adapter
from centerx.runtime.foreign.facts import metadata_names
from centerx.runtime.foreign.families import FAMILIES
from centerx.runtime.foreign.names import COCO_IDS, COCO_NAMES
from tests.runtime.foreign.fakes import PLAIN


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_adapters_that_come_back_from_yaml(name: str, tmp_path: Path) -> None:
    adapter = parse_adapter({"classes": ["cat"], **FAMILIES[name].adapter}, name)
    model = tmp_path / "m.onnx"
    assert write_adapter(adapter, model) == tmp_path / "m.adapter.yaml" == sidecar(model)
    assert parse_adapter(read_tree(sidecar(model)), model) == adapter


def test_numbers_of_classes() -> None:
    ids = parse_adapter(PLAIN | {"classes": "coco-91"}, "m").class_numbers
    assert list(ids) == [number - 1 for number in COCO_IDS]
    assert (ids[0], ids[89]) == ("person", "toothbrush")
    assert list(parse_adapter(PLAIN | {"classes": "coco-91", "first_class": 1}, "m").class_numbers) == list(COCO_IDS)
    assert tuple(parse_adapter(PLAIN | {"classes": "coco"}, "m").class_numbers.values()) == COCO_NAMES
    assert parse_adapter(PLAIN | {"first_class": 1}, "m").class_numbers == {1: "cat", 2: "dog"}
    assert parse_adapter(PLAIN | {"classes": {7: "dog", 3: "cat"}}, "m").class_names == ("cat", "dog")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"boxes": {"outputs": "a", "form": "x"}}, r"'boxes.form' \(did you mean 'format'\?\)"),
    "unknown value": ({"boxes": {"outputs": "a", "format": "xxyy"}}, "boxes.format: "),
    "missing": ({"scores": {}}, "scores.outputs is missing"),
    "cells without anchors": ({"boxes": {"outputs": "a", "unit": "cells"}}, "need anchors with strides"),
    "anchors without sizes": (
        {"boxes": {"outputs": "a", "unit": "anchors", "anchors": {"strides": [8]}}}, "needs anchors.sizes"
    ),
    "columns": ({"boxes": {"outputs": "a", "columns": [0, 1, 2]}}, "columns are 3, xyxy has 4"),
    "bins": ({"boxes": {"outputs": "a", "bins": 8}}, "bins goes with format ltrb"),
    "levels": ({"boxes": {"outputs": ["a", "b"]}}, "scores.outputs are 1, boxes.outputs 2"),
    "strides": (
        {"boxes": {"outputs": ["a", "b"], "anchors": {"strides": [8]}}, "scores": {"outputs": ["c", "d"]}},
        "outputs are 2, anchors.strides 1",
    ),
    "an output without names": ({"boxes": {"outputs": [[]]}}, "boxes.outputs"),
    "levels of objectness": (
        {"scores": {"outputs": "a", "objectness": {"outputs": ["a", "b"]}}}, "objectness.outputs are 2, outputs 1"
    ),
    "power alone": ({"scores": {"outputs": "a", "power": 0.5}}, "power goes with objectness"),
    "sizes of points": ({"boxes": {"outputs": "a", "size_activation": "exp"}}, "which xyxy has none of"),
    "the centre of distances": (
        {"boxes": {"outputs": "a", "format": "ltrb", "center_activation": "tanh", "anchors": {"strides": [8]}}},
        "which ltrb has none of",
    ),
    "a flag of suppression": ({"nms": True}, "nms: must be a number, not true or false"),
    "a flag of a size": ({"input": {"size": True}}, "input.size.0: must be a number, not true or false"),
    "an empty name": ({"classes": ["cat", ""]}, "classes: must be a list of different names, none of them empty"),
    "same names": ({"classes": ["cat", "cat"]}, "must be a list of different names"),
    "infinite": ({"input": {"scale": float("inf")}}, "input.scale"),
    "huge": ({"input": {"size": 10**6}}, "input.size"),
    "a large first class": ({"first_class": 10**12}, "first_class: .* less than or equal to 65535"),
    "a large number of a class": ({"classes": {10**12: "cat"}}, "numbers of classes are 0 to 65535"),
    "levels without end": ({"boxes": {"outputs": "a", "anchors": {"strides": [8] * 65}}}, "anchors.strides"),
    "exact of Pillow": ({"input": {"rounding": "exact", "filter": "antialias"}}, "rounding exact goes with filters of"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_keys_are_one_line(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(InputError, match=message) as told:
        parse_adapter(PLAIN | change, "m.adapter.yaml")
    assert str(told.value).startswith("m.adapter.yaml: ")
    assert "\n" not in str(told.value)


def test_files_that_are_no_adapter(tmp_path: Path) -> None:
    path = tmp_path / "m.adapter.yaml"
    for content, message in (
        (b"- a\n- b\n", "is a mapping of keys, not list"),
        (b"a: [", "not readable as YAML"),
        (b"a: !!python/object/apply:os.system ['true']", "not readable as YAML"),
        (b"#" * (LARGEST_SIDECAR + 1), "an adapter has"),
        (b"\xff\xfe\x00", "not readable as YAML"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as told:
            read_tree(path)
        assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="No such file"):
        read_tree(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'cat', 1: 'dog'}", {0: "cat", 1: "dog"}),
        ('["cat", "dog"]', {0: "cat", 1: "dog"}),
        ("", None),
        ("__import__('os').system('true')", None),
        ("{0: 1}", None),
        ("[" * 10_000, None),
    ],
)
def test_names_in_metadata_are_literals(text: str, names: dict[int, str] | None) -> None:
    assert metadata_names({"names": text}) == names


def test_numbers_of_classes_stay_numbers_in_yaml() -> None:
    adapter = parse_adapter(PLAIN | {"classes": {7: "dog", 3: "cat"}}, "m")
    assert yaml.safe_load(adapter.to_yaml())["classes"] == {7: "dog", 3: "cat"}


def test_yaml_has_what_differs_alone() -> None:
    assert yaml.safe_load(parse_adapter(PLAIN, "m").to_yaml()) == {
        "boxes": {"outputs": ["boxes"]}, "scores": {"outputs": ["scores"]}, "classes": ["cat", "dog"],
    }  # fmt: skip
