"""A configuration -> the network; a model file -> the network and back."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from centerx.config import Config, dump_config, flat, parse_text
from centerx.config.schema import NeckConfig
from centerx.detector import Detector, MirrorDetector, to_numpy
from centerx.errors import InputError
from centerx.fields import Lengths
from centerx.geometry import INPUT_MULTIPLE
from centerx.model_file import read_model, save_model
from centerx.models import Backbone, CenterHead, CenterNet, DeconvNeck, DlaConcatNeck, DlaUpNeck, FpnNeck, NoNeck
from centerx.models.centernet import CLASS_PARAMETERS, JOINT_PARAMETERS
from centerx.models.neck import Neck
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.info import ModelInfo
from centerx.types import RawDetections

WEIGHTLESS = {"model.pretrained", "model.top_k"}  # keys that change no shape
BRANCHES_ALONE = {"task", "model.corner_order", "model.lengths"}  # keys that change branches alone
MOST_NAMED = 5  # classes or joints in a message

logger = logging.getLogger(__name__)


def build_model(config: Config) -> CenterNet:
    """Return the network, freshly initialised; `config.classes` must be set."""
    assert config.classes is not None
    model = config.model
    backbone = Backbone(model.backbone, model.pretrained, model.last_stride)
    neck = build_neck(model.neck, backbone)
    task = config.made_task
    head = CenterHead(
        neck.out_channels,
        len(config.classes),
        model.head_channels,
        task.branches,
        model.head,
        model.lengths == "distribution",
    )
    return CenterNet(backbone, neck, head, task)


def build_neck(config: NeckConfig, backbone: Backbone) -> Neck:
    """Return the neck that suits the backbone's maps.

    Raises:
        InputError: they do not go together.
    """
    width, coarsest = config.channels, backbone.strides[-1]
    if config.type == "deconv":
        due = (coarsest // CenterNet.stride).bit_length() - 1
        widths = width if isinstance(width, tuple) else (width,) * due
        if len(widths) != due or not due:
            raise InputError(
                f"model.neck.channels: from stride {coarsest} a deconv neck has {due} stages, not {len(widths)}, list "
                "a width each"
            )
        return DeconvNeck(backbone.channels, widths, config.conv)
    if isinstance(width, tuple):
        raise InputError(f"model.neck.channels: {config.type} has one width, not a list, give a number")
    if config.type in ("dla_up", "dla_concat"):
        if backbone.strides != [4, 8, 16, 32]:
            raise InputError(
                f"model.neck.type: {config.type} needs maps of strides 4 to 32, not {backbone.strides}, choose fpn"
            )
        if config.type == "dla_up" and config.conv != "none":
            return DlaUpNeck(backbone.channels, config.conv)
    if config.conv != "plain":
        what = "cannot do without" if config.conv == "none" else f"has no {config.conv}"
        raise InputError(f"model.neck.conv: {config.type} {what} convolutions, choose plain or another model.neck.type")
    if config.type == "dla_concat":
        return DlaConcatNeck(backbone.channels)
    if config.type == "none":
        if backbone.strides != [CenterNet.stride]:
            raise InputError("model.neck.type: none is for the hourglass alone, choose another neck")
        return NoNeck(backbone.channels)
    if any(coarse != 2 * fine for fine, coarse in pairwise(backbone.strides)):
        raise InputError(
            f"model.neck.type: fpn needs maps of doubling strides, not {backbone.strides}, set model.last_stride=2 or "
            "choose deconv"
        )
    return FpnNeck(backbone.channels, width)


def build_detector(config: Config) -> Detector:
    """Return network and decoder."""
    return Detector(build_model(config), config.model.top_k)


def require_sizes(detector: Detector, config: Config) -> None:
    """Try a network on pictures of a run: of its input's size, and where `augment.short_sides` vary it, of another.

    Raises:
        InputError: the backbone does not take them.
    """
    height, width = config.data.input_size
    for more in (0, INPUT_MULTIPLE) if config.augment.short_sides else (0,):
        detector.model.backbone.require_maps((height + more, width + more))


def model_info(config: Config) -> ModelInfo:
    """Return what a model file says of itself."""
    assert config.classes is not None
    data, top_k = config.data, config.model.top_k
    return ModelInfo(
        config.classes,
        data.input_size,
        CenterNet.stride,
        top_k=top_k,
        value_range=data.range,
        task=config.task,
        corner_order=config.model.corner_order,
        joints=config.made_joints,
    )


def load_detector(path: Path) -> tuple[Detector, ModelInfo]:
    """Read a model file of this project.

    Raises:
        InputError: the file is missing, corrupt, or its weights do not fit its configuration.
    """
    state, info, config = read_with_config(path)
    detector = build_detector(untrained(config))
    load_weights(detector, state, path)
    return detector.eval(), info


def untrained(config: Config) -> Config:
    """Return a configuration whose network starts from no other weights."""
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": False})})


def require_network(config: Config, state: Mapping[str, torch.Tensor], where: Path) -> None:
    """Raise unless weights are of the network that a configuration describes, before memory is taken for it.

    Raises:
        InputError: a tensor does not fit, or there is no such network.
    """
    try:
        with torch.device("meta"):
            model = build_detector(config).model
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        if "meta" in str(error):  # of a backbone that computes something when it is made
            return
        raise InputError(f"{where}: its network cannot be built ({' '.join(str(error).split())[:200]})") from None
    require_same_tensors(model.state_dict(), state, where)


def require_same_tensors(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], where: Path) -> None:
    """Raise, naming the first tensor, unless both have the same names and shapes, and whole numbers in the same."""
    wrong = sorted(own.keys() ^ state.keys()) + [
        name
        for name in own.keys() & state.keys()
        if own[name].shape != state[name].shape or own[name].is_floating_point() != state[name].is_floating_point()
    ]
    if wrong:
        raise InputError(f"{where}: {len(wrong)} tensors are missing, extra or misshapen, the first is {wrong[0]!r}")


def read_with_config(path: Path) -> tuple[dict[str, torch.Tensor], ModelInfo, Config]:
    """A model file's weights, its description and the configuration that it carries.

    Raises:
        InputError: the file is missing or corrupt, or description, configuration and weights differ.
    """
    shapes, info, text = read_model(path, weights=False)
    config = parse_text(text, f"{path} (its configuration)")
    for what, told, due in (
        ("classes", info.class_names, config.classes),
        ("joints", info.joints.names, config.made_joints.names),
        ("sides of the input", info.input_hw, config.data.input_size),
        ("stride", info.stride, CenterNet.stride),
        ("range", info.value_range, config.data.range),
    ):
        if told != due:
            raise InputError(
                f"{path}: its metadata names other {what} than its configuration, take a file as it was written"
            )
    require_network(untrained(config), shapes, path)
    # Files of before say these there alone.
    return read_model(path)[0], info._replace(top_k=config.model.top_k, task=config.task), config


def load_weights(detector: Detector, state: dict[str, torch.Tensor], where: Path) -> None:
    """Load weights, naming the first tensor that does not fit."""
    require_same_tensors(detector.model.state_dict(), state, where)
    detector.model.load_state_dict(state)


def start_from(detector: Detector, path: Path, config: Config) -> None:
    """Load the weights of an earlier model: branches, classes and joints that both have are carried over by name.

    Its task may be another one. What it lacks stays fresh, and what it has beyond is left out; both are logged.

    Args:
        detector: of `config`, whose weights to replace.
        path: of the earlier model.
        config: of the run.

    Raises:
        InputError: the file is no model of this project, or of another network.
    """
    assert config.classes is not None
    state, info, former = read_with_config(path)
    fresh, task, former_task = detector.model.state_dict(), detector.model.task, info.made_task
    for names, former_names, parameters in (
        (config.classes, info.class_names, CLASS_PARAMETERS),
        (task.joints.names, info.joints.names, JOINT_PARAMETERS),
    ):
        for key in (f"head.{name}" for name in parameters):
            if key in state and key in fresh and fresh[key].shape[1:] == state[key].shape[1:]:
                state[key] = rows_by_name(fresh[key], names, state[key], former_names)
    branches, former_branches = (
        {field.name: field.kind is Lengths and each.model.lengths for field in its.branches}
        for each, its in ((config, task), (former, former_task))
    )
    new, gone = (
        [name for name, said in these.items() if others.get(name) != said]
        for these, others in ((branches, former_branches), (former_branches, branches))
    )
    state = {key: value for key, value in state.items() if not key.startswith(heads(gone))}
    state |= {key: value for key, value in fresh.items() if key.startswith(heads(new))}
    try:
        load_weights(detector, state, path)
    except InputError:
        differing = [
            each for each in network_differences(config, former) if each.partition("=")[0] not in BRANCHES_ALONE
        ]
        if not differing:
            raise
        raise InputError(
            f"train.init: {path} is of another network, choose another or set {shlex.join(differing)}"
        ) from None
    shared = ["heatmap", *(name for name in branches if name not in new)]
    unlike = {
        "fresh": [*new, *news("class", config.classes, info.class_names)]
        + ([] if new or not task.joints.names else news("joint", task.joints.names, info.joints.names)),
        "left out": [name for name in gone if name not in branches],
    }
    if any(unlike.values()):
        told = [f"{what}: {', '.join(names)}" for what, names in unlike.items() if names]
        logger.info(f"train.init: {path}: taken: backbone, neck, {', '.join(shared)}; {'; '.join(told)}")


def rows_by_name(
    fresh: torch.Tensor, names: Sequence[str], former: torch.Tensor, former_names: Sequence[str]
) -> torch.Tensor:
    """Return `fresh`, whose rows are those of some names in order, with the rows of `former` for the names it shares.

    Args:
        fresh: (N R, ...), R rows for each of N names.
        names: of its rows.
        former: (M R, ...) of other names.
        former_names: of its rows.
    """
    shared = [name for name in names if name in former_names]
    here, there = (
        torch.tensor([each.index(name) for name in shared], dtype=torch.int64)
        for each in (list(names), list(former_names))
    )
    own, other = fresh.unflatten(0, (len(names), -1)), former.unflatten(0, (len(former_names), -1))
    return own.index_copy(0, here, other[there]).flatten(0, 1)


def heads(branches: Sequence[str]) -> tuple[str, ...]:
    """Return how the keys of the parameters of branches begin."""
    return tuple(f"head.{name}." for name in branches)


def news(what: str, names: Sequence[str], former_names: Sequence[str]) -> list[str]:
    """Return the names that were not there before, as words."""
    fresh = [name for name in names if name not in former_names]
    return [f"{what} {name}" for name in fresh[:MOST_NAMED]] + (["..."] if len(fresh) > MOST_NAMED else [])


def network_differences(config: Config, other: Config) -> list[str]:
    """Return the `key=value` of another configuration that make its network another one, whatever its classes."""
    ours, theirs = (
        dict(flat(each.model_dump(mode="json", include={"task": True, "model": True}))) for each in (config, other)
    )
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in theirs.items()
        if key not in WEIGHTLESS and value != ours[key]
    ]


def save_named(folder: Path, config: Config, detector: Detector, name: str) -> None:
    """Write `name`.safetensors into the run folder."""
    save_model(folder / f"{name}.safetensors", detector, model_info(config), dump_config(config))


class TorchSession:
    """A model file run by torch, in float32: the runtime's interface, for pictures of any size.

    Args:
        path: a `.safetensors` model file.
        mirror: look at each picture and its mirror image.
        compute: threads, those of torch in the whole process, and one device, cpu or cuda.

    Raises:
        InputError: the file is unusable, or the device is not there.
    """

    any_size = True
    takes_picture_hw = True

    def __init__(self, path: Path, mirror: bool = False, compute: Compute = PLAIN) -> None:
        here = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        self.device = torch.device(compute.choose_one("torch", here))
        if compute.threads is not None:
            torch.set_num_threads(compute.threads)
        detector, self.info = load_detector(path)
        self.detector = (MirrorDetector(detector) if mirror else detector).to(self.device)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels."""
        sizes = None if picture_hw is None else torch.from_numpy(picture_hw).to(self.device)
        return to_numpy(self.detector(torch.from_numpy(images).to(self.device), sizes))

    @torch.inference_mode()
    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        """(B, 3, H, W) uint8 RGB -> (B, C, h, w) float32 probabilities, not those of mirror images."""
        return self.detector.model(torch.from_numpy(images).contiguous()).heatmap.float().sigmoid().numpy()


def open_session(path: Path, compute: Compute = PLAIN) -> TorchSession:
    """What the runtime calls for `.safetensors` files."""
    return TorchSession(path, compute=compute)
