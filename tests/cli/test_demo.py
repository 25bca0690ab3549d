"""`centerx demo` in small: everything it leaves, none of it good."""

import json
from pathlib import Path

import pytest

from centerx.cli import demo
from centerx.cli.main import app
from centerx.images import image_hw


@pytest.mark.soak
def test_the_demo_merges_two_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "SCENES", 16)
    monkeypatch.setattr(demo, "VAL_SCENES", 8)
    monkeypatch.setattr(demo, "SHOWN", 4)
    (tmp_path / "student").mkdir()
    for name in ("last.ckpt", "best.safetensors", "last.safetensors"):  # a demo ran here before
        (tmp_path / "student" / name).touch()
    app(["demo", "--out", str(tmp_path), "--epochs", "1"], standalone_mode=False)
    report = json.loads((tmp_path / "report.json").read_text())
    assert {tuple(known) for known in report["teachers"].values()} == {tuple("01234"), tuple("56789")}
    assert list(report["per_class"]) == list("0123456789")
    assert report["AP"] >= 0
    assert Path(report["onnx"]).is_file()
    assert image_hw(Path(report["picture"]))[0] > 200
    unlabelled = (tmp_path / "student" / "config.yaml").read_text()
    assert "format: folder" in unlabelled
    assert "teacher alone" in capsys.readouterr().out
