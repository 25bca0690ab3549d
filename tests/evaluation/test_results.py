"""COCO results json that is not as it should be."""

import json
from pathlib import Path
from typing import Any

import pytest

from centerx.data.read import read_dataset
from centerx.errors import InputError
from centerx.evaluation import read_results
from tests.data.handmade import write_coco


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": ["a", 2, 3, 4]},
        {"bbox": [float("nan"), 2, 3, 4]},
        {"bbox": None},
        {"score": "high"},
        {"score": None},
        {"score": float("nan")},
        {"score": 10**400},
        {"bbox": [1, 2, 10**400, 4]},
        {"category_id": [1]},
        {"image_id": {}},
    ],
    ids=lambda change: str(change)[:30],
)
def test_an_entry_with_wrong_values_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path / "truth.json"))
    good = {"image_id": dataset.records[0].image_id, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    file = tmp_path / "found.json"
    file.write_text(json.dumps([good, good]))
    assert len(read_results(file, dataset)[0].scores) == 2
    file.write_text(json.dumps([good, good | change]))
    with pytest.raises(InputError, match=r"found\.json: not COCO results, entry 1 "):
        read_results(file, dataset)
