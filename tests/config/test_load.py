import json
import re
from pathlib import Path

import pytest

from centerx.config import Config, dump_config, load_config, parse_text, preset_names
from centerx.errors import InputError
from centerx.problems import Kind


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_base_merges_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "train: {epochs: 7, seed: 3}\naugment: {scale: [0.5, 2.0]}\n")
    write(tmp_path, "b.yaml", "base: a.yaml\ntrain: {epochs: 8}\n")
    config = load_config(write(tmp_path, "c.yaml", "base: b.yaml\naugment: {scale: [1.0, 1.5]}\n"), ["train.seed=5"])
    assert (config.train.epochs, config.train.seed, config.augment.scale) == (8, 5, (1.0, 1.5))


def test_base_may_name_a_preset(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "mine.yaml", "base: nano\nclasses: [cat]\n"))
    assert config.model == load_config("nano").model
    assert config.classes == ("cat",)


def test_a_range_is_two_numbers_or_a_word() -> None:
    def read(*overrides: str) -> object:
        config = load_config("nano", overrides)
        assert parse_text(dump_config(config), "again") == config
        return config.data.range

    assert [read(), read("data.range=stretch"), read("data.range=[0,4095]"), read("data.range=[0.5,1e3]")] == [
        "auto",
        "stretch",
        (0, 4095),
        (0.5, 1000),
    ]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epoch=3", "unknown key 'train.epoch' (did you mean 'epochs'?)"),
        ("trian.epochs=3", "unknown key 'trian' (did you mean 'train'?)"),
        ("train.epochs=0", "train.epochs: Input should be greater than 0 (got 0)"),
        ("train.epochs=many", "train.epochs"),
        ("data.input_size=[200,300]", "multiples of 32"),
        ("data.train=[{path: x, clases: [a]}]", "(did you mean 'classes'?)"),
        ("data.train=[{split: val}]", "data.train.0.path"),
        ("classes=[a,a]", "different names"),
        ("model.neck.type=bifpn", "model.neck.type"),
        ("Train.epochs=3", "unknown key 'Train' (did you mean 'train'?)"),
        ("train.Epochs=3", "unknown key 'train.Epochs' (did you mean 'epochs'?)"),
        ("train.max-epochs=3", "unknown key 'train.max-epochs' (did you mean 'epochs'?)"),
        ("epochs=3", "unknown key 'epochs' (did you mean 'train.epochs'?)"),
        ("train.lr=3", "unknown key 'train.lr' (did you mean 'train.optimizer.lr'?)"),
        ("data.classes=[a]", "unknown key 'data.classes' (did you mean 'classes'?)"),
        ("data.train=[{pth: x}]", "unknown key 'data.train.0.pth' (did you mean 'path'?)"),
        ("model.neck.channels=wide", "model.neck.channels: Input should be a valid integer"),
        ("distill.teachers=[{weights: a.onnx, classes: [[car]]}]", "distill.teachers.0.classes: Input should be a"),
        ("distill.teachers=[{weights: a.onnx, classes: {car: ''}}]", "distill.teachers.0.classes: String should have"),
        ("classes=RBC", "classes: Input should be a list (got 'RBC')"),
        ("model=resnet18", "model: Input should be a mapping of keys (got 'resnet18')"),
        ("data.range=full", "data.range: must be auto, stretch or [LOW, HIGH]"),
        ("data.range=[4095,0]", "data.range: must be auto, stretch or [LOW, HIGH]"),
        ("nonsense", "key=value"),
        ("data={", "not readable"),
    ],
)
def test_a_wrong_override_is_named(override: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        load_config("nano", [override])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override", ["trian.epochs=3", "classes=[a,a]", "classes=[]", "data.input_size=100", "train=3"]
)
def test_the_override_is_blamed_and_not_the_preset(override: str) -> None:
    with pytest.raises(InputError) as error:
        load_config("nano", ["train.seed=1", override, "data.workers=0"])
    assert str(error.value).startswith(f"{override}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: self.yaml\n", "circle"),
        ("base: [a, b]\n", "one file"),
        ("a: [1\n", "not readable as YAML"),
        ("- 1\n", "mapping"),
        ("train: {epochs: 3}\ntrain: {epochs: 4}\n", "not readable as YAML"),
        ("x: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        load_config(write(tmp_path, "self.yaml", text))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        "train.optimizer.lr=.inf", "loss.size=1e400", "augment.scale=[1, .inf]", "augment.aspect=1e300",
        "data.cache_gigabytes=.inf", "train.epochs=true", "augment.short_sides=[true]", "loss.size=false",
        "loss.class_weights={a: true}", "data.cache_folder=\"\\0\"", "data.input_size=[32,3200000]",
        "data.input_size=16384", "train.seed=9223372036854775808", "loss.reach=1000000", "data.workers=100000",
        "model.head_channels=99999999999", "train.epochs=99999999999999999999", "train.optimizer.momentum=1",
    ],
)  # fmt: skip
def test_numbers_are_numbers_that_can_be_meant(override: str) -> None:
    with pytest.raises(InputError, match=re.escape(override)):
        load_config("nano", [override])


def test_a_missing_config_lists_the_presets() -> None:
    with pytest.raises(InputError, match="did you mean 'bccd_nano'"):
        load_config("bcd_nano")


@pytest.mark.parametrize("name", preset_names())
def test_dump_and_parse_round_trip(name: str) -> None:
    config = load_config(name)
    assert parse_text(dump_config(config), name) == config


def test_a_configuration_never_changes() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().train.epochs = 3  # type: ignore[misc]


def test_the_classes_of_an_entry_may_be_renamed() -> None:
    entry = load_config("nano", ["data.train={path: a.odgt, classes: {visible: person}}"]).data.train[0]
    assert entry.classes == ("visible=person",)
    assert len({entry, entry}) == 1, "entries are compared as sets"


def test_one_entry_stands_for_a_list_and_a_path_for_an_entry() -> None:
    config = load_config("nano", ["data.train=some/folder", "data.val={path: other, split: val}"])
    assert config.data.train[0].path == "some/folder"
    assert config.data.val[0].split == "val"


def test_a_word_for_one_kind_of_problem_adds_to_that_for_all(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: nano\ndata: {on_problem: fail}\n")
    for config, words in (("nano", ["data.on_problem=fail"]), (tmp_path / "a.yaml", [])):
        policies = load_config(config, [*words, "data.on_problem.box_clipped=warn"]).data.policies
        assert policies[Kind.BOX_CLIPPED] == "warn"
        assert {policy for kind, policy in policies.items() if kind is not Kind.BOX_CLIPPED} == {"fail"}
    assert set(load_config("nano").data.policies.values()) == {"warn"}
    with pytest.raises(InputError, match="did you mean 'box_clipped'"):
        load_config("nano", ["data.on_problem.box_cliped=warn"])


@pytest.mark.parametrize("pictures", [1, 20_000])
def test_a_data_set_in_the_place_of_a_configuration_is_told(tmp_path: Path, pictures: int) -> None:
    path = tmp_path / "people.json"
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(pictures)]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    with pytest.raises(InputError, match=rf"^{path}: .*not a configuration.*; data are given by data.train={path}$"):
        load_config(path)


@pytest.mark.parametrize("name", ["N", "n.yaml"])
def test_a_preset_that_is_nearly_named_is_suggested(name: str) -> None:
    with pytest.raises(InputError, match=r"\(did you mean 'n'\?\), see `centerx presets`$"):
        load_config(name)
