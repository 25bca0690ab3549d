"""Pages: what a parser of HTML reads from them."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from centerx.page import (
    INK,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    draw_chart,
    encode_picture,
    render_page,
    write_page,
)

EVIL = "<script>alert('1')</script> & \"$\\alpha$\" \udcdf\x00"
WHOLE = "<script>alert('1')</script> & \"$\\alpha$\" %DF%00"
VOID = {"meta", "img", "link"}


class Reader(HTMLParser):
    """Attributes of each tag, texts by tag; fails where tags are not closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def content(picture: Picture) -> bytes:
    return base64.b64decode(picture.source.split(",", 1)[1])


def test_texts_of_strangers_are_shown_and_do_nothing() -> None:
    picture = Picture("data:image/png;base64,", EVIL, 10)
    blocks = [Text(EVIL), Table([EVIL], [[EVIL]], EVIL), picture, Gallery([picture], EVIL)]
    page = read(render_page(Page(EVIL, [Section(EVIL, blocks), Section(EVIL, [])], [EVIL])))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    places = {"title": 1, "h1": 1, "h2": 2, "a": 2, "p": 2, "th": 1, "td": 1, "caption": 1, "h3": 1, "figcaption": 2}
    assert {tag: page.of(tag) for tag in places} == {tag: [WHOLE] * count for tag, count in places.items()}
    assert [attributes["alt"] for tag, attributes in page.tags if tag == "img"] == [WHOLE] * 2


def test_a_page_needs_no_other_file() -> None:
    chart = draw_chart(lambda figure: figure.subplots().plot([1, 2]), "chart")
    image = encode_picture(np.zeros((4, 4, 3), dtype=np.uint8), "picture")
    html = render_page(Page("t", [Section("one", [chart]), Section("two", [Gallery([image])])]))
    references = [
        value for _, attributes in read(html).tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert len(references) == 5
    assert all(value and value.startswith(("data:image/", "#section-")) for value in references)
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "–"),
        (3, "3"),
        (np.int64(3), "3"),
        (0.12345, "0.123"),
        (np.float32(0.5), "0.500"),
        ("a", "a"),
        (1.0, "1.000"),
    ],
)
def test_cells(cell: float | str | None, shown: str) -> None:
    page = read(render_page(Page("t", [Section("s", [Table(["x"], [[cell]])])])))
    assert page.of("td") == [shown]
    assert ({"class": "numeric"} in [attributes for tag, attributes in page.tags if tag == "td"]) == (cell != "a")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", ["--><script>x()</script>", "a\x1b[31m\x00b", "\ufffe", "]]>", "\u2028\u202e"])
def test_a_chart_is_xml_whatever_the_names(name: str) -> None:
    def draw(label: str) -> list[tuple[str, list[str]]]:
        def plot(figure: Figure) -> None:
            axis = figure.subplots()
            axis.plot([0, 1], label=label)
            axis.set_title(label)
            axis.legend()

        chart = draw_chart(plot, "c", (3.0, 2.0))
        return [(each.tag, sorted(each.attrib)) for each in ET.fromstring(content(chart)).iter()]

    assert {tag for tag, _ in draw(name)} == {tag for tag, _ in draw("plain")}
    assert not [key for _, keys in draw(name) for key in keys if key.startswith("on")]


def test_a_chart_has_the_colour_of_the_text_and_is_the_same_every_time() -> None:
    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.plot([0, 1], label="$RBC_{")  # not a formula, which would not parse
        axis.grid()
        axis.legend()

    chart, again = draw_chart(draw, "c", (3.0, 2.0)), draw_chart(draw, "c", (3.0, 2.0))
    assert chart == again
    assert chart.width == 288
    text = content(chart).decode()
    assert ET.fromstring(text).tag.endswith("svg")
    assert INK not in text
    assert "prefers-color-scheme:dark" in text
    assert text.count("currentColor") > 5


def test_a_large_picture_is_made_smaller_and_a_small_one_stays() -> None:
    image = np.full((100, 400, 3), (200, 30, 30), dtype=np.uint8)
    for longest, size in ((200, (200, 50)), (1000, (400, 100))):
        picture = encode_picture(image, "red", longest)
        with Image.open(io.BytesIO(content(picture))) as read_back:
            assert read_back.size == size
            assert np.abs(np.asarray(read_back).astype(int) - image[0, 0]).max() < 6
        assert picture.width == size[0]


def test_a_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "index.html"
    write_page(path, Page("größer", []))
    assert read(path.read_text(encoding="utf-8")).of("h1") == ["größer"]
