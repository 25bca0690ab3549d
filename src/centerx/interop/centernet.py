"""Checkpoints of CenterNet by the authors of Objects as Points."""

from __future__ import annotations

from typing import Any

from centerx.errors import InputError
from centerx.interop.backbones import DLA_UNUSED, RESNETS, below, find_timm
from centerx.interop.source_code import IMAGENET, Names, Network, Shapes, SourceCode, has, rows
from centerx.joints import COCO_JOINTS, COCO_SKELETON, numbered_joints

BRANCHES = (
    ("heatmap", "hm"),
    ("size", "wh"),
    ("offset", "reg"),
    ("keypoints", "hps"),
    ("joint_heatmap", "hm_hp"),
    ("joint_offset", "hp_offset"),
)
OF_JOINTS = ("hps", "hm_hp", "hp_offset")  # of multi_pose
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
AGGREGATION: Names = (
    (r"neck\.rounds\.(\d)", r"dla_up.ida_\1"),
    (r"neck\.last", "ida_up"),
    *(
        (rf"\.{ours}s\.{index}\.", f".{theirs}_{index + 1}.")
        for ours, theirs in (("project", "proj"), ("up", "up"), ("node", "node"))
        for index in range(3)
    ),
)
DLA_NECK: Names = (
    *AGGREGATION,
    (r"((?:proj|node)_\d)\.0\.offset\.", r"\1.conv.conv_offset_mask."),
    (r"((?:proj|node)_\d)\.0\.", r"\1.conv."),
    (r"((?:proj|node)_\d)\.1\.", r"\1.actf.0."),
)
RES_NECK: Names = tuple(
    (rf"neck\.stages\.{3 * stage + part}\.", f"deconv_layers.{3 * stage + part}.")
    for stage in range(3)
    for part in (0, 1)
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


# Branches of other tasks, and of trackers
OTHER_BRANCHES = {
    "hps": "joints", "hm_hp": "joints", "hp_offset": "joints", "dep": "depth", "rot": "rotation in space",
    "dim": "size in space", "amodel_offset": "centre in space", "velocity": "velocity", "nuscenes_att": "attributes",
    "tracking": "motion since the frame before", "ltrb": "box by its sides", "ltrb_amodal": "whole box of cut objects",
    "id": "identity",
}  # fmt: skip
EARLIER_FRAME = ("pre_img_layer", "pre_hm_layer")


def recognise(shapes: Shapes) -> Network | None:
    """Recognise a network of any task that finds boxes.

    Raises:
        InputError: it is a CenterNet without width and height.
    """
    if has(shapes, "hm_c.") and has(shapes, "hm_t."):
        raise InputError(
            "a checkpoint of exdet, which finds extreme points (hm_t, hm_l, hm_b, hm_r, hm_c) and has no wh, the width "
            "and height that a detector needs, take one of ctdet"
        )
    network = recognise_ctdet(shapes)
    if network is None:
        return None
    others = other_branches(shapes)
    if set(OF_JOINTS) <= set(others):
        network, others = with_joints(network, shapes), [name for name in others if name not in OF_JOINTS]
    if not has(shapes, "wh."):
        raise InputError(
            f"{network.name} without wh, the width and height that a detector needs"
            f"{', but with ' if others else ''}{', '.join(others)}; take a checkpoint that was trained with boxes"
        )
    told = {name: f"{name} ({OTHER_BRANCHES[name]})" if name in OTHER_BRANCHES else name for name in others}
    left = list(told.values())
    if earlier := [name for name in EARLIER_FRAME if has(shapes, f"base.{name}.")]:
        left.append(
            f"{' and '.join(earlier)} (the frame before, without which a tracker finds less than it was trained to)"
        )
    unused = (*network.unused, *(rf"{name}\." for name in others), *(rf"base\.{name}\." for name in EARLIER_FRAME))
    kitti = {"dep", "rot", "dim"} <= set(others) and not earlier and "amodel_offset" not in others
    return network._replace(left=tuple(left), unused=unused, pixels=IMAGENET if kitti else None)


def with_joints(network: Network, shapes: Shapes) -> Network:
    """Return the network with the joints of multi_pose; those of COCO where there are so many, else numbered."""
    last = next(name for name in ("hm_hp.2.weight", "hm_hp.1.1.weight", "hm_hp.weight") if name in shapes)
    count = shapes[last][0]
    names = COCO_JOINTS if count == len(COCO_JOINTS) else numbered_joints(count)
    joints: dict[str, Any] = {"names": names}
    if names == COCO_JOINTS:
        joints |= {"skeleton": COCO_SKELETON}
        joints |= {"pairs": [(name, name.replace("left", "right")) for name in names if name.startswith("left")]}
    others = {"task": "pose", "joints": joints}
    return network._replace(others=others, class_names=("person",) if names == COCO_JOINTS else ())


def other_branches(shapes: Shapes) -> list[str]:
    """Return the branches that start with the same convolution as the heatmap but are not those of a detector."""
    first = next((part for part in (".0.weight", ".0.0.conv.weight") if f"hm{part}" in shapes), ".0.weight")
    width = shapes.get(f"hm{first}", ())[1:]
    alike = {name.removesuffix(first) for name, shape in shapes.items() if name.endswith(first) and shape[1:] == width}
    return sorted(name for name in alike if "." not in name and name not in ("hm", "wh", "reg"))


def recognise_ctdet(shapes: Shapes) -> Network | None:
    """Recognise resdcn_N, res_N, dla_34, dlav0_34 or hourglass by the layers before the branches."""
    if not has(shapes, "hm."):
        return None
    if len(shapes.get("deconv_layers.0.weight", ())) == 4 and not has(shapes, "deconv_layers.0.conv_offset_mask."):
        names = below("")
        backbone = find_timm(shapes, names, RESNETS)[0]
        widths = [rows(shapes, f"deconv_layers.{3 * stage}.weight", 256, axis=1) for stage in range(3)]
        neck: dict[str, Any] = {"type": "deconv", "conv": "none", "channels": widths}
        model = {"backbone": backbone, "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 64)}
        return Network(backbone.replace("resnet", "res_"), model, (*RES_NECK, *HEAD, *names))
    if has(shapes, "dla_up.ida_0.proj_1.0."):
        neck = {"type": "dla_concat"}
        model = {"backbone": "dla34", "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 256)}
        return Network("dlav0_34", model, (*AGGREGATION, *HEAD, *below("base.")), DLA_UNUSED)
    if has(shapes, "deconv_layers.0.conv_offset_mask."):
        names = below("")
        backbone = find_timm(shapes, names, RESNETS)[0]
        widths = [rows(shapes, f"deconv_layers.{6 * stage + 3}.weight", 64) for stage in range(3)]
        neck = {"type": "deconv", "conv": "modulated", "channels": widths}
        model = {"backbone": backbone, "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 64)}
        return Network(backbone.replace("resnet", "resdcn_"), model, (*RESDCN_NECK, *HEAD, *names), biased=True)
    if has(shapes, "dla_up.ida_0.proj_1.conv.conv_offset_mask."):
        neck = {"type": "dla_up", "conv": "modulated"}
        model = {"backbone": "dla34", "neck": neck, "head_channels": rows(shapes, "hm.0.weight", 256)}
        return Network("dla_34", model, (*DLA_NECK, *HEAD, *below("base.")), DLA_UNUSED, biased=True)
    if has(shapes, "kps.1."):
        model = {"backbone": "hourglass", "neck": {"type": "none"}, "head_channels": 256}
        return Network("hourglass", model, (*HOURGLASS, *below("")), (r"(hm|wh|reg|hps|hm_hp|hp_offset)\.0\.",))
    return None


CENTERNET = SourceCode(
    "CenterNet",
    "resdcn_18 to resdcn_152, res_18 to res_152, dla_34, dlav0_34, hourglass",
    recognise,
    "BGR",
    (0.40789654, 0.44719302, 0.47026115),  # standard deviation of its COCO models
    (0.28863828, 0.27408164, 0.27809835),
    resize="longest side to 512, centred in black",
)
