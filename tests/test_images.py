"""Whatever the file holds, a picture is (H, W, 3) uint8 RGB as a viewer shows it, or one clear error."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from centerx import images
from centerx.errors import InputError
from centerx.images import (
    EXIF_ORIENTATION,
    MOST_SCANS,
    UPRIGHT,
    TooManyPixelsError,
    allow_megapixels,
    allowed_megapixels,
    decode_image,
    image_header,
    image_hw,
    inspect_image,
    left_out,
    list_images,
    read_image,
)
from centerx.levels import AUTO, ValueRange
from centerx.problems import Kind, Problem

HEIGHT, WIDTH = 12, 20
COLOURS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = COLOURS[:, :, 0]
ALPHA = COLOURS[:, :, 1]
FOUR = np.array([[0, 85, 170, 255]] * 4, np.uint8).repeat(3, axis=0).repeat(5, axis=1)
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)

# How a camera stores an upright picture under each EXIF orientation, by the standard's table: the side of the
# picture where the first row of the file lies, and the one where its first column lies.
STORED = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda upright: upright[::-1].swapaxes(0, 1),  # left, bottom
}


def few_grey_levels(path: Path, value_range: ValueRange = AUTO) -> Problem | None:
    return inspect_image(path, value_range)[1]


def palette_image() -> Image.Image:
    image = Image.fromarray(FOUR // 85, mode="P")
    image.putpalette([0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255])
    return image


def two_bands(mode: str, first: np.ndarray) -> Image.Image:
    return Image.merge(mode, [Image.fromarray(first), Image.fromarray(ALPHA)])


def cmyk_image() -> Image.Image:
    black = np.zeros_like(COLOURS[:, :, :1])
    return Image.fromarray(np.concatenate([255 - COLOURS, black], axis=2), mode="CMYK")


MODES = {
    "RGB": (Image.fromarray(COLOURS), COLOURS),
    "L": (Image.fromarray(GREY), GREY_RGB),
    "LA": (two_bands("LA", GREY), GREY_RGB),
    "RGBA": (Image.fromarray(np.dstack([COLOURS, ALPHA])), COLOURS),
    "P": (palette_image(), np.repeat(FOUR[:, :, None], 3, axis=2)),
    "1": (Image.fromarray(GREY > 127), np.where(GREY_RGB > 127, 255, 0)),
    "CMYK": (cmyk_image(), COLOURS),
    "I;16": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY_RGB),
    "I": (Image.fromarray(GREY.astype(np.int32) * 257), GREY_RGB),
    "F": (Image.fromarray(GREY.astype(np.float32)), GREY_RGB),
}


def check_picture(path: Path, expected: np.ndarray, tolerance: int = 0) -> None:
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert np.abs(image.astype(int) - expected).max() <= tolerance
    assert image_hw(path) == image.shape[:2]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(tmp_path, mode):
    image, expected = MODES[mode]
    assert image.mode == mode
    path = tmp_path / "picture.tif"  # the one format that holds every mode without loss
    image.save(path)
    check_picture(path, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "I;16"])
def test_png_of_every_mode(tmp_path, mode):
    image, expected = MODES[mode]
    path = tmp_path / "picture.png"
    image.save(path)
    check_picture(path, expected)


def test_cmyk_jpeg(tmp_path):
    path = tmp_path / "print.jpg"
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    inks[:, :, 0] = 255
    Image.fromarray(inks, mode="CMYK").save(path, quality=95)
    check_picture(path, np.full((HEIGHT, WIDTH, 3), [0, 255, 255]), tolerance=3)


def test_sixteen_bits_use_the_whole_range(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_transparent_palette(tmp_path):
    path = tmp_path / "clear.png"
    palette_image().save(path, transparency=2)
    check_picture(path, np.repeat(FOUR[:, :, None], 3, axis=2))


def test_first_frame_of_an_animation(tmp_path):
    path = tmp_path / "moving.gif"
    frames = [Image.new("L", (WIDTH, HEIGHT), level) for level in (40, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    check_picture(path, np.full((HEIGHT, WIDTH, 3), 40))


# More than 8 bits

DEEP = np.random.default_rng(1).integers(0, 4096, (HEIGHT, WIDTH, 3)).astype(np.uint16)  # 12 bits of 16


def write_deep(path: Path, values: np.ndarray = DEEP) -> Path:
    assert cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
    return path


def png_with(path: Path, orientation: int) -> None:
    """Give a PNG an EXIF orientation."""
    exif = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", EXIF_ORIENTATION, 3, 1, orientation, 0) + bytes(4)
    chunk = struct.pack(">I4s", len(exif), b"eXIf") + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk + content[33:])  # behind the header


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "colour.png", "colour.tif", "colour.ppm"])
def test_a_range_makes_12_bits_visible(tmp_path, name):
    values = DEEP if name.startswith("colour") else DEEP[..., 0]
    path = write_deep(tmp_path / name, values)
    expected = np.rint(values / 4095 * 255)
    expected = expected if values.ndim == 3 else expected[:, :, None].repeat(3, axis=2)
    assert read_image(path).max() <= 16
    assert np.array_equal(read_image(path, (0, 4095)), expected)
    assert np.array_equal(decode_image(path.read_bytes(), "upload", 10**6, (0, 4095)), expected)
    stretched = read_image(path, "stretch")
    assert (stretched.min(), stretched.max()) == (0, 255)
    problem = few_grey_levels(path)
    assert problem is not None
    assert (problem.kind, problem.where) == (Kind.FEW_GREY_LEVELS, str(path))
    assert "data.range=[0,4095]" in problem.what
    assert few_grey_levels(path, (0, 4095)) is few_grey_levels(path, "stretch") is None
    assert np.array_equal(inspect_image(path, (0, 4095))[0], expected)


def test_transparency_of_16_bits_is_dropped(tmp_path):
    clear = np.dstack([DEEP[..., ::-1], DEEP[..., :1]])
    cv2.imwrite(str(tmp_path / "clear.png"), clear)
    assert np.array_equal(read_image(tmp_path / "clear.png", (0, 4095)), np.rint(DEEP / 4095 * 255))


@pytest.mark.parametrize("orientation", range(1, 10))
def test_16_bit_colours_are_upright(tmp_path, orientation):
    stored = STORED[orientation](DEEP) if orientation in STORED else DEEP
    path = write_deep(tmp_path / "turned.png", np.ascontiguousarray(stored))
    png_with(path, orientation)
    assert np.array_equal(read_image(path), DEEP >> 8)
    assert np.array_equal(read_image(path, (0, 4095)), np.rint(DEEP / 4095 * 255))


def test_a_range_is_nothing_to_pictures_of_8_bits(tmp_path):
    for mode in ("RGB", "L", "P", "1"):
        path = tmp_path / f"{mode}.png"
        MODES[mode][0].save(path)
        assert np.array_equal(read_image(path, (0, 100)), read_image(path))
        assert few_grey_levels(path) is None


def test_floats_from_0_to_1(tmp_path):
    path = tmp_path / "f.tif"
    Image.fromarray(GREY.astype(np.float32) / 255).save(path)
    check_picture(path, GREY_RGB)
    assert few_grey_levels(path) is None


def test_a_black_picture_of_8_bits_is_told(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(GREY // 128).save(path)
    problem = few_grey_levels(path)
    assert problem is not None
    assert "from 0 to 1 " in problem.what


def test_a_truncated_file_of_16_bits_is_an_error_in_every_range(tmp_path):
    path = write_deep(tmp_path / "colour.png")
    path.write_bytes(path.read_bytes()[:-300])
    for value_range in ("auto", "stretch", (0, 4095)):
        with pytest.raises(InputError, match="not a readable image"):
            read_image(path, value_range)


# Orientation


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOURS))).save(path, exif=exif)
    check_picture(path, COLOURS)
    assert image_header(path).nonsense == ""


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / "picture.png"
    Image.fromarray(COLOURS).save(path, exif=exif)
    check_picture(path, COLOURS)
    assert image_header(path).nonsense == str(orientation)


def test_a_broken_tag_beside_the_orientation_does_no_harm(tmp_path):
    """Big-endian EXIF: orientation 6, then a rational tag that claims to be an ASCII-typed LONG array."""
    tags = [
        b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00",  # orientation, SHORT, 1 value: 6
        b"\x01\x1a\x00\x02\x00\x00\x00\x04\xff\xff\xff\xff",  # x resolution, ASCII, no text
        b"\x87\x69\x00\x04\x00\x00\x00\x01\x00\xff\xff\xff",  # Exif block, beyond the end
    ]
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + len(tags).to_bytes(2, "big") + b"".join(tags) + bytes(4)
    path = tmp_path / "picture.jpg"
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 30)).save(path, exif=exif, quality=95)
    check_picture(path, np.full((WIDTH, HEIGHT, 3), [10, 200, 30]), tolerance=3)


# What is not a picture


def jpeg_bytes() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(COLOURS.repeat(8, axis=0).repeat(8, axis=1)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"this is a text",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        jpeg_bytes()[:-200],
        jpeg_bytes()[:700],
        bytes(500),
    ],
    ids=["nothing", "text", "jpeg start", "png start", "jpeg without its end", "jpeg header", "zeros"],
)
def test_unreadable_files_are_named_in_one_line(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.jpg: not a readable image") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"", "an empty file", "remove"),
        (bytes(500), "a file of zeros", "remove"),
        ("schön, this is a text".encode(), "a text", "remove"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page", "remove"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "a pointer of Git LFS",
            "git lfs pull",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "a HEIC picture", "convert"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2" + bytes(40), "a video", "suffix of a video"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(40), "a video", "suffix of a video"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document", "convert"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "a PostScript file", "convert"),
        (b"PK\3\4" + bytes(40), "a ZIP archive", "unpack"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(tmp_path, content, what, remedy):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    for function in (read_image, image_hw):
        with pytest.raises(InputError, match=rf"picture\.jpg: not a readable image \(it is {what}\), .*{remedy}"):
            function(path)
    with pytest.raises(InputError, match=rf"upload: not a readable image \(it is {what}\)"):
        decode_image(content, "upload", 10**6)


def test_what_takes_hours_to_decode_is_refused(tmp_path):
    stream = io.BytesIO()
    Image.new("L", (2000, 2000), 100).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]  # a scan of all blocks in a few bytes
    scans = whole.count(b"\xff\xda")
    behind = bytes(100) + last * 200  # such as a film behind the picture, which nobody decodes
    for name, content, most in (
        ("a.jpg", whole[:-2] + last * (MOST_SCANS + 1 - scans) + b"\xff\xd9", "100 scans"),
        ("b.jpg", whole[:2] + b"\xff\xfe\0\x06\xff\xd9ab" + whole[2:-2] + last * 100 + b"\xff\xd9", "100 scans"),
        ("c.jpg", whole[:-2] + last * (MOST_SCANS - scans) + b"\xff\xd9" + behind, None),
        ("d.pgm", b"P2 2 2 255\n" + b"#\n" * 1001 + b"1 2 3 4\n", "1000 comments"),
        ("e.pgm", b"P2 2 2 255\n" + b"#\n" * 1000 + b"1 2 3 4\n", None),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        for read in (read_image, lambda path: decode_image(path.read_bytes(), path.name, 10**7)):
            if most is None:
                assert read(path).ndim == 3
                continue
            with pytest.raises(InputError, match=rf"{name}: not a readable image \(it has more than {most}\)"):
                read(path)


def test_a_raw_picture_is_not_its_preview(tmp_path):
    path = tmp_path / "a.DNG"  # a TIFF whose first page is small
    Image.fromarray(GREY).save(path, "TIFF")
    with pytest.raises(InputError, match=r"a\.DNG: not a readable image \(it is a camera's raw picture\), convert"):
        read_image(path)


@pytest.mark.parametrize("function", [read_image, image_hw])
def test_missing_file_and_folder(tmp_path, function):
    with pytest.raises(InputError, match=r"gone\.png: no such image file"):
        function(tmp_path / "gone.png")
    with pytest.raises(InputError, match="not a readable image"):
        function(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "tif"])
def test_damaged_bytes_give_a_picture_or_an_input_error(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(COLOURS).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, min(len(whole), rng.choice([30, 200, 10**6])), size=3)] = rng.integers(0, 256, size=3)
        path.write_bytes(damaged.tobytes())
        for function in (read_image, image_hw):
            try:
                function(path)
            except InputError as error:
                assert path.name in str(error)  # noqa: PT017


# What a stranger sends


def test_bytes_are_read_as_a_file_is(tmp_path):
    path = tmp_path / "picture.jpg"
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.fromarray(COLOURS).save(path, exif=exif)
    decoded = decode_image(path.read_bytes(), "upload", HEIGHT * WIDTH)
    assert decoded.shape == (WIDTH, HEIGHT, 3)
    assert np.array_equal(decoded, read_image(path))


def test_the_header_is_asked_before_the_pixels():
    content = jpeg_bytes()
    with pytest.raises(TooManyPixelsError, match=r"upload: 160 x 96 pixels, at most 15359 are allowed"):
        decode_image(content[:700], "upload", 96 * 160 - 1)
    with pytest.raises(InputError, match="upload: not a readable image"):
        decode_image(content[:700], "upload", 96 * 160)


def test_other_formats_of_pillow_are_refused():
    stream = io.BytesIO()
    Image.fromarray(COLOURS).save(stream, "ICNS")
    with pytest.raises(InputError, match="of no known format"):
        decode_image(stream.getvalue(), "upload", 10**6)


def test_list_images_goes_by_suffix_in_order(tmp_path):
    for name in ("b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "d.jpg.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in list_images(tmp_path)] == [
        "a.png",
        "b.JPG",
        "deep/er/c.webp",
    ]
    assert list_images(tmp_path / "folder.png") == []


@pytest.mark.parametrize(
    ("suffix", "format"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("jp2", "JPEG2000"), ("avif", "AVIF"), ("tga", "TGA"), ("pnm", "PPM"),
     ("dib", "DIB"), ("pcx", "PCX"), ("apng", "PNG")],
)  # fmt: skip
def test_pictures_of_many_suffixes_are_listed_and_read(tmp_path, suffix, format):
    if format not in Image.SAVE:
        Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow has no {format}")
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (WIDTH, HEIGHT), (200, 40, 90)).save(path, format)
    assert list_images(tmp_path) == [path]
    check_picture(path, np.full((HEIGHT, WIDTH, 3), (200, 40, 90)), tolerance=4)


def test_a_mac_leaves_no_pictures_beside(tmp_path):
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
    assert list_images(tmp_path) == []


def test_nothing_hidden_below_a_folder_is_listed(tmp_path):
    folder = tmp_path / ".cache" / "data"
    for name in (".centerx-x/new/a.jpg", "deep/.thumbnails/a.jpg", "__MACOSX/a.jpg", ".a.jpg", "deep/..a/b.jpg",
                 "deep/a.jpg", "a.b/.c.d/e.jpg", "a.b/e.jpg"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [path.relative_to(folder).as_posix() for path in list_images(folder)] == ["a.b/e.jpg", "deep/a.jpg"]
    assert list_images(folder / "deep" / ".thumbnails") == [folder / "deep" / ".thumbnails" / "a.jpg"]
    assert list_images(folder, deep=False) == []


def test_what_a_folder_leaves_out_is_counted(tmp_path):
    for name in (
        "a.jpg", "a.txt", "b.xml", "labels.json", "classes.names", "Thumbs.db", ".DS_Store", ".cache/x.bin",
        "README.md", "._a.heic", "__MACOSX/b.heic",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "LICENSE").write_text("You may.")
    assert left_out(tmp_path) is None
    for name in ("deep/z.HEIC", "b.nef", "c.heic", "clip.mp4", "bare"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\0")
    problem = left_out(tmp_path)
    assert problem is not None
    assert (problem.kind, problem.where, problem.times) == (Kind.FILE_LEFT_OUT, str(tmp_path / "b.nef"), 5)
    assert "(.heic, .mp4, .nef, without suffix)" in problem.what
    problem = left_out(tmp_path, {".jpg", ".mp4", ".heic"})
    assert problem is not None
    assert problem.times == 2


# Real files


def test_real_pictures_are_not_flat(shared_data):
    pictures = [path for name in ("bccd", "hit_uav", "kitti_mini") for path in list_images(shared_data / name)[:8]]
    assert len(pictures) == 24
    assert [path for path in pictures if few_grey_levels(path)] == []


def test_the_eight_real_orientations_agree(shared_data):
    pictures = [read_image(shared_data / f"fixtures/exif/Landscape_{k}.jpg") for k in range(1, 9)]
    assert len({picture.shape for picture in pictures}) == 1
    for k, picture in enumerate(pictures, start=1):
        assert image_hw(shared_data / f"fixtures/exif/Landscape_{k}.jpg") == picture.shape[:2]
        assert np.abs(picture.astype(int) - pictures[0]).mean() < 5  # each was compressed by itself


def test_real_dirt(shared_data):
    images = shared_data / "fixtures/dirty/images"
    with pytest.raises(InputError, match=r"00090\.jpg"):
        read_image(images / "00090.jpg")
    for name in ("00076.jpg", "00103.jpg"):
        with Image.open(images / name) as stored:
            assert read_image(images / name).shape[:2] == stored.size[::-1]


def test_real_cmyk(shared_data):
    paths = [path for path in list_images(shared_data / "fixtures/cmyk") if Image.open(path).mode == "CMYK"]
    assert paths
    for path in paths:
        assert read_image(path).shape == (*image_hw(path), 3)


@pytest.mark.parametrize("behind", [False, True])
def test_the_header_of_a_png_is_read_without_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """EXIF may stand behind the pixels, where Pillow finds it by decoding them."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    tail = len(content) - 12  # IEND
    if behind:
        path.write_bytes(content[:start] + content[end:tail] + content[start:end] + content[tail:])
    else:
        monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: pytest.fail("decoded"))
    header = image_header(path)
    assert (header.hw, header.stored_hw, header.orientation) == ((40, 30), (30, 40), 6)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_are_read_where_they_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = tmp_path / "a.png"
    Image.new("RGB", (100, 50)).save(path)
    with pytest.raises(TooManyPixelsError, match=r"5000 pixels.*2000 pixels.*max_megapixels"):
        read_image(path)
    allow_megapixels(0.005)
    assert read_image(path).shape == (50, 100, 3)
    assert allowed_megapixels() == 0.005
    allow_megapixels(0.004999)
    with pytest.raises(TooManyPixelsError):
        read_image(path)
    allow_megapixels(float("inf"))
    assert (read_image(path).size, allowed_megapixels()) == (15000, float("inf"))


def test_workers_allow_what_their_parent_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    from centerx.data.batch import init_worker, load_batches

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)
    start = load_batches([], 0).worker_init_fn  # type: ignore[arg-type]
    allow_megapixels(1)
    assert start is not None
    assert start.func is init_worker  # type: ignore[attr-defined]
    start(0)
    assert allowed_megapixels() == 4


@pytest.mark.parametrize("kind", ["grey", "palette", "rgb", "rgba", "cmyk", "grey16"])
def test_strips_are_the_whole(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 4), dtype=np.uint8)
    if kind == "grey16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = {
            "grey": lambda: Image.fromarray(pixels[..., 0]),
            "palette": lambda: Image.fromarray(pixels[..., :3]).quantize(16),
            "rgb": lambda: Image.fromarray(pixels[..., :3]),
            "rgba": lambda: Image.fromarray(pixels),
            "cmyk": lambda: Image.fromarray(pixels, "CMYK"),
        }[kind]()
    file = tmp_path / ("a.tif" if kind == "cmyk" else "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(file, exif=exif)
    whole = read_image(file)
    monkeypatch.setattr(images, "STRIP", 60)
    assert np.array_equal(read_image(file), whole)
    assert whole.shape == (23, 37, 3)


@pytest.mark.parametrize("orientation", [1, *UPRIGHT])
def test_reduced_jpegs_keep_their_blocks(orientation, tmp_path):
    """Every pixel is the mean of a block that begins at the left and top of the upright picture; others are whole."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    ramp = np.add.outer(2 * np.arange(48), np.arange(64))[..., None].repeat(3, axis=2).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "even.jpg", quality=100, exif=exif)
    Image.fromarray(ramp[:47, :63]).save(tmp_path / "odd.jpg", quality=100, exif=exif)
    for times in (2, 4, 8):
        whole = read_image(tmp_path / "even.jpg").astype(int)
        height, width = (side // times for side in whole.shape[:2])
        reduced = read_image(tmp_path / "even.jpg", reduction=times)
        assert reduced.shape == (height, width, 3)
        blocks = whole.reshape(height, times, width, times, 3).mean(axis=(1, 3))
        assert np.abs(reduced - blocks).max() < 2
        odd = read_image(tmp_path / "odd.jpg", reduction=times)
        hw = image_hw(tmp_path / "odd.jpg")
        assert odd.shape[:2] == (hw if orientation > 1 else tuple(-(-side // times) for side in hw))


def test_reduced_reading_refuses_what_reading_refuses(tmp_path):
    file = tmp_path / "a.jpg"
    Image.effect_noise((640, 480), 50).convert("RGB").save(file)
    file.write_bytes(file.read_bytes()[:-2000])
    for times in (1, 2, 4, 8):
        with pytest.raises(InputError, match="truncated"):
            read_image(file, reduction=times)
    cmyk_image().save(tmp_path / "cmyk.jpg")
    height, width = image_hw(tmp_path / "cmyk.jpg")
    assert read_image(tmp_path / "cmyk.jpg", reduction=2).shape == (-(-height // 2), -(-width // 2), 3)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_have_the_pixels_of_pillow(subsampling, progressive, tmp_path, monkeypatch):
    """Of even and odd sides, smaller than a block and larger, whole and reduced, turned or not."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(images, "_jpeg", spy := Spy(images._jpeg))
    for number, (height, width) in enumerate([(1, 1), (7, 9), (48, 64), (61, 83)]):
        smooth = cv2.resize(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8), (width, height))
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = 1 + 5 * (number % 2)
        file = tmp_path / f"{number}.jpg"
        Image.fromarray(smooth).save(file, subsampling=subsampling, progressive=progressive, exif=exif)
        for times in (1, 2, 4, 8):
            ours = read_image(file, reduction=times)
            assert spy.answers.pop() is not None
            with Image.open(file) as image:
                if ours.shape[:2] != image_hw(file):
                    image.draft(None, (max(width // times, 1), max(height // times, 1)))
                judge = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            assert np.array_equal(ours, judge), (height, width, times)


class Spy:
    """A function that keeps its answers."""

    def __init__(self, function):
        self.function, self.answers = function, []

    def __call__(self, *arguments):
        self.answers.append(self.function(*arguments))
        return self.answers[-1]


def test_what_is_wrong_with_a_jpeg_is_judged_by_pillow(tmp_path, capfd):
    """A warning of the decoder is no error where Pillow has none; nothing is printed."""
    file = tmp_path / "a.jpg"
    Image.effect_noise((64, 48), 50).convert("RGB").save(file)
    content = file.read_bytes()
    judged = {
        "extraneous": content[:-2] + b"\x01\x02\x03" + content[-2:],
        "behind": content + bytes(100),
        "ended early": content[: len(content) * 2 // 3] + b"\xff\xd9",
    }
    for name, damaged in judged.items():
        file.write_bytes(damaged)
        with Image.open(file) as image:
            assert np.array_equal(read_image(file), np.asarray(image.convert("RGB"))), name
        assert np.array_equal(decode_image(damaged, "a", 1 << 20), read_image(file))
    file.write_bytes(content)
    with file.open("ab") as longer:
        longer.truncate(1 << 32)  # a hole, which may not fill the memory
    with Image.open(file) as image:
        assert images._jpeg(image, 1) is None
    assert read_image(file).shape == (48, 64, 3)
    file.write_bytes(content)
    with Image.open(file) as image:
        image._size = 63, 48  # a file that both understand differently
        assert images._jpeg(image, 1) is None
    broken = bytearray(content)
    broken[len(content) // 2 : len(content) // 2 + 2] = b"\xff\x31"
    file.write_bytes(broken)
    with pytest.raises(InputError, match="broken data stream"):
        read_image(file)
    assert capfd.readouterr() == ("", "")
