"""The keys of a centerX YAML file: their defaults there, and their counterparts here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from centerx.errors import InputError
from centerx.geometry import INPUT_MULTIPLE
from centerx.interop.data_names import class_names, data_entry, named

Flat = Mapping[str, Any]  # dotted key of the other code base -> value


class Outcome(NamedTuple):
    """Outcome of a key.

    Attributes:
        ours: our keys with their values; empty if the key is dropped or is a part of another key.
        why: reason why it is dropped, or a remark.
        into: our key that another key sets with the help of this one.
    """

    ours: dict[str, Any]
    why: str = ""
    into: str = ""


Rule = Callable[[Any, Flat], Outcome]  # its value, the whole configuration


class Dialect(NamedTuple):
    """The meaning of keys in one code base.

    Attributes:
        name: name of the code base.
        defaults: values of keys that a file does not set.
        rules: conversion of each key.
    """

    name: str
    defaults: dict[str, Any]
    rules: dict[str, Rule]


# Defaults of the keys that its programs read: centerX's configs/config.py, and detectron2
# 0.2.1's config/defaults.py for SOLVER, INPUT, DATALOADER and TEST.
DEFAULTS: dict[str, Any] = {
    "DATALOADER.NUM_WORKERS": 4,
    "INPUT.CROP.ENABLED": False,
    "INPUT.CROP.SIZE": [0.9, 0.9],
    "INPUT.CROP.TYPE": "relative_range",
    "INPUT.FORMAT": "RGB",
    "INPUT.MAX_SIZE_TEST": 1333,
    "INPUT.MAX_SIZE_TRAIN": 1333,
    "INPUT.MIN_SIZE_TEST": 800,
    "INPUT.MIN_SIZE_TRAIN": [800],
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
    "MODEL.BACKBONE.DEPTH": 18,
    "MODEL.BACKBONE.LAST_STRIDE": 2,
    "MODEL.BACKBONE.NAME": "build_resnet",
    "MODEL.BACKBONE.PRETRAIN": True,
    "MODEL.BACKBONE.STR_DEPTH": "400MF",
    "MODEL.BN_TYPE": "SyncBN",
    "MODEL.CENTERNET.DECONV_CHANNEL": [512, 256, 128, 64],
    "MODEL.CENTERNET.IMGAUG_PROB": 2.0,
    "MODEL.CENTERNET.KD.ENABLED": False,
    "MODEL.CENTERNET.KD.KD_CLS_INDEX": [1],
    "MODEL.CENTERNET.KD.KD_CLS_WEIGHT": [1.0],
    "MODEL.CENTERNET.KD.KD_REG_WEIGHT": [0.1],
    "MODEL.CENTERNET.KD.KD_WEIGHT": [10.0],
    "MODEL.CENTERNET.KD.KD_WH_WEIGHT": [1.0],
    "MODEL.CENTERNET.KD.KD_WITHOUT_LABEL": False,
    "MODEL.CENTERNET.KD.NORM_WH": [False],
    "MODEL.CENTERNET.KD.TEACHER_WEIGTHS": ["None"],
    "MODEL.CENTERNET.LOSS.CLS_WEIGHT": 1,
    "MODEL.CENTERNET.LOSS.COMMUNISM.CLS_LOSS": 1.5,
    "MODEL.CENTERNET.LOSS.COMMUNISM.ENABLE": False,
    "MODEL.CENTERNET.LOSS.COMMUNISM.OFF_LOSS": 0.1,
    "MODEL.CENTERNET.LOSS.COMMUNISM.WH_LOSS": 0.3,
    "MODEL.CENTERNET.LOSS.MSE": False,
    "MODEL.CENTERNET.LOSS.NORM_WH": False,
    "MODEL.CENTERNET.LOSS.REG_WEIGHT": 1,
    "MODEL.CENTERNET.LOSS.SKIP_LOSS": False,
    "MODEL.CENTERNET.LOSS.SKIP_WEIGHT": 1.0,
    "MODEL.CENTERNET.LOSS.WH_WEIGHT": 0.1,
    "MODEL.CENTERNET.MIN_OVERLAP": 0.7,
    "MODEL.CENTERNET.MODULATE_DEFORM": True,
    "MODEL.CENTERNET.NUM_CLASSES": 80,
    "MODEL.CENTERNET.RESIZE_TYPE": "ResizeShortestEdge",
    "MODEL.CENTERNET.TRAIN_PIPELINES": [
        ["RandomFlip", {}],
        ["RandomBrightness", {"intensity_min": 0.6, "intensity_max": 1.4}],
        ["RandomContrast", {"intensity_min": 0.6, "intensity_max": 1.4}],
        ["RandomSaturation", {"intensity_min": 0.6, "intensity_max": 1.4}],
        ["RandomLighting", {"scale": 0.1}],
    ],
    "MODEL.CENTERNET.USE_DEFORM": True,
    "SOLVER.BASE_LR": 0.001,
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": "value",
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 1.0,
    "SOLVER.CLIP_GRADIENTS.ENABLED": False,
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": 2.0,
    "SOLVER.COSINE_DECAY_ITER": 0.7,
    "SOLVER.GAMMA": 0.1,
    "SOLVER.IMS_PER_BATCH": 16,
    "SOLVER.LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "SOLVER.MAX_ITER": 40000,
    "SOLVER.MIN_LR": 1e-8,
    "SOLVER.MOMENTUM": 0.9,
    "SOLVER.NESTEROV": False,
    "SOLVER.OPTIM_NAME": "SGD",
    "SOLVER.STEPS": [30000],
    "SOLVER.SWA.ENABLED": False,
    "SOLVER.SWA.ETA_MIN_LR": 3.5e-6,
    "SOLVER.SWA.ITER": 10,
    "SOLVER.SWA.LR_SCHED": False,
    "SOLVER.SWA.LR_START": 2.5e-6,
    "SOLVER.SWA.PERIOD": 2,
    "SOLVER.WARMUP_ITERS": 1000,
    "SOLVER.WEIGHT_DECAY": 1e-4,
    "TEST.EVAL_PERIOD": 0,
}

# Fixed behaviour of its code that differs from our defaults.
BY_ITS_CODE = {
    "loss.reach": 0,
    "augment.scale": [1.0, 1.0],
    "augment.shift": 0.0,
    "augment.min_visible": 0.0,
    "train.ema": 0.0,
    "train.clip_norm": 0.0,
}

# torchvision's counterparts of its imgaug set, of whose ten changes it takes none to five
IMGAUG: list[dict[str, dict[str, Any]]] = [
    {"GaussianBlur": {"kernel_size": 7, "sigma": [0.1, 3.0]}},
    {"RandomAdjustSharpness": {"sharpness_factor": 2.0}},
    {"ColorJitter": {"brightness": 0.5}},
    {"ColorJitter": {"contrast": [0.75, 1.5]}},
    {"ColorJitter": {"saturation": [0.7, 1.0]}},
]
MANY_EPOCHS = 1000  # larger values probably count steps
SHARE_OF_IMGAUG = 0.25  # of the pictures that a change of the set meets on average
BACKBONES = ("build_resnet", "build_regnet", "build_torch_backbone")
COCO_SIDE = 640  # pixels that no side of COCO's pictures exceeds
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def as_list(value: Any) -> list[Any]:
    """Return a list; a single value becomes a list of one."""
    return value if isinstance(value, list) else [value]


def outcome_of(key: str, whole: Flat, dialect: Dialect) -> Outcome:
    """Return the outcome of a key in a configuration that contains all defaults of its dialect.

    Raises:
        InputError: its value, or that of a related key, has an unexpected type or belongs to another detector.
    """
    rule = dialect.rules.get(key)
    if rule is None:
        return Outcome({}, "its programs read no such key")
    try:
        return rule(whole[key], whole)
    except (TypeError, ValueError, LookupError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{key}: cannot be {whole[key]!r} in {dialect.name} ({error})") from None


def keep(*ours: str) -> Rule:
    """Return a rule that keeps the value."""
    return lambda value, _: Outcome(dict.fromkeys(ours, value))


def drop(why: str) -> Rule:
    """Return a rule that drops the key for a reason."""
    return lambda *_: Outcome({}, why)


def part_of(ours: str) -> Rule:
    """Return a rule for a key that another key includes."""
    return lambda *_: Outcome({}, into=ours)


def of_schedule(name: str, rule: Rule) -> Rule:
    """Return a rule that applies only with a certain schedule."""
    due = f"of {name} alone"
    return lambda value, c: rule(value, c) if c["SOLVER.LR_SCHEDULER_NAME"] == name else Outcome({}, due)


def only(section: str, rule: Rule) -> Rule:
    """Return a rule that applies only if a section is enabled."""
    return lambda value, c: rule(value, c) if c[section] else Outcome({}, f"{section} is off")


def same_as_ours(due: Any, otherwise: str) -> Rule:
    """Return a rule for a value that is fixed here."""
    return lambda value, _: Outcome({}, f"always {due} here" if value == due else otherwise)


def constant(term: str) -> Rule:
    """A term's constant, the same for labels and teachers."""
    return only("MODEL.CENTERNET.LOSS.COMMUNISM.ENABLE", keep(f"loss.constant.{term}", f"distill.constant.{term}"))


def architecture(value: Any, _: Flat) -> Outcome:
    """The detector, which must be this one."""
    if str(value).casefold() != "centernet":
        raise InputError(
            f"MODEL.META_ARCHITECTURE: {value!r} is another detector, of detectron2 or a project upon it; only "
            "CenterNet's, of centerX or CenterNet-better-plus, can be imported"
        )
    return Outcome({}, "there is one")


def relative_size(value: Any, _: Flat) -> Outcome:
    """A list with a value for each teacher, of which ours has one for all."""
    differ = len(set(as_list(value))) > 1
    return Outcome({"distill.relative_size": as_list(value)[0]}, "one for all teachers: the first's" if differ else "")


KD_TERMS = {"heatmap": "CLS", "size": "WH", "offset": "REG"}  # ours -> their part of KD_.._WEIGHT


def teacher_weights(term: str, c: Flat) -> list[float]:
    """The weight of a term of each teacher.

    Raises:
        ValueError: there are fewer weights than teachers.
    """
    teachers = len(as_list(c["MODEL.CENTERNET.KD.TEACHER_WEIGTHS"]))
    parts = [as_list(c[f"MODEL.CENTERNET.KD.{name}"]) for name in ("KD_WEIGHT", f"KD_{KD_TERMS[term]}_WEIGHT")]
    if min(map(len, parts)) < teachers:
        raise ValueError(f"{min(map(len, parts))} weights for {teachers} teachers")
    return [whole * one for whole, one in zip(*parts, strict=False)][:teachers]


def shared_weight(weights: list[float]) -> float:
    """Return the weight that is written for all teachers: the first that is not 0."""
    return next((weight for weight in weights if weight), 0.0)


def teacher_weight(term: str) -> Rule:
    """A term's weight, in which KD_WEIGHT goes up."""

    def product(_: Any, c: Flat) -> Outcome:
        weights = teacher_weights(term, c)
        why = "KD_WEIGHT times it"
        if len(set(weights)) > 1:
            why += ", {} by teacher".format(", ".join(f"{weight:g}" for weight in weights))
            why += (
                "; COMMUNISM cancels it out, and constants are the same for all"
                if c[COMMUNISM]
                else f": distill.teachers[].weight.{term} is relative to it"
            )
        return Outcome({f"distill.{term}": shared_weight(weights)}, why)

    return only("MODEL.CENTERNET.KD.ENABLED", product)


def relative_weights(number: int, c: Flat) -> dict[str, float]:
    """A teacher's weights by term, relative to those of all, where they are others; none at constant magnitude."""
    if c[COMMUNISM]:
        return {}
    of_terms = {term: teacher_weights(term, c) for term in KD_TERMS}
    own = {term: weights[number] / (shared_weight(weights) or 1.0) for term, weights in of_terms.items()}
    return {term: weight for term, weight in own.items() if weight != 1 and any(of_terms[term])}


def backbone(_: Any, c: Flat) -> Outcome:
    """The timm name, with the weights that the original has: torchvision's, or those of pycls."""
    if c["MODEL.BACKBONE.NAME"] not in BACKBONES:
        raise ValueError(f"it has {', '.join(BACKBONES)}")
    if c["MODEL.BACKBONE.NAME"] != "build_regnet":
        torchvision = c["MODEL.BACKBONE.NAME"] == "build_torch_backbone"
        depth = c.get("MODEL.RESNETS.DEPTH", 50) if torchvision else c["MODEL.BACKBONE.DEPTH"]
        return Outcome({"model.backbone": f"resnet{depth}.tv_in1k"}, "by its timm name")
    depth = str(c["MODEL.BACKBONE.STR_DEPTH"]).upper().removesuffix("MF")
    family = "y" if depth.endswith("Y") else "x"
    size = int(depth.rstrip("XY")) // 100
    return Outcome({"model.backbone": f"regnet{family}_{size:03d}.pycls_in1k"}, "by its timm name")


def convolution(_: Any, c: Flat) -> Outcome:
    """Plain or deformable convolutions of the neck."""
    deformable = "modulated" if c["MODEL.CENTERNET.MODULATE_DEFORM"] else "deformable"
    conv = deformable if c["MODEL.CENTERNET.USE_DEFORM"] else "plain"
    return Outcome({"model.neck.conv": conv})


def start(value: Any, _: Flat) -> Outcome:
    """Weights to start from."""
    if not value or "://" in str(value):
        return Outcome({}, "ImageNet weights of a backbone are those of model.pretrained")
    return Outcome({"train.init": checkpoint(value)}, "`centerx import` converts the checkpoint")


def checkpoint(path: str) -> str:
    """Where a converted checkpoint would lie."""
    return str(Path(path).with_suffix(".safetensors"))


def teachers(value: Any, c: Flat) -> Outcome:
    """Model files, each with its classes."""
    ends = [0, *c["MODEL.CENTERNET.KD.KD_CLS_INDEX"]]
    names = class_names(c)
    entries: list[dict[str, Any]] = []
    for number, path in enumerate(as_list(value)):
        entry: dict[str, Any] = {"weights": checkpoint(path), "name": f"teacher{number + 1}"}
        if len(value) > 1 and names and number + 1 < len(ends):
            entry["classes"] = names[ends[number] : ends[number + 1]]
        if weight := relative_weights(number, c):
            entry["weight"] = weight
        entries.append(entry)
    return Outcome(
        {"distill.teachers": entries, "distill.loss": "article", "distill.features": 0.0},
        "`centerx import` converts the checkpoints",
    )


def data(ours: str) -> Rule:
    """Entries by the names of data sets."""

    def entries(value: Any, _: Flat) -> Outcome:
        told = ["paths are guesses: fill them in"]
        for name in as_list(value):
            if data_entry(name).get("only_with_objects"):
                labels = data_entry(name)["classes"]
                both = "; there only those that show both" if len(labels) > 1 else ", as there"
                told.append(f"of {name} only_with_objects loads the pictures that show {' or '.join(labels)}{both}")
        return Outcome({ours: [data_entry(name) for name in as_list(value)]}, "; ".join(told))

    return entries


def classes(value: Any, c: Flat) -> Outcome:
    """Class names, where those of the data sets are as many."""
    names = class_names(c)
    return (
        Outcome({"classes": names}, "by name") if len(names) == value else Outcome({}, "the data sets tell the classes")
    )


def sides_of_training(value: Any, c: Flat) -> Outcome:
    """Multi-scale training, but for the fixed size of `Resize`."""
    if c["MODEL.CENTERNET.RESIZE_TYPE"] == "Resize":
        return Outcome({}, "RESIZE_TYPE Resize: one size, data.input_size; pictures keep their shape here")
    if unresized("TRAIN", c):
        return Outcome({"augment.short_sides": []}, "unresized there; here pictures are fitted into data.input_size")
    return Outcome({"augment.short_sides": as_list(value)})


def longest_side(value: Any, c: Flat) -> Outcome:
    """Of training."""
    return (
        Outcome({"augment.long_side": value}) if not unresized("TRAIN", c) else Outcome({}, into="augment.short_sides")
    )


def unresized(part: str, c: Flat) -> bool:
    """Whether pictures of TRAIN or TEST keep their own size there."""
    return not any(as_list(c[f"INPUT.MIN_SIZE_{part}"])) or c[f"INPUT.MAX_SIZE_{part}"] == 1


def input_size(_: Any, c: Flat) -> Outcome:
    """Height and width of evaluation, in multiples of 32."""
    if unresized("TEST", c):
        why = "unresized there, each picture in its own size; here one frame holds all: "
        if all(data_entry(name)["path"].startswith("datasets/coco") for name in named(c, "TEST")):
            return Outcome({"data.input_size": [COCO_SIDE] * 2}, f"{why}no side of COCO's pictures is longer")
        return Outcome({}, f"{why}set data.input_size to that of your largest picture, in multiples of 32")
    short, long = c["INPUT.MIN_SIZE_TEST"], c["INPUT.MAX_SIZE_TEST"]
    size = in_frames(min(short, long), long)
    return Outcome({"data.input_size": size}, "one frame for all pictures, of landscape format")


def in_frames(*sides: int) -> list[int]:
    """Sides in pixels, up to the next multiples of 32."""
    return [-(-side // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in sides]


def crop(value: Any, c: Flat) -> Outcome:
    """The window, where it is relative."""
    if not str(c["INPUT.CROP.TYPE"]).startswith("relative"):
        return Outcome({}, "windows are relative to the picture here")
    return Outcome({"augment.crop": c["INPUT.CROP.TYPE"], "augment.crop_size": list(c["INPUT.CROP.SIZE"])})


def colours(value: Any, c: Flat) -> Outcome:
    """The changes that have a counterpart, by torchvision's names."""
    steps = dict(value)
    jitter = {
        name.removeprefix("Random").lower(): [arguments["intensity_min"], arguments["intensity_max"]]
        for name, arguments in steps.items()
        if name in ("RandomBrightness", "RandomContrast", "RandomSaturation")
    }
    ours: list[dict[str, dict[str, Any]]] = [{"ColorJitter": jitter}] if jitter else []
    if "RandomLighting" in steps:
        ours.append({"Lighting": {"scale": steps["RandomLighting"]["scale"]}})
    if (share := c["MODEL.CENTERNET.IMGAUG_PROB"]) < 1:
        ours += [{name: each | {"p": share * SHARE_OF_IMGAUG}} for step in IMGAUG for name, each in step.items()]
    left = set(steps) - {"RandomFlip", "RandomBrightness", "RandomContrast", "RandomSaturation", "RandomLighting"}
    flip = 0.5 if "RandomFlip" in steps else 0.0
    why = f"without {', '.join(sorted(left))}" if left else ""
    return Outcome({"augment.flip": flip, "augment.colour": ours}, why)


def imgaug(value: Any, c: Flat) -> Outcome:
    """The set of imgaug, on a share of the pictures."""
    if value >= 1:
        return Outcome({}, "1 or more: off")
    steps = colours(c["MODEL.CENTERNET.TRAIN_PIPELINES"], c).ours["augment.colour"]
    return Outcome({"augment.colour": steps}, "without superpixels and emboss; augment.perspective has its perspective")


def epochs(value: Any, c: Flat) -> Outcome:
    """Passes over the data, those of SWA included."""
    why = "it means epochs" if value < MANY_EPOCHS else "it means epochs in centerX; where steps are meant, set epochs"
    return Outcome({"train.epochs": value + (c["SOLVER.SWA.ITER"] if c["SOLVER.SWA.ENABLED"] else 0)}, why)


def share_of_run(ours: str) -> Rule:
    """Epochs -> shares of the run before SWA."""

    def shares(value: Any, c: Flat) -> Outcome:
        whole = c["SOLVER.MAX_ITER"]
        times = [min(round(each / whole, 4), 1.0) for each in as_list(value)]
        return Outcome({ours: times if isinstance(value, list) else times[0]}, "in shares of the run")

    return shares


def schedule(value: Any, _: Flat) -> Outcome:
    """The shape after the warm-up."""
    known = {"WarmupCosineAnnealingLR": "delayed_cosine", "WarmupMultiStepLR": "multistep", "WarmupCosineLR": "cosine"}
    return Outcome({"train.schedule.name": known[value]}) if value in known else Outcome({}, "no such schedule")


def optimizer(value: Any, c: Flat) -> Outcome:
    """The name."""
    plain = "sgd" if c["SOLVER.NESTEROV"] else "momentum"
    return Outcome(
        {"train.optimizer.name": {"SGD": plain, "Adam": "adam", "RangerLars": "rangerlars"}.get(value, plain)}
    )


def relative_rate(ours: str) -> Rule:
    """A learning rate -> a factor of the peak."""
    return lambda value, c: Outcome({ours: value / c["SOLVER.BASE_LR"]}, "relative to the peak")


def seed(value: Any, _: Flat) -> Outcome:
    """Of all randomness; below 0 each run has another there."""
    return Outcome({"train.seed": value}) if value >= 0 else Outcome({}, "there is always a seed, train.seed")


def clip(value: Any, c: Flat) -> Outcome:
    """The limit of each component, or of each parameter's norm."""
    kind = c["SOLVER.CLIP_GRADIENTS.CLIP_TYPE"]
    if kind == "value":
        return Outcome({"train.clip_value": value})
    if kind != "norm":
        raise ValueError(f"CLIP_TYPE {kind!r} is neither value nor norm")
    norm = c["SOLVER.CLIP_GRADIENTS.NORM_TYPE"]
    euclid = "" if norm == 2 else f"; of norms of type {norm} there, Euclid's here"
    return Outcome({"train.clip_each": value}, f"detectron2 clips each parameter by itself{euclid}")


def swa_share(value: Any, c: Flat) -> Outcome:
    """The share of the run whose weights are averaged."""
    return Outcome({"train.swa": round(value / (c["SOLVER.MAX_ITER"] + value), 4)}, "share of the run")


def swa_rates(value: Any, c: Flat) -> Outcome:
    """Where the rate goes while weights are averaged."""
    low = c["SOLVER.SWA.ETA_MIN_LR"] if c["SOLVER.SWA.LR_SCHED"] else value
    return Outcome(
        {"train.swa_rates": [value / c["SOLVER.BASE_LR"], low / c["SOLVER.BASE_LR"]]}, "relative to the peak"
    )


def pixels(due: list[float]) -> Rule:
    """What pixels are normalised with."""
    why = "the network normalises by what its backbone's weights need"
    return lambda value, _: Outcome({}, why if list(value) == due else f"{why}, {due} of RGB")


COMMUNISM = "MODEL.CENTERNET.LOSS.COMMUNISM.ENABLE"
KD = "MODEL.CENTERNET.KD.ENABLED"
SWA = "SOLVER.SWA.ENABLED"
CLIP = "SOLVER.CLIP_GRADIENTS.ENABLED"
CLIPPING = part_of("train.clip_value or train.clip_each")
COSINE, MULTISTEP = "WarmupCosineAnnealingLR", "WarmupMultiStepLR"
EACH_ONCE = drop("each picture comes once an epoch")
UNREAD = drop("its programs do not read it")

RULES: dict[str, Rule] = {
    "VERSION": drop("of detectron2's file format"),
    "SEED": seed,
    "CUDNN_BENCHMARK": drop("torch's own choice"),
    "OUTPUT_DIR": drop("`centerx train --out` says it"),
    "MODEL.META_ARCHITECTURE": architecture,
    "MODEL.MASK_ON": drop("there are no masks"),
    "MODEL.KEYPOINT_ON": drop("there are no poses"),
    "MODEL.LOAD_PROPOSALS": drop("there are no proposals"),
    "MODEL.DEVICE": lambda value, _: Outcome({"train.device": str(value).split(":")[0]}),
    "MODEL.RESNETS.DEPTH": part_of("model.backbone"),
    "MODEL.RESNETS.OUT_FEATURES": UNREAD,
    "MODEL.FPN.IN_FEATURES": UNREAD,
    "MODEL.WEIGHTS": start,
    "MODEL.BN_TYPE": lambda value, _: Outcome({"train.sync_bn": value == "SyncBN"}),
    "MODEL.BACKBONE.NAME": backbone,
    "MODEL.BACKBONE.DEPTH": part_of("model.backbone"),
    "MODEL.BACKBONE.STR_DEPTH": part_of("model.backbone"),
    "MODEL.BACKBONE.PRETRAIN": keep("model.pretrained"),
    "MODEL.BACKBONE.PRETRAIN_PATH": drop("timm fetches the same weights by the name in model.backbone"),
    "MODEL.BACKBONE.LAST_STRIDE": lambda value, _: Outcome(
        {"model.last_stride": value}, "" if value == 2 else "its maps have stride 2; list two model.neck.channels here"
    ),
    "MODEL.PIXEL_MEAN": pixels(IMAGENET[0]),
    "MODEL.PIXEL_STD": pixels(IMAGENET[1]),
    "MODEL.CENTERNET.DECONV_CHANNEL": lambda value, _: Outcome(
        {"model.neck.type": "deconv", "model.neck.channels": list(value[1:])}, "the first is the backbone's"
    ),
    "MODEL.CENTERNET.DECONV_KERNEL": same_as_ours([4, 4, 4], "deconvolutions are of 4 x 4 here"),
    "MODEL.CENTERNET.NUM_CLASSES": classes,
    "MODEL.CENTERNET.MODULATE_DEFORM": part_of("model.neck.conv"),
    "MODEL.CENTERNET.USE_DEFORM": convolution,
    "MODEL.CENTERNET.BIAS_VALUE": same_as_ours(-2.19, "the heatmap starts at a probability of 0.1 here"),
    "MODEL.CENTERNET.DOWN_SCALE": same_as_ours(4, "the stride is 4 here"),
    "MODEL.CENTERNET.MIN_OVERLAP": keep("loss.min_overlap"),
    "MODEL.CENTERNET.TENSOR_DIM": drop("there is no most number of objects"),
    "MODEL.CENTERNET.OUTPUT_SIZE": UNREAD,
    "MODEL.CENTERNET.BOX_MINSIZE": lambda value, _: Outcome(
        {}, f"objects of a side up to {value:g} pixels of the input are background there; under one pixel ignored here"
    ),
    "MODEL.CENTERNET.RESIZE_TYPE": part_of("augment.short_sides"),
    "MODEL.CENTERNET.TRAIN_PIPELINES": colours,
    "MODEL.CENTERNET.TEST_PIPELINES": drop("evaluation sees pictures as they are"),
    "MODEL.CENTERNET.IMGAUG_PROB": imgaug,
    "MODEL.CENTERNET.LOSS.CLS_WEIGHT": keep("loss.heatmap"),
    "MODEL.CENTERNET.LOSS.WH_WEIGHT": keep("loss.size"),
    "MODEL.CENTERNET.LOSS.REG_WEIGHT": keep("loss.offset"),
    "MODEL.CENTERNET.LOSS.NORM_WH": keep("loss.relative_size"),
    "MODEL.CENTERNET.LOSS.MSE": lambda value, _: Outcome({"loss.heatmap_type": "mse" if value else "focal"}),
    "MODEL.CENTERNET.LOSS.SKIP_LOSS": lambda value, c: (
        Outcome({"train.skip_jumps": c["MODEL.CENTERNET.LOSS.SKIP_WEIGHT"]}, "against the running mean")
        if value and not c[COMMUNISM]
        else Outcome({}, "no loss is skipped" if not value else "a loss of constant magnitude does not jump")
    ),
    "MODEL.CENTERNET.LOSS.SKIP_WEIGHT": part_of("train.skip_jumps"),
    "MODEL.CENTERNET.LOSS.IGNORE_UNLABEL": drop("always so here: `classes` of each data set say what it labels"),
    COMMUNISM: lambda value, _: Outcome({"loss.balance": "constant" if value else "fixed"}),
    "MODEL.CENTERNET.LOSS.COMMUNISM.CLS_LOSS": constant("heatmap"),
    "MODEL.CENTERNET.LOSS.COMMUNISM.WH_LOSS": constant("size"),
    "MODEL.CENTERNET.LOSS.COMMUNISM.OFF_LOSS": constant("offset"),
    KD: part_of("distill.teachers"),
    "MODEL.CENTERNET.KD.TEACHER_CFG": drop("a model file holds its configuration"),
    "MODEL.CENTERNET.KD.TEACHER_WEIGTHS": only(KD, teachers),
    "MODEL.CENTERNET.KD.KD_WEIGHT": part_of("distill.heatmap, .size and .offset, and distill.teachers[].weight"),
    "MODEL.CENTERNET.KD.KD_CLS_WEIGHT": teacher_weight("heatmap"),
    "MODEL.CENTERNET.KD.KD_WH_WEIGHT": teacher_weight("size"),
    "MODEL.CENTERNET.KD.KD_REG_WEIGHT": teacher_weight("offset"),
    "MODEL.CENTERNET.KD.KD_CLS_INDEX": part_of("distill.teachers"),
    "MODEL.CENTERNET.KD.NORM_WH": only(KD, relative_size),
    "MODEL.CENTERNET.KD.KD_WITHOUT_LABEL": only(KD, lambda value, _: Outcome({"distill.labels": not value})),
    "DATASETS.TRAIN": data("data.train"),
    "DATASETS.TEST": data("data.val"),
    "DATALOADER.NUM_WORKERS": keep("data.workers"),
    "DATALOADER.ASPECT_RATIO_GROUPING": drop("pictures of a batch are padded to the largest"),
    "DATALOADER.FILTER_EMPTY_ANNOTATIONS": lambda value, _: Outcome(
        {},
        "pictures without objects stay, as negatives" + ("; only_with_objects of an entry drops them" if value else ""),
    ),
    "DATALOADER.SAMPLER_TRAIN": EACH_ONCE,
    "DATALOADER.REPEAT_THRESHOLD": EACH_ONCE,
    "INPUT.FORMAT": same_as_ours("RGB", "pictures are RGB here"),
    "INPUT.MIN_SIZE_TRAIN": sides_of_training,
    "INPUT.MAX_SIZE_TRAIN": longest_side,
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": lambda value, _: Outcome({"augment.short_sides_between": value == "range"}),
    "INPUT.MIN_SIZE_TEST": input_size,
    "INPUT.MAX_SIZE_TEST": part_of("data.input_size"),
    "INPUT.CROP.ENABLED": lambda value, c: crop(value, c) if value else Outcome({"augment.crop": "none"}),
    "INPUT.CROP.TYPE": part_of("augment.crop"),
    "INPUT.CROP.SIZE": part_of("augment.crop_size"),
    "SOLVER.IMS_PER_BATCH": keep("train.batch_size"),
    "SOLVER.MAX_ITER": epochs,
    "SOLVER.WARMUP_ITERS": share_of_run("train.schedule.warmup"),
    "SOLVER.WARMUP_FACTOR": drop("its code sets it to one over the steps of the warm-up, as it is here"),
    "SOLVER.WARMUP_METHOD": same_as_ours("linear", "the warm-up is linear here"),
    "SOLVER.STEPS": of_schedule(MULTISTEP, share_of_run("train.schedule.steps")),
    "SOLVER.GAMMA": of_schedule(MULTISTEP, keep("train.schedule.gamma")),
    "SOLVER.COSINE_DECAY_ITER": of_schedule(COSINE, keep("train.schedule.delay")),
    "SOLVER.MIN_LR": of_schedule(COSINE, relative_rate("train.schedule.final")),
    "SOLVER.LR_SCHEDULER_NAME": schedule,
    "SOLVER.BASE_LR": keep("train.optimizer.lr"),
    "SOLVER.OPTIM_NAME": optimizer,
    "SOLVER.NESTEROV": part_of("train.optimizer.name"),
    "SOLVER.MOMENTUM": keep("train.optimizer.momentum"),
    "SOLVER.WEIGHT_DECAY": keep("train.optimizer.weight_decay"),
    "SOLVER.WEIGHT_DECAY_NORM": same_as_ours(0.0, "norms do not decay here"),
    "SOLVER.WEIGHT_DECAY_BIAS": drop("biases do not decay here"),
    "SOLVER.BIAS_LR_FACTOR": same_as_ours(1.0, "biases have the rate of the rest here"),
    "SOLVER.CHECKPOINT_PERIOD": drop("a checkpoint is written after every epoch"),
    CLIP: CLIPPING,
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": CLIPPING,
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": only(CLIP, clip),
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": same_as_ours(2.0, "the norm is Euclid's here"),
    SWA: part_of("train.swa"),
    "SOLVER.SWA.ITER": only(SWA, swa_share),
    "SOLVER.SWA.PERIOD": only(SWA, same_as_ours(1, "weights are averaged once an epoch here")),
    "SOLVER.SWA.LR_START": only(SWA, swa_rates),
    "SOLVER.SWA.ETA_MIN_LR": only(SWA, part_of("train.swa_rates")),
    "SOLVER.SWA.LR_SCHED": only(SWA, part_of("train.swa_rates")),
    "TEST.EVAL_PERIOD": lambda value, c: Outcome({"train.val_every": value or c["SOLVER.MAX_ITER"]}),
    "TEST.PRECISE_BN.ENABLED": drop("batch norms keep their running statistics"),
    "TEST.PRECISE_BN.NUM_ITER": drop("batch norms keep their running statistics"),
    "TEST.DETECTIONS_PER_IMAGE": drop("its programs do not read it; the most is model.top_k, 100 there too"),
}

CENTERX = Dialect("centerX", DEFAULTS, RULES)
