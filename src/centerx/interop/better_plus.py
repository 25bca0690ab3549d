"""CenterNet-better-plus has the keys of centerX, but with other meanings: it counts steps and trains on windows."""

from __future__ import annotations

from typing import Any

from centerx.interop.data_names import PICTURES, named
from centerx.interop.keys import (
    CENTERX,
    MANY_EPOCHS,
    Dialect,
    Flat,
    Outcome,
    as_list,
    colours,
    drop,
    in_frames,
    part_of,
)

# Keys of centerX that CenterNet-better-plus does not have
CENTERX_ALONE = (
    "MODEL.BN_TYPE", "MODEL.BACKBONE.DEPTH", "MODEL.BACKBONE.STR_DEPTH", "MODEL.BACKBONE.LAST_STRIDE",
    "MODEL.BACKBONE.PRETRAIN", "MODEL.CENTERNET.USE_DEFORM", "MODEL.CENTERNET.BOX_MINSIZE",
    "MODEL.CENTERNET.RESIZE_TYPE", "MODEL.CENTERNET.IMGAUG_PROB", "MODEL.CENTERNET.KD.",
    "MODEL.CENTERNET.LOSS.NORM_WH", "MODEL.CENTERNET.LOSS.MSE", "MODEL.CENTERNET.LOSS.SKIP",
    "MODEL.CENTERNET.LOSS.IGNORE_UNLABEL", "MODEL.CENTERNET.LOSS.COMMUNISM.", "SOLVER.OPTIM_NAME", "SOLVER.MIN_LR",
    "SOLVER.COSINE_DECAY_ITER", "SOLVER.SWA.",
)  # fmt: skip
# Its windows have 0.6 to 1.3 times the picture's longer side, so they zoom by 1 / 1.3 to 1 / 0.6. Their centres keep
# 128 pixels from the picture's sides: of 640 x 480 they move by up to 0.3 of the longer side, and 0.175 of it upright.
WINDOW_ZOOM, WINDOW_SHIFT = [0.77, 1.67], 0.24


def recognises(given: Flat) -> bool:
    """Return whether a configuration is of CenterNet-better-plus: it has no key of centerX alone, and counts steps."""
    if any(key.startswith(CENTERX_ALONE) for key in given):
        return False
    length = given.get("SOLVER.MAX_ITER")
    return "MODEL.CENTERNET.IN_FEATURES" in given or (isinstance(length, int) and length >= MANY_EPOCHS)


def epochs(value: Any, c: Flat) -> Outcome:
    """Convert steps to epochs, if the number of pictures is known."""
    batch, pictures = c["SOLVER.IMS_PER_BATCH"], pictures_of(c)
    steps = f"{value} steps of {batch} pictures"
    if pictures is None:
        unknown = ", ".join(name for name in named(c, "TRAIN") if name not in PICTURES) or "the training data"
        return Outcome({}, f"{steps}: set train.epochs to {value * batch} / the number of pictures of {unknown}")
    exact = value * batch / pictures
    return Outcome(
        {"train.epochs": max(round(exact), 1)}, f"{steps}: {value} * {batch} / {pictures} = {exact:.1f} epochs"
    )


def evaluations(value: Any, c: Flat) -> Outcome:
    """Convert the steps between evaluations to epochs; 0 means one evaluation at the end."""
    pictures, value = pictures_of(c), value or c["SOLVER.MAX_ITER"]
    if pictures is None:
        return Outcome({}, "counts steps: set train.val_every in epochs")
    return Outcome({"train.val_every": max(round(value * c["SOLVER.IMS_PER_BATCH"] / pictures), 1)}, "in epochs")


def pictures_of(c: Flat) -> int | None:
    """Return the number of pictures of an epoch; None if a data set is unknown."""
    counts = [PICTURES.get(name) for name in named(c, "TRAIN")]
    return sum(each for each in counts if each) if counts and all(counts) else None


def pipeline(value: Any, c: Flat) -> Outcome:
    """Convert colour changes, and what sets the size of a picture: windows, or a length of the shorter side."""
    steps = {name: arguments or {} for name, arguments in value}
    outcome = colours([step for step in value if step[0] not in ("CenterAffine", "ResizeShortestEdge")], c)
    if "CenterAffine" in steps:
        width, height = steps["CenterAffine"]["output_size"]
        size = in_frames(height, width)
        windows = {"augment.scale": WINDOW_ZOOM, "augment.shift": WINDOW_SHIFT, "data.input_size": size}
        why = "CenterAffine: windows of 0.6 to 1.3 times the longer side; how far they move is about that of 640 x 480"
        return Outcome(windows | outcome.ours, "; ".join(filter(None, (why, outcome.why))))
    if "ResizeShortestEdge" in steps:
        arguments = steps["ResizeShortestEdge"]
        edges = {
            "augment.short_sides": as_list(arguments["short_edge_length"]),
            "augment.long_side": arguments["max_size"],
            "augment.short_sides_between": arguments.get("sample_style", "range") == "range",
        }
        return Outcome(edges | outcome.ours, outcome.why)
    why = "pictures keep their own size there; here they are fitted into data.input_size: set it"
    return outcome._replace(why="; ".join(filter(None, (why, outcome.why))))


def overlap(value: Any, _: Flat) -> Outcome:
    """Convert the overlap to the one with the same radius for a square object.

    CenterNet's larger formula gives a radius of 2 (sqrt(t) - t) per side; the one here gives (1 - sqrt(t)) / 2.
    """
    ours = (1 - 4 * (value**0.5 - value)) ** 2
    return Outcome(
        {"loss.min_overlap": round(ours, 4)}, "its radius is larger by the same number; so square objects agree"
    )


def backbone(value: Any, c: Flat) -> Outcome:
    """Return the ResNet of torchvision."""
    if value not in ("build_torch_backbone", "build_resnet_backbone"):
        raise ValueError("it has build_torch_backbone, and build_resnet_backbone of detectron2")
    why = "by its timm name"
    if value == "build_resnet_backbone":
        why += "; detectron2's takes its strides in other convolutions"
    return Outcome({"model.backbone": f"resnet{c['MODEL.RESNETS.DEPTH']}.tv_in1k"}, why)


UNREAD = drop("its programs do not read it: MODEL.CENTERNET.TRAIN_PIPELINES says the size")
OWN_SIZE = drop(
    "its programs do not read it: each picture is evaluated in its own size there; here data.input_size is one frame "
    "for all"
)
BETTER_PLUS = Dialect(
    "CenterNet-better-plus",
    CENTERX.defaults
    | {
        "MODEL.BACKBONE.NAME": "build_resnet_backbone",
        "MODEL.BN_TYPE": "BN",
        "MODEL.RESNETS.DEPTH": 50,
        "MODEL.CENTERNET.TRAIN_PIPELINES": [
            ["CenterAffine", {"boarder": 128, "output_size": [512, 512], "random_aug": True}],
            *CENTERX.defaults["MODEL.CENTERNET.TRAIN_PIPELINES"],
        ],
    },
    CENTERX.rules
    | {
        "MODEL.BACKBONE.NAME": backbone,
        "MODEL.CENTERNET.IN_FEATURES": part_of("model.backbone"),
        "MODEL.CENTERNET.MIN_OVERLAP": overlap,
        "MODEL.CENTERNET.TRAIN_PIPELINES": pipeline,
        "INPUT.MIN_SIZE_TRAIN": UNREAD,
        "INPUT.MAX_SIZE_TRAIN": UNREAD,
        "INPUT.MIN_SIZE_TRAIN_SAMPLING": UNREAD,
        "INPUT.MIN_SIZE_TEST": OWN_SIZE,
        "INPUT.MAX_SIZE_TEST": OWN_SIZE,
        "SOLVER.MAX_ITER": epochs,
        "SOLVER.WARMUP_FACTOR": drop("the warm-up starts at one over its steps here"),
        "TEST.EVAL_PERIOD": evaluations,
    },
)
