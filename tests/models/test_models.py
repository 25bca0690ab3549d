from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import pytest
import timm
import torch

from centerx.build_model import build_neck
from centerx.config.schema import NeckConfig
from centerx.errors import InputError
from centerx.models import Backbone, CenterHead, CenterNet, DeconvNeck, DlaConcatNeck, FpnNeck, NoNeck
from centerx.models.neck import Neck, bilinear_init, depthwise_up
from centerx.tasks import BOXES
from tests.made import every_map


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002", "mobilenetv3_small_100", "convnext_atto", "dla34"])
@pytest.mark.parametrize("neck", ["fpn", "deconv", "deconv alone", "dla_concat"])
def test_maps_are_a_quarter_of_any_input(name: str, neck: str) -> None:
    backbone = Backbone(name)
    body: Neck = {
        "fpn": partial(FpnNeck, channels=16),
        "deconv": partial(DeconvNeck, channels=(32, 24, 16)),
        "deconv alone": partial(DeconvNeck, channels=(32, 24, 16), conv="none"),
        "dla_concat": DlaConcatNeck,
    }[neck](backbone.channels)
    model = CenterNet(backbone, body, CenterHead(body.out_channels, 5, 8, BOXES.branches), BOXES)
    out = model(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert [tuple(each.shape) for each in every_map(out)] == [(2, 5, 16, 24), (2, 2, 16, 24), (2, 2, 16, 24)]


@pytest.mark.parametrize(
    ("type", "conv", "says"),
    [
        ("fpn", "none", "fpn cannot do without convolutions"),
        ("dla_up", "none", "dla_up cannot do without convolutions"),
        ("dla_concat", "modulated", "dla_concat has no modulated convolutions"),
    ],
)
def test_a_neck_without_such_convolutions_is_refused(type: str, conv: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"model\.neck\.conv: {says}"):
        build_neck(NeckConfig(type=type, conv=conv), Backbone("resnet18"))  # type: ignore[arg-type]


def test_every_parameter_gets_a_gradient() -> None:
    """Data parallel training hangs or fails on parameters without one."""
    for name in ("resnet18", "regnetx_002", "mobilenetv3_small_100"):
        backbone = Backbone(name)
        model = CenterNet(backbone, FpnNeck(backbone.channels, 16), CenterHead(16, 2, 8, BOXES.branches), BOXES)
        images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
        sum(each.square().sum() for each in every_map(model(images))).backward()
        assert [key for key, p in model.named_parameters() if p.grad is None] == []


def test_pixels_are_normalised_inside() -> None:
    backbone = Backbone("regnetx_002")
    seen = []
    backbone.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(torch.full((1, 3, 64, 64), 124, dtype=torch.uint8))
    expected = (124 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0][0, :, 5, 5], expected, atol=1e-5, rtol=1e-5)


def test_an_untrained_heatmap_expects_objects_at_a_tenth() -> None:
    heatmap = CenterHead(16, 3, 8, BOXES.branches)(torch.randn(1, 16, 8, 8)).heatmap.sigmoid()
    torch.testing.assert_close(heatmap, torch.full_like(heatmap, 0.1), atol=0.01, rtol=0)


def test_transposed_convolutions_start_as_upsampling_of_every_channel() -> None:
    up = torch.nn.ConvTranspose2d(6, 6, 4, stride=2, padding=1, bias=False)
    bilinear_init(up)
    ramp = torch.arange(8.0).expand(1, 6, 8, 8)
    expected = torch.nn.functional.interpolate(ramp, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up(ramp)[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


@pytest.mark.parametrize("name", ["resnet81", "vit_tiny_patch16_224"])
def test_an_unusable_backbone_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        Backbone(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("swin_tiny_patch4_window7_224", "does not take pictures of 96 x 128"),  # one size only
        ("inception_v3", "gives a map of"),  # convolutions without padding
    ],
)
def test_a_backbone_whose_maps_do_not_fit_the_input_is_named(name: str, says: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' {says}"):
        Backbone(name).require_maps((96, 128))


def test_trying_a_backbone_leaves_it_as_it_was() -> None:
    backbone = Backbone("resnet18")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.require_maps((96, 128))
    assert backbone.training
    for key, value in backbone.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        if pretrained:
            raise OSError("cannot find the requested files in the cache")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("centerx.models.backbone.urlopen", lambda *_, **__: BytesIO())
    with pytest.raises(InputError, match=r"^model.pretrained: no weights for 'resnet18' .*check the connection"):
        Backbone("resnet18", pretrained=True)


def test_without_a_network_the_hub_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(request: Request, timeout: float) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("centerx.models.backbone.urlopen", unreachable)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: pytest.fail("the hub was asked again"))
    with pytest.raises(InputError, match=r"'resnet18' \(not in .*does not answer: Name or service not known\)"):
        Backbone("resnet18", pretrained=True)


def test_cached_weights_need_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    donor = timm.create_model("resnet18")
    save_file(donor.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("centerx.models.backbone.urlopen", lambda *_, **__: pytest.fail("the network was asked"))
    own = Backbone("resnet18", pretrained=True).net.state_dict()
    torch.testing.assert_close(own["conv1.weight"], donor.conv1.weight.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_local_pretrained_weights_arrive(tmp_path: Path, name: str, suffix: str) -> None:
    torch.manual_seed(1)
    donor = timm.create_model(name, num_classes=7)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(donor.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(donor.state_dict(), path)
    torch.manual_seed(2)
    backbone = Backbone(name, str(path)).eval()
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = donor.eval().forward_features((image - backbone.mean) / backbone.std)
    torch.testing.assert_close(backbone(image)[-1], expected, atol=1e-4, rtol=1e-4)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(InputError, match="does not fit regnetx_002"):
        Backbone("regnetx_002", str(path))
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a checkpoint"):
        Backbone("resnet18", str(path))


@pytest.mark.parametrize("factor", [2, 4])
def test_depthwise_enlarging_starts_bilinear_too(factor: int) -> None:
    ramp = torch.arange(8.0).expand(1, 6, 8, 8)
    expected = torch.nn.functional.interpolate(ramp, scale_factor=factor, mode="bilinear", align_corners=False)
    inside = slice(factor, -factor)
    torch.testing.assert_close(depthwise_up(6, factor)(ramp)[..., inside, inside], expected[..., inside, inside])


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "regnety_002", "dla34", "mobilenetv3_small_100"])
def test_the_last_stride_can_be_left_out(name: str) -> None:
    plain, backbone = Backbone(name), Backbone(name, last_stride=1)
    assert backbone.strides == [4, 8, 16, 16]
    assert backbone.state_dict().keys() == plain.state_dict().keys()
    backbone.require_maps((64, 96))
    maps = backbone(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert [tuple(each.shape[2:]) for each in maps] == [(16, 24), (8, 12), (4, 6), (4, 6)]
    neck = DeconvNeck(backbone.channels, (24, 16))
    assert neck(maps).shape == (2, 16, 16, 24)


def test_a_last_stride_that_cannot_be_left_out_is_named() -> None:
    with pytest.raises(InputError, match=r"model.last_stride: 'convnext_atto' cannot do without"):
        Backbone("convnext_atto", last_stride=1)


def test_an_hourglass_gives_one_map_of_stride_4() -> None:
    with torch.device("meta"):  # 190 million weights
        backbone = Backbone("hourglass")
        assert (backbone.channels, backbone.strides) == ([256], [4])
        [maps] = backbone(torch.zeros((2, 3, 128, 256), dtype=torch.uint8))
        assert maps.shape == (2, 256, 32, 64)
        assert NoNeck(backbone.channels)([maps]) is maps
    with pytest.raises(InputError, match=r"model.pretrained: 'hourglass' is no timm model"):
        Backbone("hourglass", pretrained=True)


def test_a_network_is_the_same_whatever_was_built_before() -> None:
    shapes = []
    for _ in range(2):
        shapes.append({key: value.shape for key, value in Backbone("regnetx_002").state_dict().items()})
        Backbone("regnety_002")
    assert shapes[0] == shapes[1]


def test_an_fpn_needs_the_last_stride() -> None:
    plain, short = Backbone("resnet18"), Backbone("resnet18", last_stride=1)
    assert isinstance(build_neck(NeckConfig(type="fpn", channels=16), plain), FpnNeck)
    assert isinstance(build_neck(NeckConfig(type="deconv", channels=(16, 16)), short), DeconvNeck)
    with pytest.raises(
        InputError, match=r"model.neck.type: fpn needs .* not \[4, 8, 16, 16\], set model.last_stride=2"
    ):
        build_neck(NeckConfig(type="fpn", channels=16), short)
