"""`centerx predict` as a user runs it."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import centerx as package
from centerx.exporting.parity import synthetic_images
from centerx.images import read_image
from tests.cli.conftest import CommandLine
from tests.runtime.test_sources import write_video

SCORE = 0.6


def picture(seed: int = 0, hw: tuple[int, int] = (90, 120)) -> np.ndarray:
    return synthetic_images(1, hw, seed)[0].transpose(1, 2, 0).copy()


def save(path: Path, image: np.ndarray | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture() if image is None else image).save(path, **options)
    return path


def read_json(path: Path) -> list[dict[str, Any]]:
    entries = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(entries, list)
    return entries


def test_json_is_what_the_design_says(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.png")
    status, out, err = centerx("predict", onnx_file, file, "--score", SCORE, "--json", tmp_path / "new" / "a.json")
    assert (status, err) == (0, "")
    [entry] = read_json(tmp_path / "new" / "a.json")
    assert list(entry) == ["image", "width", "height", "detections"]
    assert (entry["image"], entry["width"], entry["height"]) == (str(file), 120, 90)
    found = package.load(onnx_file)(file).above(SCORE)
    assert len(found.scores) > 2
    expected = [
        {"label": found.class_names[label], "score": score, "box": box}
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels, strict=True)
    ]
    assert entry["detections"] == expected
    assert all(list(each) == ["label", "score", "box"] for each in entry["detections"])
    assert out.startswith(f"{len(expected)} objects on 1 picture, listed in ")


def test_without_files_to_write_the_detections_are_told(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.png")
    status, out, err = centerx("predict", onnx_file, file, "--score", SCORE)
    found = package.load(onnx_file)(file).above(SCORE)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == f"{file}: {len(found.scores)} objects"
    assert lines[1].split() == [found.class_names[found.labels[0]], f"{found.scores[0]:.2f}",
                                *(f"{value:.1f}" for value in found.boxes[0])]  # fmt: skip
    assert len(lines) == len(found.scores) + 2


def test_where_nothing_is_found_the_limit_of_scores_is_told(
    centerx: CommandLine, onnx_file: Path, tmp_path: Path
) -> None:
    file = save(tmp_path / "grey.png", np.full((90, 120, 3), 114, np.uint8))
    _, out, _ = centerx("predict", onnx_file, file, "--score", 0.9, "--out", tmp_path / "drawn")
    told = "none scores 0.9 or more, --score lowers the limit"
    assert out == f"0 objects on 1 picture, drawn in {tmp_path / 'drawn'}; {told}\n"


def test_score_bounds(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.png")
    assert centerx("predict", onnx_file, file, "--score", 1)[1].splitlines()[0].endswith(": 0 objects")
    centerx("predict", onnx_file, file, "--score", 0, "--json", tmp_path / "a.json")
    assert all(each["score"] > 0 for each in read_json(tmp_path / "a.json")[0]["detections"])


def test_a_folder_with_every_kind_of_picture(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    """Grey, palette, 16 bits, CMYK, transparent, tiny: all are read; what is broken is named and left out."""
    folder = tmp_path / "in"
    rgb = Image.fromarray(picture())
    folder.mkdir()
    rgb.save(folder / "rgb.png")
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("P").save(folder / "palette.gif")
    rgb.convert("RGBA").save(folder / "alpha.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    Image.new("RGB", (1, 1)).save(folder / "one.bmp")
    save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:1500])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "text.mp4").write_text("hello")
    arguments = "--json", tmp_path / "a.json", "--out", tmp_path / "out", "--score", SCORE
    status, out, err = centerx("predict", onnx_file, folder, *arguments)
    assert status == 0
    broken = ["cut.jpg", "empty.png", "text.jpg", "text.mp4"]
    warnings = err.splitlines()
    assert len(warnings) == len(broken)
    for name, line in zip(broken, warnings, strict=True):
        assert line.startswith(f"warning: skipped: {folder / name}: ")
    assert out.endswith("4 sources skipped\n")
    good = sorted(path.name for path in folder.iterdir() if path.name not in broken)
    entries = {Path(entry["image"]).name: entry for entry in read_json(tmp_path / "a.json")}
    assert sorted(entries) == good == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert entries["deep.png"]["detections"] == entries["grey.png"]["detections"] != []
    assert entries["alpha.png"]["detections"] == entries["rgb.png"]["detections"] != []
    assert (entries["one.bmp"]["width"], entries["one.bmp"]["height"]) == (1, 1)
    assert all(0 <= value <= 1 for each in entries["one.bmp"]["detections"] for value in each["box"])


def test_nothing_readable_is_an_error(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    status, out, err = centerx("predict", onnx_file, tmp_path, "--json", tmp_path / "a.json")
    assert (status, out) == (2, "")
    assert [line.split(":")[0] for line in err.splitlines()] == ["warning", "warning", "error"]
    assert "none of 2 sources" in err.splitlines()[-1]
    assert not (tmp_path / "a.json").exists()


def test_the_only_source_that_cannot_be_read_is_one_line(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    status, out, err = centerx("predict", onnx_file, tmp_path / "text.jpg")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / 'text.jpg'}: not a readable image")
    assert err.count("\n") == 1


def test_a_large_picture_is_no_matter_for_pillow_to_warn_of(
    centerx: CommandLine,
    onnx_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9000)  # of more than that it warns, of twice as many it refuses
    assert centerx("predict", onnx_file, save(tmp_path / "a.png"))[0] == 0
    assert not [each for each in recwarn if each.category is Image.DecompressionBombWarning]
    status, _, err = centerx("predict", onnx_file, save(tmp_path / "b.png", picture(hw=(200, 100))))
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {tmp_path / 'b.png'}: too large")


def test_drawings_keep_apart_what_has_one_name(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    first, second = save(tmp_path / "1" / "a.png"), save(tmp_path / "2" / "a.png", picture(1, (60, 200)))
    bare = save(tmp_path / "bare", picture(2), format="PNG")
    out = tmp_path / "deep" / "out"
    status, *_ = centerx("predict", onnx_file, first, second, tmp_path / "1", bare, "--out", out, "--score", SCORE)
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == ["a-2.png", "a-3.png", "a.png", "bare.png"]
    assert read_image(out / "a-2.png").shape == (60, 200, 3)
    assert np.array_equal(read_image(out / "a.png"), read_image(out / "a-3.png"))
    assert not np.array_equal(read_image(out / "a.png"), read_image(first))  # something is drawn


def test_the_pictures_themselves_are_never_overwritten(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.png")
    before = file.read_bytes()
    status, _, err = centerx("predict", onnx_file, tmp_path, "--out", tmp_path)
    assert status == 2
    assert err.startswith("error: --out: ")
    assert file.read_bytes() == before


def test_a_pattern(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    for name in ("b1.png", "b2.png", "c1.png"):
        save(tmp_path / name)
    centerx("predict", onnx_file, tmp_path / "b*.png", "--json", tmp_path / "a.json")
    assert [Path(entry["image"]).name for entry in read_json(tmp_path / "a.json")] == ["b1.png", "b2.png"]


def test_a_video(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (120, 90))
    for seed in range(3):
        writer.write(picture(seed)[..., ::-1])
    writer.release()
    write_video(tmp_path / "v.mp4")
    arguments = "--json", tmp_path / "a.json", "--out", tmp_path / "out", "--score", SCORE
    status, out, err = centerx("predict", onnx_file, video, tmp_path / "v.mp4", *arguments)
    assert (status, err) == (0, "")
    entries = read_json(tmp_path / "a.json")
    assert [(Path(entry["image"]).name, entry["frame"]) for entry in entries] == [
        (name, frame) for name in ("v.avi", "v.mp4") for frame in range(3)
    ]
    assert (entries[0]["width"], entries[0]["height"]) == (120, 90)
    assert entries[0]["detections"] != entries[1]["detections"]
    assert "objects on 6 pictures" in out
    for name, size in (("v.mp4", (120, 90)), ("v-2.mp4", (64, 48))):
        drawn = cv2.VideoCapture(str(tmp_path / "out" / name))
        assert (drawn.get(cv2.CAP_PROP_FRAME_WIDTH), drawn.get(cv2.CAP_PROP_FRAME_HEIGHT)) == size
        assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_exif_boxes_are_in_pixels_of_what_a_viewer_shows(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    upright = save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(np.rot90(picture())).save(tmp_path / "turned.png", exif=exif)
    centerx("predict", onnx_file, upright, tmp_path / "turned.png", "--json", tmp_path / "a.json", "--score", SCORE)
    first, second = read_json(tmp_path / "a.json")
    assert (second["width"], second["height"]) == (120, 90)
    assert first["detections"] == second["detections"] != []


def test_real_dirt(centerx: CommandLine, onnx_file: Path, shared_data: Path, tmp_path: Path) -> None:
    """A truncated JPEG is named; nonsense orientations and CMYK are read."""
    fixtures = shared_data / "fixtures"
    status, _, err = centerx("predict", onnx_file, fixtures / "dirty", fixtures / "cmyk", "--json", tmp_path / "a.json")
    assert status == 0
    [line] = err.splitlines()
    assert "00090.jpg" in line
    names = [Path(entry["image"]).name for entry in read_json(tmp_path / "a.json")]
    assert names == ["00076.jpg", "00103.jpg", "pil_sample_cmyk.jpg"]


# Pictures of more than 8 bits


@pytest.fixture(scope="module")
def deep_model(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, trained on pictures of 12 bits."""
    from centerx.build_model import load_detector, read_with_config, save_named

    _, _, config = read_with_config(model_file)
    detector, _ = load_detector(model_file)
    folder = tmp_path_factory.mktemp("deep")
    config = config.model_copy(update={"data": config.data.model_copy(update={"range": (0.0, 4095.0)})})
    save_named(folder, config, detector, "model")
    return folder / "model.safetensors"


def save_12_bits(path: Path) -> Path:
    """The picture with 4095 for its 255."""
    assert cv2.imwrite(str(path), np.rint(picture()[..., ::-1] / 255 * 4095).astype(np.uint16))
    return path


def test_a_model_reads_pictures_by_its_own_range(
    centerx: CommandLine, model_file: Path, deep_model: Path, tmp_path: Path
) -> None:
    file, usual = save_12_bits(tmp_path / "a.png"), save(tmp_path / "b.png")
    exported = tmp_path / "model.onnx"
    assert centerx("export", deep_model, "--format", "onnx", "--out", tmp_path)[0] == 0
    expected = package.load(model_file)(usual)
    for model in (deep_model, exported):
        status, _, err = centerx("predict", model, file, "--json", tmp_path / "a.json", "--score", 0)
        assert (status, err) == (0, "")
        [entry] = read_json(tmp_path / "a.json")
        assert len(entry["detections"]) == len(expected.scores)
        assert np.allclose([each["score"] for each in entry["detections"]], expected.scores, atol=1e-5)
        assert np.allclose(package.load(model)(file).scores, expected.scores, atol=1e-5)


def test_pictures_that_look_flat_are_told(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_12_bits(tmp_path / name)
    save(tmp_path / "usual.png")
    status, _, err = centerx("predict", onnx_file, tmp_path, "--json", tmp_path / "a.json")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(f"warning: predict: few_grey_levels: 2 doubtful, the first: {tmp_path / 'a.png'}: ")
    assert "data.range=[0,4095]" in err


# What is left out


def test_what_a_folder_leaves_out_is_told(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "a.jfif", format="JPEG")
    for name in ("b.heic", "c.heic", "d.nef", "a.txt"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    status, out, err = centerx("predict", onnx_file, folder, "--out", tmp_path / "out")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(f"warning: {folder}: file_left_out: 3 skipped, the first: {folder / 'b.heic'}: ")
    assert "(.heic, .nef)" in err
    assert "on 1 picture" in out
    assert (tmp_path / "out" / "a.jfif").is_file()


def test_a_video_that_ends_early_is_told(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mkv", "MJPG", frames=60)
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    status, out, err = centerx("predict", onnx_file, video, "--json", tmp_path / "a.json")
    read = len(read_json(tmp_path / "a.json"))
    assert (status, err) == (
        0,
        f"warning: predict: video_ends_early: 1 doubtful: {video}: 60 frames announced, {read} read\n",
    )
    assert 20 < read < 40
    assert f"on {read} pictures" in out


def test_heatmaps_lie_beside_the_drawings(
    centerx: CommandLine, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawings that differ in their suffix alone keep apart; two models side by side are twice as wide as one."""
    files = [save(tmp_path / "in" / name) for name in ("a.png", "a.jpg", "b.c.png")]
    status, _, err = centerx("predict", model_file, *files, "--out", tmp_path / "out", "--heatmap")
    assert (status, err) == (0, "")
    heatmaps = {"a.png.heatmap.jpg", "a.jpg.heatmap.jpg", "b.c.heatmap.jpg"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "a.jpg", "b.c.png"} | heatmaps
    alone = read_image(tmp_path / "out" / "b.c.heatmap.jpg")
    assert alone.shape == (2 * (90 + 18 + 8) + 8, 2 * (120 + 8) + 8, 3)  # all classes and three of them
    other = tmp_path / "other.safetensors"
    shutil.copy(model_file, other)
    words = ["predict", model_file, files[2], "--out", tmp_path / "two", "--heatmap", "--beside", other]
    status, _, err = centerx(*words)
    assert (status, err) == (0, "")
    both = read_image(tmp_path / "two" / "b.c.heatmap.jpg")
    assert both.shape == (4 * (90 + 18 + 8) + 8, 2 * (120 + 8) + 8, 3)
    np.testing.assert_allclose(both[8:98, 8:128].astype(int), both[8:98, 136:256], atol=12)  # JPEG


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--heatmap"], "error: --heatmap: writes pictures, name their folder with --out"),
        (["--beside", "x.safetensors"], "error: --beside: goes with --heatmap, add it"),
        (["--heatmap", "--out", "OUT"], "model.onnx: has no heatmaps, only a .safetensors model file"),
        (["--heatmap", "--out", "OUT", "VIDEO"], "error: VIDEO: --heatmap goes with pictures, not with videos"),
        (
            ["--heatmap", "--out", "OUT", "--tiles", "64"],
            "error: --heatmap: shows what a network finds on a whole pict",
        ),
        (
            ["--heatmap", "--out", "OUT", "HEATMAP"],
            "out/a.heatmap.jpg: would be a drawing and a heatmap",
        ),
    ],
)
def test_heatmaps_that_cannot_be_drawn(
    words: list[str], says: str, centerx: CommandLine, onnx_file: Path, tmp_path: Path
) -> None:
    """Nothing is written."""
    (tmp_path / "in").mkdir()
    places = {
        "OUT": tmp_path / "out",
        "VIDEO": write_video(tmp_path / "in" / "v.mp4") if "VIDEO" in words else None,
        "HEATMAP": save(tmp_path / "in" / "a.heatmap.jpg") if "HEATMAP" in words else None,
    }
    file = save(tmp_path / "in" / "a.png")
    status, out, err = centerx("predict", onnx_file, file, *(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert says.replace("VIDEO", str(places["VIDEO"])) in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out" / "a.png").exists()


def test_a_stream_has_no_heatmaps(centerx: CommandLine, model_file: Path, tmp_path: Path) -> None:
    """It is not even opened."""
    words = ["rtsp://camera.example/live", "--out", tmp_path / "out", "--heatmap"]
    status, out, err = centerx("predict", model_file, *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: rtsp://camera.example/live: --heatmap goes with pictures")


def test_large_pictures_in_tiles(
    centerx: CommandLine, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    file = save(tmp_path / "a.png", picture(hw=(180, 240)))
    status, _, err = centerx("predict", onnx_file, file)
    assert (status, "max_megapixels" in err) == (2, True)
    more = ["--tiles", "96x128", "--overlap", 0.5, "--max-megapixels", 0.05, "--score", SCORE]
    status, _, err = centerx("predict", onnx_file, file, *more, "--json", tmp_path / "a.json")
    assert (status, err) == (0, "")
    found = package.load(onnx_file, tiles=(96, 128), overlap=0.5)(file).above(SCORE)
    [entry] = read_json(tmp_path / "a.json")
    assert [each["box"] for each in entry["detections"]] == found.boxes.tolist()
    assert found.boxes[:, 2].max() > 128
    assert centerx("predict", onnx_file, file, "--tiles", "big")[::2] == (
        2,
        "error: --tiles: 'big' is no side in pixels and not HxW, such as 1024 or 768x1024\n",
    )


def test_crops_are_the_boxes_of_each_picture(centerx: CommandLine, onnx_file: Path, tmp_path: Path) -> None:
    """A file for each detection, as large as its box; without --out and --json nothing else is written or told."""
    file = save(tmp_path / "a.png")
    status, out, _ = centerx("predict", onnx_file, file, "--score", SCORE, "--crops", tmp_path / "crops")
    assert status == 0
    (prediction,) = package.predict(onnx_file, file, score=SCORE)
    found = prediction.detections
    assert len(found) > 1
    assert "cut out in" in out
    files = sorted((tmp_path / "crops").iterdir())
    assert [each.name for each in files] == [
        f"a.{number:03d}.{name}.jpg" for number, name in enumerate(found.names, start=1)
    ]
    for each, (left, top, right, bottom) in zip(files, found.boxes.tolist(), strict=True):
        assert Image.open(each).size == (max(round(right - left), 1), max(round(bottom - top), 1))


def test_crops_of_pictures_that_differ_in_their_suffix_alone(
    centerx: CommandLine, onnx_file: Path, tmp_path: Path
) -> None:
    files = [save(tmp_path / name) for name in ("a.png", "a.jpg")]
    status, _, _ = centerx("predict", onnx_file, *files, "--score", SCORE, "--crops", tmp_path / "crops")
    assert status == 0
    due = sum(len(each.detections) for each in package.predict(onnx_file, files, score=SCORE))
    assert len(list((tmp_path / "crops").iterdir())) == due
    status, _, err = centerx("predict", onnx_file, files[0], "--crops", tmp_path)
    assert status == 2
    assert "--crops" in err
