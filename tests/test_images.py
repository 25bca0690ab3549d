"""Whatever the file holds, a picture is (H, W, 3) uint8 RGB as a viewer shows it, or one clear error."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.errors import InputError
from centerx.images import (
    EXIF_ORIENTATION,
    TooManyPixelsError,
    decode_image,
    image_hw,
    list_images,
    nonsense_orientation,
    read_image,
)

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


# Orientation


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOURS))).save(path, exif=exif)
    check_picture(path, COLOURS)
    assert nonsense_orientation(path) == ""


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / "picture.png"
    Image.fromarray(COLOURS).save(path, exif=exif)
    check_picture(path, COLOURS)
    assert nonsense_orientation(path) == str(orientation)


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


# Real files


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
