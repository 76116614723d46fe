"""Domains from TOML, from nnU-Net's dataset.json, and from the files that carry them."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.bundle.declarations import carried_domain, declared_domain, find_domain, read_domain
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.registry import measure
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset

TOML = """
name = "liver"
axes = 3
lesion = "tumour"
[labels]
liver = 1
tumour = 2
[regions]
organ = ["liver", "tumour"]
tumour = ["tumour"]
"""


def from_toml(folder: Path, text: str = TOML) -> Domain:
    (folder / "liver.toml").write_text(text)
    return find_domain(str(folder / "liver.toml"))


def from_json(folder: Path, **keys: object) -> Domain:
    (folder / "Dataset003_Liver").mkdir()
    path = folder / "Dataset003_Liver" / "dataset.json"
    path.write_text(json.dumps({"channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz", **keys}))
    return find_domain(str(path))


def test_toml(tmp_path: Path) -> None:
    domain = from_toml(tmp_path)
    assert (domain.name, domain.axes, domain.lesion, domain.lesion_size) == ("liver", 3, "tumour", "tumour_volume")
    assert domain.labels.names == ("background", "liver", "tumour")
    assert dict(domain.labels.regions) == {"organ": (1, 2), "tumour": (2,)}
    assert len(set(domain.labels.colours)) == 3 and domain.anatomy is None


def test_dataset_json_of_labels(tmp_path: Path) -> None:
    domain = from_json(tmp_path, labels={"background": 0, "Left Lung": 1, "liver": 2})
    assert (domain.name, domain.axes) == ("liver", 3)
    assert dict(domain.labels.regions) == {"left_lung": (1,), "liver": (2,)}


def test_dataset_json_of_regions_and_pictures(tmp_path: Path) -> None:
    labels = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}
    domain = from_json(tmp_path, labels=labels, file_ending=".png", name="BraTS 2D")
    assert (domain.name, domain.axes) == ("brats-2d", 2)
    assert dict(domain.labels.regions) == {"whole_tumor": (1, 2, 3), "tumor_core": (2, 3), "enhancing_tumor": (3,)}


@pytest.mark.parametrize(("old", "new", "fault"), [
    ("axes = 3", "axes = 4", "axes: found 4"), ("tumour = 2", "tumour = 3", "without gaps"),
    ('lesion = "tumour"', 'lesion = "cyst"', "lesion: found 'cyst'"), ('"liver"', '"lge"', "belongs to a domain"),
    ('["tumour"]', '["background"]', "regions.tumour"), ("axes = 3", "axes = 3\nspeed = 1", "speed: unknown key")])
def test_faults_are_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        from_toml(tmp_path, TOML.replace(old, new, 1))


def test_a_declaration_of_a_million_labels_gets_a_short_answer() -> None:
    labels = {f"label {number}": number for number in range(10**5)}
    with pytest.raises(InputError, match="at most 256 labels") as caught:
        carried_domain("huge", {"name": "huge", "axes": 2, "labels": labels}, "file")
    assert len(str(caught.value)) < 500


def test_another_process_gets_the_same_domain(tmp_path: Path) -> None:
    domain = from_toml(tmp_path)
    again = pickle.loads(pickle.dumps(domain))
    (tmp_path / "liver.toml").unlink()
    assert (again.labels, again.attributes, again.declaration) == (domain.labels, domain.attributes, domain.declaration)


def write(folder: Path, domain: Domain) -> Path:
    masks = np.zeros((2, 4, 6, 6), np.uint8)
    masks[0, 1:3, 1:5, 1:5], masks[0, 1, 2, 2] = 1, 2
    with create_dataset(folder / "cohort.h5", DatasetSpec(domain, (4, 6, 6), (5.0, 1.0, 1.0), 2)) as writer:
        writer.append(images=np.zeros((2, 2, 4, 6, 6)), masks=masks)
    return folder / "cohort.h5"


def test_a_dataset_carries_its_domain(tmp_path: Path) -> None:
    file = write(tmp_path, from_toml(tmp_path))
    (tmp_path / "liver.toml").unlink()
    with open_dataset(file) as dataset:
        assert dataset.load_domain().attribute_names[0] == "organ_volume"


def test_volumes_with_given_segmentations_are_measured(tmp_path: Path) -> None:
    file = write(tmp_path, from_toml(tmp_path))
    with edit_dataset(file) as editor, open_dataset(file) as dataset:
        editor.segmentation("mine").append(masks=dataset.masks())
    measure_dataset(file)
    with open_dataset(file) as dataset:
        found = dataset.segmentation("mine")
        assert found.attributes[0, 0] == 32 * 5 and found.scores[0, found.score_names.index("organ_dice")] == 1
        assert [as_text.split()[1] for as_text in found._texts("attribute_reasons", "reasons")] == [
            "measured", "no_region", "no_foreground", "needs_stack", "free_class"]


def test_an_unknown_domain_without_declaration_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, from_toml(tmp_path))
    with h5py.File(file, "a") as opened:
        del opened.attrs["declared_domain"]
    with open_dataset(file) as dataset, pytest.raises(DatasetError, match="'liver', which this runtime does not know"):
        dataset.load_domain()


def test_a_name_in_a_file_is_never_a_path(tmp_path: Path) -> None:
    from_toml(tmp_path)
    with pytest.raises(InputError, match="declares none"):
        carried_domain(str(tmp_path / "liver.toml"), None, "file")


def test_measure_of_a_declared_domain(tmp_path: Path) -> None:
    from_toml(tmp_path)
    found = measure(np.ones((2, 3, 4), np.uint8), find_domain(str(tmp_path / "liver.toml")), (1.0, 2.0, 2.0))
    assert found["organ_volume"].tolist() == [24 * 4]


ORGANS = {"name": "trunk", "axes": 2, "phantoms": ["organs-ct"],
          "labels": {name: number for number, name in enumerate(
              ("tumour", "vessel", "bone", "kidney", "spleen", "liver", "body", "stent"), 1)}}


def test_a_declaration_names_the_phantoms_that_are_drawn_with_its_labels() -> None:
    domain = declared_domain(ORGANS, "here")
    volume = domain.phantoms["organs-ct"].draw(0, 0, "val")
    assert list(domain.phantoms) == ["organs-ct"] and "phantoms" not in (domain.declaration or {})
    pixels = np.bincount(volume.labels.ravel(), minlength=9)
    assert pixels[7] > pixels[6] > pixels[4] > 0 == pixels[8]  # body, liver, kidney; no stent is drawn


def test_phantoms_that_do_not_fit_are_faults() -> None:
    with pytest.raises(InputError, match="phantoms: found 'organs-xr', expected some of: organs-ct, organs-mr"):
        declared_domain({**ORGANS, "phantoms": ["organs-xr"]}, "here")
    with pytest.raises(InputError, match=r"organs-ct draws body, .*, but labels lacks spleen, kidney"):
        labels = {"body": 1, "liver": 2, "bone": 3, "vessel": 4, "tumour": 5}
        declared_domain({**ORGANS, "labels": labels}, "here")
    with pytest.raises(InputError, match="phantoms: unknown key in a file"):
        carried_domain("trunk", ORGANS, "here")


@pytest.mark.parametrize("name", ["organs", "breast"])
def test_the_domains_of_the_phantoms_are_data(name: str) -> None:
    domain = read_domain(Path(__file__).parents[3] / "trainer" / "configs" / "domains" / f"{name}.toml")
    assert len(domain.labels.names) - 1 >= 6 and domain.lesion == "tumour" and domain.phantoms
    assert {"tumour_area", "vessel_components"} < set(domain.attribute_names)
