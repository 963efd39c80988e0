"""The performance page and its plots are made of the file beside them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks import page, plots
from benchmarks.results_file import Results, read
from benchmarks.svg import Bar, Group, chart, step


@pytest.fixture(scope="module")
def results() -> Results:
    """The run that the page shows."""
    return read(page.RESULTS)


def test_the_page_is_what_its_file_of_samples_makes_it(results: Results) -> None:
    """Nobody has changed a figure by hand."""
    text = page.PAGE.read_text()
    assert page.fill(text, results) == text
    for name, drawing in plots.draw(results.samples).items():
        assert (page.FOLDER / f"{name}.svg").read_text() == drawing
        assert f"(performance/{name}.svg)" in text


def test_a_page_without_a_marker_is_refused(results: Results) -> None:
    """Figures that have nowhere to go must not vanish."""
    text = page.PAGE.read_text().replace("<!-- end of bounds -->", "")
    with pytest.raises(ValueError, match="benchmark: bounds"):
        page.fill(text, results)


def test_a_chart_is_well_formed_and_keeps_inside() -> None:
    """Also with markup in names, values below zero, gaps and outliers."""
    groups = [
        Group('ours, "<event>"', True, [Bar(-3, -9, 2), None]),
        Group("theirs & others", False, [Bar(100, 90, 9000), Bar(50, 40, 60)]),
    ]
    root = ElementTree.fromstring(chart("<title>", "us", ["read", "write"], groups))
    width = float(root.attrib["width"])
    for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(shape.get("x", 0)) + float(shape.attrib["width"]) <= width
        assert float(shape.attrib["width"]) >= 0
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert float(text.attrib["x"]) < width
    style = root.find("{*}style")
    assert style is not None
    assert "prefers-color-scheme: dark" in (style.text or "")


@pytest.mark.parametrize(
    ("highest", "expected"), [(6, 1), (100, 20), (0.5, 0.1), (5000, 1000), (0, 2e-10)]
)
def test_ticks_are_round(highest: float, expected: float) -> None:
    """1, 2 or 5 times a power of ten."""
    assert step(highest) == pytest.approx(expected)
