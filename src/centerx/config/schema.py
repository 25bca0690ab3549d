"""Every key of a configuration: its type, default and meaning. Strict and frozen; derived values are properties."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    create_model,
    field_validator,
    model_validator,
)

from centerx.errors import nearest
from centerx.geometry import INPUT_MULTIPLE, LARGEST_INPUT, LARGEST_SIDE
from centerx.joints import LARGEST_SIGMA, NO_JOINTS, Joints, default_sigmas, flip_by_pairs, twice_paired
from centerx.levels import AUTO, ValueRange, check_range
from centerx.problems import Kind, Policy
from centerx.tasks import POSE, TASKS, Task, make_task

FIELDS = {field.name: field for task in TASKS.values() for field in task.branches}  # all that have a branch
CARRIED = tuple(dict.fromkeys(field.name for task in TASKS.values() for field in task.carried))
Probability = Annotated[float, Field(ge=0, le=1)]
LARGEST = 10**9  # number, where nothing else bounds it: products of a few are still finite
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Side = Annotated[int, Field(gt=0, le=LARGEST_SIDE)]  # of what the network sees, in pixels
Channels = Annotated[int, Field(gt=0, le=8192)]
ClassName = Annotated[str, Field(min_length=1)]


def as_list(value: Any) -> Any:
    """One entry where a list of entries is due."""
    return [value] if isinstance(value, (str, dict)) else value


def as_mapping(value: Any) -> Any:
    """Names that stay as they are."""
    listed = isinstance(value, (list, tuple)) and all(isinstance(name, Hashable) for name in value)
    return {name: name for name in value} if listed else value


def as_renamings(value: Any) -> Any:
    """A mapping of names as a list of `theirs=ours`, which is hashable."""
    return [f"{theirs}={ours}" for theirs, ours in value.items()] if isinstance(value, dict) else value


def as_term_weights(value: Any) -> Any:
    """One number for all terms."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return dict.fromkeys(("heatmap", *FIELDS, "features"), value) if number else value


def different_names(value: tuple[str, ...]) -> tuple[str, ...]:
    """Class names of a model."""
    if not value or len(set(value)) != len(value):
        raise ValueError("must be a list of different names")
    return value


def paired_once(value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of joints."""
    twice = twice_paired(value)
    if twice is not None:
        raise ValueError(f"{twice!r} is in two pairs, a joint changes places with one other")
    return value


def input_multiples(value: tuple[int, int]) -> tuple[int, int]:
    """Sides that the network can halve five times."""
    if any(side % INPUT_MULTIPLE for side in value):
        raise ValueError(f"must be multiples of {INPUT_MULTIPLE}")
    if value[0] * value[1] > LARGEST_INPUT:
        raise ValueError(f"must have {LARGEST_INPUT} pixels at most")
    return value


def as_policies(value: Any) -> Any:
    """One word for all kinds of problems."""
    return {"all": value} if isinstance(value, str) else value


def known_kinds(value: dict[str, Policy]) -> dict[str, Policy]:
    """Kinds of problems by their words."""
    words = ["all", *(kind.code for kind in Kind)]
    for word in value:
        if word not in words:
            raise ValueError(f"{word!r} is no kind of problem{nearest(word, words)}, docs/data.md lists them")
    return value


def known_fields(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Names of fields of any task."""
    for name in value or ():
        if name not in CARRIED:
            there = ", ".join(CARRIED)
            raise ValueError(f"{name!r} is no field of an object{nearest(name, CARRIED)}, there are: {there}")
    return value


def known_task(value: str) -> str:
    """Name of a task."""
    if value not in TASKS:
        raise ValueError(f"there is no such task{nearest(value, TASKS)}, there are: {', '.join(TASKS)}")
    return value


def as_pair(value: Any) -> Any:
    """One side of a square."""
    return (value, value) if isinstance(value, int) else value


def as_meant(given: Any, taken: Any) -> None:
    """Raise where true or false was taken for a number, or a text holds a zero byte, which no path or name does."""
    if isinstance(given, bool) and not isinstance(taken, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(taken, str) and "\0" in taken:
        raise ValueError("holds a zero byte")
    if isinstance(given, (list, tuple)) and isinstance(taken, tuple) and len(given) == len(taken):
        for pair in zip(given, taken, strict=True):
            as_meant(*pair)
    if isinstance(given, dict) and isinstance(taken, dict):
        for key in given.keys() & taken.keys():
            as_meant(given[key], taken[key])


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, numbers are finite, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _as_meant(cls, given: Any, take: ValidatorFunctionWrapHandler) -> Any:
        taken = take(given)
        as_meant(given, taken)
        return taken


def field_figures(told: str, **defaults: float) -> Any:
    """A section with a number of at least 0 for each field that has a branch.

    Args:
        told: of each, before what the field is about.
        defaults: by field; `others` of those that are not named.
    """
    keys: dict[str, Any] = {
        name: (
            NonNegative,
            Field(defaults.get(name, defaults.get("others", field.weight)), description=f"{told}{field.about}"),
        )
        for name, field in FIELDS.items()
    }
    return create_model("FieldFigures", __base__=Section, **keys)


class DataEntry(Section):
    """One data set."""

    path: str = Field(description="file or folder; relative paths start where the command runs")
    split: str | None = Field(None, description="which split of the data set to read")
    classes: Annotated[tuple[str, ...] | None, BeforeValidator(as_renamings)] = Field(
        None,
        description="read only these classes; only these count as labelled, the others are unsupervised: a list of "
        "names, or its name -> the model's",
    )
    complete: bool = Field(
        False,
        description="classes of the model that the data set lacks are not on its pictures either and count as "
        "background; without it they are unsupervised",
    )
    fields: Annotated[tuple[str, ...] | None, BeforeValidator(as_list), AfterValidator(known_fields)] = Field(
        None,
        description="which fields of its objects are labelled beside the centre, such as [size]; [] for centres alone, "
        "where boxes are rough; without it all that the data set has",
    )
    corners_from_boxes: bool = Field(
        False,
        description="for tasks quads and rotated: an object without labelled corners has those of its box, which turn "
        "with the picture",
    )
    only_with_objects: bool = Field(
        False,
        description="leave out the pictures without a box of the classes read; an ignored box, such as a crowd, "
        "counts; without it they stay, as background",
    )
    joints: Annotated[tuple[str, ...], AfterValidator(different_names)] | None = Field(
        None, description="names of its joints in order, for data that has none or others; for task pose"
    )
    images: str | None = Field(None, description="folder of the pictures, where it cannot be found from the path")
    format: str | None = Field(None, description="format by name, where it cannot be recognised from the path")
    frame: Literal["upright", "stored"] = Field(
        "upright",
        description="what the boxes are of: the picture as a viewer shows it, or as it is stored, before its EXIF "
        "orientation is applied; such boxes are turned",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


Entries = Annotated[tuple[DataEntry, ...], BeforeValidator(as_list)]


class TileConfig(Section):
    """Training and its evaluation see tiles of larger pictures, where a size is set."""

    size: Annotated[tuple[Count, Count], BeforeValidator(as_pair)] = Field(
        description="height and width of a tile in pixels of the picture, or one side; it is resized to `input_size`"
    )
    overlap: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="least share of its sides that a tile has in common with the next"
    )
    min_visible: Probability = Field(
        0.3, description="an object of which a tile shows less than this share is ignored on that tile, not background"
    )


class DataConfig(Section):
    """Where pictures come from and what size the network sees."""

    train: Entries = Field((), description="data sets to train on")
    val: Entries = Field((), description="data sets to evaluate on while training")
    input_size: Annotated[tuple[Side, Side], BeforeValidator(as_pair), AfterValidator(input_multiples)] = Field(
        (512, 512), description="height and width of the input in pixels, multiples of 32"
    )
    range: Annotated[ValueRange, BeforeValidator(check_range)] = Field(
        AUTO,
        description="which values of pictures of more than 8 bits become black and white: auto, those of the file's "
        "type (0 and 65535 of 16 bits, 0 and 1 of floats that lie between); [LOW, HIGH], in the file's units; stretch, "
        "each picture's own percentiles 0.1 and 99.9. Model files carry it, and every command reads by it",
    )
    tiles: TileConfig | None = None
    max_megapixels: Positive | None = Field(
        None, description="the most of a picture in millions of pixels; 178 without it, as a file may be a trap"
    )
    balance: Probability = Field(
        0.0,
        description="a class on less than this share of the pictures is rare: a picture with it comes sqrt(balance / "
        "share) times an epoch, by its rarest class, and epochs grow by what is repeated; 0: each picture comes once",
    )
    workers: Annotated[int, Field(ge=0, le=1024)] = Field(
        2, description="processes that prepare pictures; 0: in the main one"
    )
    cache: Literal["none", "ram", "disk"] = Field(
        "none",
        description="keep training pictures decoded: ram, in memory that the workers share; disk, in `cache_folder`, "
        "which runs may share. It pays where pictures are much larger than the input, and for tiles; what is read "
        "stays the same to the bit",
    )
    cache_gigabytes: Positive = Field(
        4.0, description="the most that is kept; further pictures are decoded each time, which is told once"
    )
    cache_folder: str = Field(
        "~/.cache/centerx/pictures", description="of `cache: disk`; it may be removed at any time between runs"
    )
    broken_images: Literal["skip", "fail"] = Field(
        "skip",
        description="an unreadable picture is counted, named and replaced by another (skip), or ends the run (fail)",
    )
    on_problem: Annotated[dict[str, Policy], BeforeValidator(as_policies), AfterValidator(known_kinds)] = Field(
        {},
        description="what is wrong or doubtful in the data is told (warn), or ends the run before it starts (fail): "
        "one word for all kinds, or a word a kind, such as {all: warn, box_without_area: fail}; docs/data.md has the "
        "kinds",
    )

    @property
    def policies(self) -> dict[Kind, Policy]:
        """The action on each kind of problem."""
        general = self.on_problem.get("all", "warn")
        return {kind: self.on_problem.get(kind.code, general) for kind in Kind}


class AugmentConfig(Section):
    """Random changes of training pictures. Geometry is one matrix, applied once."""

    flip: Probability = Field(0.5, description="probability of a left-right flip")
    flip_vertical: Probability = Field(0.0, description="probability of an upside-down flip")
    scale: tuple[Positive, Positive] = Field(
        (0.7, 1.4), description="range of the zoom, relative to the whole picture fitting"
    )
    aspect: NonNegative = Field(0.0, description="largest relative change of width against height")
    shift: NonNegative = Field(0.1, description="largest shift, relative to the input's sides")
    rotate: NonNegative = Field(0.0, description="largest rotation in degrees")
    perspective: Annotated[float, Field(ge=0, lt=0.25)] = Field(
        0.0, description="largest shift of each of the picture's corners, relative to its sides"
    )
    crop: Literal["none", "relative", "relative_range"] = Field(
        "none",
        description="first cut out a window around an object: relative: of `crop_size` of the picture; relative_range: "
        "of that or more",
    )
    crop_size: tuple[Share, Share] = Field((0.6, 0.6), description="height and width of the window in shares")
    short_sides: tuple[Side, ...] = Field(
        (),
        description="multi-scale training: pixels of the shorter side, one of them chosen for each picture, instead of "
        "`data.input_size`; the picture is padded to multiples of 32 and to the largest of its batch",
    )
    short_sides_between: bool = Field(
        False, description="choose any number of pixels between the least and the largest of `short_sides`"
    )
    long_side: Side = Field(1333, description="with `short_sides`: the longer side has so many pixels at most")
    min_visible: Probability = Field(
        0.3,
        description="an object of which less than this share stays inside the input is ignored, not trained",
    )
    mosaic: Probability = Field(
        0.0, description="probability of four pictures in one, of those whose labels tell the same classes"
    )
    colour: tuple[dict[str, dict[str, Any]], ...] = Field(
        ({"ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}},),
        description="torchvision.transforms.v2 transforms by name, or Lighting, with their arguments and, with any, "
        "the probability p; applied in order",
    )


class NeckConfig(Section):
    """From backbone features to one map of stride 4."""

    type: Literal["fpn", "deconv", "dla_up", "dla_concat", "none"] = Field(
        "fpn",
        description="fpn: light top-down pyramid; deconv: of the original centerX; dla_up: iterative aggregation, as "
        "CenterNet has it on DLA-34; dla_concat: its earlier form, of plain convolutions; none: for the hourglass",
    )
    conv: Literal["plain", "deformable", "modulated", "none"] = Field(
        "plain",
        description="the 3x3 convolutions of deconv and dla_up; deformable: v1, modulated: v2; none: a deconv neck of "
        "transposed convolutions alone",
    )
    channels: Channels | tuple[Channels, ...] = Field(
        64,
        description="width of the output map; for deconv may list all three stages, such as [256, 128, 64]; dla_up, "
        "dla_concat and none keep the width of the backbone's finest map",
    )


class ModelConfig(Section):
    """The network."""

    backbone: str = Field(
        "resnet18", description="any timm model that gives feature maps, by its timm name; or hourglass"
    )
    pretrained: bool | str = Field(
        False,
        description="true: timm's own weights, from its cache or else downloaded; a path: a local checkpoint of the "
        "backbone",
    )
    last_stride: Literal[1, 2] = Field(
        2, description="of the backbone's last stage; 1: its map has stride 16, and a deconv neck two stages"
    )
    neck: NeckConfig = NeckConfig()
    head_channels: Channels = Field(64, description="width of the hidden layer of each branch")
    head: Literal["plain", "depthwise"] = Field(
        "plain",
        description="the hidden layer of each branch; plain: a 3x3 convolution; depthwise: a 5x5 one of each channel "
        "by itself and a 1x1 one, a tenth of the work",
    )
    lengths: Literal["number", "distribution"] = Field(
        "number",
        description="how width and height are said; distribution: as the mean of how likely each of 22 lengths is",
    )
    top_k: Annotated[int, Field(gt=0, lt=2**31)] = Field(100, description="the most detections of one picture")
    corner_order: Literal["canonical", "labelled"] = Field(
        "canonical",
        description="of task quads. canonical: clockwise from the corner nearest to the top left, whatever the labels "
        "say; labelled: as the labels have them, for objects with a top of their own, such as plates",
    )


class TermConfig(field_figures("of ", others=0.4)):  # type: ignore[misc]
    """A figure for each loss term."""

    heatmap: NonNegative = Field(1.2, description="of the heatmap")


class TeacherTermConfig(field_figures("of ", others=0.3)):  # type: ignore[misc]
    """A figure for each term of a teacher."""

    heatmap: NonNegative = Field(0.6, description="of the heatmap")
    features: NonNegative = Field(30.0, description="of the features")


class LossConfig(field_figures("weight of the L1 loss on ")):  # type: ignore[misc]
    """Weights and shapes of the loss terms."""

    heatmap: NonNegative = Field(1.0, description="weight of the loss on the heatmap")
    heatmap_type: Literal["focal", "mse"] = Field(
        "focal",
        description="focal: Objects as Points; mse: squared error, a mean over all cells and so in need of a large "
        "weight, such as 1000",
    )
    class_weights: dict[str, Positive] = Field(
        {}, description="factors of the heatmap's loss by class, such as {Platelets: 2}; 1 for the others"
    )
    relative_size: bool = Field(
        False, description="divide the error of width and height by the object's mean side, at least one cell"
    )
    balance: Literal["fixed", "constant", "uncertainty"] = Field(
        "fixed",
        description="fixed: the weights above; constant: every term is kept at its value of `loss.constant`; "
        "uncertainty: weights are learned, from the fixed ones on",
    )
    constant: TermConfig = TermConfig()
    min_overlap: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.3, description="IoU that a box shifted by the Gaussian's radius keeps; corrected formula"
    )
    reach: Annotated[int, Field(ge=0, le=64)] = Field(
        1,
        description="offset and fields, such as the size, are learned at cells up to this far from the centre cell; "
        "0: there alone",
    )
    point_radius: NonNegative = Field(
        2.0, description="radius in cells of the Gaussian of an object that is marked by a point, without a box"
    )


class TermWeights(field_figures("of ", others=1.0)):  # type: ignore[misc]
    """What the weights of `distill` are multiplied by for one teacher, and with `loss.balance: constant` its constants.

    A number instead, such as `weight: 2`, counts for all terms.
    """

    heatmap: NonNegative = Field(1.0, description="of the heatmap")
    features: NonNegative = Field(1.0, description="of the features")


class TeacherConfig(Section):
    """One teacher."""

    weights: str = Field(
        description="its model file, .safetensors, .onnx or .tflite; or what it found: a .json of detections, which "
        "is that of `predict --json`, a COCO data set with scores or COCO results, or a .sqlite of `distill.cache`"
    )
    adapter: dict[str, Any] | str | None = Field(
        None,
        description="how a detector of another project is read, docs/foreign.md: keys, or the path of a YAML file; "
        "without it the file NAME.adapter.yaml beside it, or the known families",
    )
    name: str | None = Field(None, description="for logs and errors; without it that of its file, or of its folder")
    classes: Annotated[dict[ClassName, ClassName] | None, BeforeValidator(as_mapping)] = Field(
        None,
        min_length=1,
        description="the classes to teach: a list of names, or its name -> the student's; without it, all it has",
    )
    weight: Annotated[TermWeights, BeforeValidator(as_term_weights)] = TermWeights()

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"weights": value} if isinstance(value, str) else value


class DistillConfig(field_figures("weight of the term of ")):  # type: ignore[misc]
    """What teachers teach, beside or instead of labels."""

    teachers: Annotated[tuple[TeacherConfig, ...], BeforeValidator(as_list)] = Field(
        (), description="model files that each teach some classes"
    )
    cache: bool | Annotated[str, Field(min_length=1)] = Field(
        True,
        description="a teacher that gives boxes (any model file but .safetensors) is asked once a picture, as the "
        "picture is, and its boxes follow the augmentation; they are kept in `teachers` of the run folder (true) or in "
        "a folder that runs may share (its path); false: it is asked anew about each augmented picture",
    )
    labels: bool = Field(
        True, description="labels teach too the classes that have a teacher, on the pictures that label them"
    )
    loss: Literal["response", "article"] = Field(
        "response",
        description="response: every cell learns the teacher's probability; article: as the original centerX has it",
    )
    relative_size: bool = Field(False, description="article: divide the error of the size by the teacher's size")
    heatmap: NonNegative = Field(
        5.0, description="weight of the heatmap's term of each teacher; some 1000 with loss: article"
    )
    features: NonNegative = Field(
        100.0,
        description="weight, falling to 0 over the run, of what the student's features fail to hold of a network "
        "teacher's; 0: not compared",
    )
    constant: TeacherTermConfig = TeacherTermConfig()
    shared: str | None = Field(
        None,
        description="who teaches a class that several teachers know: average; by_ap, weighed by the AP of each on "
        "`data.val`; fuse, the boxes of teachers that are asked once a picture joined to one set; or the name of "
        "one of them",
    )
    calibrate: bool = Field(
        False,
        description="the scores of each teacher's class become rates of right detections, by a rising curve that is "
        "fitted on `data.val`",
    )
    until: Probability = Field(
        1.0, description="share of the run after which labels alone teach; below 1, data sets must label every class"
    )


class OptimizerConfig(Section):
    """How weights move."""

    name: str = Field(
        "adamw",
        description="adamw, adam, sgd (Nesterov), rangerlars, or any optimiser of timm by its name, such as momentum "
        "(SGD without Nesterov), radam, lamb or lookahead_adamw",
    )
    lr: Positive = Field(1e-3, description="peak learning rate")
    weight_decay: NonNegative = Field(0.05, description="weight decay; not applied to norms and biases")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="momentum, Adam's first beta")


class ScheduleConfig(Section):
    """How the learning rate moves; all times are shares of the run."""

    name: Literal["cosine", "multistep", "delayed_cosine"] = Field("cosine", description="shape after the warm-up")
    warmup: Probability = Field(0.03, description="share of the run with a linearly rising rate")
    steps: tuple[Probability, ...] = Field(
        (0.7, 0.9), description="multistep: shares of the run at which the rate falls"
    )
    gamma: Probability = Field(0.1, description="multistep: factor of each fall")
    delay: Probability = Field(0.5, description="delayed_cosine: share of the run at the peak rate before the cosine")
    final: Probability = Field(0.01, description="rate at the end, relative to the peak")


class TrainConfig(Section):
    """One training run."""

    epochs: Count = Field(100, description="passes over the training data")
    batch_size: Count = Field(8, description="pictures a step, over all processes together")
    accumulate: Count = Field(
        1,
        description="parts in which the pictures of a step go through the network one after another, in the memory of "
        "one part; batch norms and the divisors of losses see a part",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="all randomness derives from it")
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.998, description="decay of the moving average of weights that is evaluated and saved; 0: none"
    )
    swa: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of the run at its end whose weights are averaged, equally, once an epoch, instead of `ema`, "
        "after the schedule has run its course; 0: none",
    )
    swa_rates: tuple[Positive, NonNegative] | None = Field(
        None,
        description="rates, relative to the peak, between which a cosine falls in each epoch that `swa` averages; "
        "without it the rate stays at `schedule.final`",
    )
    max_not_finite: Count = Field(
        10,
        description="a step whose loss or gradient is not finite is left out, and its pictures are named; after so "
        "many in a row the run ends",
    )
    skip_jumps: NonNegative = Field(
        0.0, description="leave out steps whose loss is more than so many times its running mean; 0: none"
    )
    clip_value: NonNegative = Field(
        0.0, description="largest magnitude of each component of the gradient, cut before `clip_norm`; 0: no clipping"
    )
    clip_each: NonNegative = Field(
        0.0,
        description="largest norm of the gradient of each weight tensor by itself, cut before `clip_norm`; 0: no "
        "clipping",
    )
    clip_norm: NonNegative = Field(10.0, description="largest norm of the gradient; 0: no clipping")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where it saves time")
    channels_last: bool = Field(True, description="memory layout with channels innermost, faster in convolutions")
    sync_bn: bool = Field(True, description="with several processes, batch norms see the whole batch")
    frozen_bn: bool = Field(
        False, description="batch norms of the backbone keep statistics and factors as they are, for pretrained weights"
    )
    frozen: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(
        (),
        description="parts of the network that stay as they start, with the statistics of their batch norms: names "
        "such as backbone, neck, head.size; for new branches on a trained network",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    val_every: Count = Field(10, description="epochs between evaluations; the last epoch is always evaluated")
    report: bool = Field(
        True,
        description="write a page of the best model's curves, confusions and worst mistakes on the validation data "
        "into the folder `report` at the end",
    )
    patience: Annotated[int, Field(ge=0, le=LARGEST)] = Field(
        0,
        description="end the run after so many evaluations in a row without a better AP; the schedule is that of "
        "`epochs` all the same; 0: never",
    )
    init: str | None = Field(
        None,
        description="model file whose weights to start from; of other classes, joints, lengths or another task, what "
        "both have is carried over by name",
    )


class JointsConfig(Section):
    """The joints of task pose."""

    names: Annotated[tuple[str, ...], AfterValidator(different_names)] | None = Field(
        None, description="in order; without it, all that training data and teachers have"
    )
    classes: dict[str, tuple[str, ...]] | None = Field(
        None, description="the joints of each class, where not all have all; without it, as in the data"
    )
    pairs: Annotated[tuple[tuple[str, str], ...], AfterValidator(paired_once)] | None = Field(
        None,
        description="joints that change places in a mirror image; without it, as the data say, or by left and right in "
        "the names",
    )
    skeleton: tuple[tuple[str, str], ...] | None = Field(
        None, description="joints to draw a line between; without it, as in the data"
    )
    sigmas: dict[str, Annotated[float, Field(gt=0, lt=LARGEST_SIGMA)]] = Field(
        {},
        description="of COCO's similarity of keypoints, such as {nose: 0.026}; of others that of a teacher that knows "
        "the joint, else that of COCO's joint of this name, else 0.05",
    )


class Config(Section):
    """A whole run."""

    task: Annotated[str, AfterValidator(known_task)] = Field(
        "boxes",
        description="what an object is: boxes: a centre with a width and a height; center: its centre alone, a point, "
        "for counting; quads: four corners; rotated: a box that is turned; pose: a box with joints",
    )
    classes: Annotated[tuple[str, ...], AfterValidator(different_names)] | None = Field(
        None, description="the model's class names, in order; without it, all that the training data declares"
    )
    joints: JointsConfig = JointsConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    distill: DistillConfig = DistillConfig()
    train: TrainConfig = TrainConfig()

    @property
    def made_task(self) -> Task:
        """The task."""
        return make_task(self.task, self.model.corner_order, self.made_joints)

    @property
    def made_joints(self) -> Joints:
        """The joints of task pose; complete once they are resolved."""
        if self.task != POSE.name or self.joints.names is None:
            return NO_JOINTS
        own, names = self.joints, self.joints.names
        classes: tuple[tuple[int, ...], ...] = ()
        if own.classes is not None and self.classes is not None:
            of_class = [own.classes.get(name, ()) for name in self.classes]
            classes = tuple(tuple(sorted(map(names.index, some))) for some in of_class)
        sigmas = dict(zip(names, default_sigmas(names), strict=True)) | own.sigmas
        return Joints(
            names,
            () if own.pairs is None else flip_by_pairs(names, own.pairs),
            tuple((names.index(first), names.index(second)) for first, second in own.skeleton or ()),
            tuple(sigmas[name] for name in names),
            classes,
        )
