"""Names that a stranger chose stand in a report as text: no element, no script, nothing fetched."""

import csv
import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains import registry
from cldm_runtime.domains.attributes import Measurement
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.store import DatasetSpec, create_dataset

SIZE = 64
EVIL = ['"><script src=//evil.example/a.js></script>', "<img src=x onerror=alert(1)>", "'\"><svg onload=alert(1)>",
        "</style></title><iframe src=https://evil.example>", "=HYPERLINK(\"https://evil.example\")"]
ELEMENTS = {"html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "b", "small",
            "span", "div", "table", "thead", "tbody", "tr", "th", "td", "br", "dl", "dt", "dd", "figure", "figcaption",
            "svg", "text", "line", "rect", "circle", "path", "polygon", "polyline", "g", "defs", "image", "use"}


class Page(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain whose labels, regions, attributes and units are an attack."""
    real = get_domain("lge")
    labels = dataclasses.replace(
        real.labels, names=tuple(f"{name} {EVIL[0]}" for name in real.labels.names),
        regions={f"{name} {EVIL[1]}": values for name, values in real.labels.regions.items()})
    attributes = tuple(dataclasses.replace(attribute, name=f"{attribute.name} {EVIL[2]}", unit=EVIL[3])
                       for attribute in real.attributes)

    def measure(maps: np.ndarray, spacing_mm: tuple[float, ...] | None = None) -> Measurement:
        return dataclasses.replace(real.measure(maps), names=tuple(attribute.name for attribute in attributes))

    made = dataclasses.replace(real, name="evil", labels=labels, attributes=attributes, measure=measure,
                               lesion=f"infarct {EVIL[1]}", lesion_size=attributes[0].name)
    monkeypatch.setitem(registry.DOMAINS, "evil", lambda: made)


@pytest.fixture(params=[True, False], ids=["masks", "requested"])
def page(request: pytest.FixtureRequest, hostile: None, tmp_path: Path) -> Path:
    """The folder of a report on a file with such names, with and without reference masks."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    radius, angle = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    maps = np.stack([np.where(radius < 12, 1, np.where(radius >= 20, 0, np.where(angle < 30 * number, 3, 2)))
                     for number in range(12)]).astype(np.uint8)
    domain, file = get_domain("evil"), tmp_path / "cohort.h5"
    with create_dataset(file, DatasetSpec(domain, (SIZE, SIZE), (1.0, 1.0), metadata={EVIL[0]: EVIL[1]})) as writer:
        extra = {"masks": maps} if request.param else {}
        writer.append(images=maps[:, None] / 4, requested=domain.measure(maps).values, subset=["<b>a</b>"] * 12,
                      patients=["<i>p</i>", '"><u>', "=1+1"] * 4, condition=np.arange(12) // 2,
                      sample_index=np.arange(12), **extra)
        writer.segmentation("name", {"bundle": EVIL[2], "note": EVIL[3]}).append(masks=np.roll(maps, 1, axis=1))
    measure_dataset(file)
    renamed = file.rename(tmp_path / '"><img src=x onerror=alert(1)>.h5'.replace("/", ""))
    with h5py.File(renamed, "a") as opened:
        opened.move("segmentations/name", f"segmentations/{EVIL[1]}")
    write_report(renamed, EVIL[1], tmp_path / "out", subset="<b>a</b>")
    return tmp_path / "out"


def test_names_are_text_and_nothing_else(page: Path) -> None:
    text = (page / "report.html").read_text(encoding="utf-8")
    found = Page(text).found
    assert {tag for tag, _ in found} <= ELEMENTS
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    for _, attributes in found:
        for name in ("src", "href", "xlink:href", "action", "data", "style"):
            value = attributes.get(name) or ""
            assert "//" not in value and "javascript:" not in value and "url(" not in value
    for evil in (EVIL[1], EVIL[2]):
        assert evil not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text and "&lt;svg onload=alert(1)&gt;" in text


def test_the_table_has_no_formula_and_the_summary_is_json(page: Path) -> None:
    with (page / "scores.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "@", "\t", "+")]
    assert json.loads((page / "scores.json").read_text(encoding="utf-8"))["run"]["segmenter"] == EVIL[1]
