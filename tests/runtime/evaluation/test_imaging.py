"""Attributes of images through evaluation and report: measured with masks and segmentations, compared, refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime import Generator, Segmenter
from cldm_runtime.errors import DatasetError
from cldm_runtime.evaluation.imaging import file_wants_images, lacks_images
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import generate_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.store import open_dataset
from onnx_fixtures import make_generator

LEVELS = [0.02, 0.05, 0.08, 0.03, 0.06, 0.09]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Six images with requested levels of noise, and nothing measured yet."""
    generator = Generator.load(make_generator(tmp_path / "tiny", acquisition=acquisition_spec()))
    grid = grid_from_mapping({"infarct_size": 0.2, "noise_level": LEVELS}, generator.domain)
    source = GridRequests.spread(grid, len(LEVELS), generator.canvas)
    plan = Plan(generator, source, len(LEVELS), 0, generator.settings())
    return generate_dataset(plan, tmp_path / "samples.h5")


def test_evaluation_measures_what_was_requested_and_the_report_compares_it(samples: Path, tiny_segmenter: Path) -> None:
    assert lacks_images(samples)
    name = evaluate_dataset(samples, Segmenter.load(tiny_segmenter))
    with open_dataset(samples) as dataset:
        with_masks, with_labels = dataset.image_attributes, dataset.segmentation(name).image_attributes
    np.testing.assert_allclose(with_masks[:, 1], LEVELS, rtol=0.35)  # the decoder adds 0.01 of its own
    np.testing.assert_array_equal(with_labels[:, 1], with_masks[:, 1])  # noise is the image's own
    files = write_report(samples, name, samples.parent / "report")
    found = {(row["measured"], row["reference"], row["attribute"], row["samples"]): row
             for row in json.loads(files.json.read_text())["agreement"]}
    assert found["mask", "requested", "noise_level", "all"]["r2"]["value"] > 0.9
    assert "Lesion contrast" in files.html.read_text() and not lacks_images(samples)
    header = files.csv.read_text().splitlines()[0].split(",")
    assert {"requested_noise_level", "mask_lesion_contrast", "segmentation_remote_nulling",
            "segmentation_lesion_contrast_undefined"} <= set(header)
    strata = json.loads(files.json.read_text())["strata"]["rows"]
    assert {row["attribute"] for row in strata} >= {"infarct_size", "noise_level"}


def test_measurements_of_other_images_are_refused(samples: Path, tiny_segmenter: Path) -> None:
    name = evaluate_dataset(samples, Segmenter.load(tiny_segmenter))
    with h5py.File(samples, "r+") as file:
        del file.attrs["image_attributes_derived_from"]
    with pytest.raises(DatasetError, match="/attributes/image: of other images or label maps"):
        write_report(samples, name, samples.parent / "report")
    measure_dataset(samples)
    write_report(samples, name, samples.parent / "report")


def test_a_file_that_holds_none_gets_none_unless_told_to(samples: Path) -> None:
    with h5py.File(samples, "r+") as file:
        del file["attributes/image_requested"]
    measure_dataset(samples)
    with open_dataset(samples) as dataset:
        assert "image_attributes" not in dataset and not file_wants_images(samples)
    measure_dataset(samples, images=True)
    with open_dataset(samples) as dataset:
        assert dataset.image_attributes.shape == (6, 3) and dataset.mask_attributes is not None
