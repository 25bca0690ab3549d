"""YAML files of centerX -> ours: values by hand, every key accounted for, and what is refused."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from centerx.cli.import_ import print_config
from centerx.config import Config, load_config, preset_names
from centerx.config.load import PRESETS
from centerx.errors import InputError
from centerx.interop.configs import import_config, translate
from centerx.interop.keys import RULES
from centerx.training.optim import build_schedule

TERMS = ("heatmap", "size", "offset", "features")

BASE = """
MODEL:
  META_ARCHITECTURE: "CenterNet"
  BN_TYPE: "BN"
  CENTERNET: {NUM_CLASSES: 80, MIN_OVERLAP: 0.7, TENSOR_DIM: 128}
DATASETS: {TRAIN: '("coco_2017_train",)', TEST: '("coco_2017_val",)'}
SOLVER: {STEPS: "(30000, 40000)", MAX_ITER: 45000, BASE_LR: 0.02}
VERSION: 2
"""

WHOLE = """
_BASE_: "../base.yaml"
MODEL:
  WEIGHTS: 'models/r18.pth'
  BN_TYPE: "SyncBN"
  BACKBONE: {NAME: "build_regnet", STR_DEPTH: "4000y", PRETRAIN: True, PRETRAIN_PATH: "models/y.pyth"}
  PIXEL_MEAN: [0.485, 0.456, 0.406]
  CENTERNET:
    DECONV_CHANNEL: [1088, 256, 128, 64]
    NUM_CLASSES: 2
    MIN_OVERLAP: 0.3
    USE_DEFORM: False
    IMGAUG_PROB: 0.5
    LOSS: {NORM_WH: True, WH_WEIGHT: 10.0, MSE: True, SKIP_LOSS: True, SKIP_WEIGHT: 1.3, IGNORE_UNLABEL: True}
    KD:
      ENABLED: True
      TEACHER_CFG: ["a.yaml", "b.yaml"]
      TEACHER_WEIGTHS: ["models/people.pth", "models/faces.pth"]
      KD_WEIGHT: [2.0, 1.0]
      KD_CLS_WEIGHT: [1000.0, 2000.0]
      KD_WH_WEIGHT: [1.0, 2.0]
      KD_REG_WEIGHT: [0.1, 0.1]
      KD_CLS_INDEX: [1, 2]
      NORM_WH: [True, True]
      KD_WITHOUT_LABEL: True
DATASETS:
  TRAIN: ("face_train", "crowd_human_train", "mine_train")
  TEST: ("crowd_human_face_val",)
SOLVER:
  IMS_PER_BATCH: 64
  WARMUP_ITERS: 1
  MAX_ITER: 70
  BASE_LR: 5e-4
  LR_SCHEDULER_NAME: "WarmupCosineAnnealingLR"
  COSINE_DECAY_ITER: 0.1
  OPTIM_NAME: "Adam"
  CLIP_GRADIENTS: {ENABLED: True, CLIP_TYPE: "norm", CLIP_VALUE: 0.5}
  SWA: {ENABLED: True, ITER: 10, PERIOD: 1, LR_START: 5e-5, ETA_MIN_LR: 5e-6, LR_SCHED: True}
INPUT:
  MIN_SIZE_TRAIN: (384, 448)
  MAX_SIZE_TRAIN: 640
  MIN_SIZE_TEST: 384
  MAX_SIZE_TEST: 640
  CROP: {ENABLED: True, TYPE: "relative_range", SIZE: [0.75, 0.6]}
DATALOADER: {NUM_WORKERS: 3}
TEST: {EVAL_PERIOD: 3}
OUTPUT_DIR: "exp"
ODDITY: 1
"""


def convert(folder: Path, text: str, base: str = BASE) -> Config:
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "base.yaml").write_text(base)
    (folder / "sub" / "whole.yaml").write_text(text)
    print_config(import_config(folder / "sub" / "whole.yaml", folder / "ours.yaml"), folder / "ours.yaml")
    return load_config(folder / "ours.yaml")


def test_values_by_hand(tmp_path: Path) -> None:
    c = convert(tmp_path, WHOLE)
    assert c.classes == ("person", "face")
    assert (c.model.backbone, c.model.pretrained) == ("regnety_040.pycls_in1k", True)
    assert (c.model.neck.type, c.model.neck.channels) == ("deconv", (256, 128, 64))
    assert (c.loss.heatmap_type, c.loss.relative_size, c.loss.size, c.loss.heatmap, c.loss.offset) == (
        "mse", True, 10.0, 1.0, 1.0,
    )  # fmt: skip
    assert (c.loss.min_overlap, c.loss.reach, c.loss.balance) == (0.3, 0, "fixed")
    assert (c.distill.heatmap, c.distill.size, c.distill.offset) == (2000.0, 2.0, pytest.approx(0.2))
    assert (c.distill.loss, c.distill.features, c.distill.relative_size, c.distill.labels) == (
        "article", 0.0, True, False,
    )  # fmt: skip
    assert [(each.weights, each.classes) for each in c.distill.teachers] == [
        ("models/people.safetensors", {"person": "person"}),
        ("models/faces.safetensors", {"face": "face"}),
    ]
    assert [each.weight.model_dump(include=set(TERMS)) for each in c.distill.teachers] == [
        {"heatmap": 1, "size": 1, "offset": 1, "features": 1},
        {"heatmap": 1, "size": 1, "offset": 0.5, "features": 1},
    ]
    assert (c.augment.crop, c.augment.crop_size) == ("relative_range", (0.75, 0.6))
    assert (c.augment.short_sides, c.augment.long_side, c.augment.short_sides_between) == ((384, 448), 640, False)
    assert c.data.input_size == (384, 640)
    assert [entry.classes for entry in c.data.train] == [("face",), ("visible=person",), None]
    assert c.data.train[2].path == "FILL_IN/mine_train"
    assert (c.train.epochs, c.train.swa, c.train.swa_rates) == (80, 0.125, (pytest.approx(0.1), pytest.approx(0.01)))
    assert (c.train.optimizer.name, c.train.optimizer.lr, c.train.optimizer.weight_decay) == ("adam", 5e-4, 1e-4)
    assert (c.train.clip_each, c.train.clip_norm, c.train.clip_value, c.train.skip_jumps) == (0.5, 0.0, 0.0, 1.3)
    assert (c.train.sync_bn, c.train.ema, c.train.val_every, c.train.batch_size, c.data.workers) == (True, 0, 3, 64, 3)
    assert c.train.init == "models/r18.safetensors"
    names = [name for step in c.augment.colour for name in step]
    assert names[:2] == ["ColorJitter", "Lighting"]
    assert "GaussianBlur" in names


def test_the_schedule_is_the_one_it_would_have_run(tmp_path: Path) -> None:
    """A hundred steps an epoch: a warm-up of one, the peak up to the seventh, then down to MIN_LR at the 70th."""
    s = convert(tmp_path, WHOLE).train.schedule
    factor = build_schedule(s.name, 7000, s.warmup, s.steps, s.gamma, s.delay, s.final)
    low = 1e-8 / 5e-4
    for step in (100, 700, 3000, 6999):
        fall = (1 + math.cos(math.pi * max(step - 700, 0) / 6300)) / 2
        assert factor(step) == pytest.approx(low + (1 - low) * fall, abs=1e-4)


def test_every_key_is_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(tmp_path, WHOLE)
    lines = capsys.readouterr().out.splitlines()
    told = {line.split(" | ")[0]: line.split(" | ", 2)[2] for line in lines[:-1]}
    assert set(told) >= leaves(yaml.safe_load(WHOLE)) | leaves(yaml.safe_load(BASE))
    words = [outcome.split()[0].rstrip(":") for outcome in told.values()]
    counts = {word: words.count(word) for word in ("kept", "renamed", "dropped")}
    assert sum(counts.values()) == len(words)
    assert ", ".join(f"{count} keys {word}" for word, count in counts.items()) in lines[-1]
    assert told["ODDITY"] == "dropped: its programs read no such key"
    assert told["SOLVER.BASE_LR"] == "kept as train.optimizer.lr"
    assert told["SOLVER.MAX_ITER"].startswith("renamed to train.epochs=80")
    assert told["MODEL.CENTERNET.KD.KD_REG_WEIGHT"] == (
        "renamed to distill.offset=0.2 (KD_WEIGHT times it, 0.2, 0.1 by teacher: distill.teachers[].weight.offset is "
        "relative to it)"
    )
    assert all(outcome.removeprefix("dropped:").strip() for outcome in told.values())


def leaves(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found - {"_BASE_"}


def test_what_a_file_leaves_out_is_as_its_defaults_have_it(tmp_path: Path) -> None:
    c = convert(tmp_path, "_BASE_: ../base.yaml\nSOLVER: {MAX_ITER: 10, WARMUP_ITERS: 1, STEPS: '(5, 8)'}\n")
    assert c.classes is None
    assert c.data.train[0].path == "datasets/coco/annotations/instances_train2017.json"
    assert c.loss.min_overlap == 0.7
    assert (c.train.optimizer.name, c.train.optimizer.lr, c.train.batch_size) == ("momentum", 0.02, 16)
    assert (c.train.schedule.name, c.train.schedule.steps, c.train.schedule.warmup) == ("multistep", (0.5, 0.8), 0.1)
    assert (c.augment.crop, c.augment.short_sides, c.augment.long_side) == ("none", (800,), 1333)
    assert c.data.input_size == (800, 1344)
    assert (c.train.clip_norm, c.train.clip_value, c.train.swa, c.train.skip_jumps) == (0, 0, 0, 0)
    assert c.distill.teachers == ()


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ("SOLVER: {OPTIM_NAME: RangerLars}", "train.optimizer.name", "rangerlars"),
        ("SOLVER: {NESTEROV: True}", "train.optimizer.name", "sgd"),
        ("SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR}", "train.schedule.name", "cosine"),
        ("SOLVER: {CLIP_GRADIENTS: {ENABLED: True}}", "train.clip_value", 1.0),
        ("MODEL: {BACKBONE: {DEPTH: 50}}", "model.backbone", "resnet50.tv_in1k"),
        ("MODEL: {BACKBONE: {NAME: build_torch_backbone}, RESNETS: {DEPTH: 18}}", "model.backbone", "resnet18.tv_in1k"),
        ("MODEL: {BACKBONE: {NAME: build_regnet, STR_DEPTH: 400x}}", "model.backbone", "regnetx_004.pycls_in1k"),
        ("MODEL: {DEVICE: 'cuda:0'}", "train.device", "cuda"),
        ("SEED: 7", "train.seed", 7),
        ("SEED: -1", "train.seed", 0),
        ("MODEL: {CENTERNET: {RESIZE_TYPE: Resize}}", "augment.short_sides", ()),
        ("MODEL: {CENTERNET: {LOSS: {COMMUNISM: {ENABLE: True}}}}", "loss.balance", "constant"),
        ("MODEL: {CENTERNET: {LOSS: {COMMUNISM: {ENABLE: True}}}}", "loss.constant.heatmap", 1.5),
        ("MODEL: {CENTERNET: {LOSS: {COMMUNISM: {ENABLE: True}, SKIP_LOSS: True}}}", "train.skip_jumps", 0.0),
        ("INPUT: {MIN_SIZE_TEST: 0, MAX_SIZE_TRAIN: 512}", "data.input_size", (640, 640)),
        ("INPUT: {MAX_SIZE_TEST: 1}", "data.input_size", (640, 640)),
        ("INPUT: {MIN_SIZE_TRAIN: 0}", "augment.short_sides", ()),
        ("INPUT: {MIN_SIZE_TRAIN: 320, MAX_SIZE_TRAIN: 1}", "augment.short_sides", ()),
        ("SOLVER: {CLIP_GRADIENTS: {ENABLED: True, CLIP_TYPE: norm}}", "train.clip_each", 1.0),
        ("INPUT: {MIN_SIZE_TRAIN_SAMPLING: range}", "augment.short_sides_between", True),
        ("INPUT: {CROP: {ENABLED: True, TYPE: absolute, SIZE: [300, 300]}}", "augment.crop", "none"),
    ],
)
def test_one_key(tmp_path: Path, more: str, key: str, value: Any) -> None:
    found: Any = convert(tmp_path, f"_BASE_: ../base.yaml\n{more}\n")
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def outcomes(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What became of each key."""
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[:-1]]
    return {key: " | ".join(outcome) for key, _, *outcome in rows}


# What means something else there


def test_the_weights_of_each_teacher_stay_its_own(tmp_path: Path) -> None:
    """Those of centerX's yamls/coco_det/res18_multi_KD.yaml, and of a first teacher without a term."""
    kd = "ENABLED: True, TEACHER_WEIGTHS: [a.pth, b.pth], KD_CLS_INDEX: [1, 2], NORM_WH: [True, True]"
    weights = "KD_WEIGHT: [1.0, 2.0], KD_CLS_WEIGHT: [1000.0, 5000.0], KD_WH_WEIGHT: [0.0, 3.0], KD_REG_WEIGHT: [0, 0]"
    c = convert(tmp_path, f"_BASE_: ../base.yaml\nMODEL: {{CENTERNET: {{KD: {{{kd}, {weights}}}}}}}\n")
    counted = [
        [getattr(c.distill, term) * getattr(teacher.weight, term) for term in ("heatmap", "size", "offset")]
        for teacher in c.distill.teachers
    ]
    assert counted == [[1000, 0, 0], [10000, 6, 0]]


def test_at_constant_magnitude_the_weights_of_teachers_cancel_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    c = convert(tmp_path, WHOLE.replace("LOSS: {", "LOSS: {COMMUNISM: {ENABLE: True}, "))
    assert all(
        teacher.weight.model_dump(include=set(TERMS)) == dict.fromkeys(TERMS, 1) for teacher in c.distill.teachers
    )
    assert "COMMUNISM cancels it out" in outcomes(capsys)["MODEL.CENTERNET.KD.KD_REG_WEIGHT"]


def test_a_part_of_coco_is_what_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = '{TRAIN: \'("coco_car_train", "crowd_human_train")\', TEST: \'("coco_person_car_val",)\'}'
    c = convert(tmp_path, f"_BASE_: ../base.yaml\nDATASETS: {names}\n")
    assert [(entry.classes, entry.only_with_objects) for entry in (*c.data.train, *c.data.val)] == [
        (("car",), True), (("visible=person",), False), (("person", "car"), True),
    ]  # fmt: skip
    told = outcomes(capsys)
    assert "of coco_car_train only_with_objects loads the pictures that show car, as there" in told["DATASETS.TRAIN"]
    assert "that show person or car; there only those that show both" in told["DATASETS.TEST"]


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ("MODEL: {CENTERNET: {BOX_MINSIZE: 5.0}}", "MODEL.CENTERNET.BOX_MINSIZE",
         "objects of a side up to 5 pixels of the input are background there; under one pixel ignored here"),
        ("INPUT: {MIN_SIZE_TEST: 0}", "INPUT.MIN_SIZE_TEST",
         "unresized there, each picture in its own size; here one frame holds all: no side of COCO's pictures is"),
        ("INPUT: {MIN_SIZE_TEST: 0}\nDATASETS: {TEST: mine_val}", "INPUT.MIN_SIZE_TEST",
         "dropped: unresized there, .*: set data.input_size to that of your largest picture"),
        ("INPUT: {MIN_SIZE_TRAIN: '(0,)'}", "INPUT.MIN_SIZE_TRAIN", "unresized there"),
        ("SOLVER: {CLIP_GRADIENTS: {ENABLED: True, CLIP_TYPE: norm, NORM_TYPE: 1.0}}",
         "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "each parameter by itself; of norms of type 1.0 there, Euclid's here"),
        ("DATALOADER: {FILTER_EMPTY_ANNOTATIONS: True}", "DATALOADER.FILTER_EMPTY_ANNOTATIONS", "only_with_objects"),
        ("SOLVER: {MAX_ITER: 5000}", "SOLVER.MAX_ITER", "it means epochs in centerX; where steps are meant"),
    ],
)  # fmt: skip
def test_what_means_something_else_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, key: str, says: str
) -> None:
    convert(tmp_path, f"_BASE_: ../base.yaml\n{more}\n")
    assert re.search(says, outcomes(capsys)[key])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MODEL: {META_ARCHITECTURE: GeneralizedRCNN}", "whole.yaml: MODEL.META_ARCHITECTURE: 'GeneralizedRCNN' is"),
        (
            "MODEL: {META_ARCHITECTURE: CenterNetDetector, CENTERNET: {NUM_CLASSES: 80}}",
            "'CenterNetDetector' is",
        ),
        ("MODEL: {ROI_HEADS: {NUM_CLASSES: 3}, MASK_ON: True}", "MODEL.ROI_HEADS.NUM_CLASSES: is of another detector"),
        (
            "MODEL: {BACKBONE: {NAME: build_p37_fcos_dla_bifpn_backbone}}",
            "BACKBONE.NAME: .*it has build_resnet,",
        ),
        ("SOLVER: {CLIP_GRADIENTS: {ENABLED: True, CLIP_TYPE: full_model}}", "neither value nor norm"),
        ("MODEL: {CENTERNET: {KD: {ENABLED: True, TEACHER_WEIGTHS: [a, b]}}}", "1 weights for 2 teachers"),
    ],
)
def test_what_is_of_another_detector_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        convert(tmp_path, f"{text}\n")
    assert not (tmp_path / "ours.yaml").exists()


def test_a_program_of_python_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was-here"
    (tmp_path / "config.py").write_text(f"open({str(trace)!r}, 'w')\n_config_dict = dict(MODEL=dict(WEIGHTS=''))\n")
    with pytest.raises(InputError, match=r"config\.py: a program of Python, as CenterNet-better keeps") as error:
        import_config(tmp_path / "config.py", tmp_path / "ours.yaml")
    assert "\n" not in str(error.value)
    assert not trace.exists()


# CenterNet-better-plus

PLUS = """
_BASE_: "../base.yaml"
MODEL:
  BACKBONE: {NAME: build_torch_backbone}
  RESNETS: {DEPTH: 18, OUT_FEATURES: ["res5"]}
  PIXEL_MEAN: [0.485, 0.456, 0.406]
SOLVER: {IMS_PER_BATCH: 128, STEPS: "(81000, 108000)", MAX_ITER: 126000}
INPUT: {FORMAT: RGB, MIN_SIZE_TEST: 0}
TEST: {EVAL_PERIOD: 10000}
"""
PLUS_BASE = BASE.replace('  BN_TYPE: "BN"\n', "") + "INPUT: {MIN_SIZE_TRAIN: '(640, 672)'}\n"


def test_better_plus_counts_steps_and_trains_on_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    c = convert(tmp_path, PLUS, PLUS_BASE)
    told = outcomes(capsys)
    assert (c.train.epochs, c.train.val_every, c.train.batch_size) == (136, 11, 128)
    assert told["SOLVER.MAX_ITER"].endswith("(126000 steps of 128 pictures: 126000 * 128 / 118287 = 136.3 epochs)")
    assert c.train.schedule.steps == (pytest.approx(0.6429), pytest.approx(0.8571))
    assert c.train.schedule.warmup == pytest.approx(1000 / 126000, abs=1e-4)
    assert (c.data.input_size, c.augment.short_sides) == ((512, 512), ())
    assert c.augment.scale == (pytest.approx(1 / 1.3, abs=0.01), pytest.approx(1 / 0.6, abs=0.01))
    assert 0.175 < c.augment.shift < 0.3
    assert (c.augment.flip, c.augment.crop, c.augment.min_visible) == (0.5, "none", 0.0)
    assert [name for step in c.augment.colour for name in step] == ["ColorJitter", "Lighting"]
    assert (c.model.backbone, c.model.neck.conv, c.train.sync_bn) == ("resnet18.tv_in1k", "modulated", False)
    assert c.loss.min_overlap == pytest.approx(0.2055)  # a square's radius: 0.273 of its side by both formulas
    assert "each picture is evaluated in its own size there" in told["INPUT.MIN_SIZE_TEST"]
    assert "its programs do not read it" in told["INPUT.MIN_SIZE_TRAIN"]
    assert "of CenterNet-better-plus" in (tmp_path / "ours.yaml").read_text()


def test_better_plus_of_data_that_is_not_known_leaves_epochs_to_fill_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    c = convert(tmp_path, PLUS + 'DATASETS: {TRAIN: \'("coco_2017_train", "mine")\'}\n', PLUS_BASE)
    out = capsys.readouterr().out
    assert "set train.epochs to 16128000 / the number of pictures of mine" in out
    assert out.endswith("fill in its paths and train.epochs\n")
    assert "# FILL IN train.epochs" in (tmp_path / "ours.yaml").read_text()
    assert c.model_fields_set.isdisjoint({"epochs"})
    assert "epochs" not in yaml.safe_load((tmp_path / "ours.yaml").read_text())["train"]


@pytest.mark.parametrize(
    ("pipeline", "size", "short", "scale"),
    [
        ("[['CenterAffine', {boarder: 128, output_size: [640, 384]}]]", (384, 640), (), (0.77, 1.67)),
        ("[['ResizeShortestEdge', {short_edge_length: [480, 512], max_size: 800, sample_style: choice}]]",
         (512, 512), (480, 512), (1, 1)),
    ],
)  # fmt: skip
def test_sizes_of_better_plus(
    tmp_path: Path, pipeline: str, size: tuple[int, int], short: tuple[int, ...], scale: tuple[float, float]
) -> None:
    more = f"MODEL:\n  CENTERNET: {{IN_FEATURES: [res5], TRAIN_PIPELINES: {pipeline}}}\n"
    c = convert(tmp_path, f"_BASE_: ../base.yaml\n{more}", PLUS_BASE)
    assert (c.data.input_size, c.augment.short_sides, c.augment.scale) == (size, short, scale)
    assert c.augment.flip == 0


def test_what_a_last_stride_of_1_needs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(tmp_path, "_BASE_: ../base.yaml\nMODEL: {BACKBONE: {LAST_STRIDE: 1}}\n")
    assert "kept as model.last_stride (its maps have stride 2; list two" in capsys.readouterr().out


def test_the_defaults_alone_are_a_configuration() -> None:
    tree, rows = translate({})
    assert Config.model_validate(tree).train.batch_size == 16
    assert {row.key for row in rows} <= set(RULES)
    assert not any(row.outcome.startswith("dropped") for row in rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("_BASE_: nowhere.yaml\n", "nowhere.yaml: no such file"),
        ("_BASE_: whole.yaml\nMODEL: {}\n", "leads back to itself"),
        ("MODEL: [1\n", "not readable as YAML"),
        ("- 1\n", "mapping of keys"),
        ("<!DOCTYPE html>\n<html></html>\n", "whole.yaml: no configuration but an HTML page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "no configuration but a pointer of Git LFS"),
        ("MODEL: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
        ("classes: [a]\ntrain: {epochs: 3}\n", "no configuration of centerX"),
        ("SOLVER: {MAX_ITER: many}\n", "SOLVER.MAX_ITER|train.epochs|SOLVER.WARMUP_ITERS"),
        ("SOLVER: {MAX_ITER: 0}\n", "SOLVER"),
        ("MODEL: {BACKBONE: {NAME: build_regnet, STR_DEPTH: big}}\n", "MODEL.BACKBONE.NAME"),
    ],
)
def test_what_is_refused_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        convert(tmp_path, text)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ours.yaml").exists()


# The counterparts of its published experiments

COUNTERPARTS = [name for name in preset_names() if "/" in name]


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_counterpart_opens_with_the_figures_published_and_is_not_measured(name: str) -> None:
    lines = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    opening = " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
    assert "Not measured here." in opening
    assert re.search(r"README: AP \d\d\.\d|README: it does not|article: about|without a figure", opening)


@pytest.mark.parametrize(
    ("name", "conv"),
    [
        ("crowdhuman/r18", "modulated"),
        ("coco/r50", "modulated"),
        ("person/r18", "plain"),
        ("person/r18_distilled", "plain"),
        ("person/r50", "modulated"),
        ("person/regnetx", "plain"),
        ("person/regnety", "modulated"),
        ("person_face/merged_r18", "modulated"),
        ("person_face/merged_regnetx_200mf", "plain"),
        ("person_face/merged_regnetx_400mf", "plain"),
    ],
)
def test_a_counterpart_has_the_convolutions_published(name: str, conv: str) -> None:
    assert load_config(name).model.neck.conv == conv


def test_counterparts_read_the_visible_boxes_of_crowdhuman_as_centerx_does() -> None:
    entries = [entry for name in COUNTERPARTS for entry in (*load_config(name).data.train, *load_config(name).data.val)]
    read = {entry.classes for entry in entries if entry.path.endswith(".odgt")}
    assert read == {("visible=person",)}
