"""Search spaces: read, refused where they are wrong, checked against the schema, and the usual one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from centerx.api.space import read_space, usual_space, values_of
from centerx.config import load_config
from centerx.errors import InputError
from centerx.tuning.space import Choice, Range, parse_space

CONFIG = load_config("digits", {"data.train": ["a.json"], "data.val": ["b.json"]})


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ([1], "space: a space is a mapping of keys, not list"),
        ({}, "space: is empty"),
        ({"train.ema": 0.5}, "train.ema: 0.5 is no range {low: ..., high: ...} and no list"),
        ({"train.ema": [0.5]}, "at least two values"),
        ({"train.ema": [0.5, 0.5]}, "each different"),
        ({"train.ema": {"low": 0.1}}, "train.ema: high is missing"),
        ({"train.ema": {"low": "a", "high": 1}}, "train.ema: low 'a' is no number"),
        ({"train.ema": {"low": True, "high": 2}}, "low True is no number"),
        ({"train.ema": {"low": 0, "high": float("inf")}}, "high inf is no number"),
        ({"train.ema": {"low": 0.5, "high": 0.5}}, "low 0.5 is not below high 0.5"),
        ({"train.ema": {"low": 0, "high": 0.5, "log": True}}, "low 0 is not above 0"),
        ({"train.ema": {"low": 0, "high": 0.5, "log": "yes"}}, "log is true or false, not 'yes'"),
        ({"train.ema": {"low": 0, "high": 1, "step": 0.3}}, "no whole number of steps of 0.3 leads from 0 to 1"),
        ({"train.ema": {"low": 0, "high": 1, "step": -1}}, "no whole number of steps"),
        ({"train.ema": {"low": 0.1, "high": 1, "step": 0.1, "log": True}}, "log and step do not go together"),
        ({"train.ema": {"lowest": 0.1, "high": 1}}, "unknown word 'lowest' (did you mean 'low'?)"),
        ({"train": {"ema": {"low": 0.1, "high": 1}}}, "keys are written with dots, such as train.optimizer.lr"),
        ({"model.neck": [{}, {"type": "none"}], "model.neck.type": ["fpn", "none"]}, "is a part of model.neck"),
    ],
)
def test_a_space_that_is_wrong_is_told_in_a_line(tree: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_space(tree, "space")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"optim.lr": {"low": 1e-4, "high": 1e-2}}, "unknown key 'optim.lr' (did you mean 'train.optimizer.lr'?)"),
        ({"train.optimizer.lrr": [1, 2]}, "unknown key 'train.optimizer.lrr' (did you mean 'lr'?)"),
        ({"epochs": [1, 2]}, "unknown key 'epochs' (did you mean 'train.epochs'?)"),
        ({"train.optimizer.lr": {"low": 0, "high": 1}}, "train.optimizer.lr: Input should be greater than 0 (got 0)"),
        ({"train.ema": {"low": 0, "high": 1}}, "train.ema: Input should be less than 1"),
        ({"model.neck.type": ["fpn", "bifpn"]}, "got 'bifpn') (did you mean 'fpn'?)"),
        ({"data.input_size": {"low": 64, "high": 128, "step": 16}}, "must be multiples of 32"),
        ({"model.backbone": {"low": 1, "high": 2}}, "model.backbone"),
        ({"train.seed": [0, 1]}, "train.seed: the best seed is luck"),
        ({"data": [{}, {"balance": 0.5}]}, "data: all trials must be judged alike"),
        ({"data.val": [["a"], ["b"]]}, "all trials must be judged alike"),
        ({"train.optimizer.lr": [0.1, 0.2]}, "train.optimizer.lr=... is given too"),
    ],
)
def test_what_the_schema_or_the_search_refuses(tree: dict[str, Any], says: str) -> None:
    fixed = {"train.optimizer.lr"} if "given too" in says else set()
    with pytest.raises(InputError) as caught:
        read_space(tree, CONFIG, fixed)
    assert str(caught.value).startswith("space: ")
    assert says in str(caught.value)


def test_a_file_is_read_as_configurations_are(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("train.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}\nmodel.neck.type: [fpn, dla_up]\n")
    space = read_space(file, CONFIG, set())
    assert space == {
        "train.optimizer.lr": Range(1e-4, 1e-2, log=True),
        "model.neck.type": Choice(("fpn", "dla_up")),
    }
    assert {key: entry.to_yaml() for key, entry in space.items()} == {
        "train.optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.neck.type": ["fpn", "dla_up"],
    }
    file.write_text("- a\n")
    with pytest.raises(InputError, match="a space is a mapping of keys, not list"):
        read_space(file, CONFIG, set())
    with pytest.raises(InputError, match="No such file or directory, give a space in YAML"):
        read_space(tmp_path / "none.yaml", CONFIG, set())


@pytest.mark.parametrize(
    ("key", "entry", "whole"),
    [
        ("augment.mosaic", {"low": 0, "high": 1}, False),
        ("train.epochs", {"low": 1, "high": 4}, True),
        ("train.epochs", {"low": 1, "high": 2}, True),
        ("loss.reach", {"low": 0, "high": 3}, True),
        ("data.input_size", {"low": 64, "high": 128, "step": 32}, True),
        ("loss.size", {"low": 0.1, "high": 1.1, "step": 0.5}, False),
    ],
)
def test_ranges_are_of_whole_numbers_where_the_key_is(key: str, entry: dict[str, Any], whole: bool) -> None:
    found = read_space({key: entry}, CONFIG, set())[key]
    assert isinstance(found, Range)
    assert found.whole == whole


def test_what_lies_in_a_space() -> None:
    assert 0.1 in Range(0.1, 1)
    assert True not in Range(0, 1)
    assert 0.3 in Range(0.1, 0.5, step=0.1)
    assert 0.35 not in Range(0.1, 0.5, step=0.1)
    assert 1.5 not in Range(1, 2, whole=True)
    assert [0.9, 1.1] in Choice(([0.9, 1.1], [0.5, 2]))
    assert None not in Choice((1, 2))


def test_the_usual_space_is_around_the_configuration_and_leaves_out_what_is_given() -> None:
    space = usual_space(CONFIG, {"augment.shift"})
    assert set(space) == {
        "train.optimizer.lr", "train.optimizer.weight_decay", "loss.size", "augment.scale", "augment.mosaic",
    }  # fmt: skip
    assert space["train.optimizer.lr"] == Range(0.004 / 8, 0.004 * 8, log=True)
    for config in (CONFIG, load_config(CONFIG, {"task": "quads"}), load_config(CONFIG, {"loss.balance": "constant"})):
        space = usual_space(config, set())
        tree = {key: entry.to_yaml() for key, entry in space.items()}
        assert read_space(tree, config, set()) == space
        assert all(value in space[key] for key, value in values_of(config, space).items())
    assert "loss.corners" in usual_space(load_config(CONFIG, {"task": "quads"}), set())
    assert "loss.constant.size" in usual_space(load_config(CONFIG, {"loss.balance": "constant"}), set())
    assert "augment.mosaic" not in usual_space(load_config(CONFIG, {"augment.short_sides": [96]}), set())
