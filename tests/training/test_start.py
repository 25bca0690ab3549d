"""A training that starts from a trained model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from centerx.build import build_run
from centerx.build_model import build_detector, save_named, start_from
from centerx.config import load_config
from centerx.errors import InputError
from tests.training.small_runs import train


def test_starting_from_an_earlier_model(small_overrides: list[str], tmp_path: Path) -> None:
    train(small_overrides, tmp_path / "first")
    weights = tmp_path / "first" / "last.safetensors"
    run = build_run(load_config("nano", [*small_overrides, f"train.init={weights}"]), tmp_path / "second")
    for key, value in load_file(weights).items():
        np.testing.assert_array_equal(run.module.detector.model.state_dict()[key].numpy(), value.numpy())


def test_starting_from_another_network_names_its_keys(small_overrides: list[str], tmp_path: Path) -> None:
    config = load_config("nano", [*small_overrides, "model.neck.channels=16", "classes=['1']"])
    save_named(tmp_path, config, build_detector(config), "other")
    init = f"train.init={tmp_path / 'other.safetensors'}"
    with pytest.raises(InputError, match=r"other\.safetensors is of another network, .* set model\.neck\.channels=16$"):
        build_run(load_config("nano", [*small_overrides, "model.top_k=7", init]), tmp_path / "run")


def test_starting_from_a_model_of_other_classes_keeps_the_shared_ones(
    small_overrides: list[str], tmp_path: Path
) -> None:
    train([*small_overrides, "classes=['3','1']"], tmp_path / "first")
    first = load_file(tmp_path / "first" / "last.safetensors")
    init = f"train.init={tmp_path / 'first' / 'last.safetensors'}"
    fresh, second = (
        build_run(load_config("nano", [*small_overrides, "classes=['1','2','3']", *more]), tmp_path / "second")
        for more in ([], [init])
    )
    state = second.module.detector.model.state_dict()
    for key in ("head.heatmap.2.weight", "head.heatmap.2.bias"):
        expected = torch.stack([first[key][1], fresh.module.detector.model.state_dict()[key][1], first[key][0]])
        torch.testing.assert_close(state[key], expected, rtol=0, atol=0)
    torch.testing.assert_close(state["head.size.2.weight"], first["head.size.2.weight"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("task", "taken", "fresh", "gone"),
    [
        ("pose", ["size", "offset"], ["keypoints", "joint_heatmap", "joint_offset"], []),
        ("quads", ["offset"], ["corners"], ["size"]),
        ("rotated", ["offset"], ["sides", "angle"], ["size"]),
    ],
)
def test_starting_from_a_model_of_boxes(
    task: str,
    taken: list[str],
    fresh: list[str],
    gone: list[str],
    small_overrides: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = load_config("nano", [*small_overrides, "classes=['1','2']"])
    torch.manual_seed(1)
    save_named(tmp_path, config, build_detector(config), "boxes")
    former = load_file(tmp_path / "boxes.safetensors")
    words = [f"task={task}", "classes=['2','1','3']"]
    words += ["joints.names=[nose,tail]", "joints.pairs=[]"] if task == "pose" else []
    config = load_config("nano", [*small_overrides, *words])
    detector = build_detector(config)
    before = {key: value.clone() for key, value in detector.model.state_dict().items()}
    with caplog.at_level("INFO"):
        start_from(detector, tmp_path / "boxes.safetensors", config)
    for key, value in detector.model.state_dict().items():
        branch = key.split(".")[1] if key.startswith("head.") else ""
        if key.startswith("head.heatmap.2."):
            expected = torch.stack([former[key][1], former[key][0], before[key][2]])
        else:
            expected = before[key] if branch in fresh else former[key]
        assert torch.equal(value, expected), key
    told = f"taken: backbone, neck, heatmap, {', '.join(taken)}; fresh: {', '.join(fresh)}, class 3"
    assert caplog.messages[-1].endswith(told + (f"; left out: {', '.join(gone)}" if gone else ""))


def test_starting_from_a_model_of_other_joints_keeps_the_shared_ones(
    small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = [*small_overrides, "task=pose", "classes=['1']", "joints.pairs=[]"]
    config = load_config("nano", [*words, "joints.names=[nose,tail]"])
    torch.manual_seed(1)
    save_named(tmp_path, config, build_detector(config), "first")
    former = load_file(tmp_path / "first.safetensors")
    config = load_config("nano", [*words, "joints.names=[tail,ear,nose]"])
    detector = build_detector(config)
    before = {key: value.clone() for key, value in detector.model.state_dict().items()}
    with caplog.at_level("INFO"):
        start_from(detector, tmp_path / "first.safetensors", config)
    state = detector.model.state_dict()
    for key, width in (("head.keypoints.2.weight", 2), ("head.joint_heatmap.2.weight", 1)):
        nose, tail = former[key].split(width)
        assert torch.equal(state[key], torch.cat([tail, before[key][width : 2 * width], nose]))
    assert torch.equal(state["head.keypoints.0.weight"], former["head.keypoints.0.weight"])
    assert caplog.messages[-1].endswith("joint_heatmap, joint_offset, offset; fresh: joint ear")


@pytest.mark.parametrize("kinds", [("number", "distribution"), ("distribution", "number")])
def test_starting_from_a_model_of_the_other_kind_of_lengths(
    kinds: tuple[str, str], small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former, config = (
        load_config("nano", [*small_overrides, "classes=['1']", f"model.lengths={kind}"]) for kind in kinds
    )
    torch.manual_seed(1)
    save_named(tmp_path, former, build_detector(former), "former")
    state, detector = load_file(tmp_path / "former.safetensors"), build_detector(config)
    before = {key: value.clone() for key, value in detector.model.state_dict().items()}
    with caplog.at_level("INFO"):
        start_from(detector, tmp_path / "former.safetensors", config)
    for key, value in detector.model.state_dict().items():
        torch.testing.assert_close(value, (before if key.startswith("head.size.") else state)[key], rtol=0, atol=0)
    assert caplog.messages[-1].endswith("taken: backbone, neck, heatmap, offset; fresh: size")
