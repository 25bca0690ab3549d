"""Checkpoints in the naming of other code bases, written down by hand, small and random."""

import timm
import torch
from torch import Tensor

State = dict[str, Tensor]
WIDTHS = (16, 12, 8)  # of the neck


def norm(name: str, channels: int) -> State:
    return {
        f"{name}.weight": torch.rand(channels) + 0.5,
        f"{name}.bias": torch.randn(channels) / 5,
        f"{name}.running_mean": torch.randn(channels) / 5,
        f"{name}.running_var": torch.rand(channels) + 0.5,
    }


def conv(name: str, after: int, before: int, side: int = 3, bias: bool = True) -> State:
    weight = torch.randn(after, before, side, side) / (before * side * side) ** 0.5
    if "offset" in name:
        weight *= 0.2  # so that taps stay on the map
    return {f"{name}.weight": weight} | ({f"{name}.bias": torch.randn(after) / 5} if bias else {})


def up(name: str, channels: int) -> State:
    return {f"{name}.weight": torch.randn(channels, channels, 4, 4) / (4 * channels) ** 0.5}


def timm_backbone(name: str, prefix: str) -> State:
    """Of a timm model, with batch norms that do something."""
    torch.manual_seed(3)
    state = timm.create_model(name, num_classes=0).state_dict()
    for key in [key.removesuffix(".running_mean") for key in state if key.endswith(".running_mean")]:
        state |= norm(key, len(state[f"{key}.running_mean"]))
    return {prefix + key: value for key, value in state.items()}


def centerx(kind: str = "modulated", classes: int = 3, prefix: str = "backbone.") -> State:
    """centerX with a ResNet-18 of `build_resnet`."""
    state = timm_backbone("resnet18", prefix)
    before = 512
    for stage, after in enumerate(WIDTHS, start=1):
        name = f"upsample.deconv{stage}"
        if kind == "modulated":
            state |= conv(f"{name}.dcn.offset_mask_conv", 27, before)
            state |= conv(f"{name}.dcn.dcnv2", after, before)
        elif kind == "deformable":
            state |= conv(f"{name}.dcn.offset_conv", 18, before)
            state |= conv(f"{name}.dcn.dcn", after, before, bias=False)
        else:
            state |= conv(f"{name}.dcn.conv", after, before)
        state |= norm(f"{name}.dcn_bn", after) | up(f"{name}.up_sample", after) | norm(f"{name}.up_bn", after)
        before = after
    for branch, rows in (("cls_head", classes), ("wh_head", 2), ("reg_head", 2)):
        state |= conv(f"head.{branch}.feat_conv", 8, 8) | conv(f"head.{branch}.out_conv", rows, 8, 1)
    return state


def better(kind: str = "modulated", classes: int = 3) -> State:
    """CenterNet-better, whose ResNet is torchvision's in five pieces."""
    state = {}
    for key, value in centerx(kind, classes).items():
        key = key.replace("backbone.conv1.", "backbone.stage0.0.").replace("backbone.bn1.", "backbone.stage0.1.")
        state[key.replace("backbone.layer", "backbone.stage")] = value
    return state


def resdcn(classes: int = 3) -> State:
    """CenterNet's resdcn_18."""
    state = timm_backbone("resnet18", "")
    before = 512
    for start, after in zip((0, 6, 12), WIDTHS, strict=True):
        state |= conv(f"deconv_layers.{start}", after, before)
        state |= conv(f"deconv_layers.{start}.conv_offset_mask", 27, before)
        state |= norm(f"deconv_layers.{start + 1}", after) | up(f"deconv_layers.{start + 3}", after)
        state |= norm(f"deconv_layers.{start + 4}", after)
        before = after
    return state | ctdet_head(8, 24, classes)


def dla(classes: int = 3) -> State:
    """CenterNet's dla_34, with the tensors that it holds and never reads."""
    state = timm_backbone("dla34", "base.") | conv("base.fc", 1000, 512, 1)
    for level, after, before in ((3, 128, 64), (4, 256, 128)):
        state |= conv(f"base.level{level}.project.0", after, before, 1, bias=False)
        state |= norm(f"base.level{level}.project.1", after)
    state |= ida("dla_up.ida_0", 256, (512,), (2,)) | ida("dla_up.ida_1", 128, (256, 256), (2, 2))
    state |= ida("dla_up.ida_2", 64, (128, 128, 128), (2, 2, 2)) | ida("ida_up", 64, (128, 256), (2, 4))
    return state | ctdet_head(64, 16, classes)


def ida(name: str, width: int, before: tuple[int, ...], factors: tuple[int, ...]) -> State:
    state: State = {}
    for k, (channels, factor) in enumerate(zip(before, factors, strict=True), start=1):
        for part, inside in (("proj", channels), ("node", width)):
            state |= conv(f"{name}.{part}_{k}.conv", width, inside)
            state |= conv(f"{name}.{part}_{k}.conv.conv_offset_mask", 27, inside)
            state |= norm(f"{name}.{part}_{k}.actf.0", width)
        state[f"{name}.up_{k}.weight"] = torch.rand(width, 1, 2 * factor, 2 * factor) / factor
    return state


def ctdet_head(before: int, hidden: int, classes: int) -> State:
    state: State = {}
    for branch, rows in (("hm", classes), ("wh", 2), ("reg", 2)):
        state |= conv(f"{branch}.0", hidden, before) | conv(f"{branch}.2", rows, hidden, 1)
    return state


def res(classes: int = 3) -> State:
    """CenterNet's res_18, without deformable convolutions."""
    state = timm_backbone("resnet18", "")
    before = 512
    for start, after in zip((0, 3, 6), WIDTHS, strict=True):
        state[f"deconv_layers.{start}.weight"] = torch.randn(before, after, 4, 4) / (4 * before) ** 0.5
        state |= norm(f"deconv_layers.{start + 1}", after)
        before = after
    return state | ctdet_head(8, 24, classes)


def dlav0(classes: int = 3) -> State:
    """CenterNet's dlav0_34."""
    state = timm_backbone("dla34", "base.") | conv("base.fc", 1000, 512, 1)
    for number, (width, before) in enumerate(((256, (512,)), (128, (256, 256)), (64, (128, 128, 128)))):
        for k, channels in enumerate(before, start=1):
            name = f"dla_up.ida_{number}"
            state |= conv(f"{name}.proj_{k}.0", width, channels, 1, bias=False) | norm(f"{name}.proj_{k}.1", width)
            state |= conv(f"{name}.node_{k}.0", width, 2 * width, bias=False) | norm(f"{name}.node_{k}.1", width)
            state[f"{name}.up_{k}.weight"] = torch.rand(width, 1, 4, 4) / 2
    return state | ctdet_head(64, 16, classes)


def other_branches(before: int, hidden: int, **rows: int) -> State:
    """Branches of other tasks than detection."""
    state: State = {}
    for name, count in rows.items():
        state |= conv(f"{name}.0", hidden, before) | conv(f"{name}.2", count, hidden, 1)
    return state
