"""Convert a checkpoint of another code base to a model file, or to weights of a backbone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from centerx.build_model import build_detector, model_info
from centerx.config import Config, dump_config
from centerx.config.load import parse_config
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.files import write_atomic
from centerx.interop import backbones
from centerx.interop.centernet import CENTERNET
from centerx.interop.centerx import BETTER, CENTERX
from centerx.interop.checkpoint import read_checkpoint
from centerx.interop.source_code import Network, SourceCode, rows
from centerx.model_file import save_model
from centerx.runtime.foreign.names import COCO_NAMES

logger = logging.getLogger(__name__)

SOURCE_CODES = (CENTERX, BETTER, CENTERNET)
LISTED = 6  # largest number of tensor names of each kind in an error
PREFIX = "backbone.net."  # our prefix of timm's names
LAST = "head.heatmap.2.weight"  # our name of the last layer, which has a row for each class


class Pixels(NamedTuple):
    """Preprocessing of pixels in a network.

    Attributes:
        colour: order of channels, `RGB` or `BGR`.
        mean: mean of pixels in [0, 1], in that order.
        std: standard deviation of pixels in [0, 1], in that order.
    """

    colour: str
    mean: Sequence[float]
    std: Sequence[float]


def import_checkpoint(
    path: Path,
    out: Path,
    class_names: Sequence[str] | None = None,
    colour: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    ema: bool | None = None,
) -> str:
    """Convert a checkpoint and return a line that describes it.

    Warnings say what is left out, and which of several weights are read.

    Args:
        path: checkpoint of CenterNet, centerX, CenterNet-better(-plus), or of a bare backbone.
        out: model file to write; for a bare backbone, a file of its weights by timm's names, for `model.pretrained`.
        class_names: names of the heatmap's channels; for 80 channels the default are those of COCO.
        colour: order of channels in training, if it is not the published one.
        mean: mean of pixels in training, if it is not the published one.
        std: standard deviation of pixels in training, if it is not the published one.
        ema: whether to use the moving average of the weights. Default: if there is one.

    Raises:
        InputError: the file is not such a checkpoint, or its tensors do not fit.
    """
    state = read_checkpoint(path, ema)
    if LAST in state:
        raise InputError(f"{path}: is a model of this program already, use it as it is")
    try:
        state, code, network = recognise(state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if network is None:
        known = "; ".join(f"{code.name} ({code.networks})" for code in SOURCE_CODES)
        raise InputError(
            f"{path}: unknown architecture, known are: {known}; backbones: ResNet, RegNet and MobileNet v2 of "
            f"torchvision or timm, {', '.join(backbones.OTHERS)} of timm"
        )
    if network.left:
        logger.warning(f"{path}: {network.name} has more than a detector, left out: {', '.join(network.left)}")
    if code is None:
        return save_backbone(out, state, network, path)
    due = network.pixels or (code.mean, code.std)
    pixels = Pixels(colour or code.colour, mean or due[0], std or due[1])
    detector, config = convert(state, network, class_names, pixels, path)
    note = {"code": code.name, "network": network.name, **pixels._asdict(), "resize": code.resize}
    save_model(out, detector, model_info(config)._replace(origin=json.dumps(note)), dump_config(config))
    return f"{code.name}, {network.name}, {len(config.classes or ())} classes, {pixels.colour} pixels"


def save_backbone(out: Path, state: Mapping[str, Tensor], network: Network, where: Path) -> str:
    """Write the weights of a bare backbone by timm's names; return a line that describes it."""
    own = {PREFIX + name: value for name, value in backbones.timm_state(network.model["backbone"]).items()}
    weights = {name: torch.zeros_like(value, device="cpu") for name, value in own.items()}
    weights |= select(state, network, own, where)
    write_atomic(out, save({name.removeprefix(PREFIX): value.contiguous() for name, value in weights.items()}))
    return f"backbone {network.name}, for model.pretrained of model.backbone={network.model['backbone']}"


def recognise(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], SourceCode | None, Network | None]:
    """Recognise the code base and the network of a checkpoint.

    Args:
        state: tensors by name.

    Returns:
        The tensors without a common prefix of their names, the code base and the network. The last two are None if they
        are unknown.

    Raises:
        InputError: the network is known and not a detector.
    """
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for code in SOURCE_CODES:
        if network := code.recognise(shapes):
            return state, code, network
    if network := backbones.recognise(shapes):
        return state, None, network
    first, *others = {name.partition(".")[0] for name in state}
    start = f"{first}."
    if others or not all(name.startswith(start) for name in state):
        return state, None, None
    return recognise({name.removeprefix(start): value for name, value in state.items()})


def convert(
    state: Mapping[str, Tensor], network: Network, class_names: Sequence[str] | None, pixels: Pixels, where: Path
) -> tuple[Detector, Config]:
    """Build a detector and fill it with the weights of a checkpoint.

    Args:
        state: tensors by name in the other code base.
        network: the network that was recognised.
        class_names: names of the heatmap's channels, or None.
        pixels: preprocessing of its training.
        where: the checkpoint, for messages.

    Raises:
        InputError: the number of names is not that of the classes, or tensors do not fit.
    """
    last = network.theirs(LAST)
    shapes = {last: tuple(state[last].shape)} if last in state else {}
    usual = network.class_names or COCO_NAMES
    count = rows(shapes, last, len(class_names or usual))
    numbers = [str(number) for number in range(count)]  # tensors are checked before names
    config = parse_config({"classes": numbers, "model": network.model, **network.others}, where)
    detector = build_detector(config).eval()
    own = detector.model.state_dict()
    weights = select(state, network, own, where)
    config = config.model_copy(update={"classes": tuple(name_classes(count, class_names, usual, where))})
    stem = next(name for name, value in own.items() if name.startswith(PREFIX) and value.ndim == 4)
    mean, std = (torch.tensor(each, dtype=torch.float32).view(1, 3, 1, 1) * 255 for each in pixels[1:])
    if pixels.colour == "BGR":
        weights[stem], mean, std = weights[stem].flip(1), mean.flip(1), std.flip(1)
    detector.model.load_state_dict(own | weights | {"backbone.mean": mean, "backbone.std": std})
    return detector, config


def name_classes(count: int, given: Sequence[str] | None, usual: Sequence[str], where: Path) -> list[str]:
    """Return the names of `count` classes: those given, else the usual ones where there are so many."""
    if given is not None and len(given) != count:
        raise InputError(
            f"--classes: {len(given)} names, but the heatmap of {where} has {count} channels, name them all"
        )
    if given is None and count != len(usual):
        raise InputError(f"{where}: its {count} classes have no names in it, give them by --classes a,b,c or a file")
    return list(given or usual)


def select(state: Mapping[str, Tensor], network: Network, own: Mapping[str, Tensor], where: Path) -> dict[str, Tensor]:
    """Return our tensors by name, with the values of a checkpoint.

    A bias of the neck before a batch norm is subtracted from the running mean, which has the same effect.

    Raises:
        InputError: tensors are missing, unexpected or of another shape; they are named as in the checkpoint.
    """
    names = {name: network.theirs(name) for name in own if not name.startswith(("backbone.mean", "backbone.std"))}
    biases = {
        f"{name.removesuffix('0.weight')}1.running_mean": f"{theirs.removesuffix('weight')}bias"
        for name, theirs in names.items()
        if network.biased and name.startswith("neck.") and name.endswith(".0.weight")
    }
    biases = {name: theirs for name, theirs in biases.items() if name in own}
    due = [theirs for name, theirs in names.items() if not name.endswith("num_batches_tracked")]
    missing = [theirs for theirs in (*due, *biases.values()) if theirs not in state]
    used = {*names.values(), *biases.values()}
    extra = [
        name
        for name in state
        if name not in used and not network.ignores(name) and not name.endswith("num_batches_tracked")
    ]
    misshapen = [
        f"{theirs} {tuple(state[theirs].shape)} where {tuple(own[name].shape)} is due"
        for name, theirs in (*names.items(), *biases.items())
        if theirs in state and state[theirs].shape != own[name].shape
    ]
    problems = {"missing": missing, "extra": extra, "misshapen": misshapen}
    if any(problems.values()):
        told = "; ".join(f"{kind}: {_some(found)}" for kind, found in problems.items() if found)
        raise InputError(f"{where}: the tensors are not those of {network.name}: {told}")
    weights = {name: state[theirs] for name, theirs in names.items() if theirs in state}
    for name, theirs in biases.items():
        weights[name] = weights[name] - state[theirs]
    return weights


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
