"""Where lesions lie through evaluation and report: measured on masks and segmentations, compared, renewed."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime import Segmenter
from cldm_runtime.domains.lge.place import LAYERS
from cldm_runtime.domains.place_rules import PlaceFigure
from cldm_runtime.domains.places import measured_places
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.places import PlaceComparison, compare_places, lacks_places
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.value_tables import NOTHING, ValueTables
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.report.nature import nature_sentences
from cldm_runtime.report.page import write_report
from cldm_runtime.report.places import places_section
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

SPACING = (1.0, 1.0)


def heart(size: float) -> np.ndarray:
    anatomy = get_domain("lge").anatomy
    request = anatomy.complete({"infarct_size": size, "slice_position": 0.9}, Stream(4, 1, Purpose.CONDITION))
    return anatomy.draw(request, Stream(4, 1, Purpose.ANATOMY), shape=(128, 128), spacing_mm=SPACING).labels


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three slices without measured places; the segmentation `turned` is off by 90 degrees, and misses the last."""
    masks = np.stack([heart(0.1), heart(0.15), heart(0.2)])
    found = np.rot90(masks, axes=(1, 2)).copy()
    found[2] = np.where(found[2] == 3, 2, found[2])
    path = tmp_path / "cohort.h5"
    with create_dataset(path, DatasetSpec(get_domain("lge"), (128, 128), SPACING)) as writer:
        writer.append(images=np.full((3, 1, 128, 128), 0.5), masks=masks, patients=["a", "a", "b"], slices=[0, 1, 0],
                      mask_attributes=np.tile(np.float32([np.nan, np.nan, np.nan, 0.9]), (3, 1)),
                      place_requested=np.float32([[10, np.nan, 3, 330], [np.nan] * 4, [np.nan] * 4]))
        writer.segmentation("turned").append(masks=found)
    return path


def test_the_report_says_how_well_places_were_found(cohort: Path, tmp_path: Path) -> None:
    measure_dataset(cohort)
    with open_dataset(cohort) as dataset:
        mask, found = dataset.place, dataset.segmentation("turned").place
        assert mask[0, 1] in range(1, 7) and np.isnan(mask[1, 1])  # basal; without an insertion there is no segment
        np.testing.assert_allclose((mask[:2, 0] - found[:2, 0]) % 360, 90, atol=0.5)
        np.testing.assert_array_equal(mask[:2, 2], found[:2, 2])
        assert np.isnan(found[2, :3]).all()
    files = write_report(cohort, "turned", tmp_path / "report")
    places = json.loads(files.json.read_text())["places"]
    figures = {(row["measured"], row["reference"], figure["meaning"]): figure for row in places
               for figure in row["figures"]}
    centre = figures["segmentation", "mask", "centre of the scar off by, median"]
    assert centre["n"] == 2 and centre["value"] == pytest.approx(90, abs=0.5)
    assert figures["segmentation", "mask", "scars in the right layer"]["value"] == 1
    assert figures["mask", "requested", "scars in the right layer"]["n"] == 1
    assert "Where lesions lie" in files.html.read_text()
    rows = list(csv.DictReader(files.csv.read_text().splitlines()))
    assert rows[0]["requested_layer"] == "transmural" and rows[1]["mask_layer"] in LAYERS
    assert rows[2]["segmentation_layer"] == "" and rows[2]["segmentation_layer_undefined"] == "no_infarct"


def test_a_file_without_places_gets_them_when_it_is_evaluated(cohort: Path, tiny_segmenter: Path) -> None:
    name = evaluate_dataset(cohort, Segmenter.load(tiny_segmenter))
    with open_dataset(cohort) as dataset:
        assert not lacks_places(dataset, get_domain("lge"))
        assert dataset.mask_attributes[:, 3].tolist() == [np.float32(0.9)] * 3  # what no map shows is kept
        once = dataset.place
    with h5py.File(cohort, "r+") as file:
        del file["attributes/place"], file["attributes/place_reasons"]
    assert evaluate_dataset(cohort, Segmenter.load(tiny_segmenter)) == name
    with open_dataset(cohort) as dataset:
        np.testing.assert_array_equal(dataset.place, once)


def test_a_report_of_an_older_file_has_no_such_table(cohort: Path, tmp_path: Path) -> None:
    measure_dataset(cohort)
    with h5py.File(cohort, "r+") as file:
        for column in ("attributes/place", "attributes/place_reasons", "attributes/place_requested"):
            del file[column]
    files = write_report(cohort, "turned", tmp_path / "report")
    assert "places" not in json.loads(files.json.read_text())
    assert "Where lesions lie" not in files.html.read_text()


def test_the_table_of_places_by_hand() -> None:
    figures = (PlaceFigure("centre of the scar off by, median", "degrees", 7.25, 12),
               PlaceFigure("scars in the right layer", "fraction", 0.75, 12))
    page = places_section([PlaceComparison("segmentation", "mask", figures)], {"mask": "the reference mask"})
    assert "<td>Segmentation against the reference mask</td>" in page.replace(' class=""', "")
    assert "7.2 degrees" in page and "75.0 %" in page
    assert places_section([], {}) == ""


def test_what_depends_on_a_free_class_has_no_place() -> None:
    labels = heart(0.1)[None]
    kept = np.array([True, True, True, False, False])
    columns = measured_places(get_domain("lge"), labels, None, None, kept)
    assert np.isnan(columns["place"]).all() and columns["place_reasons"][0, :3].tolist() == [200] * 3


def test_tables_that_a_file_lacks_are_not_compared(cohort: Path) -> None:
    domain, known = get_domain("lge"), np.float32([[10, 1, 3, 330]])
    assert compare_places(domain, NOTHING) == () == compare_places(domain, ValueTables(mask=known))
    (only,) = compare_places(domain, ValueTables(mask=known, segmentation=known))
    assert (only.measured, only.reference) == ("segmentation", "mask") and only.figures[0].value == 0
    with open_dataset(cohort) as dataset:
        assert nature_sentences(dataset, "turned")
