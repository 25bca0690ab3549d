"""Checkpoints of centerX, and of CenterNet-better(-plus), from which it has its neck and head."""

from __future__ import annotations

from typing import Any

from centerx.interop.backbones import PYCLS_REGNET, REGNETS, RESNETS, STAGED_RESNET, below, find_timm
from centerx.interop.source_code import IMAGENET, Names, Network, Shapes, SourceCode, has, rows

CONVOLUTIONS = {  # ours -> (our part, theirs) of the 3x3 convolution
    "modulated": ((r"0\.offset\.", "dcn.offset_mask_conv."), (r"0\.", "dcn.dcnv2.")),
    "deformable": ((r"0\.offset\.", "dcn.offset_conv."), (r"0\.", "dcn.dcn.")),
    "plain": ((r"0\.", "dcn.conv."),),
}
HEAD: Names = tuple(
    (rf"head\.{ours}\.{layer}\.", f"head.{theirs}.{name}.")
    for ours, theirs in (("heatmap", "cls_head"), ("size", "wh_head"), ("offset", "reg_head"))
    for layer, name in ((0, "feat_conv"), (2, "out_conv"))
)


def neck_names(conv: str) -> Names:
    """Return the names of the three stages of the neck."""
    return tuple(
        (rf"neck\.stages\.{ours}", f"upsample.deconv{stage + 1}.{theirs}")
        for stage in range(3)
        for ours, theirs in (
            *((rf"{5 * stage}\.{part}", name) for part, name in CONVOLUTIONS[conv]),
            (rf"{5 * stage}\.1\.", "dcn_bn."),
            (rf"{5 * stage + 2}\.", "up_sample."),
            (rf"{5 * stage + 3}\.", "up_bn."),
        )
    )


def network(shapes: Shapes, backbone: str, names: Names) -> Network:
    """Return the network around a backbone."""
    parts = {name.split(".")[3] for name in shapes if name.startswith("upsample.deconv1.dcn.")}
    conv = "modulated" if parts & {"offset_mask_conv", "dcnv2"} else "plain" if "conv" in parts else "deformable"
    widths = [rows(shapes, f"upsample.deconv{stage}.up_sample.weight", 64) for stage in (1, 2, 3)]
    model: dict[str, Any] = {
        "backbone": backbone,
        "neck": {"type": "deconv", "conv": conv, "channels": widths},
        "head_channels": rows(shapes, "head.cls_head.feat_conv.weight", 64),
    }
    name = f"{backbone}, {conv} convolutions"
    return Network(name, model, (*neck_names(conv), *HEAD, *names), biased=conv != "deformable")


def recognise(shapes: Shapes) -> Network | None:
    """Recognise a ResNet or RegNet under its own names."""
    if not has(shapes, "upsample.deconv1."):
        return None
    regnet = has(shapes, "backbone.s1.")
    if not regnet and not has(shapes, "backbone.layer1."):
        return None
    names = below("backbone.", PYCLS_REGNET if regnet else ())
    return network(shapes, find_timm(shapes, names, REGNETS if regnet else RESNETS)[0], names)


def recognise_staged(shapes: Shapes) -> Network | None:
    """Recognise torchvision's ResNet divided into stages."""
    if not has(shapes, "upsample.deconv1.") or not has(shapes, "backbone.stage1."):
        return None
    names = below("backbone.", STAGED_RESNET)
    return network(shapes, find_timm(shapes, names, RESNETS)[0], names)


CENTERX = SourceCode(
    "centerX",
    "ResNet and RegNet, with plain, deformable or modulated convolutions",
    recognise,
    "RGB",
    *IMAGENET,
    resize="shortest edge, longest side at most 512, padded on the right and at the bottom with the mean colour",
)
BETTER = SourceCode(
    "CenterNet-better(-plus)",
    "ResNet, with deformable or modulated convolutions",
    recognise_staged,
    "RGB",
    *IMAGENET,
    resize="none: in its own size, centred in the next multiple of 32 in black",
)
