"""CenterNet by the authors of Objects as Points."""

from __future__ import annotations

from typing import Any

from centerx.importing.backbones import DLA_UNUSED, RESNETS, below, find_timm
from centerx.importing.origin import Names, Network, Origin, Shapes, has, rows

BRANCHES = (("heatmap", "hm"), ("size", "wh"), ("offset", "reg"))
HEAD: Names = tuple((rf"head\.{ours}\.", f"{theirs}.") for ours, theirs in BRANCHES)
RESDCN_NECK: Names = tuple(
    (rf"neck\.stages\.{ours}", f"deconv_layers.{theirs}")
    for stage in range(3)
    for ours, theirs in (
        (rf"{5 * stage}\.0\.offset\.", f"{6 * stage}.conv_offset_mask."),
        (rf"{5 * stage}\.0\.", f"{6 * stage}."),
        (rf"{5 * stage}\.1\.", f"{6 * stage + 1}."),
        (rf"{5 * stage + 2}\.", f"{6 * stage + 3}."),
        (rf"{5 * stage + 3}\.", f"{6 * stage + 4}."),
    )
)
DLA_NECK: Names = (
    (r"neck\.rounds\.(\d)", r"dla_up.ida_\1"),
    (r"neck\.last", "ida_up"),
    *(
        (rf"\.{ours}s\.{index}\.", f".{theirs}_{index + 1}.")
        for ours, theirs in (("project", "proj"), ("up", "up"), ("node", "node"))
        for index in range(3)
    ),
    (r"((?:proj|node)_\d)\.0\.offset\.", r"\1.conv.conv_offset_mask."),
    (r"((?:proj|node)_\d)\.0\.", r"\1.conv."),
    (r"((?:proj|node)_\d)\.1\.", r"\1.actf.0."),
)
HOURGLASS: Names = (
    (r"stem\.0\.0\.", "pre.0.conv."),
    (r"stem\.0\.1\.", "pre.0.bn."),
    (r"stem\.1\.", "pre.1."),
    (r"stacks\.", "kps."),
    (r"\.side\.", ".up1."),
    (r"\.down\.", ".low1."),
    (r"\.inner", ".low2"),
    (r"\.up\.", ".low3."),
    (r"outs\.(\d)\.0\.", r"cnvs.\1.conv."),
    (r"outs\.(\d)\.1\.", r"cnvs.\1.bn."),
    (r"between\.", "inters."),
    (r"from_in\.", "inters_."),
    (r"from_out\.", "cnvs_."),
    (r"first\.0\.", "conv1."),
    (r"first\.1\.", "bn1."),
    (r"second\.0\.", "conv2."),
    (r"second\.1\.", "bn2."),
    *((rf"head\.{ours}\.0\.", f"{theirs}.1.0.conv.") for ours, theirs in BRANCHES),
    *((rf"head\.{ours}\.2\.", f"{theirs}.1.1.") for ours, theirs in BRANCHES),
)


def recognise(shapes: Shapes) -> Network | None:
    """resdcn_N, dla_34 or hourglass."""
    if not has(shapes, "hm."):
        return None
    if has(shapes, "deconv_layers.0.conv_offset_mask."):
        names = below("")
        backbone = find_timm(shapes, names, RESNETS)[0]
        widths = [rows(shapes, f"deconv_layers.{6 * stage + 3}.weight", 64) for stage in range(3)]
        neck: dict[str, Any] = {"type": "deconv", "conv": "modulated", "channels": widths}
        model = {"backbone": backbone, "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 64)}
        return Network(backbone.replace("resnet", "resdcn_"), model, (*RESDCN_NECK, *HEAD, *names), biased=True)
    if has(shapes, "dla_up.ida_0.proj_1.conv.conv_offset_mask."):
        neck = {"type": "dla_up", "conv": "modulated"}
        model = {"backbone": "dla34", "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 256)}
        return Network("dla_34", model, (*DLA_NECK, *HEAD, *below("base.")), DLA_UNUSED, biased=True)
    if has(shapes, "kps.1."):
        model = {"backbone": "hourglass", "neck": {"type": "none"}, "head_channels": 256}
        return Network("hourglass", model, (*HOURGLASS, *below("")), (r"(hm|wh|reg)\.0\.",))
    return None


CENTERNET = Origin(
    "CenterNet",
    "resdcn_18 to resdcn_152, dla_34, hourglass",
    recognise,
    "BGR",
    (0.40789654, 0.44719302, 0.47026115),  # of its COCO models
    (0.28863828, 0.27408164, 0.27809835),
    resize="longest side to 512, centred in black",
)
