"""The runs whose losses are held: every family of presets, and every part that makes a loss."""

from __future__ import annotations

from typing import NamedTuple

STEPS = 20  # of the synthetic_images scenes in batches of four: one epoch
SMALL = ("model.backbone=test_efficientnet", "model.neck.channels=8", "model.head_channels=8")
COMMON = (
    "data.train=[scenes/all/train.json]", "data.val=[]", "data.input_size=96", "data.workers=0", "classes=null",
    "augment.long_side=96", "model.pretrained=false", "train.init=null", "train.batch_size=4", "train.epochs=1",
    "train.precision=fp32", "train.device=cpu", "distill.cache=false",
)  # fmt: skip

NO_CLIP = "train.clip_value=0"  # which cannot be where `skip_jumps` took the gradients away

# teachers: of the classes 0 to 4, of 3 to 9 but asked for 5 to 9, and of all of those
LOW = "{weights: models/low.safetensors}"
HIGH = "{weights: models/high.safetensors, classes: ['5', '6', '7', '8', '9']}"
WIDE = "{weights: models/high.safetensors}"
BOXES = "{weights: models/low-any.onnx, name: boxes}"
MAPS = "{weights: models/low-maps.onnx, name: maps}"
HEAVY = "{weights: models/low.safetensors, weight: {heatmap: 2, size: 3, offset: 0.5, features: 0.1}}"
TWICE = "{weights: models/high.safetensors, name: twice, classes: ['5', '6'], weight: 2}"
RENAMED = "{weights: models/high.safetensors, name: renamed, classes: {'3': '7', '4': '8'}}"
FORMER = "loss.size=0.1", "distill.size=0.1"  # of nano when the trace was written
PARTLY = "data.train=[scenes/low/train.json,scenes/high/train.json]"


class Case(NamedTuple):
    """A run.

    Attributes:
        config: a preset, or a file of `before`. words: overrides.
        steps: to train. when: `quick` and `suite` are tested, `program` only by the program.
    """

    config: str
    words: tuple[str, ...]
    steps: int = STEPS
    when: str = "suite"


def taught(*entries: str) -> str:
    """The override that names the teachers."""
    return f"distill.teachers=[{','.join(entries)}]"


def small(*words: str, when: str = "suite") -> Case:
    """A run of the smallest network."""
    return Case("nano", (*COMMON, *SMALL, *FORMER, *words), when=when)


def preset(name: str, *words: str, steps: int = 3) -> Case:
    """A run of a preset with its own network."""
    return Case(name, (*COMMON, *words), steps, "program")


def before(name: str, *words: str) -> Case:
    """A run of a configuration written before."""
    return Case(f"{name}.yaml", (*words, *SMALL, "distill.cache=false"), 8)


PARTS = {
    "labels": small(when="quick"),
    "one teacher": small(taught(LOW), when="quick"),
    "two teachers": small(taught(LOW, HIGH), when="quick"),
    "two teachers, no features": small(taught(LOW, HIGH), "distill.features=0"),
    "shared by average": small(taught(LOW, WIDE), "distill.shared=average", when="quick"),
    "shared by name": small(taught(LOW, WIDE), "distill.shared=high"),
    "teachers alone": small(taught(LOW, WIDE), "distill.shared=average", "distill.labels=false"),
    "teachers until the middle": small(taught(LOW), "distill.until=0.5"),
    "weights of teachers": small(taught(HEAVY, TWICE)),
    "renamed classes": small(taught(LOW, RENAMED)),
    "a teacher of boxes": small(taught(BOXES), when="quick"),
    "a teacher of maps": small(taught(MAPS, HIGH)),
    "article": small(taught(LOW, HIGH), "distill.loss=article", "distill.heatmap=1000"),
    "article, relative size": small(taught(LOW, BOXES), "distill.loss=article", "distill.relative_size=true",
                                    "distill.shared=average"),
    "relative size": small("loss.relative_size=true"),
    "mse": small("loss.heatmap_type=mse", "loss.heatmap=1000"),
    "mse, relative size, a teacher": small("loss.heatmap_type=mse", "loss.heatmap=1000", "loss.relative_size=true",
                                           taught(LOW)),
    "reach 0": small("loss.reach=0"),
    "reach 2": small("loss.reach=2"),
    "min_overlap": small("loss.min_overlap=0.7"),
    "weights of labels": small("loss.heatmap=2", "loss.size=0", "loss.offset=0.3"),
    "constant": small("loss.balance=constant"),
    "constant, constants": small("loss.balance=constant", "loss.constant={heatmap: 2, size: 0.3, offset: 0.7}"),
    "constant, teachers": small("loss.balance=constant", taught(HEAVY, TWICE), when="quick"),
    "constant, shared": small("loss.balance=constant", taught(LOW, WIDE), "distill.shared=average",
                              "distill.constant={heatmap: 1, size: 0.2, offset: 0.1, features: 3}"),
    "constant, article": small("loss.balance=constant", taught(LOW), "distill.loss=article", "distill.features=0"),
    "uncertainty": small("loss.balance=uncertainty"),
    "uncertainty, teachers": small("loss.balance=uncertainty", taught(LOW, WIDE), "distill.shared=average",
                                   when="quick"),
    "ignored boxes": small("data.train=[scenes/all/ignored.json]"),
    "partly labelled": small(PARTLY, when="quick"),
    "partly labelled, teachers": small(PARTLY, taught(LOW, WIDE), "distill.shared=average"),
    "complete": small("data.train=[{path: scenes/low/train.json, complete: true},scenes/high/train.json]"),
    "some classes": small("data.train=[{path: scenes/all/train.json, classes: {'3': three, '8': eight}, "
                          "only_with_objects: true}]"),
    "mosaic": small("augment.mosaic=0.7"),
    "crop": small("augment.crop=relative", "augment.crop_size=[0.5,0.7]"),
    "crop of a range": small("augment.crop=relative_range", "augment.min_visible=0"),
    "rotate": small("augment.rotate=20", "augment.perspective=0.1", "augment.aspect=0.2", "augment.flip_vertical=0.5"),
    "short sides": small(PARTLY, "augment.short_sides=[64,96]", "augment.long_side=128"),
    "short sides between": small(PARTLY, "augment.short_sides=[64,96]", "augment.short_sides_between=true", taught(LOW),
                                 "augment.long_side=128"),
    "clipped": small("train.clip_value=0.01", "train.clip_each=0.1", "train.clip_norm=0.3"),
    "frozen norms": small("train.frozen_bn=true", "train.channels_last=false"),
    "no average": small("train.ema=0", "train.optimizer.name=sgd", "train.schedule.name=multistep"),
}  # fmt: skip
WRITTEN = {name: before(name, *COMMON) for name in ("labels", "teachers", "article", "constant")}
WRITTEN["every_key"] = before("every_key", "data.workers=0")
PRESETS = {
    "article": preset("article"),
    "nano": preset("nano", *FORMER, steps=STEPS),
    "r18": preset("r18", steps=5),
    "bccd_nano": preset("bccd_nano"),
    "digits": preset("digits", steps=10),
    "facemask_nano": preset("facemask_nano", taught(LOW)),
    "coco/car_r18": preset("coco/car_r18"),
    "coco/person_car_merged": preset("coco/person_car_merged", taught(LOW, HIGH)),
    "coco/r18": preset("coco/r18"),
    "coco/r18_distilled": preset("coco/r18_distilled", taught(LOW)),
    "coco/r50": preset("coco/r50", steps=2),
    "crowdhuman/r18": preset("crowdhuman/r18"),
    "crowdhuman/r18_constant": preset("crowdhuman/r18_constant"),
    "crowdhuman/r18_distilled": preset("crowdhuman/r18_distilled", taught(LOW)),
    "crowdhuman/r18_distilled_unlabelled": preset("crowdhuman/r18_distilled_unlabelled", taught(LOW)),
    "crowdhuman/r18_imgaug": preset("crowdhuman/r18_imgaug"),
    "crowdhuman/r18_mse": preset("crowdhuman/r18_mse", steps=5),
    "crowdhuman/r18_rangerlars": preset("crowdhuman/r18_rangerlars"),
    "crowdhuman/r18_swa": preset("crowdhuman/r18_swa"),
    "person/r18": preset("person/r18"),
    "person/regnetx": preset("person/regnetx"),
    "person/regnetx_distilled": preset("person/regnetx_distilled", taught(LOW)),
    "person/regnetx_relative_size": preset("person/regnetx_relative_size"),
    "person/regnety": preset("person/regnety", steps=2),
    "person_face/face_r18": preset("person_face/face_r18"),
    "person_face/face_regnety": preset("person_face/face_regnety", steps=2),
    "person_face/ignore_unlabelled_r18": preset("person_face/ignore_unlabelled_r18", PARTLY),
    "person_face/merged_r18": preset("person_face/merged_r18", PARTLY, NO_CLIP, taught(LOW, TWICE)),
    "person_face/merged_regnetx_200mf": preset("person_face/merged_regnetx_200mf", PARTLY, NO_CLIP, taught(LOW, HIGH)),
    "person_face/merged_regnetx_400mf": preset("person_face/merged_regnetx_400mf", PARTLY, taught(LOW, HIGH)),
}
CASES = (
    PARTS
    | {f"preset {name}": case for name, case in PRESETS.items()}
    | {f"before/{name}.yaml": case for name, case in WRITTEN.items()}
)
