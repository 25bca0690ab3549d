"""Networks of other code bases, run by their own code, against what `centerx import` makes of their checkpoints.

python benchmarks/equivalence.py --centernet PATH --centerx PATH --better PATH --better-plus PATH

A PATH is a checkout of the code base; one that is not given or not there is skipped. Their network saves random
weights, which are imported; both then see the same pictures. What needs a GPU or a compiler there, and the parts of
detectron2 that hold no arithmetic, is stood in for.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import torch
import torchvision
import yaml
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from centerx.build_model import load_detector
from centerx.detector import to_numpy
from centerx.exporting.parity import Difference, difference, one, synthetic_images
from centerx.interop.convert import import_checkpoint
from centerx.models import Backbone
from centerx.runtime.foreign.names import COCO_NAMES
from centerx.types import Maps, RawDetections

from rows import Row, rows, show, write

HERE = Path(__file__).parent
SIDE, PICTURES = 256, 2
TOLERANCE = 3e-4  # pixels: joints are sums of larger numbers than boxes are, multi_pose differs by 1.4e-4 in float32
IN_BOTH = "boxes in both"
SPREAD = {  # mean and deviation that random maps are given
    "hm": (-3.0, 1.5),
    "wh": (10.0, 1.0),
    "reg": (0.5, 0.1),
    "hps": (0.0, 3.0),
    "hm_hp": (-3.0, 1.5),
    "hp_offset": (0.5, 0.1),
}
NAMES = ("heatmap", "size", "offset", "keypoints", "joint_heatmap", "joint_offset")  # of the same here
POSE = {"hps": 34, "hm_hp": 17, "hp_offset": 2}


class Theirs(NamedTuple):
    """A network of theirs.

    Attributes:
        name: of the architecture.
        network: it.
        lasts: the last layer of each branch: heatmap, size, offset, and of poses those of the joints.
        maps: pictures (B, 3, H, W) uint8 RGB -> heatmap of logits, size, offset and so on; by their own preparation.
        decode: the maps, heatmaps as probabilities -> (B, K, 4) boxes in cells, scores, classes, and of poses joints
            (B, K, 2 J) in cells; by their own code.
        save: state -> what they write to a file.
        options: of the import.
    """

    name: str
    network: nn.Module
    lasts: list[nn.Conv2d]
    maps: Callable[[Tensor], list[Tensor]]
    decode: Callable[[list[Tensor]], tuple[Tensor, ...]]
    save: Callable[[dict[str, Tensor]], dict[str, Any]]
    options: dict[str, Any]


# Stand-ins


class Anything:
    """A name that is imported, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None

    @classmethod
    def register(cls, *_: Any) -> Callable[[Any], Any]:
        """Decorate nothing."""
        return lambda function: function


class Registry(dict[str, Any]):
    """Functions by name."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def register(self) -> Callable[[Any], Any]:
        """Keep a function."""
        return lambda function: self.setdefault(function.__name__, function)


class Node(dict[str, Any]):
    """Nested settings with dots, and YAML files that name their base."""

    __setattr__ = dict.__setitem__
    register_deprecated_key = register_renamed_key = lambda *_: None

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def merge(self, tree: dict[str, Any]) -> None:
        """Take over values, section by section."""
        for key, value in tree.items():
            if isinstance(value, dict):
                self.setdefault(key, Node()).merge(value)
            else:
                self[key] = value

    def merge_from_file(self, path: str | Path) -> None:
        """Take over a file."""
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if base := tree.pop("_BASE_", None):
            self.merge_from_file(Path(path).parent / base)
        self.merge(tree)


class DeformConv(nn.Module):
    """detectron2's, as far as its checkpoints go."""

    def __init__(self, before: int, after: int, kernel_size: int, bias: bool = False, **options: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.padding = options["padding"]
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, before, h, w) -> (B, after, h, w)."""
        return deform_conv2d(x, offset, self.weight, self.bias, padding=self.padding, mask=mask)


class ModulatedDeformConv(DeformConv):
    """With a bias, as there."""

    def __init__(self, before: int, after: int, **options: Any) -> None:
        super().__init__(before, after, bias=True, **options)


class DCNv2Function:
    """The compiled part of CenterNet's."""

    def __init__(self, stride: int, padding: int, dilation: int, deformable_groups: int) -> None:
        self.options = {"stride": stride, "padding": padding, "dilation": dilation}

    def __call__(self, x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h, w)."""
        return deform_conv2d(x, offset, weight, bias, mask=mask, **self.options)


class StandIns(MetaPathFinder, Loader):
    """Makes modules below some names: those of `known`, and all else in them `Anything`."""

    def __init__(self, names: tuple[str, ...], known: dict[str, dict[str, Any]]) -> None:
        self.names, self.known = names, known

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        """Ours, where the name is below one of `names`."""
        below = any(fullname == name or fullname.startswith(f"{name}.") for name in self.names)
        return ModuleSpec(fullname, self, is_package=True) if below else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make one."""
        module = ModuleType(spec.name)
        vars(module).update(self.known.get(spec.name, {}), __path__=[], __all__=[], __getattr__=lambda _: Anything)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


@contextlib.contextmanager
def beside(path: Path, stand_ins: StandIns) -> Iterator[None]:
    """Import from `path`, download nothing, and forget it all afterwards."""
    known, place = set(sys.modules), os.getcwd()
    other = [name for name in known if name.partition(".")[0] == "datasets"]  # another library has theirs' name
    plain = {name: getattr(torchvision.models.resnet, name) for name in ("resnet18", "resnet50", "resnet101")}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(sys.modules))
        for name in other:
            del sys.modules[name]
        if (path / "datasets").is_dir():  # without an __init__.py, so that an installed package would be preferred
            sys.modules["datasets"] = ModuleType("datasets")
            sys.modules["datasets"].__path__ = [str(path / "datasets")]
        for name, build in plain.items():
            untrained = mock.patch.object(torchvision.models.resnet, name, lambda pretrained, b=build: b(weights=None))
            stack.enter_context(untrained)
        stack.enter_context(mock.patch("torch.utils.model_zoo.load_url", return_value={}))
        stack.enter_context(mock.patch("torch.cuda.synchronize"))
        stack.enter_context(contextlib.redirect_stdout(None))
        stack.enter_context(mock.patch.object(sys, "path", [str(path), *sys.path]))
        stack.enter_context(mock.patch.object(sys, "meta_path", [stand_ins, *sys.meta_path]))
        os.chdir(path)  # they read files by relative paths
        try:
            yield
        finally:
            os.chdir(place)
            for name in set(sys.modules) - known:
                del sys.modules[name]


# Their networks


def centernet(path: Path) -> Iterator[Theirs]:
    """CenterNet: its model, and preparation and decoding of its detector."""
    functions = {"DCNv2Function": DCNv2Function, "DCNv2PoolingFunction": Anything}
    stand_ins = StandIns(
        ("models.networks.DCNv2.dcn_v2_func", "progress"), {"models.networks.DCNv2.dcn_v2_func": functions}
    )
    with beside(path / "src" / "lib", stand_ins):
        load = importlib.import_module
        factory, detector = load("models.model"), load("detectors.ctdet").CtdetDetector
        data = load("datasets.dataset.coco").COCO
        for name in ("pose_dla_dcn", "dlav0"):
            load(f"models.networks.{name}").DLA.load_pretrained_model = Anything  # would download
        every = ("resdcn_18", "resdcn_101", "res_18", "dla_34", "dlav0_34", "hourglass")
        of_poses = [(arch, POSE) for arch in ("resdcn_18", "dla_34", "hourglass")]
        for arch, more in [*((arch, {}) for arch in every), *of_poses]:
            heads = {"hm": 1 if more else data.num_classes, "wh": 2, "reg": 2, **more}
            network = factory.create_model(arch, heads, 256 if "dla" in arch else 64)
            option = SimpleNamespace(fix_res=True, input_h=SIDE, input_w=SIDE, flip_test=False, down_ratio=4)
            program = SimpleNamespace(opt=option, mean=data.mean, std=data.std)

            def maps(
                images: Tensor, network: nn.Module = network, program: Any = program, heads: Any = heads
            ) -> list[Tensor]:
                pictures = images.permute(0, 2, 3, 1).flip(-1).numpy()  # OpenCV's order
                ready = torch.cat([detector.pre_process(program, picture, 1)[0] for picture in pictures])
                out = network(ready.to(next(network.parameters()).dtype))[-1]
                return [out[name] for name in heads]

            def decode(found: list[Tensor]) -> tuple[Tensor, ...]:
                heat, wh, reg, *of_joints = found
                if of_joints:
                    hps, hm_hp, hp_offset = of_joints
                    rows = load("models.decode").multi_pose_decode(heat, wh, hps, reg, hm_hp, hp_offset)
                    return rows[..., :4], rows[..., 4], rows[..., -1], rows[..., 5:-1]
                rows = load("models.decode").ctdet_decode(heat, wh, reg)
                return rows[..., :4], rows[..., 4], rows[..., 5]

            branches = [getattr(network, name) for name in heads]
            lasts = [branch[-1][-1] if arch == "hourglass" else branch[-1] for branch in branches]
            name = f"{arch} multi_pose" if more else arch
            yield Theirs(name, network, lasts, maps, decode, lambda state: {"epoch": 1, "state_dict": state}, {})


def detectron_maps(network: Any, colour: str = "RGB") -> Callable[[Tensor], list[Tensor]]:
    """Of centerX and CenterNet-better(-plus): normalise, backbone, upsampling, head."""
    last = network.head.cls_head.out_conv

    def maps(images: Tensor) -> list[Tensor]:
        pictures = images.flip(1) if colour == "BGR" else images
        ready = torch.stack([network.normalizer(picture / 255.0) for picture in pictures])
        logits: list[Tensor] = []
        hook = last.register_forward_hook(lambda *call: logits.append(call[-1]))
        out = network.head(network.upsample(network.backbone(ready.to(last.weight.dtype))))
        hook.remove()
        assert torch.equal(out["cls"], logits[0].sigmoid())
        return [logits[0], out["wh"], out["reg"]]

    return maps


def detectron(name: str, network: Any, decoder: Any, options: dict[str, Any]) -> Theirs:
    """One of them."""
    head = network.head
    lasts = [head.cls_head.out_conv, head.wh_head.out_conv, head.reg_head.out_conv]

    def decode(found: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores, classes = decoder.decode(*found)
        return boxes, scores[..., 0], classes[..., 0]

    maps = detectron_maps(network, options.get("colour", "RGB"))
    return Theirs(name, network, lasts, maps, decode, lambda state: {"model": state, "iteration": 1}, options)


def detectron_parts() -> dict[str, dict[str, Any]]:
    """What of detectron2 and what it brings must do something."""
    backbones = Registry()
    return {
        "detectron2.layers.deform_conv": {"DeformConv": DeformConv, "ModulatedDeformConv": ModulatedDeformConv},
        "detectron2.modeling": {"Backbone": nn.Module},
        "detectron2.modeling.backbone": {"build_backbone": lambda cfg, **_: backbones[cfg.MODEL.BACKBONE.NAME](cfg)},
        "detectron2.modeling.backbone.build": {"BACKBONE_REGISTRY": backbones},
        "detectron2.config": {"CfgNode": Node},
        "fvcore.common.registry": {"Registry": Registry},
        "yacs.config": {"CfgNode": Node},
    }


def settings() -> Node:
    """What detectron2 has before a project adds its own."""
    tree = Node()
    tree.merge({"MODEL": {"DEVICE": "cpu", "RESNETS": {}}, "TEST": {"DETECTIONS_PER_IMAGE": 100}, "INPUT": {}})
    tree.merge({"SOLVER": {}, "DATASETS": {}, "DATALOADER": {}})
    return tree


CENTERX_CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("coco/centernet_res18_coco", {}),
    ("coco/centernet_res50_coco", {}),
    ("coco/centernet_res18_coco", {"CENTERNET": {"MODULATE_DEFORM": False}}),
    ("coco/centernet_res18_coco", {"BACKBONE": {"NAME": "build_torch_backbone"}, "RESNETS": {"DEPTH": 18}}),
    ("person_det/person_det_res18", {}),
    ("person_det/person_det_regnetX_400MF", {}),
    ("person_det/person_det_regnetX_400MF_normwh_BGR", {}),
    ("person_face/person_face_regnetx_200MF_multi_KD", {}),
    ("person_det/person_det_regnetY_4000GF", {}),
)


def centerx(path: Path) -> Iterator[Theirs]:
    """centerX, by its YAML files."""
    with beside(path, StandIns(("detectron2", "fvcore", "yacs", "data"), detectron_parts())):
        build = importlib.import_module("modeling").build_model
        extend = importlib.import_module("configs").add_centernet_config
        decoder = importlib.import_module("modeling.layers").CenterNetDecoder
        for name, change in CENTERX_CASES:
            cfg = settings()
            extend(cfg)
            cfg.merge_from_file(path / "yamls" / f"{name}.yaml")
            cfg.MODEL.merge(change)
            cfg.MODEL.BACKBONE.PRETRAIN, cfg.MODEL.BN_TYPE = False, "BN"
            cfg.MODEL.CENTERNET.KD.ENABLED = False
            model, regnet = cfg.MODEL, importlib.import_module("modeling.backbone.regnet.config").cfg
            regnet.REGNET.SE_ON = False  # it stays on once a RegNetY was built
            count = model.CENTERNET.NUM_CLASSES
            options: dict[str, Any] = (
                {} if count == len(COCO_NAMES) else {"class_names": [f"c{k}" for k in range(count)]}
            )
            if cfg.INPUT.FORMAT == "BGR":
                options |= {"colour": "BGR", "mean": model.PIXEL_MEAN, "std": model.PIXEL_STD}
            changed = "".join(f", {key}={value}" for section in change.values() for key, value in section.items())
            yield detectron(name.split("/")[1] + changed, build(cfg), decoder, options)


def better(path: Path) -> Iterator[Theirs]:
    """CenterNet-better, by its playground."""
    with beside(
        path, StandIns(("dl_lib._C", "dl_lib.data", "dl_lib.utils", "dl_lib.structures", "dl_lib.configs"), {})
    ):
        compiled = importlib.import_module("dl_lib.layers.deformable.deform_conv")
        compiled.deform_conv = lambda x, offset, weight, stride, padding, dilation, *_: deform_conv2d(
            x, offset, weight, None, stride, padding, dilation
        )
        compiled.modulated_deform_conv = lambda x, offset, mask, weight, bias, stride, padding, dilation, *_: (
            deform_conv2d(x, offset, weight, bias, stride, padding, dilation, mask)
        )
        decoder = importlib.import_module("dl_lib.network.generator").CenterNetDecoder
        for place in sorted((path / "playground").glob("centernet.res*")):
            for modulate in (True, False) if "res18" in place.name else (True,):
                with mock.patch.object(sys, "path", [str(place), *sys.path]):
                    tree = settings()
                    tree.merge(importlib.import_module("config")._config_dict)
                    tree.MODEL.CENTERNET.MODULATE_DEFORM = modulate
                    network = importlib.import_module("net").build_model(tree)
                del sys.modules["config"], sys.modules["net"]
                yield detectron(place.name + ("" if modulate else ", MODULATE_DEFORM=False"), network, decoder, {})


def better_plus(path: Path) -> Iterator[Theirs]:
    """CenterNet-better-plus, by its YAML files."""
    with beside(path, StandIns(("detectron2", "fvcore"), detectron_parts())):
        module = importlib.import_module("centernet.centernet")
        for file in sorted((path / "configs").glob("centernet_*.yaml")):
            cfg = settings()
            importlib.import_module("centernet.config").add_centernet_config(cfg)
            cfg.merge_from_file(file)
            yield detectron(file.stem, module.build_model(cfg), module.CenterNetDecoder, {})


# The comparison


@torch.no_grad()
def randomise(theirs: Theirs, images: Tensor) -> None:
    """Give it weights whose maps have structure, and statistics that fit them."""
    for name, parameter in theirs.network.named_parameters():
        if "offset" in name:  # they start at 0
            parameter.normal_(std=0.01)
    for norm in theirs.network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.uniform_(0.3, 0.8)
            norm.bias.normal_(std=0.2)
            norm.momentum = None  # the mean over all that it sees
    theirs.network.train()
    for _ in range(2):
        theirs.maps(images)
    for norm in theirs.network.modules():  # a channel hardly alive would make large what is rounding
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
            norm.running_var.clamp_(min=0.5 * norm.running_var.mean().item())
    theirs.network.eval()
    for maps, last, (mean, deviation) in zip(theirs.maps(images), theirs.lasts, SPREAD.values(), strict=False):
        scale = deviation / maps.std()
        last.bias.copy_(mean + (last.bias - maps.mean()) * scale)
        last.weight.mul_(scale)


@torch.no_grad()
def compare(theirs: Theirs, folder: Path) -> dict[str, float]:
    """Save, import, and return the largest differences: of maps, of boxes in pixels, of scores.

    In float64, which shows whether the arithmetic is the same; what deep random networks make of the rounding of
    float32 is told beside: between ours and theirs, and between theirs and theirs in float64.
    """
    torch.manual_seed(0)
    images = torch.from_numpy(synthetic_images(PICTURES, (SIDE, SIDE)))
    randomise(theirs, images)
    torch.save(theirs.save(theirs.network.state_dict()), folder / "theirs.pth")
    import_checkpoint(folder / "theirs.pth", folder / "ours.safetensors", **theirs.options)
    detector, _ = load_detector(folder / "ours.safetensors")
    rough, their_rough = probabilities(own_maps(detector.model(images))), probabilities(theirs.maps(images))
    detector.double()
    theirs.network.double()
    fine, their_fine = probabilities(own_maps(detector.model(images))), probabilities(theirs.maps(images))
    boxes, scores, labels, *points = theirs.decode([each.float() for each in their_fine])
    values = {"boxes": (boxes * 4).clamp(0, SIDE).numpy()} | dict(
        zip(["keypoints"], ((each * 4).numpy() for each in points), strict=False)
    )
    pixels, task = RawDetections(values, scores.numpy(), labels.long().numpy()), detector.model.task
    found = to_numpy(detector(images))
    total = Difference(0.0, 0.0, 0, 0)
    for row in range(PICTURES):
        total |= difference(one(found, row, task), one(pixels, row, task))
    return {
        **{name: apart([a], [b]) for name, a, b in zip(NAMES, fine, their_fine, strict=False)},
        "boxes": total.box,
        "scores": total.score,
        "boxes alone": total.unmatched,
        IN_BOTH: total.matched,
        "float32": apart(rough, their_rough),
        "float32, theirs": apart(their_rough, their_fine),
    }


def own_maps(maps: Maps) -> list[Tensor]:
    """Ours in the order of theirs."""
    return [maps.heatmap, *(maps.fields[name] for name in NAMES[1:] if name in maps.fields)]


def probabilities(maps: Sequence[Tensor]) -> list[Tensor]:
    """The same maps, heatmaps after their sigmoid."""
    return [each.sigmoid() if "heatmap" in name else each for name, each in zip(NAMES, maps, strict=False)]


def apart(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The largest difference of any value."""
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


@torch.no_grad()
def backbones(folder: Path) -> dict[str, float]:
    """torchvision's own networks against timm's with imported weights: the largest difference of the last map."""
    images = torch.from_numpy(synthetic_images(PICTURES, (SIDE, SIDE)))
    differences = {}
    for name in ("resnet18", "resnet50", "regnet_x_400mf", "regnet_y_400mf"):
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None).eval()
        torch.save(network.state_dict(), folder / "theirs.pth")
        told = import_checkpoint(folder / "theirs.pth", folder / "ours.safetensors")
        backbone = Backbone(told.split("=")[-1], str(folder / "ours.safetensors")).eval()
        parts = [part for key, part in network.named_children() if key not in ("avgpool", "fc")]
        last = nn.Sequential(*parts)((images - backbone.mean) / backbone.std)
        differences[name] = float((last - backbone(images)[-1]).abs().max() / last.abs().max())
    return differences


ORIGINS = {"centernet": centernet, "centerx": centerx, "better": better, "better_plus": better_plus}


def measure(paths: dict[str, Path | None]) -> list[Row]:
    """Compare all that is there; one row for each figure of each architecture."""
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in paths.items():
            if path is None or not path.is_dir():
                print(f"{name}: skipped, {path or 'no path given'}")
                continue
            for theirs in ORIGINS[name](path.resolve()):
                found = compare(theirs, Path(folder))
                print(f"{name} {theirs.name}: " + ", ".join(f"{key} {value:.2g}" for key, value in found.items()),
                      file=sys.stderr)  # fmt: skip
                measured += rows(f"import {name} {theirs.name}", found, "difference", PICTURES)
        measured += rows("import torchvision", backbones(Path(folder)), "relative difference", PICTURES)
    return measured


def main() -> None:
    """Compare, show, write where no origin is left out; end with status 1 where a difference is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ORIGINS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help="its checkout")
    arguments = vars(parser.parse_args())
    measured = measure(arguments)
    show(measured)
    if all(path and path.is_dir() for path in arguments.values()):  # a part would take the place of the whole
        write(HERE / "results" / "equivalence.csv", measured)
    exact = [row for row in measured if row.case != IN_BOTH and not row.case.startswith("float32")]
    worst = [row for row in exact if row.value > TOLERANCE]
    sys.exit("\n".join(f"too different: {row.figure} {row.case} {row.value}" for row in worst) or 0)


if __name__ == "__main__":
    main()
