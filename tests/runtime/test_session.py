"""Choosing what runs a model file, and what is said of files that are none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from centerx.bench import bench_models
from centerx.build_model import TorchSession
from centerx.decode import Decode, peaks
from centerx.errors import InputError
from centerx.exporting.parity import synthetic_images
from centerx.model_file import read_model
from centerx.runtime import open_session
from centerx.runtime.info import ModelInfo
from centerx.runtime.onnx import OnnxSession
from centerx.runtime.openvino import OpenVinoSession
from centerx.runtime.outputs import detections_from_maps
from centerx.tasks import BOXES
from tests.made import box_maps


def test_the_suffix_chooses_the_backend(model_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    assert isinstance(open_session(model_file), TorchSession)
    assert isinstance(open_session(str(onnx_file)), OnnxSession)
    assert isinstance(open_session(onnx_file, "onnxruntime"), OnnxSession)
    assert isinstance(open_session(shutil.copy(onnx_file, tmp_path / "MODEL.ONNX")), OnnxSession)


def test_both_say_the_same_of_the_model(model_file: Path, onnx_file: Path) -> None:
    info = ModelInfo(class_names=("red", "green", "blue"), input_hw=(96, 128), stride=4, top_k=60)
    assert open_session(model_file).info == open_session(onnx_file).info == info


def test_metadata_survives_any_class_name() -> None:
    info = ModelInfo(("Thrombozyt, groß", "白血球", 'a "b"'), (64, 32), 4)
    assert ModelInfo.from_metadata(info.to_metadata(), "here") == info


def test_metadata_has_a_range_where_it_is_not_the_usual() -> None:
    usual = ModelInfo(("a",), (64, 32), 4)
    assert "range" not in usual.to_metadata()
    for value_range, text in (((0.0, 4095.0), "[0.0, 4095.0]"), ("stretch", '"stretch"')):
        info = usual._replace(value_range=value_range)
        assert info.to_metadata()["range"] == text
        assert ModelInfo.from_metadata(info.to_metadata(), "here") == info
    for text in ('"full"', "[5, 1]", "[", "[1, 2, 3]"):
        with pytest.raises(InputError, match="here: not a centerX model"):
            ModelInfo.from_metadata(usual.to_metadata() | {"range": text}, "here")


@pytest.mark.parametrize(
    ("backend", "said"), [("onnxrutime", "did you mean 'onnxruntime'"), ("torch", "of torch, known are: .safetensors$")]
)
def test_a_backend_that_does_not_fit(backend: str, said: str, onnx_file: Path) -> None:
    with pytest.raises(InputError, match=said):
        open_session(onnx_file, backend)


def cut(source: Path, path: Path) -> None:
    path.write_bytes(source.read_bytes()[:100_000])


TYPES = {"boxes": onnx.TensorProto.FLOAT, "scores": onnx.TensorProto.FLOAT, "labels": onnx.TensorProto.INT64}


def detections_of(values: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes, and what they need, that give a detection for each of some values: all_boxes, all_scores, all_labels."""
    node = onnx.helper.make_node
    tables = {"flat": np.array([0, -1]), "column": np.array([0, -1, 1]), "four": np.array([1, 1, 4])}
    nodes = [
        node("Cast", [values], ["numbers"], to=onnx.TensorProto.FLOAT),
        node("Reshape", ["numbers", "flat"], ["row"]),
        node("Cos", ["row"], ["cosine"]),
        node("Abs", ["cosine"], ["all_scores"]),
        node("Sub", ["row", "row"], ["zeros"]),
        node("Cast", ["zeros"], ["all_labels"], to=onnx.TensorProto.INT64),
        node("Reshape", ["numbers", "column"], ["rows"]),
        node("Tile", ["rows", "four"], ["all_boxes"]),
    ]
    return nodes, [onnx.numpy_helper.from_array(table, name) for name, table in tables.items()]


def foreign_onnx(
    path: Path,
    metadata: dict[str, str] | None = None,
    takes: str = "images",
    kind: int = onnx.TensorProto.UINT8,
    hw: tuple[int, int] = (32, 32),
    gives: tuple[str, ...] = ("boxes", "scores", "labels"),
) -> None:
    """A graph that finds an object at each value of its input, of no area."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    images = value(takes, kind, ["batch", 3, *hw])
    nodes, tables = detections_of(takes)
    graph = onnx.helper.make_graph(
        [*nodes, *(node("Identity", [f"all_{name}"], [name]) for name in gives)],
        "g",
        [images],
        [value(name, TYPES[name], None) for name in gives],
        tables,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.helper.set_model_props(model, metadata or {})
    onnx.save(model, path)


def unknown_operator(path: Path) -> None:
    foreign_onnx(path)
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, path)


METADATA = ModelInfo(("a",), (32, 32), 4).to_metadata()


def deformable(path: Path) -> Path:
    """A graph with a deformable convolution, which ONNX Runtime has and OpenVINO lacks."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [node("Cast", ["images"], ["x"], to=onnx.TensorProto.FLOAT), node("Conv", ["x", "two"], ["shift"])]
    nodes.append(node("DeformConv", ["x", "one", "shift"], ["moved"]))
    found, tables = detections_of("moved")
    nodes += [*found, *(node("Identity", [f"all_{name}"], [name]) for name in TYPES)]
    weights = [
        onnx.numpy_helper.from_array(np.ones((n, 3, 1, 1), np.float32), name) for n, name in ((1, "one"), (2, "two"))
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("images", onnx.TensorProto.UINT8, ["batch", 3, 32, 32])],
        [value(name, kind, None) for name, kind in TYPES.items()],
        [*tables, *weights],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.helper.set_model_props(model, METADATA)
    onnx.save(model, path)
    return path


def test_auto_takes_the_fastest(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fastest in (OpenVinoSession, OnnxSession):
        monkeypatch.setattr(
            "centerx.runtime.session.seconds_a_picture", lambda session, kind=fastest: not isinstance(session, kind)
        )
        assert isinstance(open_session(onnx_file, "auto"), fastest)


def test_auto_and_bench_leave_out_what_lacks_an_operator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = deformable(tmp_path / "a.onnx")
    said = f"{path}: OpenVINO has no layer for DeformConv, run it with the backend onnxruntime"
    with pytest.raises(InputError) as caught:
        open_session(path, "openvino")
    assert str(caught.value) == said
    assert isinstance(open_session(path, "auto"), OnnxSession)
    assert [row.backend for row in bench_models([path], [1], runs=1)] == ["onnxruntime"]
    assert f"left out: {said}" in caplog.messages


# file name -> what makes it from (folder, model file, ONNX file)
BROKEN: dict[str, Callable[[Path, Path, Path], object]] = {
    "missing.onnx": lambda path, model, onnx_: None,
    "folder.onnx": lambda path, model, onnx_: path.mkdir(),
    "empty.onnx": lambda path, model, onnx_: path.write_bytes(b""),
    "text.onnx": lambda path, model, onnx_: path.write_text("hello"),
    "cut.onnx": lambda path, model, onnx_: cut(onnx_, path),
    "weights.onnx": lambda path, model, onnx_: shutil.copy(model, path),
    "foreign.onnx": lambda path, model, onnx_: foreign_onnx(path),
    "malformed.onnx": lambda path, model, onnx_: foreign_onnx(
        path, {"class_names": "[", "input_size": "[1, 2]", "stride": "4"}
    ),
    "other-outputs.onnx": lambda path, model, onnx_: foreign_onnx(path, METADATA, gives=("boxes", "labels")),
    "other-input.onnx": lambda path, model, onnx_: foreign_onnx(path, METADATA, takes="x"),
    "other-pixels.onnx": lambda path, model, onnx_: foreign_onnx(path, METADATA, kind=onnx.TensorProto.FLOAT),
    "other-size.onnx": lambda path, model, onnx_: foreign_onnx(path, METADATA, hw=(32, 64)),
    "unknown-operator.onnx": lambda path, model, onnx_: unknown_operator(path),
    "notes.txt": lambda path, model, onnx_: path.write_text("hello"),
    "bare": lambda path, model, onnx_: shutil.copy(onnx_, path),
    "missing.safetensors": lambda path, model, onnx_: None,
    "empty.safetensors": lambda path, model, onnx_: path.write_bytes(b""),
    "random.safetensors": lambda path, model, onnx_: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "cut.safetensors": lambda path, model, onnx_: cut(model, path),
    "graph.safetensors": lambda path, model, onnx_: shutil.copy(onnx_, path),
    "foreign.safetensors": lambda path, model, onnx_: save_file({"w": torch.zeros(2)}, path),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_model_is_named_in_one_line(
    name: str, model_file: Path, onnx_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    BROKEN[name](tmp_path / name, model_file, onnx_file)
    with pytest.raises(InputError) as caught:
        open_session(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["other-outputs.onnx", "other-input.onnx", "other-pixels.onnx", "foreign.onnx"])
def test_openvino_refuses_the_same(name: str, model_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    BROKEN[name](tmp_path / name, model_file, onnx_file)
    with pytest.raises(InputError, match=f"{name}: "):
        open_session(tmp_path / name, "openvino")


def test_a_whole_foreign_detector_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the broken ones above differ from; its metadata says 64 detections."""
    foreign_onnx(tmp_path / "a.onnx", METADATA)
    info = open_session(tmp_path / "a.onnx").info
    assert (info.input_hw, info.top_k) == ((32, 32), 3072)
    assert "gives 3072 detections of a picture where its metadata says 64; 3072 are the most" in caplog.text


def test_a_maps_file_gives_the_same_detections(onnx_file: Path, maps_file: Path) -> None:
    images = synthetic_images(3, (96, 128))
    decoding, reading = open_session(onnx_file), open_session(maps_file)
    ours, read = decoding(images), reading(images)
    assert read.scores.shape == ours.scores.shape == (3, 60)
    assert (read.values["boxes"].dtype, read.scores.dtype, read.labels.dtype) == ("float32", "float32", "int64")
    assert reading.info.class_names == decoding.info.class_names == ("red", "green", "blue")
    np.testing.assert_allclose(read.scores, ours.scores, atol=1e-6)
    np.testing.assert_allclose(read.values["boxes"], ours.values["boxes"], atol=1e-2)
    np.testing.assert_array_equal(read.labels, ours.labels)


def test_maps_are_read_as_the_network_decodes_them() -> None:
    """Of few cells, sizes around 0 and pictures of other sizes than the input; equal but for rounding."""
    generator = torch.Generator().manual_seed(0)
    out = box_maps(*(torch.randn((2, channels, 12, 16), generator=generator) for channels in (3, 2, 2)))
    heatmap = (out.heatmap.sigmoid() * peaks(out.heatmap)).numpy()
    maps = {"heatmap": heatmap, **{name: each.numpy() for name, each in out.fields.items()}}
    for placed in (None, np.array([[20.0, 64.0], [48.0, 30.5]], np.float32)):
        for top_k in (5, 1000):
            ours = Decode(top_k, 4, BOXES)(out, (48, 64), None if placed is None else torch.from_numpy(placed))
            read = detections_from_maps(maps, BOXES, 4, top_k, placed)
            kept = read.scores > 0
            np.testing.assert_allclose(read.scores, ours.scores, atol=1e-6)
            np.testing.assert_allclose(read.values["boxes"][kept], ours.values["boxes"][kept], atol=1e-4)
            np.testing.assert_array_equal(read.labels[kept], ours.labels[kept])
            assert (read.values["boxes"][kept][:, 2:] > read.values["boxes"][kept][:, :2]).all()


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1e3", str(10**12)])
def test_a_top_k_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: not a centerX model, its metadata is missing or malformed \("):
        ModelInfo.from_metadata(METADATA | {"top_k": text}, "here")


def test_files_made_before_top_k_was_in_them(model_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    """An exported one says it by its output; a model file has its configuration."""
    model = onnx.load(onnx_file)
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts.pop("top_k") == "60"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, tmp_path / "old.onnx")
    assert open_session(tmp_path / "old.onnx").info.top_k == 60
    state, _, text = read_model(model_file)
    old = {key: facts[key] for key in ("class_names", "input_size", "stride", "letterbox")}
    save_file(state, tmp_path / "old.safetensors", old | {"config": text})
    session = open_session(tmp_path / "old.safetensors")
    assert session.info.top_k == session(synthetic_images(1, (96, 128))).scores.shape[1] == 60


def test_maps_without_peaks_or_of_few_cells() -> None:
    offset, size = np.ones((2, 2, 2, 3), np.float32), np.full((2, 2, 2, 3), -1, np.float32)
    maps = {"heatmap": np.zeros((2, 1, 2, 3), np.float32), "offset": offset, "size": size}
    found = detections_from_maps(maps, BOXES, stride=4, top_k=100)
    assert found.values["boxes"].shape == (2, 6, 4)
    assert not found.scores.any()
    assert found.values["boxes"].max() <= 12


@pytest.mark.parametrize("path", [b"\x08\x0a", None, 7, ["model.onnx"]])
def test_a_model_is_opened_by_its_path_alone(path: object) -> None:
    with pytest.raises(InputError, match=f"not by something of type {type(path).__name__}"):
        open_session(path)
