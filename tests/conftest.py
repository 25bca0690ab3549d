"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is absent: {SHARED_DATA}")
    return SHARED_DATA


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
        "train.batch_size=4",
        "train.epochs=1",
    ]
