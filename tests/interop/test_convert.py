"""Checkpoints of other code bases: the converted network against their arithmetic in torch's functions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torchvision.ops import deform_conv2d

from centerx.build_model import build_detector, load_detector, start_from
from centerx.config import parse_text
from centerx.errors import InputError
from centerx.exporting.parity import synthetic_images
from centerx.interop.centernet import HOURGLASS
from centerx.interop.convert import import_checkpoint
from centerx.interop.source_code import translate
from centerx.joints import COCO_JOINTS
from centerx.model_file import read_model
from centerx.models import Backbone
from centerx.models.hourglass import Hourglass
from centerx.runtime.foreign.names import COCO_NAMES
from tests.interop.handmade import (
    State,
    better,
    centerx,
    conv,
    dla,
    dlav0,
    norm,
    other_branches,
    res,
    resdcn,
    timm_backbone,
)
from tests.made import every_map

NAMES = ["a", "b", "c"]
REDDISH = torch.tensor([1, 0.5, 0.1]).view(1, 3, 1, 1)
IMAGES = (torch.from_numpy(synthetic_images(2, (128, 192))) * REDDISH).byte()


def written(state: State, path: Path, **options: object) -> Path:
    """Save as they do, import."""
    torch.save({"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    out = path.with_suffix(".safetensors")
    import_checkpoint(path, out, **options)  # type: ignore[arg-type]
    return out


def maps(path: Path, images: Tensor = IMAGES) -> list[Tensor]:
    with torch.inference_mode():
        return every_map(load_detector(path)[0].model(images))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Equal but for what deep random networks make of rounding, and not because they are flat."""
    assert theirs.std() > 0.05
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


# Their arithmetic


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-5)


def deformed(state: State, name: str, offset: str, x: Tensor) -> Tensor:
    first, second, mask = F.conv2d(x, state[f"{offset}.weight"], state[f"{offset}.bias"], padding=1).chunk(3, dim=1)
    moves = torch.cat([first, second], dim=1)
    return deform_conv2d(x, moves, state[f"{name}.weight"], state[f"{name}.bias"], padding=1, mask=mask.sigmoid())


def branch(state: State, first: str, second: str, x: Tensor) -> Tensor:
    hidden = F.conv2d(x, state[f"{first}.weight"], state[f"{first}.bias"], padding=1).relu()
    return F.conv2d(hidden, state[f"{second}.weight"], state[f"{second}.bias"])


def resnet18(state: State, prefix: str, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    network = timm.create_model("resnet18", num_classes=0).eval()
    own = network.state_dict()
    network.load_state_dict({key: state[prefix + key] for key in own})
    with torch.inference_mode():
        return network.forward_features(
            (images / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        )


@pytest.mark.parametrize("kind", ["modulated", "deformable", "plain"])
def test_centerx(kind: str, tmp_path: Path) -> None:
    state = centerx(kind)
    x = resnet18(state, "backbone.", IMAGES, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for stage in (1, 2, 3):
        name = f"upsample.deconv{stage}"
        if kind == "modulated":
            x = deformed(state, f"{name}.dcn.dcnv2", f"{name}.dcn.offset_mask_conv", x)
        elif kind == "deformable":
            offset = f"{name}.dcn.offset_conv"
            moves = F.conv2d(x, state[f"{offset}.weight"], state[f"{offset}.bias"], padding=1)
            x = deform_conv2d(x, moves, state[f"{name}.dcn.dcn.weight"], padding=1)
        else:
            x = F.conv2d(x, state[f"{name}.dcn.conv.weight"], state[f"{name}.dcn.conv.bias"], padding=1)
        x = batch_norm(state, f"{name}.dcn_bn", x).relu()
        x = F.conv_transpose2d(x, state[f"{name}.up_sample.weight"], stride=2, padding=1)
        x = batch_norm(state, f"{name}.up_bn", x).relu()
    expected = [
        branch(state, f"head.{part}.feat_conv", f"head.{part}.out_conv", x)
        for part in ("cls_head", "wh_head", "reg_head")
    ]
    out = written(state, tmp_path / "model_final.pth", class_names=NAMES)
    for ours, theirs in zip(maps(out), expected, strict=True):
        assert_close(ours, theirs)
    for ours, same in zip(maps(out), maps(written(better(kind), tmp_path / "b.pth", class_names=NAMES)), strict=True):
        torch.testing.assert_close(ours, same, atol=0, rtol=0)


MEAN, STD = (0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)


def test_centernet_resdcn_reads_blue_first(tmp_path: Path) -> None:
    state = resdcn()
    x = resnet18(state, "", IMAGES.flip(1), MEAN, STD)
    for start in (0, 6, 12):
        x = deformed(state, f"deconv_layers.{start}", f"deconv_layers.{start}.conv_offset_mask", x)
        x = batch_norm(state, f"deconv_layers.{start + 1}", x).relu()
        x = F.conv_transpose2d(x, state[f"deconv_layers.{start + 3}.weight"], stride=2, padding=1)
        x = batch_norm(state, f"deconv_layers.{start + 4}", x).relu()
    expected = [branch(state, f"{part}.0", f"{part}.2", x) for part in ("hm", "wh", "reg")]
    blue_first = maps(written(state, tmp_path / "bgr.pth", class_names=NAMES))
    red_first = written(state, tmp_path / "rgb.pth", class_names=NAMES, colour="RGB")
    for ours, theirs, swapped in zip(blue_first, expected, maps(red_first, IMAGES.flip(1)), strict=True):
        assert_close(ours, theirs)
        assert_close(ours, swapped)
    assert (maps(red_first)[0] - blue_first[0]).abs().max() > 0.01 * blue_first[0].abs().max()


def test_centernet_dla(tmp_path: Path) -> None:
    """The aggregation as CenterNet writes it: in place, on a list of six levels."""
    state = dla()

    def node(name: str, x: Tensor) -> Tensor:
        return batch_norm(
            state, f"{name}.actf.0", deformed(state, f"{name}.conv", f"{name}.conv.conv_offset_mask", x)
        ).relu()

    def aggregate(name: str, layers: list[Tensor], start: int, end: int) -> None:
        for i in range(start + 1, end):
            weight = state[f"{name}.up_{i - start}.weight"]
            factor = weight.shape[-1] // 2
            projected = node(f"{name}.proj_{i - start}", layers[i])
            larger = F.conv_transpose2d(projected, weight, stride=factor, padding=factor // 2, groups=len(weight))
            layers[i] = node(f"{name}.node_{i - start}", larger + layers[i - 1])

    base = timm.create_model("dla34", features_only=True, out_indices=(0, 1, 2, 3, 4, 5)).eval()
    base.load_state_dict({key: state[f"base.{key}"] for key in base.state_dict()})
    pixels = (IMAGES.flip(1) / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.inference_mode():
        layers = list(base(pixels))
        out = [layers[-1]]
        for i in range(3):
            aggregate(f"dla_up.ida_{i}", layers, len(layers) - i - 2, len(layers))
            out.insert(0, layers[-1])
        last = out[:3]
        aggregate("ida_up", last, 0, 3)
        expected = [branch(state, f"{part}.0", f"{part}.2", last[-1]) for part in ("hm", "wh", "reg")]
    for ours, theirs in zip(maps(written(state, tmp_path / "dla.pth", class_names=NAMES)), expected, strict=True):
        assert_close(ours, theirs)


def test_centernet_res_has_no_convolutions_between(tmp_path: Path) -> None:
    state = res()
    x = resnet18(state, "", IMAGES.flip(1), MEAN, STD)
    for start in (0, 3, 6):
        x = F.conv_transpose2d(x, state[f"deconv_layers.{start}.weight"], stride=2, padding=1)
        x = batch_norm(state, f"deconv_layers.{start + 1}", x).relu()
    expected = [branch(state, f"{part}.0", f"{part}.2", x) for part in ("hm", "wh", "reg")]
    out = written(state, tmp_path / "res.pth", class_names=NAMES)
    for ours, theirs in zip(maps(out), expected, strict=True):
        assert_close(ours, theirs)
    assert json.loads(read_model(out)[1].origin)["network"] == "res_18"


def test_centernet_dlav0_puts_maps_side_by_side(tmp_path: Path) -> None:
    """The aggregation as CenterNet writes it: each round on one map more from the end of the list."""
    state = dlav0()

    def layer(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.0.weight"]
        return batch_norm(state, f"{name}.1", F.conv2d(x, weight, padding=weight.shape[-1] // 2)).relu()

    base = timm.create_model("dla34", features_only=True, out_indices=(2, 3, 4, 5)).eval()
    base.load_state_dict({key: state[f"base.{key}"] for key in base.state_dict()})
    pixels = (IMAGES.flip(1) / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.inference_mode():
        layers = list(base(pixels))
        for number in range(3):
            x, *coarser = layers[-number - 2 :]
            made = []
            for k, each in enumerate(coarser, start=1):
                name = f"dla_up.ida_{number}"
                weight = state[f"{name}.up_{k}.weight"]
                up = F.conv_transpose2d(
                    layer(f"{name}.proj_{k}", each), weight, stride=2, padding=1, groups=len(weight)
                )
                x = layer(f"{name}.node_{k}", torch.cat([x, up], dim=1))
                made.append(x)
            layers[-number - 1 :] = made
        expected = [branch(state, f"{part}.0", f"{part}.2", x) for part in ("hm", "wh", "reg")]
    out = written(state, tmp_path / "dlav0.pth", class_names=NAMES)
    for ours, theirs in zip(maps(out), expected, strict=True):
        assert_close(ours, theirs)
    assert json.loads(read_model(out)[1].origin)["network"] == "dlav0_34"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("backbone.net.stem.0.0.weight", "pre.0.conv.weight"),
        ("backbone.net.stem.1.skip.0.weight", "pre.1.skip.0.weight"),
        ("backbone.net.stacks.1.down.0.first.1.bias", "kps.1.low1.0.bn1.bias"),
        ("backbone.net.stacks.0.inner.inner.up.1.second.0.weight", "kps.0.low2.low2.low3.1.conv2.weight"),
        ("backbone.net.stacks.0.inner.inner.inner.inner.inner.3.first.0.weight",
         "kps.0.low2.low2.low2.low2.low2.3.conv1.weight"),
        ("backbone.net.stacks.0.inner.side.0.second.1.running_var", "kps.0.low2.up1.0.bn2.running_var"),
        ("backbone.net.outs.1.0.weight", "cnvs.1.conv.weight"),
        ("backbone.net.from_in.0.1.weight", "inters_.0.1.weight"),
        ("backbone.net.from_out.0.0.weight", "cnvs_.0.0.weight"),
        ("backbone.net.between.0.first.0.weight", "inters.0.conv1.weight"),
        ("head.heatmap.0.weight", "hm.1.0.conv.weight"),
        ("head.size.2.bias", "wh.1.1.bias"),
    ],
)  # fmt: skip
def test_names_of_the_hourglass(ours: str, theirs: str) -> None:
    with torch.device("meta"):
        own = {f"backbone.net.{key}" for key in Hourglass().state_dict()}
    assert ours in own or ours.startswith("head.")
    assert translate(ours, (*HOURGLASS, (r"^backbone\.net\.", ""))) == theirs


@pytest.mark.parametrize(
    ("name", "timm_name"),
    [("resnet18", "resnet18"), ("regnet_x_400mf", "regnetx_004_tv"), ("regnet_y_400mf", "regnety_004")],
)
def test_torchvision_backbones(name: str, timm_name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = getattr(torchvision.models, name)(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    told = import_checkpoint(tmp_path / "weights.pth", tmp_path / "weights.safetensors")
    assert told.startswith(f"backbone {timm_name} (torchvision")
    backbone = Backbone(timm_name, str(tmp_path / "weights.safetensors")).eval()
    layers = [layer for key, layer in network.named_children() if key not in ("avgpool", "fc")]
    with torch.inference_mode():
        expected = torch.nn.Sequential(*layers)((IMAGES - backbone.mean) / backbone.std)
        torch.testing.assert_close(backbone(IMAGES)[-1], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("width", "timm_name"), [(1.0, "mobilenetv2_100"), (1.4, "mobilenetv2_140")])
def test_torchvision_s_mobilenet_v2(width: float, timm_name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = torchvision.models.mobilenet_v2(weights=None, width_mult=width).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.2, 0.4)  # type: ignore[operator]
            module.bias.data.normal_(std=0.2)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    told = import_checkpoint(tmp_path / "weights.pth", tmp_path / "weights.safetensors")
    assert told.startswith(f"backbone {timm_name} (torchvision)")
    backbone = Backbone(timm_name, str(tmp_path / "weights.safetensors")).eval()
    with torch.inference_mode():
        expected = network.features[:18]((IMAGES - backbone.mean) / backbone.std)
        assert_close(backbone(IMAGES)[-1], expected)


def test_timm_backbones_by_their_own_names(tmp_path: Path) -> None:
    state = timm.create_model("mobilenetv3_small_100").state_dict()
    torch.save(state, tmp_path / "weights.pth")
    assert "mobilenetv3_small_100" in import_checkpoint(tmp_path / "weights.pth", tmp_path / "w.safetensors")
    Backbone("mobilenetv3_small_100", str(tmp_path / "w.safetensors"))


def test_centerx_regnets_are_told_apart(tmp_path: Path) -> None:
    state = {key: value for key, value in centerx("plain").items() if not key.startswith("backbone.")}
    for key, value in timm_backbone("regnety_002", "backbone.").items():
        for ours, theirs in ((".downsample.conv.", ".proj."), (".downsample.bn.", ".bn."), ("se.fc1", "f.se.f_ex.0"),
                             ("se.fc2", "f.se.f_ex.2"), ("conv1.conv.", "f.a."), ("conv1.bn.", "f.a_bn."),
                             ("conv2.conv.", "f.b."), ("conv2.bn.", "f.b_bn."), ("conv3.conv.", "f.c."),
                             ("conv3.bn.", "f.c_bn.")):  # fmt: skip
            key = key.replace(ours, theirs)
        state[key] = value
    state["upsample.deconv1.dcn.conv.weight"] = torch.randn(16, 368, 3, 3)
    out = written(state, tmp_path / "regnet.pth", class_names=NAMES)
    assert parse_text(read_model(out)[2], out).model.backbone == "regnety_002"
    own, theirs = load_detector(out)[0].model.backbone.net, timm.create_model("regnety_002", features_only=True)
    theirs.load_state_dict(timm_backbone("regnety_002", ""))
    torch.testing.assert_close(own.eval()(torch.ones(1, 3, 64, 64))[-1], theirs.eval()(torch.ones(1, 3, 64, 64))[-1])


# Checkpoints of other tasks


POSE = {"hps": 34, "hm_hp": 17, "hp_offset": 2}


@pytest.mark.parametrize("base", ["resdcn", "dla"])
def test_multi_pose_is_a_pose_detector(base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its branches are taken as they are, its joints are those of COCO, and its boxes are those without joints."""
    state = resdcn() if base == "resdcn" else dla()
    width = state["hm.0.weight"].shape[1], state["hm.0.weight"].shape[0]
    one = {name: value[:1] if name in ("hm.2.weight", "hm.2.bias") else value for name, value in state.items()}
    joints = other_branches(*width, **POSE)
    out = written(one | joints, tmp_path / "pose.pth")
    detector, info = load_detector(out)
    assert (info.task, info.class_names) == ("pose", ("person",))
    assert info.joints.names == COCO_JOINTS
    assert info.joints.flip[:5] == (0, 2, 1, 4, 3)
    assert not caplog.records
    own = detector.model.state_dict()
    for ours, theirs in (("keypoints", "hps"), ("joint_heatmap", "hm_hp"), ("joint_offset", "hp_offset")):
        for part in ("0.weight", "0.bias", "2.weight", "2.bias"):
            assert torch.equal(own[f"head.{ours}.{part}"], joints[f"{theirs}.{part}"])
    boxes = written(one, tmp_path / "boxes.pth", class_names=["person"])
    with torch.inference_mode():
        posed, plain = (load_detector(path)[0].model(IMAGES) for path in (out, boxes))
    for name in ("size", "offset"):
        torch.testing.assert_close(posed.fields[name], plain.fields[name], atol=0, rtol=0)
    torch.testing.assert_close(posed.heatmap, plain.heatmap, atol=0, rtol=0)


def test_joints_that_are_not_those_of_coco_have_numbers(tmp_path: Path) -> None:
    out = written(resdcn() | other_branches(8, 24, hps=8, hm_hp=4, hp_offset=2), tmp_path / "a.pth", class_names=NAMES)
    info = load_detector(out)[1]
    assert info.joints.names == ("joint 1", "joint 2", "joint 3", "joint 4")
    assert info.class_names == tuple(NAMES)


def test_3d_boxes_were_trained_with_the_pixels_of_imagenet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = dla() | other_branches(64, 16, dep=1, rot=8, dim=3)
    out = written(state, tmp_path / "ddd.pth", class_names=NAMES)
    assert "left out: dep (depth), dim (size in space), rot (rotation in space)" in caplog.text
    backbone = load_detector(out)[0].model.backbone
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.406, 0.456, 0.485]) * 255)
    mine = written(state, tmp_path / "b.pth", class_names=NAMES, mean=(0.1, 0.2, 0.3))
    torch.testing.assert_close(
        load_detector(mine)[0].model.backbone.mean.flatten(), torch.tensor([0.3, 0.2, 0.1]) * 255
    )


def test_a_tracker_is_taken_without_the_frame_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = dla() | other_branches(64, 16, tracking=2, ltrb_amodal=4, newest=5)
    for name, channels in (("pre_img_layer", 3), ("pre_hm_layer", 1)):
        state |= conv(f"base.{name}.0", 16, channels, 7, bias=False) | norm(f"base.{name}.1", 16)
    out = written(state, tmp_path / "tracking.pth", class_names=NAMES)
    assert "left out: ltrb_amodal (whole box of cut objects), newest, tracking (motion since the frame" in caplog.text
    assert "pre_img_layer and pre_hm_layer (the frame before, without which" in caplog.text
    plain = written(dla(), tmp_path / "a.pth", class_names=NAMES)
    torch.testing.assert_close(load_detector(out)[0].model.backbone.mean, load_detector(plain)[0].model.backbone.mean)


@pytest.mark.parametrize(
    ("take", "give", "says"),
    [
        (("hm.", "wh.", "reg."), dict.fromkeys(("hm_t", "hm_l", "hm_b", "hm_r", "hm_c"), 3),
         "a checkpoint of exdet, .* has no wh, the width and height"),
        (("wh.",), {"dep": 1, "rot": 8, "dim": 3}, "resdcn_18 without wh, .* but with dep, dim, rot; take a"),
    ],
)  # fmt: skip
def test_what_has_no_width_and_height_is_refused_before_names_are_asked_for(
    take: tuple[str, ...], give: dict[str, int], says: str, tmp_path: Path
) -> None:
    state = {name: value for name, value in resdcn().items() if not name.startswith(take)}
    with pytest.raises(InputError, match=says):
        written(state | other_branches(8, 24, **give), tmp_path / "other.pth")


@pytest.mark.parametrize("prefix", ["module.module.", "model.", "detector.", "_orig_mod.", "model.network."])
def test_what_all_names_begin_with_does_not_matter(prefix: str, tmp_path: Path) -> None:
    state = centerx("plain")
    torch.save({"state_dict": {f"{prefix}{key}": value for key, value in state.items()}}, tmp_path / "a.ckpt")
    told = import_checkpoint(tmp_path / "a.ckpt", tmp_path / "a.safetensors", NAMES)
    assert told == "centerX, resnet18, plain convolutions, 3 classes, RGB pixels"


# What travels with the file


def test_the_file_is_a_model_like_any_other(tmp_path: Path) -> None:
    out = written(resdcn(80), tmp_path / "ctdet.pth")
    _, info, text = read_model(out)
    config = parse_text(text, out)
    assert info.class_names == config.classes == COCO_NAMES
    assert (config.model.backbone, config.model.neck.type, config.model.neck.conv) == (
        "resnet18",
        "deconv",
        "modulated",
    )
    assert (config.model.neck.channels, config.model.head_channels) == ((16, 12, 8), 24)
    origin = json.loads(info.origin)
    assert (origin["code"], origin["network"], origin["colour"]) == ("CenterNet", "resdcn_18", "BGR")
    assert origin["mean"] == list(MEAN)
    assert "centred" in origin["resize"]
    mine = config.model_copy(update={"classes": ("zebra", "mine")})
    detector = build_detector(mine)
    start_from(detector, out, mine)
    source = load_detector(out)[0].model
    row = COCO_NAMES.index("zebra")
    torch.testing.assert_close(detector.model.head.heatmap[2].weight[0], source.head.heatmap[2].weight[row])
    torch.testing.assert_close(detector.model.backbone.mean, source.backbone.mean)


def test_other_pixels_than_published(tmp_path: Path) -> None:
    out = written(centerx(), tmp_path / "m.pth", class_names=NAMES, colour="BGR", mean=(0.1, 0.2, 0.3), std=(1, 2, 4))
    backbone = load_detector(out)[0].model.backbone
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.3, 0.2, 0.1]) * 255)
    torch.testing.assert_close(backbone.std.flatten(), torch.tensor([4.0, 2.0, 1.0]) * 255)


# Wrong input


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("wh.2.bias"), "missing: wh.2.bias"),
        (lambda state: state.pop("layer1.0.conv1.weight"), "missing: layer1.0.conv1.weight"),
        (lambda state: state.pop("deconv_layers.6.bias"), "missing: deconv_layers.6.bias"),
        (lambda state: state.update({"deconv_layers.6.bias": torch.zeros(1)}),
         "misshapen: deconv_layers.6.bias (1,) where (12,) is due"),
        (lambda state: state.update({"hm.2.weight": torch.tensor(1.0)}),
         "misshapen: hm.2.weight () where (3, 24, 1, 1) is due"),
        (lambda state: state.update(hps=torch.zeros(34)), "extra: hps"),
        (lambda state: state.update({"wh.2.weight": torch.zeros(6, 24, 1, 1)}),
         "misshapen: wh.2.weight (6, 24, 1, 1) where (2, 24, 1, 1) is due"),
        (lambda state: state.update({"deconv_layers.3.weight": torch.zeros(16, 16, 2, 2)}),
         "misshapen: deconv_layers.3.weight (16, 16, 2, 2) where (16, 16, 4, 4) is due"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(change: Callable[[State], object], says: str, tmp_path: Path) -> None:
    state = resdcn()
    change(state)
    with pytest.raises(InputError) as error:
        written(state, tmp_path / "broken.pth", class_names=NAMES)
    assert str(error.value).endswith(f"the tensors are not those of resdcn_18: {says}")
    assert not (tmp_path / "broken.safetensors").exists()


def test_many_tensors_are_counted(tmp_path: Path) -> None:
    state = {key: value for key, value in resdcn().items() if not key.startswith("layer4.")}
    with pytest.raises(InputError, match=r"missing: layer4\S+(, layer4\S+){5} and \d\d more$"):
        written(state, tmp_path / "broken.pth", class_names=NAMES)


def test_an_unknown_architecture_is_told_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown architecture, known are: centerX \(ResNet and .*; CenterNet \(resdcn"
    ):
        written({"blocks.0.weight": torch.zeros(3, 3)}, tmp_path / "vit.pth")


def test_a_model_of_our_own_needs_no_import(tmp_path: Path) -> None:
    out = written(resdcn(), tmp_path / "a.pth", class_names=NAMES)
    with pytest.raises(InputError, match=r"a\.safetensors: is a model of this program already, use it as it is"):
        import_checkpoint(out, tmp_path / "b.safetensors")


def test_tensors_that_do_not_fit_are_told_before_names_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="extra: hps"):
        written(resdcn() | {"hps": torch.zeros(34)}, tmp_path / "a.pth")


def test_classes_need_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its 3 classes have no names in it, give them by --classes"):
        written(resdcn(), tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"--classes: 2 names, but the heatmap of .*a.pth has 3 channels"):
        written(resdcn(), tmp_path / "a.pth", class_names=["a", "b"])
