"""What the pages say: their commands, configurations, code and links are real."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch
import typer
import yaml
from PIL import Image

import centerx
from centerx.api.space import read_space
from centerx.cli.main import app
from centerx.config import load_config, preset_names
from centerx.config.load import PRESETS
from centerx.data.digits import write_digit_scenes
from centerx.decode import Decode, peaks
from centerx.exporting.parity import synthetic_images
from centerx.geometry import Letterbox, warp_image
from centerx.runtime.foreign.adapter import parse_adapter
from centerx.runtime.foreign.joints import joint_adapter
from centerx.runtime.outputs import detection_outputs, map_outputs
from centerx.tasks import BOXES
from tests.made import box_maps
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]


GENERATE, TABLES = load_script("docs/generate.py"), load_script("docs/tables.py")
PAGES: list[Path] = GENERATE.pages()
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    fence = rf"^ *```{language}\n(.*?)^ *```"
    return re.findall(fence, page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def fenced(language: str) -> list[Any]:
    """The blocks of all pages as test parameters, named by page and number."""
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language))
    ]


def shell_lines() -> Iterator[str]:
    """Each command of a shell block, and the command that each preset opens with."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            yield from block.replace("\\\n", " ").splitlines()
    for preset in sorted(PRESETS.rglob("*.yaml")):
        yield preset.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def centerx_commands() -> list[list[str]]:
    """The arguments of every `centerx ...` and `python -m centerx ...`."""
    words = [shlex.split(line, comments=True) for line in shell_lines()]
    return [line[line.index("centerx") + 1 :] for line in words if "centerx" in line]


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command as the command line does, without running it; wrong names and options raise."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    with command.make_context(command.name, rest) as context:
        return dict(context.params)


def test_there_are_commands_to_check() -> None:
    used = {arguments[0] for arguments in centerx_commands()}
    assert used >= {"train", "eval", "predict", "export", "data", "bench", "demo"}


@pytest.mark.parametrize("arguments", centerx_commands(), ids=" ".join)
def test_command_is_real(arguments: list[str]) -> None:
    given = parse(arguments)
    if arguments[0] == "train" and given["config"] in preset_names():
        load_config(given["config"], given["overrides"] or [])


@pytest.mark.parametrize("arguments", [["trian", "nano"], ["train"], ["predict", "a.onnx", "b", "--socre", "1"]])
def test_a_wrong_command_would_be_seen(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"trian|Missing parameter|No such option"):
        parse(arguments)


ADAPTERS = blocks(ROOT / "docs" / "foreign.md", "yaml")
SPACES = blocks(ROOT / "docs" / "tune.md", "yaml")


@pytest.mark.parametrize(
    "block",
    [
        each
        for each in fenced("yaml")
        if "joint_heatmaps:" not in str(each.values[0]) and each.values[0] not in ADAPTERS + SPACES
    ],
)
def test_configuration_is_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(block, encoding="utf-8")
    assert load_config(path).data.train


@pytest.mark.parametrize(
    "block", [each for each in blocks(ROOT / "docs" / "poses.md", "yaml") if "joint_heatmaps" in each]
)
def test_adapter_of_joints_is_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "a.adapter.yaml"
    path.write_text(block, encoding="utf-8")
    assert joint_adapter(tmp_path / "a.onnx", None) is not None


@pytest.mark.parametrize("block", ADAPTERS)
def test_adapter_is_valid(block: str) -> None:
    assert parse_adapter(yaml.safe_load(block), "page").class_names


@pytest.mark.parametrize("block", SPACES)
def test_space_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(block, encoding="utf-8")
    assert read_space(tmp_path / "space.yaml", load_config("nano"), set())


@pytest.mark.parametrize("block", fenced("python"))
def test_code_compiles(block: str) -> None:
    compile(block, "page", "exec")


def test_make_targets_exist() -> None:
    quoted = [each for page in PAGES for each in re.findall(r"`make ([^`]*)`", GENERATE.prose(page))]
    typed = [line.removeprefix("make ") for line in shell_lines() if line.startswith("make ")]
    named = {target for line in quoted + typed for target in shlex.split(line, comments=True)}
    assert {"demo", "test"} <= named <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert GENERATE.broken_links(page) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](page.md#one) [b](none.md) ![c](none.png) [d](#two) [e](https://x.org)\n", encoding="utf-8"
    )
    assert GENERATE.broken_links(page) == ["none.md", "none.png", "#two"]


def test_tests_that_pages_name_exist() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []


def test_every_feature_of_the_originals_has_its_place_and_its_test() -> None:
    page = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in page.splitlines() if line.startswith("|")]
    assert all(all(row) for row in rows)
    table = page.split("## What is where")[1].split("##")[0]
    features = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(features) > 40
    assert all(re.search(r"`test_\w+` \|$", line) for line in features)


def test_the_picture_and_tables_of_the_architecture_name_types_that_are_there() -> None:
    package = Path(centerx.__file__).parent
    known = set(re.findall(r"^class (\w+)", "\n".join(map(Path.read_text, package.rglob("*.py"))), re.MULTILINE))
    (picture,) = blocks(ROOT / "ARCHITECTURE.md", "mermaid")
    named = set(re.findall(r"\b[A-Z]\w+", picture.replace("LR", "")))
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("| type | content |")[1].split("\n\n")[0]
    for line in table.strip().splitlines():
        named |= set(re.findall(r"`([A-Z]\w+)`", line.split("|")[1]))
    assert {"Objects", "Batch", "TeacherOutput", "Distiller", "Term", "RawDetections"} <= named
    assert named - known == set()


def test_configuration_page_is_up_to_date() -> None:
    assert GENERATE.PAGE.read_text(encoding="utf-8") == GENERATE.render(), "run `make docs`"
    assert GENERATE.DATA_PAGE.read_text(encoding="utf-8") == GENERATE.render_data_page(), "run `make docs`"
    assert GENERATE.FOREIGN_PAGE.read_text(encoding="utf-8") == GENERATE.render_foreign_page(), "run `make docs`"
    assert GENERATE.PARAMETERS.read_text(encoding="utf-8") == GENERATE.render_parameters(), "run `make docs`"


@pytest.mark.parametrize("page", GENERATE.RESULTS, ids=lambda page: page.stem)
def test_tables_of_results_are_those_of_the_rows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == GENERATE.render_tables(text), "run `make docs`"


def test_every_file_of_rows_is_shown() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    rows = [path.name for folder in ("experiments", "benchmarks") for path in (ROOT / folder / "results").glob("*.csv")]
    assert [name for name in rows if name not in shown] == []


def test_a_table_is_made_from_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLES, "ROOT", tmp_path)
    (tmp_path / "a.csv").write_text(
        "row,figure,mean,std,seeds,machine\nx,AP,0.5125,0.0100,0 1,here\ny,AP,0.4000,0.0000,0,there\n", encoding="utf-8"
    )
    asked = "file: a.csv\ncolumns: {AP: AP, AP50: AP50}\nrows: {first: x, second: y}\n"
    page = f"<!-- table\n{asked}-->\nold\n<!-- end of table -->"
    lines = TABLES.render_tables(page).splitlines()
    assert lines[6:10] == [
        "|  | AP | AP50 |",
        "| --- | --- | --- |",
        "| first | 0.512 ± 0.010 |  |",
        "| second | 0.400 |  |",
    ]
    assert "here; there" in lines[11]
    assert "old" not in lines
    with pytest.raises(SystemExit, match=r"a.csv: has no row 'z'"):
        TABLES.render_tables(page.replace("second: y", "second: z"))


def deploy_code(name: str) -> Any:
    """A function that docs/deploy.md shows."""
    block = next(each for each in blocks(ROOT / "docs" / "deploy.md", "python") if f"def {name}(" in each)
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(compile(block, "deploy.md", "exec"), namespace)
    return namespace[name]


@pytest.mark.parametrize("source_hw", [(480, 640), (100, 37), (192, 256), (1537, 1023), (2048, 2048), (3, 900)])
def test_the_letterbox_shown_is_ours(source_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source_hw, 3), dtype=np.uint8)
    placed, scale = deploy_code("letterbox")(image, [192, 256])
    ours = Letterbox.fit(source_hw, (192, 256))
    assert scale == ours.scale
    np.testing.assert_array_equal(placed, warp_image(image, ours.matrix, (192, 256)))


def test_the_program_shown_finds_what_we_find(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("exported").mkdir()
    shutil.copy(onnx_file, "exported/best.onnx")
    image = synthetic_images(1, (250, 400), seed=1)[0].transpose(1, 2, 0)
    Image.fromarray(image).save("picture.jpg", format="PNG")  # no loss, and readers go by the content
    ours = centerx.load("exported/best.onnx")("picture.jpg").above(0.3)
    deploy_code("main")()
    lines = capsys.readouterr().out.replace("\n ", " ").splitlines()
    assert len(lines) == len(ours.scores) > 3
    for line, box, score, label in zip(lines, ours.boxes, ours.scores, ours.labels, strict=True):
        name, *numbers = line.replace("[", " ").replace("]", " ").split()
        assert name == ours.class_names[label]
        found = np.array(numbers, dtype=float)
        assert found[0] == pytest.approx(score, abs=1e-6)
        np.testing.assert_allclose(found[1:].clip(0, [400, 250, 400, 250]), box, atol=0.01)


def test_the_functions_shown_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        write_digit_scenes(Path("people"), 16, 0, split, (96, 96))
    shutil.copytree("people/val", "pictures")
    block = blocks(ROOT / "docs" / "python.md", "python")[0]
    small = {
        '"input_size": 384}': '"input_size": 96, "workers": 0}, "model": {"pretrained": False}',
        '"train.epochs": 60': '"train.epochs": 1',
        'out="runs/merged"': 'out="runs/merged", overrides=ONE',
        'out="runs/small"': 'out="runs/small", overrides=ONE',
    }
    for shown, run in small.items():
        assert shown in block
        block = block.replace(shown, run)
    names: dict[str, Any] = {"ONE": ["train.epochs=1"]}
    exec(compile(block, "python.md", "exec"), names)
    assert [row.class_name for row in names["merged"].rows] == list(names["metrics"].per_class)
    assert Path("exported/last.torchscript").is_file()
    assert Path("runs/small/teachers/small.sqlite").is_file()
    assert capsys.readouterr().out.splitlines()[-1] == str(names["labels"].boxes)


def test_the_decode_shown_is_ours() -> None:
    rng = torch.Generator().manual_seed(0)
    maps = box_maps(*(torch.randn(1, channels, 24, 32, generator=rng) for channels in (3, 2, 2)))
    heatmap = maps.heatmap.sigmoid() * peaks(maps.heatmap)
    boxes, scores, labels = deploy_code("decode")(
        heatmap[0].numpy(), maps.fields["offset"][0].numpy(), maps.fields["size"][0].numpy()
    )
    clipped = boxes.clip(0, [128, 96, 128, 96])
    best = np.argsort(-scores)
    best = best[(clipped[best, :2] < clipped[best, 2:]).all(axis=1)]
    ours = Decode(top_k=500, stride=4, task=BOXES)(maps, (96, 128))
    keep = ours.scores[0] >= 0.3
    assert keep.sum() > 50
    np.testing.assert_allclose(clipped[best], ours.values["boxes"][0][keep], atol=1e-4)
    np.testing.assert_allclose(scores[best], ours.scores[0][keep], atol=1e-6)
    np.testing.assert_array_equal(labels[best], ours.labels[0][keep])


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 reads neither file")
def test_opencv_runs_the_files_as_shown(onnx_file: Path, maps_file: Path) -> None:
    images = np.concatenate([synthetic_images(1, (96, 128)), np.full((1, 3, 96, 128), 114, np.uint8)])
    for path, names in ((onnx_file, detection_outputs(BOXES)), (maps_file, map_outputs(BOXES))):
        for image in images:
            found = deploy_code("run_opencv")(str(path), image.transpose(1, 2, 0), names)
            for ours, theirs in zip(ort.InferenceSession(path).run(names, {"images": image[None]}), found, strict=True):
                np.testing.assert_allclose(theirs, ours[0], atol=1e-3)


CPP = """
#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

int main(int, char** given) {
    const int classes = 3, h = 24, w = 32, plane = h * w, stride = 4;
    const float score = 0.3f;
    std::vector<float> maps((classes + 4) * plane);
    if (std::fread(maps.data(), sizeof(float), maps.size(), std::fopen(given[1], "rb")) != maps.size()) return 1;
    const float *heatmap = maps.data(), *offset = heatmap + classes * plane, *size = offset + 2 * plane;
    std::vector<std::array<float, 4>> boxes;
    std::vector<float> scores;
    std::vector<int> labels;
    BLOCK
    for (size_t k = 0; k < boxes.size(); ++k)
        std::printf("%d %g %g %g %g %g\\n", labels[k], scores[k], boxes[k][0], boxes[k][1], boxes[k][2], boxes[k][3]);
}
"""
JS = """
const maps = new Float32Array(Uint8Array.from(require("fs").readFileSync(process.argv[2])).buffer);
const w = 32, plane = 24 * w, stride = 4, score = 0.3, found = [];
const [heatmap, offset, size] = [[0, 3], [3, 5], [5, 7]].map(([from, to]) => maps.subarray(from * plane, to * plane));
BLOCK
for (const { label, score, box } of found) console.log(label, score, ...box);
"""


@pytest.mark.parametrize(("language", "around", "suffix"), [("cpp", CPP, ".cpp"), ("js", JS, ".cjs")])
def test_the_decode_shown_in_other_languages_is_the_same(
    language: str, around: str, suffix: str, tmp_path: Path
) -> None:
    program = shutil.which({"cpp": "g++", "js": "node"}[language])
    if program is None:
        pytest.skip(f"nothing here runs {language}")
    block = next(each for each in blocks(ROOT / "docs" / "deploy.md", language) if "heatmap" in each)
    assert len(block.splitlines()) <= 10
    source = tmp_path / f"decode{suffix}"
    source.write_text(around.replace("BLOCK", block), encoding="utf-8")
    command = [program, source]
    if language == "cpp":
        subprocess.run([program, "-std=c++17", "-Wall", "-Werror", source, "-o", tmp_path / "decode"], check=True)
        command = [tmp_path / "decode"]
    rng = np.random.default_rng(0)
    heatmap = rng.random((3, 24, 32)) * (rng.random((3, 24, 32)) < 0.1)
    maps = [each.astype(np.float32) for each in (heatmap, rng.random((2, 24, 32)), rng.normal(1, 2, (2, 24, 32)))]
    (tmp_path / "maps").write_bytes(b"".join(each.tobytes() for each in maps))
    done = subprocess.run([*command, tmp_path / "maps"], capture_output=True, text=True, check=True)
    table = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    boxes, scores, labels = deploy_code("decode")(*maps)
    assert len(table) > 50
    np.testing.assert_array_equal(table[:, 0], labels)
    np.testing.assert_allclose(table[:, 1], scores, rtol=1e-5)
    np.testing.assert_allclose(table[:, 2:], boxes, rtol=1e-4, atol=1e-3)
