"""EfficientNet-Lite0 as EfficientNet-PyTorch names its tensors."""

from pathlib import Path

import timm
import torch

from centerx.interop.convert import import_checkpoint
from centerx.models import Backbone

BLOCKS = (1, 2, 2, 3, 3, 4, 1)


def test_efficientnet_lite0_comes_under_timms_names(tmp_path: Path) -> None:
    """Their tensors stand in the order of timm's: those of blocks are counted through, norms from 0 on."""
    torch.manual_seed(0)
    network = timm.create_model("efficientnet_lite0").eval()
    theirs, block = {}, -1
    first = {f"blocks.{stage}.{place}": sum(BLOCKS[:stage]) + place for stage in range(7) for place in range(4)}
    for name, value in network.state_dict().items():
        place = next((each for each in first if name.startswith(f"{each}.")), None)
        if place is None:
            ends = {
                "conv_stem": "_conv_stem",
                "bn1": "_bn0",
                "conv_head": "_conv_head",
                "bn2": "_bn1",
                "classifier": "_fc",
            }
            own = ends[name.split(".")[0]] + name[name.index(".") :]
        else:
            block, (part, end) = first[place], name.removeprefix(f"{place}.").split(".")
            parts = {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
            norms = {"bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"}
            if block == 0:
                parts, norms = (
                    {"conv_dw": "_depthwise_conv", "conv_pw": "_project_conv"},
                    {"bn1": "_bn1", "bn2": "_bn2"},
                )
            own = f"_blocks.{block}.{(parts | norms)[part]}.{end}"
        theirs[own] = value
    assert block == sum(BLOCKS) - 1
    torch.save(theirs, tmp_path / "lite.pth")
    told = import_checkpoint(tmp_path / "lite.pth", tmp_path / "ours.safetensors")
    assert "backbone efficientnet_lite0 (EfficientNet-PyTorch)" in told
    backbone = Backbone("efficientnet_lite0", str(tmp_path / "ours.safetensors")).eval()
    images = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    same = timm.create_model("efficientnet_lite0", features_only=True).eval()
    same.load_state_dict(network.state_dict(), strict=False)
    pixels = (images.float() - backbone.mean) / backbone.std
    with torch.inference_mode():
        for ours, own in zip(backbone(images)[-3:], same(pixels)[-3:], strict=True):
            torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)
