"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from centerx.detector import Detector

settings.register_profile("quick", deadline=None, derandomize=True)
settings.register_profile("soak", max_examples=2000, deadline=None)
settings.load_profile("quick")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# What takes long: networks are trained, exported or run there, or packages installed.
SLOW = (
    "cli",
    "evaluation",
    "exporting",
    "losses",
    "runtime",
    "serve",
    "training",
    "test_api.py",
    "test_bench.py",
    "test_docs.py",
    "test_install.py",
    "test_pages.py",
    "test_site.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones, which `make quick` leaves out."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for temporary files, whose path is short enough for the sockets of data workers."""
    with tempfile.TemporaryDirectory(prefix="cx-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is absent: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the key with a password, and the key of another."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is absent")
    folder = tmp_path_factory.mktemp("pem")

    def run(words: str) -> None:
        subprocess.run([openssl, *words.split()], cwd=folder, check=True, capture_output=True)

    new = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    run(f"{new} -keyout key.pem -out cert.pem")
    run(f"{new} -keyout other.pem -out cert2.pem")
    run("rsa -aes128 -passout pass:secret -in key.pem -out locked.pem")
    return folder


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO json of 24 small digit scenes."""
    from centerx.data.digits import write_digit_scenes

    return write_digit_scenes(tmp_path_factory.mktemp("scenes"), 24, seed=0, split="train", image_hw=(96, 96))


@pytest.fixture(scope="session")
def small_overrides(scenes: Path) -> list[str]:
    """Overrides that make any preset train on the scenes in seconds."""
    return [
        f"data.train=[{scenes}]",
        f"data.val=[{scenes}]",
        "data.input_size=96",
        "data.workers=0",
        "classes=null",
        "augment.long_side=96",
        "model.pretrained=false",
        "train.init=null",
        "train.batch_size=4",
        "train.epochs=1",
        "train.report=false",
    ]


# Mean and standard deviation of maps: logits; sides of 3 to 9 cells; centres and joints all over their cell; corners
# and joints around the centre; any angle.
SPREAD = {
    "heatmap": (-3.0, 3.0),
    "size": (6.0, 3.0),
    "sides": (6.0, 3.0),
    "offset": (0.5, 0.3),
    "corners": (0.5, 5.0),
    "angle": (0.0, 1.0),
    "keypoints": (0.5, 4.0),
    "joint_heatmap": (-2.0, 3.0),
    "joint_offset": (0.5, 0.3),
}


def give_structure(detector: Detector, input_hw: tuple[int, int]) -> None:
    """Make an untrained detector's maps vary over painted pictures: scores from 0 to 1, boxes of many sizes."""
    import torch

    from centerx.exporting.parity import synthetic_images

    for norm in detector.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # the statistics become those of what it sees now
    with torch.no_grad():
        out = detector.train().model(torch.from_numpy(synthetic_images(8, input_hw)))
        head = detector.model.head
        for name, maps in {"heatmap": out.heatmap, **out.fields, **out.logits}.items():
            mean, std = (0.0, 2.0) if name in out.logits else SPREAD[name]
            last = (head.heatmap if name == "heatmap" else head.branches[name])[-1]
            scale = std / maps.std((0, 2, 3))
            last.bias.copy_(mean + (last.bias - maps.mean((0, 2, 3))) * scale)
            last.weight.mul_(scale[:, None, None, None])
    detector.eval()


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, untrained, whose maps have structure."""
    import torch

    from centerx.build_model import build_detector, save_named
    from centerx.config import load_config

    config = load_config("nano", ["classes=[red, green, blue]", "data.input_size=[96,128]", "model.top_k=60"])
    torch.manual_seed(0)
    detector = build_detector(config)
    give_structure(detector, (96, 128))
    folder = tmp_path_factory.mktemp("model")
    save_named(folder, config, detector, "model")
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def onnx_file(model_file: Path) -> Path:
    """The same model as ONNX."""
    from centerx.build_model import load_detector
    from centerx.exporting import export_model

    path = model_file.with_suffix(".onnx")
    export_model(*load_detector(model_file), path, "onnx")
    return path


@pytest.fixture(scope="session")
def maps_file(model_file: Path) -> Path:
    """The same model as ONNX that ends at the maps."""
    from centerx.build_model import load_detector
    from centerx.exporting import ExportOptions, export_model

    path = model_file.with_name("model-maps.onnx")
    export_model(*load_detector(model_file), path, "onnx", ExportOptions("maps"))
    return path


@pytest.fixture(scope="session")
def caffe_file(model_file: Path) -> Path:
    """The same model as a Caffe network; its weights lie beside it."""
    from centerx.build_model import load_detector
    from centerx.exporting import ExportOptions, export_model

    path = model_file.with_suffix(".prototxt")
    export_model(*load_detector(model_file), path, "caffe", ExportOptions("maps"))
    return path
