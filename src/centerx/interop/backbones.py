"""Names of backbone tensors in other code bases, and recognition of the timm model that tensors belong to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import timm
import torch
from torch import Tensor

from centerx.interop.source_code import Names, Network, Shapes, has

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SIZES = ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")
REGNETS = (*(f"regnet{kind}_{size}" for kind in "xy" for size in SIZES), "regnetx_004_tv")
OTHERS = ("dla34", "mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100",
          "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2")  # fmt: skip

# Patterns of timm's names -> names in other code bases
PYCLS_REGNET: Names = (
    (r"\.downsample\.conv\.", ".proj."),
    (r"\.downsample\.bn\.", ".bn."),
    (r"\.conv1\.conv\.", ".f.a."),
    (r"\.conv1\.bn\.", ".f.a_bn."),
    (r"\.conv2\.conv\.", ".f.b."),
    (r"\.conv2\.bn\.", ".f.b_bn."),
    (r"\.conv3\.conv\.", ".f.c."),
    (r"\.conv3\.bn\.", ".f.c_bn."),
    (r"\.se\.fc1\.", ".f.se.f_ex.0."),
    (r"\.se\.fc2\.", ".f.se.f_ex.2."),
)
TORCHVISION_REGNET: Names = (
    (r"stem\.conv\.", "stem.0."),
    (r"stem\.bn\.", "stem.1."),
    *((rf"s(\d)\.b{block + 1}\.", rf"trunk_output.block\1.block\1-{block}.") for block in range(27)),
    (r"downsample\.conv\.", "proj.0."),
    (r"downsample\.bn\.", "proj.1."),
    (r"conv1\.conv\.", "f.a.0."),
    (r"conv1\.bn\.", "f.a.1."),
    (r"conv2\.conv\.", "f.b.0."),
    (r"conv2\.bn\.", "f.b.1."),
    (r"conv3\.conv\.", "f.c.0."),
    (r"conv3\.bn\.", "f.c.1."),
    (r"\.se\.", ".f.se."),
)
STAGED_RESNET: Names = (
    (r"net\.conv1\.", "net.stage0.0."),
    (r"net\.bn1\.", "net.stage0.1."),
    (r"net\.layer(\d)\.", r"net.stage\1."),
)
MOBILENETS_V2 = ("mobilenetv2_100", "mobilenetv2_035", "mobilenetv2_050", "mobilenetv2_075", "mobilenetv2_140")
BLOCKS_V2 = (1, 2, 3, 4, 3, 3, 1)  # of each stage, which torchvision counts through, from 1 on
TORCHVISION_MOBILENET_V2: Names = (
    (r"net\.conv_stem\.", "net.features.0.0."),
    (r"net\.bn1\.", "net.features.0.1."),
    (r"net\.conv_head\.", "net.features.18.0."),
    (r"net\.bn2\.", "net.features.18.1."),
    (r"blocks\.0\.0\.conv_dw\.", "features.1.conv.0.0."),
    (r"blocks\.0\.0\.bn1\.", "features.1.conv.0.1."),
    (r"blocks\.0\.0\.conv_pw\.", "features.1.conv.1."),
    (r"blocks\.0\.0\.bn2\.", "features.1.conv.2."),
    *(
        (rf"blocks\.{stage}\.{block}\.", f"features.{1 + sum(BLOCKS_V2[:stage]) + block}.conv.")
        for stage in range(1, 7)
        for block in range(BLOCKS_V2[stage])
    ),
    (r"conv\.conv_pw\.", "conv.0.0."),
    (r"conv\.bn1\.", "conv.0.1."),
    (r"conv\.conv_dw\.", "conv.1.0."),
    (r"conv\.bn2\.", "conv.1.1."),
    (r"conv\.conv_pwl\.", "conv.2."),
    (r"conv\.bn3\.", "conv.3."),
)
EFFICIENTNETS_LITE = ("efficientnet_lite0",)
BLOCKS_LITE = (1, 2, 2, 3, 3, 4, 1)  # of each stage, which EfficientNet-PyTorch counts through, from 0 on
EFFICIENTNET_PYTORCH: Names = (
    (r"net\.conv_stem\.", "net._conv_stem."),
    (r"net\.bn1\.", "net._bn0."),
    (r"net\.conv_head\.", "net._conv_head."),
    (r"net\.bn2\.", "net._bn1."),
    (r"blocks\.0\.0\.conv_dw\.", "_blocks.0._depthwise_conv."),
    (r"blocks\.0\.0\.bn1\.", "_blocks.0._bn1."),
    (r"blocks\.0\.0\.conv_pw\.", "_blocks.0._project_conv."),
    (r"blocks\.0\.0\.bn2\.", "_blocks.0._bn2."),
    *(
        (rf"net\.blocks\.{stage}\.{block}\.", f"net._blocks.{sum(BLOCKS_LITE[:stage]) + block}.of.")
        for stage in range(1, 7)
        for block in range(BLOCKS_LITE[stage])
    ),
    (r"of\.conv_pw\.", "_expand_conv."),
    (r"of\.bn1\.", "_bn0."),
    (r"of\.conv_dw\.", "_depthwise_conv."),
    (r"of\.bn2\.", "_bn1."),
    (r"of\.conv_pwl\.", "_project_conv."),
    (r"of\.bn3\.", "_bn2."),
)
CLASSIFIER = (r"(head\.)?fc\.", r"classifier\.", r"head\.")
DLA_UNUSED = (r"(base\.)?fc\.", r"(base\.)?level\d\.project\.")  # of trees of two levels, which never read theirs


def below(prefix: str, names: Names = ()) -> Names:
    """Return the table of names for a backbone whose tensors start with `prefix` in the other code base."""
    return (*names, (r"^backbone\.net\.", prefix))


def find_timm(shapes: Shapes, names: Names, candidates: Iterable[str]) -> tuple[str, float]:
    """Return the timm model of which most tensors match in name and shape, and the share of its tensors that match."""
    scores: dict[str, tuple[int, float]] = {}
    for candidate in candidates:
        network = Network("", {}, names)
        own = timm_shapes(candidate)
        fitting = sum(shapes.get(network.theirs(f"backbone.net.{name}")) == shape for name, shape in own.items())
        scores[candidate] = fitting, fitting / len(own)
    best = max(scores, key=lambda name: scores[name])
    return best, scores[best][1]


@cache
def timm_shapes(name: str) -> Shapes:
    """Return the shapes of the tensors of a timm model by name, without counters."""
    return {name: tuple(value.shape) for name, value in timm_state(name).items() if value.ndim}


def timm_state(name: str) -> dict[str, Tensor]:
    """Return the tensors of a timm model without its classifier by name, without values (meta tensors)."""
    with torch.device("meta"):
        return timm.create_model(name, num_classes=0, pretrained=False).state_dict()


def recognise(shapes: Shapes) -> Network | None:
    """Recognise a bare backbone of torchvision, timm or the authors of RegNet; `model` has its timm name only."""
    if has(shapes, "trunk_output."):
        layout, names, candidates = "torchvision", TORCHVISION_REGNET, REGNETS
    elif has(shapes, "s1.b1.f."):
        layout, names, candidates = "pycls", PYCLS_REGNET, REGNETS
    elif has(shapes, "features.1.conv.0.0."):
        layout, names, candidates = "torchvision", TORCHVISION_MOBILENET_V2, MOBILENETS_V2
    elif has(shapes, "_blocks.0._depthwise_conv."):
        layout, names, candidates = "EfficientNet-PyTorch", EFFICIENTNET_PYTORCH, EFFICIENTNETS_LITE
    else:
        layout, names, candidates = "torchvision or timm", (), (*RESNETS, *REGNETS, *OTHERS)
    best, share = find_timm(shapes, below("", names), candidates)
    if share < 0.5:
        return None
    unused = DLA_UNUSED if best == "dla34" else CLASSIFIER
    if best in EFFICIENTNETS_LITE:
        unused = (*unused, r"_conv_head\.", r"_bn1\.", r"_fc\.")
    if best.startswith("mobilenet"):
        unused = (*unused, r"conv_head\.", r"bn2\.", r"norm_head\.")
    return Network(f"{best} ({layout})", {"backbone": best}, below("", names), unused)
