"""Backbones: timm models with feature maps, and the hourglass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from centerx.checkpoint_file import read_mapping
from centerx.errors import InputError, nearest
from centerx.models.hourglass import Hourglass

OWN = {"hourglass": Hourglass}
HUB_FILES = "model.safetensors", "pytorch_model.bin"  # of a model on the hub, in the order in which timm looks
HUB_SECONDS = 5.0  # to wait for an answer of the hub, before timm tries for a minute
PROBE = 64  # side in pixels of the picture that is used to find the strides of layers


class Backbone(nn.Module):
    """Network from uint8 RGB pixels to feature maps of strides 4, 8, 16 and 32, finest first, or 4 of an hourglass.

    It normalises pixels itself, with the mean and the standard deviation of the timm model.

    Args:
        name: name of a timm model, or `hourglass`.
        pretrained: True for timm's weights, from the hub's cache or else its server; a path to load a local checkpoint;
            False for random weights.
        last_stride: 2, or 1 to remove the last downsampling, so that the last map has stride 16; no dilation is added.

    Attributes:
        channels: number of channels of each map.
        strides: stride of each map in pixels.

    Raises:
        InputError: the name is unknown, the model has no feature maps or cannot do without its last stride, or the
            weights do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, pretrained: bool | str = False, last_stride: int = 2) -> None:
        super().__init__()
        self.name = name
        self.net = _create(name, pretrained)
        info = self.net.feature_info
        self.channels: list[int] = list(info.channels())
        self.strides: list[int] = list(info.reduction())
        for key in ("mean", "std"):  # buffers, so that a model file contains its normalisation
            value = torch.tensor(self.net.pretrained_cfg[key]) * 255
            self.register_buffer(key, value.view(1, 3, 1, 1))
        if last_stride == 1:
            self._undo_last_stride()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) uint8 -> maps (B, channels[i], H / strides[i], W / strides[i])."""
        return self.net((images.to(self.mean.dtype) - self.mean) / self.std)

    @torch.no_grad()
    def _undo_last_stride(self) -> None:
        """Set the stride of every layer between strides 16 and 32 to 1, and check the shapes of the maps."""
        halving: list[Any] = []

        def look(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if (inputs[0].shape[-1], output.shape[-1]) == (PROBE // 16, PROBE // 32):
                halving.append(layer)

        layers = [layer for layer in self.net.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
        hooks = [layer.register_forward_hook(look) for layer in layers]
        self.require_maps((PROBE, PROBE))
        for hook in hooks:
            hook.remove()
        for layer in halving:
            layer.stride = (1, 1)
            if not isinstance(layer, nn.Conv2d) and layer.kernel_size in (2, (2, 2)):
                layer.kernel_size = 1  # a pooling of 2x2 cells has nothing left to pool
        self.strides[-1] //= 2
        try:
            self.require_maps((PROBE, PROBE))
        except InputError:
            raise InputError(
                f"model.last_stride: {self.name!r} cannot do without its last stride, set it to 2"
            ) from None

    @torch.no_grad()
    def require_maps(self, input_hw: tuple[int, int]) -> None:
        """Run one picture, and check the shapes of the maps.

        Many models take one input size only, and some round the sizes of their maps in another way.

        Args:
            input_hw: height and width of the picture in pixels.

        Raises:
            InputError: the model fails, or the maps do not have the strides that timm states.
        """
        training = self.training
        try:
            maps = self.eval()(torch.zeros((1, 3, *input_hw), dtype=torch.uint8, device=self.mean.device))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise InputError(
                f"model.backbone: {self.name!r} does not take pictures of {input_hw[0]} x {input_hw[1]} pixels "
                f"({error}), choose another data.input_size or a convolutional model"
            ) from None
        finally:
            self.train(training)
        for features, channels, stride in zip(maps, self.channels, self.strides, strict=True):
            due = (channels, *(side // stride for side in input_hw))
            if features.shape[1:] != due:
                raise InputError(
                    f"model.backbone: {self.name!r} gives a map of {tuple(features.shape[1:])} where (channels, "
                    f"height, width) {due} are needed, choose another model"
                )


def _create(name: str, pretrained: bool | str) -> Any:
    if name in OWN:
        if pretrained:
            raise InputError(f"model.pretrained: {name!r} is no timm model, start from a model file by train.init")
        return OWN[name]()
    known = timm.list_models()
    if name.split(".")[0] not in known:
        raise InputError(
            f"model.backbone: unknown timm model {name!r}{nearest(name, known)}, `timm.list_models()` lists them"
        )
    try:
        probe: Any = timm.create_model(name, features_only=True, pretrained=False)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise InputError(
            f"model.backbone: {name!r} gives no feature maps ({error}), choose a convolutional model"
        ) from None
    info = probe.feature_info  # the last map of each stride is used
    wanted = {stride: index for index, stride in zip(info.out_indices, info.reduction(), strict=True) if stride >= 4}
    if list(wanted) != [4, 8, 16, 32]:
        raise InputError(f"model.backbone: {name!r} has maps of strides {list(wanted)}, 4, 8, 16 and 32 are needed")
    build = partial(timm.create_model, name, features_only=True, out_indices=tuple(wanted.values()))
    if not pretrained:
        return build(pretrained=False)
    if pretrained is True:
        try:
            cached = _cached(probe.pretrained_cfg)
            if cached is None:
                _require_hub(probe.pretrained_cfg)
            return build(pretrained=True, **({} if cached is None else _from_file(cached)))
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"model.pretrained: no weights for {name!r} ({error}); check the connection, or give a local file"
            ) from None
    _check_weights(name, pretrained)
    return build(pretrained=True, **_from_file(pretrained))


def _from_file(path: str) -> dict[str, Any]:
    """Arguments of timm to load weights from a file."""
    return {"pretrained_cfg_overlay": {"file": path, "hf_hub_id": None, "url": ""}}


def _cached(origin: Mapping[str, Any]) -> str | None:
    """The file of timm's weights in the hub's cache, for which no server is asked; None where it is not there."""
    hub, _, revision = (origin.get("hf_hub_id") or "").partition("@")
    if not hub:
        return None
    named = origin.get("hf_hub_filename")
    found = (try_to_load_from_cache(hub, name, revision=revision or None) for name in ([named] if named else HUB_FILES))
    return next((path for path in found if isinstance(path, str)), None)


def _require_hub(origin: Mapping[str, Any]) -> None:
    """Raise OSError unless the server that has timm's weights answers."""
    if not origin.get("hf_hub_id"):
        return
    if constants.HF_HUB_OFFLINE:
        raise OSError(f"not in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set")
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=HUB_SECONDS).close()
    except HTTPError:
        return  # an answer
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise OSError(f"not in {constants.HF_HUB_CACHE}, and {constants.ENDPOINT} does not answer: {reason}") from None


def _check_weights(name: str, path: str) -> None:
    """Raise unless a local checkpoint has all tensors of the timm model but its classifier; timm does not check it."""
    if not Path(path).is_file():
        raise InputError(
            f"model.pretrained: {path}: no such file; true takes timm's own weights, model.backbone may name which, "
            "such as resnet18.a1_in1k"
        )
    try:
        if Path(path).suffix != ".safetensors":
            read_mapping(Path(path))
        state = load_state_dict(path, weights_only=True)
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("not tensors by name")
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"model.pretrained: {path}: not a checkpoint of weights ({reason})") from None
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, SafetensorError) as error:
        raise InputError(f"model.pretrained: {path}: not a checkpoint of weights ({error})") from None
    body = timm.create_model(name, num_classes=0, pretrained=False).state_dict()
    wrong = [key for key, value in body.items() if key not in state or state[key].shape != value.shape]
    if wrong:
        raise InputError(
            f"model.pretrained: {path} does not fit {name}: {len(wrong)} of {len(body)} tensors are missing or of "
            f"another shape, the first is {wrong[0]!r}; a detector belongs to train.init, a checkpoint of "
            "another library to `centerx import`"
        )
