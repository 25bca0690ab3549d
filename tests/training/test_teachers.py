"""Who teaches what, and whole runs with teachers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from centerx.build import Run, build_run
from centerx.build_model import build_detector, load_detector, save_named
from centerx.build_teachers import open_teachers, teacher_names
from centerx.build_teaching import build_balance, build_distiller, term_figures
from centerx.config import load_config
from centerx.config.schema import TeacherConfig
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.losses.balance import ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, DistillLoss
from centerx.tasks import BOXES
from centerx.training.teachers import DetectionTeacher, Distiller, Teacher, TeacherOutput, channels, map_channels
from centerx.types import Batch, RawDetections
from tests.made import BRANCHES, box_maps, equal_weights, pictures

DIGITS = "0123456789"


def silent(batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
    raise AssertionError("nobody asks")


def one_teacher(name: str, class_names: tuple[str, ...], classes: dict[str, str] | None = None) -> Teacher:
    return Teacher(name, silent, class_names, BOXES, classes)


def several(*known: str) -> list[Teacher]:
    return [one_teacher(f"teacher {number}", tuple(names)) for number, names in enumerate(known)]


def raw(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> RawDetections:
    return RawDetections({"boxes": boxes}, scores, labels)


def detection_teacher(detect: Callable[[np.ndarray], RawDetections], num_classes: int) -> DetectionTeacher:
    return DetectionTeacher(detect, Path("x.onnx"), BOXES, num_classes, 4)


def test_classes_are_matched_by_name() -> None:
    first, second = map_channels(several("cab", "d"), "abcd", None, BOXES)
    assert first.teacher_channels == [0, 1, 2]
    assert first.student_channels == [2, 0, 1]
    assert second.student_channels == [3]
    assert first.weights["center"].tolist() == first.weights["size"].tolist() == [1, 1, 1]


def test_renamed_and_left_out_classes() -> None:
    (channel_map,) = map_channels([one_teacher("x", ("a", "b", "c"), {"c": "face"})], ["body", "face"], None, BOXES)
    assert (channel_map.teacher_channels, channel_map.student_channels) == ([2], [1])


@pytest.mark.parametrize(
    ("shared", "taught", "share"),
    [
        ("average", [[0, 1], [1, 2]], [[1, 0.5], [0.5, 1]]),
        ("teacher 0", [[0, 1], [2]], [[1, 1], [1]]),
        ("teacher 1", [[0], [1, 2]], [[1], [1, 1]]),
    ],
)
def test_a_shared_class_has_a_rule(shared: str, taught: list[list[int]], share: list[list[float]]) -> None:
    channel_maps = map_channels(several("ab", "bc"), "abc", shared, BOXES)
    assert [each.student_channels for each in channel_maps] == taught
    assert [each.weights["center"].tolist() for each in channel_maps] == share


@pytest.mark.parametrize(
    ("given", "student", "shared", "says"),
    [
        (several("ab", "bc"), "abc", None, "teacher 0 and teacher 1 both teach 'b', set distill.shared"),
        (several("ab"), "a", None, "teaches 'b', which the student lacks"),
        ([one_teacher("x", ("cat", "dog"), {"cta": "cat"})], ["cat"], None, "has no class 'cta' (did you mean 'cat'?)"),
        (several("a"), "a", "avrage", "'avrage' is neither of average, by_ap, fuse nor a teacher"),
        (several("a", "b", "b"), "ab", "teacher 0", "teacher 1 and teacher 2 both teach 'b', set distill.shared"),
        (several("a", "a"), "a", "teacher 0", "teacher 1 is left without a class to teach"),
        ([one_teacher("x", ("cat",), {})], ["cat"], None, "x is left without a class to teach"),
        (
            [one_teacher("x", ("cat", "dog"), {"cat": "pet", "dog": "pet"})],
            ["pet"],
            None,
            "teaches 'pet' by two of its",
        ),
    ],
)
def test_what_cannot_be_taught(given: list[Teacher], student: str, shared: str | None, says: str) -> None:
    with pytest.raises(InputError) as error:
        map_channels(given, list(student), shared, BOXES)
    assert says in str(error.value)


def test_average_is_the_rule_whatever_teachers_are_called() -> None:
    given = [teacher._replace(name=name) for teacher, name in zip(several("a", "a"), ("average", "x"), strict=True)]
    assert [each.weights["center"].tolist() for each in map_channels(given, "a", "average", BOXES)] == [[0.5], [0.5]]


@pytest.mark.parametrize(("chosen", "is_view"), [([0, 1, 2, 3], True), ([1, 2], True), ([2], True), ([2, 0], False)])
def test_channels_are_those_asked_for_and_learn(chosen: list[int], is_view: bool) -> None:
    maps = torch.arange(48.0).view(2, 4, 2, 3).requires_grad_()
    picked = channels(maps, chosen)
    assert picked.tolist() == [[picture[channel].tolist() for channel in chosen] for picture in maps]
    assert (picked.untyped_storage().data_ptr() == maps.untyped_storage().data_ptr()) == is_view
    picked.sum().backward()
    assert maps.grad is not None
    assert maps.grad[0, :, 0, 0].tolist() == [float(channel in chosen) for channel in range(4)]


def test_a_model_that_gives_boxes_answers_with_maps() -> None:
    def detect(images: np.ndarray) -> RawDetections:
        assert images.shape == (1, 3, 32, 64)
        assert images.flags.c_contiguous
        box = np.array([[[8, 8, 24, 16]]], dtype=np.float32)
        return raw(box, np.array([[0.7]], dtype=np.float32), np.array([[1]]))

    images = torch.zeros(1, 3, 32, 64, dtype=torch.uint8).to(memory_format=torch.channels_last)
    maps, features, known = detection_teacher(detect, 2)(pictures(images), [0, 1])
    assert features is None
    assert known is None
    assert maps.heatmap.sigmoid()[0, 1, 3, 4].item() == pytest.approx(0.7)
    assert maps.fields["size"][0, :, 3, 4].tolist() == [4, 2]


def test_classes_that_are_not_asked_for_leave_no_trace() -> None:
    """A large box of another class with a better score, about the same centre."""
    boxes = np.array([[[0, 0, 32, 32], [12, 12, 20, 20], [0, 0, 0, 0]]], dtype=np.float32)
    found = raw(boxes, np.array([[0.9, 0.8, 0.0]], dtype=np.float32), np.array([[0, 2, -1]]))
    answer = detection_teacher(lambda images: found, 3)
    batch = pictures(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    maps = answer(batch, [2, 1]).maps
    assert maps.heatmap.shape[1] == 2
    assert maps.heatmap.sigmoid()[0, :, 4, 4].tolist() == pytest.approx([0.8, 1e-4])
    assert maps.fields["size"][0, :, 4, 4].tolist() == [2, 2]
    found.labels[0, 1] = 3
    with pytest.raises(InputError, match=r"x.onnx: gives labels beyond its 3 classes"):
        answer(batch, [0])


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_a_teacher_that_sees_nothing_teaches_no_boxes(loss: DistillLoss) -> None:
    """At constant magnitude a term would count in full however small it is."""
    nothing = raw(np.zeros((2, 3, 4)), np.zeros((2, 3)), np.zeros((2, 3), dtype=np.int64))
    answer = detection_teacher(lambda images: nothing, 2)
    told = answer(pictures(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)), [0, 1]).maps
    rng = torch.Generator().manual_seed(0)
    student = box_maps(*(torch.randn(2, 2, 8, 8, generator=rng) for _ in range(3)))
    terms = loss(student, told, equal_weights(2), BRANCHES)
    assert (terms["size"].item(), terms["offset"].item()) == (0, 0)
    _, weights = ConstantMagnitude(dict.fromkeys(terms, 1.0))(terms, {})
    assert (weights["size"].item(), weights["offset"].item()) == (0, 0)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two model files, freshly initialised, that know five digits each."""
    paths = []
    for seed, (name, known) in enumerate((("low", DIGITS[:5]), ("high", DIGITS[5:]))):
        torch.manual_seed(seed)
        config = load_config("nano", [f"classes={list(known)}".replace("'", '"'), "data.input_size=96"])
        folder = tmp_path_factory.mktemp(name)
        save_named(folder, config, build_detector(config).eval(), name)
        paths.append(folder / f"{name}.safetensors")
    return paths


def overrides(small: list[str], teachers: list[Path], *more: str) -> list[str]:
    return [*small, f"distill.teachers={json.dumps([str(path) for path in teachers])}", *more]


def train(config: list[str], folder: Path) -> tuple[Run, list[dict[str, str]]]:
    run = build_run(load_config("nano", config), folder)
    run.trainer.fit(run.module, run.batches)
    with (folder / "metrics.csv").open() as file:
        return run, list(csv.DictReader(file))


def test_two_teachers_teach_one_student_without_labels(
    small_overrides: list[str], teachers: list[Path], scenes: Path, tmp_path: Path
) -> None:
    unlabelled = json.dumps([{"path": str(scenes.parent / "train"), "format": "folder"}])
    config = overrides(small_overrides, teachers, f"data.train={unlabelled}", "train.ema=0")
    run = build_run(load_config("nano", config), tmp_path)
    assert run.module.distiller is not None
    networks = [teacher.model.model for teacher in run.module.distiller.teachers]
    run.trainer.fit(run.module, run.batches)
    for network, path in zip(networks, teachers, strict=True):
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
        for name, value in load_file(path).items():
            assert torch.equal(network.state_dict()[name], value)
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert run.config.classes == tuple(DIGITS)
    assert {"train/kd/low/heatmap", "train/kd/high/size", "train/kd/low/offset"} <= row.keys()
    assert 0 < float(row["train/kd/low/features"]) < 1
    assert float(row["train/heatmap"]) == float(row["train/size"]) == 0  # nothing is labelled
    assert float(row["train/kd/low/heatmap"]) > 0

    student = load_file(tmp_path / "last.safetensors")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert len(checkpoint) == len(student)  # no teacher in it
    assert student["head.heatmap.2.weight"].shape[0] == 10


def test_labels_teach_what_no_teacher_does(small_overrides: list[str], teachers: list[Path], tmp_path: Path) -> None:
    config = overrides(small_overrides, teachers[:1], "distill.labels=false")
    run = build_run(load_config("nano", config), tmp_path)
    assert run.module.distiller is not None
    assert run.module.distiller.by_labels.tolist() == [[False, False]] * 5 + [[True, True]] * 5
    batch = next(iter(run.batches))
    assert run.module.distiller.mask_labels(batch).supervised.sum(1).tolist() == [[5, 5]] * 4
    assert batch.supervised.all()


def test_teachers_fall_silent(small_overrides: list[str], teachers: list[Path], tmp_path: Path) -> None:
    config = overrides(small_overrides, teachers, "train.epochs=2", "distill.until=0.5", "distill.labels=false")
    _, rows = train(config, tmp_path)
    assert rows[0]["train/kd/low/heatmap"]
    assert float(rows[0]["train/heatmap"]) == 0
    assert float(rows[1]["train/heatmap"]) > 0
    assert not rows[1]["train/kd/low/heatmap"]


def test_constant_magnitude_logs_raw_terms_and_weights(
    small_overrides: list[str], model_file: Path, tmp_path: Path
) -> None:
    classes = f"classes={json.dumps([*DIGITS, 'red', 'green', 'blue'])}"
    config = overrides(small_overrides, [model_file], classes, "loss.balance=constant", "distill.constant.heatmap=0.9")
    _, (row,) = train(config, tmp_path)
    faded = sum(1 - step / 6 for step in range(6)) / 6
    assert float(row["train/loss"]) == pytest.approx(1.2 + 0.4 + 0.4 + 0.9 + 0.3 + 0.3 + 30.0 * faded, rel=1e-4)
    assert float(row["train/kd/model/heatmap"]) != pytest.approx(0.9, rel=0.01)
    assert float(row["weight/kd/model/heatmap"]) > 0


def test_learned_weights_are_learned(small_overrides: list[str], tmp_path: Path) -> None:
    run, _ = train([*small_overrides, "loss.balance=uncertainty"], tmp_path)
    parameter = run.module.balance.log_variance
    assert (parameter.detach().exp() - torch.tensor([1.0, 10.0, 1.0])).abs().min() > 1e-5


def test_an_exported_file_teaches_too(small_overrides: list[str], model_file: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "colours.onnx"
    detector, info = load_detector(model_file)
    export_model(detector, info._replace(input_hw=(96, 96)), onnx, "onnx")
    config = overrides(small_overrides, [onnx], 'classes=["0", red, green, blue]', "distill.labels=false")
    _, (row,) = train(config, tmp_path / "run")
    assert float(row["train/kd/colours/size"]) > 0
    assert "train/kd/colours/features" not in row

    with pytest.raises(InputError, match=r"takes pictures of 96 x 96 pixels only, set data.input_size=\[96,96\]"):
        build_run(load_config("nano", [*config, "data.input_size=128", "distill.cache=false"]), tmp_path / "other")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["classes=['cat', '5']"], "low knows none of cat, 5; list its classes"),
        ([f"classes={[*DIGITS, 'cat']}"], "'cat' is taught by no teacher and labelled in none of"),
        (["distill.relative_size=true"], "goes with distill.loss=article only"),
        ([f"distill.{term}=0" for term in ("heatmap", "size", "offset", "features")], "has weight 0, raise one"),
        (["loss.balance=uncertainty", "distill.size=0"], "cannot start from weight 0 of 'kd/low/size'"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    more: list[str], says: str, small_overrides: list[str], teachers: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        build_run(load_config("nano", overrides(small_overrides, teachers, *more)), tmp_path)
    assert says in str(error.value)


@pytest.mark.parametrize("until", [0, 0.5])
def test_after_its_teacher_a_class_needs_labels(
    until: float, small_overrides: list[str], teachers: list[Path], scenes: Path, tmp_path: Path
) -> None:
    low = json.dumps([{"path": str(scenes), "classes": list(DIGITS[:5])}])
    config = overrides(small_overrides, teachers, f"data.train={low}", f"distill.until={until}")
    with pytest.raises(InputError, match=r"nobody teaches 5, 6, 7, 8, 9 after .* set distill.until=1"):
        build_run(load_config("nano", config), tmp_path)


def test_labels_alone_need_labels(
    small_overrides: list[str], teachers: list[Path], scenes: Path, tmp_path: Path
) -> None:
    unlabelled = json.dumps([{"path": str(scenes.parent / "train"), "format": "folder"}])
    config = overrides(small_overrides, teachers, f"data.train={unlabelled}", "distill.until=0.9")
    with pytest.raises(InputError, match=r"no boxes of .* on any of 24 pictures, set distill.until=1"):
        build_run(load_config("nano", config), tmp_path)


def test_a_teacher_that_does_not_take_the_student_s_pictures(small_overrides: list[str], tmp_path: Path) -> None:
    config = load_config("nano", ["model.backbone=maxvit_rmlp_pico_rw_256", 'classes=["0"]', "data.input_size=256"])
    save_named(tmp_path, config, build_detector(config), "fixed")
    with pytest.raises(InputError, match=r"fixed.safetensors: .* does not take pictures of 96 x 96 pixels"):
        build_run(load_config("nano", overrides(small_overrides, [tmp_path / "fixed.safetensors"])), tmp_path / "run")


def test_a_teacher_is_called_by_its_folder(
    teachers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "best.safetensors").write_bytes(teachers[0].read_bytes())
    monkeypatch.chdir(folder)
    (teacher,) = open_teachers(load_config("nano", ["distill.teachers=[best.safetensors]"]))
    assert teacher.name == "faces"


def test_a_teacher_of_another_range_is_told(teachers: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    overrides = [f"distill.teachers=[{teachers[0]}]", "data.range=[0,4095]"]
    open_teachers(load_config("nano", overrides))
    [message] = caplog.messages
    assert message.startswith(f"{teachers[0]}: this teacher was trained with data.range=auto, not [0,4095]")


def test_teachers_whose_files_are_called_alike_have_names_apart() -> None:
    def names(*entries: str | tuple[str, str]) -> list[str]:
        given = [(each, None) if isinstance(each, str) else each for each in entries]
        return teacher_names([TeacherConfig(weights=weights, name=name) for weights, name in given])

    assert names("low/last-maps.onnx", "high/last-maps.onnx", "x/best-int8.onnx") == ["low", "high", "x"]
    assert names("a/model.onnx", "b/model.onnx", "model-2.onnx") == ["model", "model-2", "model-2-2"]
    assert names("a/faces/best.safetensors", "b/faces/best.safetensors") == ["faces", "faces-2"]
    with pytest.raises(InputError, match="two are called 'x', give each a name"):
        names("x.onnx", ("y.onnx", "x"))


@pytest.mark.soak
def test_a_file_for_pictures_of_any_size_teaches_at_any(
    small_overrides: list[str], model_file: Path, tmp_path: Path
) -> None:
    onnx = tmp_path / "colours.onnx"
    export_model(*load_detector(model_file), onnx, "onnx", ExportOptions(any_size=True))
    config = overrides(small_overrides, [onnx], 'classes=["0", red, green, blue]', "data.input_size=64")
    _, (row,) = train(config, tmp_path / "run")
    assert float(row["train/kd/colours/size"]) > 0


def test_a_teacher_with_a_weight_that_is_no_number_is_refused(
    small_overrides: list[str], teachers: list[Path], tmp_path: Path
) -> None:
    weights = load_file(teachers[0])
    with safe_open(teachers[0], framework="pt") as file:
        metadata = file.metadata()
    weights["head.size.2.bias"][0] = float("nan")
    save_file(weights, tmp_path / "broken.safetensors", metadata)
    with pytest.raises(InputError, match=r"broken.safetensors: head.size.2.bias is not finite"):
        build_run(load_config("nano", overrides(small_overrides, [tmp_path / "broken.safetensors"])), tmp_path / "run")


@pytest.mark.parametrize("part", ["boxes", "scores"])
def test_boxes_that_are_no_numbers_teach_nothing(part: str) -> None:
    found = raw(np.ones((1, 1, 4)), np.ones((1, 1)), np.zeros((1, 1), dtype=np.int64))
    {**found.values, "scores": found.scores}[part][0, 0] = np.nan
    answer = detection_teacher(lambda images: found, 1)
    with pytest.raises(InputError, match=r"x.onnx: gives boxes or scores that are not finite"):
        answer(pictures(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)), [0])


def test_a_file_whose_names_are_not_those_it_was_made_for_is_refused(
    small_overrides: list[str], teachers: list[Path], tmp_path: Path
) -> None:
    with safe_open(teachers[0], framework="pt") as file:
        metadata = file.metadata()
    metadata |= {"class_names": json.dumps([*DIGITS[:5], "cat"])}
    save_file(load_file(teachers[0]), tmp_path / "renamed.safetensors", metadata)
    for wrong in (f"distill.teachers={tmp_path}/renamed.safetensors", f"train.init={tmp_path}/renamed.safetensors"):
        with pytest.raises(InputError, match=r"renamed.safetensors: its metadata names other classes"):
            build_run(load_config("nano", [*small_overrides, wrong]), tmp_path / "run")


def test_a_teacher_of_another_kind(small_overrides: list[str], scenes: Path, tmp_path: Path) -> None:
    for wrong in (scenes.parent, tmp_path / "none.safetensors", tmp_path / "none.json"):
        with pytest.raises(InputError, match=wrong.name):
            build_run(load_config("nano", overrides(small_overrides, [wrong])), tmp_path / "run")


def test_features_of_no_weight_are_not_compared(
    small_overrides: list[str], teachers: list[Path], tmp_path: Path
) -> None:
    _, (row,) = train(overrides(small_overrides, teachers, "distill.features=0"), tmp_path)
    assert "train/kd/low/features" not in row
    assert "train/kd/low/heatmap" in row


@pytest.mark.parametrize(("preset", "compared"), [("coco/r18_distilled", False), ("nano", True)])
def test_features_of_no_weight_are_not_compared_at_constant_magnitude(preset: str, compared: bool) -> None:
    config = load_config(preset, ["loss.balance=constant"])
    assert ("features" in term_figures(config.distill, BOXES, constant=True)) == compared


def test_terms_of_no_weight_stay_out_at_constant_magnitude_and_constants_count_there_alone() -> None:
    config = load_config("nano", ["loss.size=0", "distill.offset=0", "distill.constant.features=0"])
    assert term_figures(config.loss, BOXES, constant=True) == {
        "heatmap": 1.2,
        "size": 0,
        "offset": config.loss.constant.offset,
    }
    taught = term_figures(config.distill, BOXES, constant=True)
    assert taught["offset"] == 0 < taught["size"]
    assert "features" not in taught
    assert term_figures(config.distill, BOXES, constant=False)["features"] == config.distill.features > 0


def weighed(teachers: list[Path], weights: list[object], *more: str) -> tuple[Distiller, dict[str, float]]:
    entries = [{"weights": str(path), "weight": weight} for path, weight in zip(teachers, weights, strict=True)]
    given = [f"distill.teachers={json.dumps(entries)}", f"classes={json.dumps(list(DIGITS))}", "data.input_size=96"]
    config = load_config("nano", [*given, "distill.heatmap=1000", "distill.size=2", "distill.features=10", *more])
    distiller = build_distiller(config, open_teachers(config), BRANCHES, 10)
    assert distiller is not None
    balance = build_balance(config, distiller)
    if isinstance(balance, Uncertainty):
        learned = (-balance.log_variance).exp().tolist()
        return distiller, {term.label: learned[place] for term, place in balance.places.items()}
    figures = balance.factors if isinstance(balance, FixedWeights) else balance.targets  # type: ignore[union-attr]
    return distiller, {term.label: figure for term, figure in figures.items()}


@pytest.mark.parametrize("balance", ["fixed", "uncertainty"])
def test_each_teacher_has_its_weight_by_term(balance: str, teachers: list[Path]) -> None:
    distiller, figures = weighed(teachers, [2, {"heatmap": 5, "offset": 0.5, "features": 0}], f"loss.balance={balance}")
    assert {name: figure for name, figure in figures.items() if name.startswith("kd/")} == pytest.approx(
        {"kd/low/heatmap": 2000, "kd/low/size": 4, "kd/low/offset": 2, "kd/low/features": 20,
         "kd/high/heatmap": 5000, "kd/high/size": 2, "kd/high/offset": 0.5}
    )  # fmt: skip
    assert [teacher.match_features for teacher in distiller.teachers] == [True, False]


def test_the_weight_of_a_teacher_multiplies_its_constants(teachers: list[Path]) -> None:
    _, figures = weighed(teachers, [1, {"heatmap": 5}], "loss.balance=constant")
    assert (figures["kd/low/heatmap"], figures["kd/high/heatmap"]) == pytest.approx((0.6, 3.0))
    assert figures["kd/low/size"] == figures["kd/high/size"] == 0.3


def test_weights_of_a_teacher_that_mean_nothing_are_refused(teachers: list[Path]) -> None:
    with pytest.raises(
        InputError, match=r"every term of teacher high has weight 0, raise one or leave the teacher out"
    ):
        weighed(teachers, [1, 0])
    with pytest.raises(InputError, match="cannot start from weight 0 of 'kd/high/size'"):
        weighed(teachers, [1, {"size": 0}], "loss.balance=uncertainty")
    for wrong in (-1, {"heatmap": -1}, {"heat": 1}, True, "much"):
        with pytest.raises(InputError, match=r"distill\.teachers.*weight"):
            weighed(teachers, [1, wrong])


def test_teachers_that_share_a_class_share_its_constants(teachers: list[Path]) -> None:
    """The sum over teachers of a term's target is the same for one teacher and for two that are averaged."""
    totals = []
    for entries in (teachers[:1], [teachers[0]] * 2):
        given = [f"distill.teachers={json.dumps(list(map(str, entries)))}", f"classes={json.dumps(list(DIGITS[:5]))}"]
        config = load_config("nano", [*given, "loss.balance=constant", "distill.shared=average", "data.input_size=96"])
        balance = build_balance(config, build_distiller(config, open_teachers(config), BRANCHES, 10))
        assert isinstance(balance, ConstantMagnitude)
        totals.append({field: sum(one for term, one in balance.targets.items() if term.teacher and term.field == field)
                       for field in ("heatmap", "size", "offset")})  # fmt: skip
    assert totals[0] == totals[1] == {"heatmap": 0.6, "size": 0.3, "offset": 0.3}


def test_a_teacher_of_another_width_shares_its_features(
    small_overrides: list[str], model_file: Path, tmp_path: Path
) -> None:
    classes = 'classes=["0", red, green, blue]'
    config = overrides(small_overrides, [model_file], classes, "model.neck.channels=24", "train.epochs=3")
    _, rows = train(config, tmp_path)
    first, last = (float(row["train/kd/model/features"]) for row in (rows[0], rows[-1]))
    assert last < first
