"""Teachers that are asked once a picture: what they found follows the augmentation, and teaches where it is known."""

import csv
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import centerx
from centerx.build import Run, build_run
from centerx.config import load_config
from centerx.data.augment import ColourTransform, RandomAffine, RandomCrop
from centerx.data.batch import EvalPictures, TrainPictures, collate
from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource
from centerx.data.stored import StoredDetections, store_detections
from centerx.errors import InputError
from centerx.losses.distill import DISTILL_LOSSES, DistillLoss
from centerx.objects import SCORE, Objects
from centerx.tasks import BOXES
from centerx.training.processes import Processes
from centerx.training.teachers import DetectionTeacher, StoredTeacher
from centerx.types import Batch, Detections, RawDetections
from tests.cli.conftest import CommandLine
from tests.cli.conftest import centerx as command_line  # noqa: F401 - a fixture
from tests.made import BRANCHES, box_maps, equal_weights, make_record, pictures
from tests.training.test_teachers import overrides, teachers  # noqa: F401 - a fixture

STORED = StoredTeacher(0, BOXES, 3, 4, 2.0)
TRUTH = [
    ([[4.0, 6, 40, 50], [30, 10, 70, 33], [1, 60, 50, 95]], [0, 1, 2]),
    ([[10.0, 20, 90, 90]], [1]),
    ([], []),
    ([[0.0, 0, 30, 30], [60, 60, 96, 96]], [2, 0]),
]


@pytest.fixture
def source(tmp_path: Path) -> SampleSource:
    """Four pictures with the boxes of TRUTH, and a teacher that has found just these."""
    records, found = [], []
    for number, (boxes, labels) in enumerate(TRUTH):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(path)
        records.append(make_record(path, number, boxes, labels))
        rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        scores = np.linspace(0.9, 0.5, len(labels))
        found.append(Detections(rows, scores, np.array(labels, dtype=np.int64)))
    names = ("a", "b", "c")
    dataset = Dataset(tmp_path, "made", names, (1, 2, 3), records, [])
    return SampleSource([dataset], names).with_detections([store_detections(names, "boxes", found)])


def augmented(source: SampleSource, mosaic: float) -> TrainPictures:
    crop = RandomCrop((0.6, 0.6), more=True)
    affine = RandomAffine(
        (96, 128), flip=0.5, flip_vertical=0.5, scale=(0.5, 2.0), aspect=0.2, shift=0.3, rotate=20, perspective=0.1,
        crop=crop,
    )  # fmt: skip
    return TrainPictures(source, affine, ColourTransform([]), mosaic, seed=3)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_what_was_found_moves_as_labels_do(mosaic: float, source: SampleSource) -> None:
    batch = collate([augmented(source, mosaic)[epoch, index] for epoch in range(4) for index in range(4)])
    (found,), (answered,) = batch.detections, batch.answered
    assert answered.all()
    assert len(found.labels) > 20
    assert found.ignore.any()
    assert not found.ignore.all()
    for name in ("image", "labels", "ignore", "boxes"):
        assert torch.equal(getattr(found, name), getattr(batch.objects, name)), name
    assert found.values[SCORE].shape == (len(found.labels), 1)
    pairs = set(zip(found.labels.tolist(), found.values[SCORE][:, 0].tolist(), strict=True))
    (stored,) = source.detections
    assert pairs == set(zip(stored.labels.tolist(), stored.scores.tolist(), strict=True))


def test_a_stored_teacher_changes_neither_pictures_nor_labels(source: SampleSource) -> None:
    with_teacher, without = (
        collate([augmented(each, 0.5)[0, index] for index in range(4)]) for each in (source, source.with_detections([]))
    )
    assert (len(with_teacher.detections), without.detections, without.answered) == (1, (), ())
    assert torch.equal(with_teacher.images, without.images)
    assert torch.equal(with_teacher.objects.boxes, without.objects.boxes)


def test_a_mosaic_is_known_if_all_its_parts_are(source: SampleSource) -> None:
    (stored,) = source.detections
    part = source.with_detections([stored._replace(answered=np.array([True, True, False, True]))])
    whole = collate([augmented(part, 0.0)[0, index] for index in range(4)])
    assert whole.answered[0].tolist() == [True, True, False, True]
    mixed = collate([augmented(part, 1.0)[epoch, 0] for epoch in range(20)]).answered[0]
    assert mixed.any()
    assert not mixed.all()


def test_a_mosaic_is_of_pictures_that_are_labelled_alike(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    datasets = []
    for name, count in zip(names, (3, 3, 1), strict=True):
        records = []
        for number in range(count):
            path = tmp_path / f"{name}{number}.png"
            Image.fromarray(np.full((96, 96, 3), 40 * number, dtype=np.uint8)).save(path)
            records.append(make_record(path, number, [[10.0, 10, 60, 60]], [0]))
        datasets.append(Dataset(tmp_path, "made", (name,), (1,), records, []))
    pictures = augmented(SampleSource(datasets, names), 1.0)
    batches = [pictures[epoch, index] for epoch in range(4) for index in range(7)]
    told = collate(batches).supervised[..., 0].tolist()
    assert told == ([[True, False, False]] * 3 + [[False, True, False]] * 3 + [[False, False, True]]) * 4
    sets = [{Path(each).name[0] for each in batch.names} for batch in batches]
    assert sets == ([{"a"}] * 3 + [{"b"}] * 3 + [{"c"}]) * 4
    assert len({each for batch in batches for each in batch.names}) == 7
    assert [len(batch.names) for batch in batches] == ([4] * 6 + [1]) * 4  # the only one of its kind stays by itself


def stored_batch(source: SampleSource) -> Batch:
    views = EvalPictures(source, (96, 96))
    return collate([views[index] for index in range(len(views))])


def test_an_unaugmented_picture_has_the_maps_of_a_teacher_that_is_asked_anew(source: SampleSource) -> None:
    batch, (stored,) = stored_batch(source), source.detections

    def detect(images: np.ndarray) -> RawDetections:
        boxes, scores = np.zeros((4, 3, 4), dtype=np.float32), np.zeros((4, 3), dtype=np.float32)
        labels = np.zeros((4, 3), dtype=np.int64)
        for index in range(4):
            found = stored.of(index)
            count = len(found.labels)
            boxes[index, :count], labels[index, :count] = found.boxes, found.labels
            scores[index, :count] = found.values[SCORE][:, 0]
        return RawDetections({"boxes": boxes}, scores, labels)

    anew = DetectionTeacher(detect, Path("x.onnx"), BOXES, 3, 4)
    for asked in ([0, 1, 2], [2, 0], [1]):
        one, other = STORED(batch, asked), anew(batch, asked)
        assert torch.equal(one.maps.heatmap, other.maps.heatmap)
        assert one.maps.heatmap.sigmoid().max() > 0.4
        for name in ("size", "offset"):
            assert torch.equal(one.maps.fields[name], other.maps.fields[name])
        assert one.known is not None
        assert bool((one.known == 1).all())
        assert other.known is None


def gradients(batch: Batch, loss: DistillLoss) -> list[torch.Tensor]:
    """What a stored teacher moves of a random student's heatmap, size and offset."""
    rng = torch.Generator().manual_seed(0)
    count, (height, width) = len(batch.images), (side // 4 for side in batch.images.shape[2:])
    leaves = [torch.randn(count, each, height, width, generator=rng).requires_grad_() for each in (3, 2, 2)]
    told = STORED(batch, [0, 1, 2])
    sum(loss(box_maps(*leaves), told.maps, equal_weights(3), BRANCHES, told.known).values()).backward()
    return [leaf.grad if leaf.grad is not None else torch.zeros(()) for leaf in leaves]


def given(boxes: list[list[float]], labels: list[int], ignore: list[bool], answered: list[bool]) -> Batch:
    """Two pictures of 64 x 64 pixels, the objects on the second."""
    found = Objects(
        torch.ones(len(labels), dtype=torch.int64), torch.tensor(labels), torch.tensor(ignore), torch.tensor(boxes),
        {SCORE: torch.full((len(labels), 1), 0.8)},
    )  # fmt: skip
    empty = pictures(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    return empty._replace(detections=(found,), answered=(torch.tensor(answered),))


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_pictures_without_an_answer_give_exactly_no_gradient(loss: DistillLoss) -> None:
    box = [[8.0, 8, 30, 30]]
    for moved in gradients(given(box, [1], [False], [True, False]), loss):
        assert not moved[1].any()
    heatmap, size, _ = gradients(given(box, [1], [False], [False, True]), loss)
    assert not heatmap[0].any()
    assert heatmap[1].all()
    assert size[1].any()
    assert all(not moved.any() for moved in gradients(given(box, [1], [False], [False, False]), loss))


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_regions_that_are_ignored_give_no_gradient_in_their_class(loss: DistillLoss) -> None:
    """Cells 2 to 7 in both directions, in class 1 alone; a box under one pixel is ignored as well."""
    heatmap, size, offset = gradients(given([[8.0, 8, 30, 30]], [1], [True], [True, True]), loss)
    still = heatmap[1] == 0
    assert still[1, 2:8, 2:8].all()
    assert int(still.sum()) == 36
    assert not size.any()
    assert not offset.any()
    heatmap, size, _ = gradients(given([[40.0, 40, 40.5, 50]], [0], [False], [True, True]), loss)
    assert (heatmap[1, 0, 10:13, 10] == 0).all()
    assert not size.any()


def test_a_kept_peak_inside_an_ignored_region_teaches() -> None:
    batch = given([[8.0, 8, 40, 40], [20, 20, 28, 28]], [1, 1], [True, False], [True, True])
    known = STORED(batch, [0, 1, 2]).known
    assert known is not None
    assert known[1, 1, 6, 6] == 1
    assert int((known == 0).sum()) == 63
    heatmap, size, _ = gradients(batch, DISTILL_LOSSES["response"])
    assert heatmap[1, 1, 6, 6] != 0
    assert size[1, :, 6, 6].all()


def test_an_ignored_object_takes_no_cell_from_a_better_known_one() -> None:
    batch = given([[24.0, 24, 32, 32], [20, 20, 29, 31]], [1, 1], [True, False], [True, True])
    scores = {SCORE: torch.tensor([[0.9], [0.4]])}
    (found,) = batch.detections
    maps = STORED(batch._replace(detections=(found._replace(values=scores),)), [0, 1, 2]).maps
    assert maps.fields["size"][1, :, 6, 6].tolist() == [2.25, 2.75]
    assert maps.heatmap[1, 1, 7, 7].sigmoid() < 0.3


def test_a_loss_with_all_known_is_that_without_a_mask(source: SampleSource) -> None:
    told = STORED(stored_batch(source), [0, 1, 2])
    rng = torch.Generator().manual_seed(1)
    student = box_maps(*(torch.randn(4, each, 24, 24, generator=rng) for each in (3, 2, 2)))
    for loss in DISTILL_LOSSES.values():
        every = torch.ones_like(told.maps.heatmap)
        masked, whole = (loss(student, told.maps, equal_weights(3), BRANCHES, known) for known in (every, None))
        for name, value in whole.items():
            torch.testing.assert_close(masked[name], value)


# Whole runs

UNLABELLED = "data.train=[{{path: {}, format: folder}}]"


def train(words: list[str], folder: Path) -> tuple[Run, dict[str, str]]:
    run = build_run(load_config("nano", words), folder)
    run.trainer.fit(run.module, run.batches)
    with (folder / "metrics.csv").open() as file:
        return run, list(csv.DictReader(file))[-1]


@pytest.fixture
def taught(small_overrides: list[str], scenes: Path, onnx_file: Path) -> list[str]:
    """Words of a run that learns from an exported file of another input size alone."""
    unlabelled = UNLABELLED.format(scenes.parent / "train")
    return overrides(small_overrides, [onnx_file], unlabelled, "data.val=[]", "augment.mosaic=0.5")


def stored_of(run: Run) -> StoredDetections:
    (stored,) = run.batches.dataset.source.detections
    return stored


def test_an_exported_file_is_asked_once_and_need_not_take_the_student_s_size(
    taught: list[str], onnx_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run, row = train(taught, tmp_path / "run")
    assert float(row["train/kd/model/heatmap"]) > 0
    assert "teachers/model.sqlite: asked about 24 pictures in" in caplog.text
    stored, image = stored_of(run), run.batches.dataset.source.entries[5].record.image
    found = centerx.load(onnx_file)(image).above(0.01)
    assert np.allclose(stored.of(5).boxes, found.boxes, atol=1e-4)
    assert stored.class_names == ("red", "green", "blue")
    with pytest.raises(InputError, match=r"takes pictures of 96 x 128 pixels only"):
        build_run(load_config("nano", [*taught, "distill.cache=false"]), tmp_path / "anew")


@pytest.mark.soak
def test_the_same_run_with_any_workers_and_from_a_shared_folder(taught: list[str], tmp_path: Path) -> None:
    shared = f"distill.cache={tmp_path / 'shared'}"
    rows = [train([*taught, shared, f"data.workers={workers}"], tmp_path / str(workers))[1] for workers in (0, 2)]
    assert not (tmp_path / "0" / "teachers").exists()
    for name in (each for each in rows[0] if each != "seconds"):
        assert rows[0][name] == rows[1][name], name


def test_another_teacher_of_that_name_is_refused(taught: list[str], maps_file: Path, tmp_path: Path) -> None:
    shared = f"distill.cache={tmp_path}"
    build_run(load_config("nano", [*taught, shared]), tmp_path / "one")
    other = f"distill.teachers=[{{weights: {maps_file}, name: model}}]"
    with pytest.raises(InputError, match=r"model.sqlite: keeps what another teacher found; remove it"):
        build_run(load_config("nano", [*taught, shared, other]), tmp_path / "two")


def test_asking_leaves_the_random_numbers_of_a_run_alone(
    taught: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, states = f"distill.cache={tmp_path}", []
    noisy = centerx.runtime.Predictor.__call__

    def draw(self: centerx.runtime.Predictor, *given: object) -> Detections:
        torch.rand(3)
        return noisy(self, *given)

    monkeypatch.setattr(centerx.runtime.Predictor, "__call__", draw)
    for name in ("asks", "knows"):
        build_run(load_config("nano", [*taught, shared]), tmp_path / name)
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)


def found_by(images: Path) -> list[dict]:
    """An entry of `predict --json` for each of 24 scenes but the last four."""
    return [
        {"image": str(path), "width": 96, "height": 96,
         "detections": [{"label": "7", "score": 0.9, "box": [10.0, 12, 50, 60]},
                        {"label": "8", "score": 0.4, "box": [30.0, 40, 90, 90]}]}
        for path in sorted(images.glob("*.*"))[:-4]
    ]  # fmt: skip


def test_a_json_and_a_function_of_the_same_boxes_teach_the_same(
    small_overrides: list[str], scenes: Path, tmp_path: Path
) -> None:
    images = scenes.parent / "train"
    entries = found_by(images)
    known = {np.asarray(Image.open(each["image"]).convert("RGB")).tobytes(): each["detections"] for each in entries}
    asked = []

    def it(image: np.ndarray) -> tuple[list[list[float]], list[float], list[int]]:
        asked.append(image.shape)
        some = known.get(image.tobytes(), [])
        return [each["box"] for each in some], [each["score"] for each in some], list(range(len(some)))

    listed = tmp_path / "listed"
    listed.mkdir()
    for each in entries:
        (listed / Path(each["image"]).name).write_bytes(Path(each["image"]).read_bytes())
    moved = [{**each, "image": str(listed / Path(each["image"]).name)} for each in entries]
    (tmp_path / "it.json").write_text(json.dumps(moved))
    function = {"detect": it, "class_names": ["7", "8"]}
    words = [word for word in small_overrides if not word.startswith(("data.train", "data.val"))]
    merged = partial(centerx.merge, images=[listed], student="nano", overrides=words)
    merged([tmp_path / "it.json"], out=tmp_path / "a")
    merged([function], out=tmp_path / "b")
    assert asked == [(96, 96, 3)] * 20
    one, two = ((tmp_path / name / "metrics.csv").read_text().splitlines() for name in "ab")
    seconds = one[0].split(",").index("seconds")
    for line, other in zip(one, two, strict=True):
        assert [each for column, each in enumerate(line.split(",")) if column != seconds] == [
            each for column, each in enumerate(other.split(",")) if column != seconds
        ]
    kept = load_config(tmp_path / "b" / "config.yaml").distill.teachers[0]
    assert kept.weights == str(tmp_path / "b" / "teachers" / "it.sqlite")
    centerx.train(tmp_path / "b" / "config.yaml", out=tmp_path / "b", resume=True, overrides=["train.epochs=2"])
    assert len(asked) == 20


def test_a_mixed_merge_names_each_teacher(
    teachers: list[Path],  # noqa: F811
    onnx_file: Path,
    scenes: Path,
    tmp_path: Path,
    command_line: CommandLine,  # noqa: F811
) -> None:
    images = scenes.parent / "train"
    found = tmp_path / "found.json"
    found.write_text(json.dumps(found_by(images)))
    entries = [str(teachers[0]), str(onnx_file), str(found)]
    out = tmp_path / "merged"
    status, told, err = command_line(
        "merge", "--teachers", *entries, "--images", images, "--val", scenes, "--student", "nano", "--out", out,
        "data.input_size=64", "data.workers=0", "train.batch_size=8", "train.epochs=1",
    )  # fmt: skip
    assert status == 0, err
    rows = json.loads((out / "merge.json").read_text())["classes"]
    assert [(row["class"], row["teacher"]) for row in rows] == [
        *((each, entries[0]) for each in "01234"), *((each, entries[1]) for each in ("red", "green", "blue")),
        *((each, entries[2]) for each in "78"),
    ]  # fmt: skip
    assert [row["alone"] is not None for row in rows] == [True] * 5 + [False] * 5  # 4 pictures of the json are missing
    assert "20 of" not in told
    assert "4 pictures have no entry, and this teacher teaches nothing there; the first: " in err
    with (out / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    for name in ("low", "model", "found"):
        assert float(row[f"train/kd/{name}/heatmap"]) > 0


def test_a_json_that_knows_all_pictures_has_its_ap_alone(
    scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    """The truth as results by ids: AP 1 of the classes that it has."""
    tree = json.loads(scenes.read_text())
    rows = [
        {**{key: each[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for each in tree["annotations"]
    ]
    (tmp_path / "truth.json").write_text(json.dumps(rows))
    words = [word for word in small_overrides if not word.startswith(("data.train", "data.val"))]
    result = centerx.merge(
        [tmp_path / "truth.json"], [scenes.parent / "train"], "nano", labels=[scenes], out=tmp_path / "run",
        overrides=[*words, "distill.labels=false"],
    )  # fmt: skip
    assert {row.teacher for row in result.rows} == {str(tmp_path / "truth.json")}
    assert all(row.alone == pytest.approx(1.0) for row in result.rows)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda tree: tree[3]["detections"][0].update(box=[1, 2, float("nan"), 4]),
            "entry 3 counted from 0: a box that",
        ),
        (
            lambda tree: [each.update(image=f"other{number}.png") for number, each in enumerate(tree)],
            "lists none of the",
        ),
        (lambda tree: tree[0].update(width=100), "has 100 x 96 pixels"),
        (lambda tree: tree.clear(), "holds no detections"),
    ],
)
def test_a_json_that_cannot_teach_is_one_line_before_training(
    change: Callable[[list[dict]], object],
    says: str,
    scenes: Path,
    tmp_path: Path,
    command_line: CommandLine,  # noqa: F811
) -> None:
    tree = found_by(scenes.parent / "train")
    change(tree)
    (tmp_path / "wrong.json").write_text(json.dumps(tree))
    status, _, err = command_line(
        "merge", "--teachers", tmp_path / "wrong.json", "--images", scenes.parent / "train", "--student", "nano",
        "--out", tmp_path / "run", "data.input_size=64", "data.workers=0", "train.epochs=1",
    )  # fmt: skip
    assert status == 2
    assert err.startswith(f"error: {tmp_path / 'wrong.json'}: ")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_store_of_other_pictures_and_one_that_is_broken(
    taught: list[str],
    tmp_path: Path,
    command_line: CommandLine,  # noqa: F811
) -> None:
    build_run(load_config("nano", taught), tmp_path / "first")
    store = tmp_path / "first" / "teachers" / "model.sqlite"
    (tmp_path / "others").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "others" / "a.png")
    words = ["data.workers=0", "data.input_size=64", "train.epochs=1", "--student", "nano", "--out", tmp_path / "run"]
    for expected in ("knows none of the 1 pictures", "corrupt"):
        status, _, err = command_line("merge", "--teachers", store, "--images", tmp_path / "others", *words)
        assert (status, err.count("\n")) == (2, 1), err
        assert expected in err
        store.write_bytes(b"junk" * 500)


def test_one_process_alone_waits_for_nobody() -> None:
    with Processes("cpu", 0, 1, 1).first_alone():
        pass


def test_the_first_process_alone_tells_what_asking_says(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = torch.distributed.HashStore()
    monkeypatch.setattr("torch.distributed.rendezvous", lambda url: iter([(store, 0, 2)]))
    for rank in (0, 1):
        with Processes("cpu", rank, 2, 2).first_alone():
            logging.getLogger("centerx.data.store").warning(f"inside of {rank}")
        logging.getLogger("centerx.data.store").warning(f"after {rank}")
    assert caplog.messages == ["inside of 0", "after 0", "after 1"]
