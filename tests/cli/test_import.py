"""`centerx import` as a user runs it."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from centerx.interop.configs import ImportedConfig, Row
from tests.cli.conftest import CommandLine
from tests.interop.handmade import centerx as centerx_state
from tests.interop.handmade import resdcn


def test_what_is_imported_predicts(centerx: CommandLine, tmp_path: Path, scenes: Path) -> None:
    torch.save({"model": centerx_state("deformable")}, tmp_path / "model_final.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\n\nold car\n")
    out = tmp_path / "ours.safetensors"
    status, said, err = centerx(
        "import",
        tmp_path / "model_final.pth",
        "--out",
        out,
        "--classes",
        tmp_path / "names.txt",
        "--json",
        tmp_path / "a",
    )
    assert (status, err) == (0, "")
    assert said == f"{out}: centerX, resnet18, deformable convolutions, 3 classes, RGB pixels\n"
    report = json.loads((tmp_path / "a").read_bytes())
    assert report == {"file": str(out), "what": said.split(": ")[1].strip(), "keys": None}
    picture = next(scenes.parent.rglob("*.jpg"), None) or next(scenes.parent.rglob("*.png"))
    status, _, err = centerx("predict", out, picture, "--json", tmp_path / "found.json", "--score", "0")
    assert (status, err) == (0, "")
    [found] = json.loads((tmp_path / "found.json").read_text())
    assert {each["label"] for each in found["detections"]} <= {"cat", "dog", "old car"}
    assert len(found["detections"]) > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--colour", "rgb"), "--colour: 'rgb' is neither RGB nor BGR"),
        (("--mean", "1,2"), "--mean: '1,2' is not three numbers"),
        (("--std", "a,b,c"), "--std: 'a,b,c' is not three numbers"),
        (("--classes", "a,b"), "--classes: 2 names, but the heatmap"),
    ],
)
def test_wrong_options(options: tuple[str, str], says: str, centerx: CommandLine, tmp_path: Path) -> None:
    torch.save(resdcn(), tmp_path / "a.pth")
    status, out, err = centerx("import", tmp_path / "a.pth", "--out", tmp_path / "b.safetensors", *options)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {says}")
    assert not (tmp_path / "b.safetensors").exists()


def test_the_average_is_chosen_by_an_option(centerx: CommandLine, tmp_path: Path) -> None:
    plain = resdcn()
    average = plain | {"hm.2.bias": plain["hm.2.bias"] + 1}
    torch.save({"state_dict": plain, "state_dict_ema": average}, tmp_path / "a.pth")
    biases = []
    for option in ((), ("--ema",), ("--no-ema",)):
        given = (tmp_path / "a.pth", "--out", tmp_path / "b.safetensors", "--classes", "a,b,c", *option)
        status, _, err = centerx("import", *given)
        taken = "weights as trained under state_dict" if "--no-ema" in option else "averaged weights under state_dict_"
        assert status == 0
        assert err.startswith(f"warning: {tmp_path / 'a.pth'}: took the {taken}")
        biases.append(load_file(tmp_path / "b.safetensors")["head.heatmap.2.bias"])
    torch.testing.assert_close(
        torch.stack(biases) - plain["hm.2.bias"], torch.tensor([[1.0], [1.0], [0.0]]).expand(3, 3)
    )


def test_a_program_of_python_is_one_line(centerx: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("config = CenterNetConfig()\n")
    status, out, err = centerx("import", tmp_path / "config.py", "--out", tmp_path / "ours.yaml")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {tmp_path / 'config.py'}: a program of Python, as CenterNet-better keeps")


def test_a_configuration_goes_another_way(
    centerx: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    module = ModuleType("centerx.interop.configs")
    told = ImportedConfig([Row("MODEL.DEVICE", "cuda", "dropped: it is chosen by train.device")], "its paths")
    module.import_config = lambda source, out: (asked.append((source, out)), told)[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    status, out, err = centerx("import", tmp_path / "theirs.YAML", "--out", tmp_path / "ours.yaml")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "MODEL.DEVICE | cuda | dropped: it is chosen by train.device",
        f"{tmp_path / 'ours.yaml'}: 0 keys kept, 0 keys renamed, 1 keys dropped; fill in its paths",
    ]
    assert asked == [(tmp_path / "theirs.YAML", tmp_path / "ours.yaml")]
