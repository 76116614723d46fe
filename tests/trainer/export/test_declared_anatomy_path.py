"""An anatomy of a declared domain goes the whole way: a VAE of two steps, its bundle, what it draws and refuses."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.generation.learned_anatomy import LearnedAnatomy
from cldm_runtime.store import DatasetSpec, create_dataset
from declared_path import call, train

DOMAIN = """
name = "knee"
axes = 2
lesion = "cyst"
[labels]
bone = 1
cyst = 2
[ranges]
bone_components = [0.0, 20.0]
cyst_components = [0.0, 20.0]
"""
CONFIGURATION = """
[run]
name = "knee-anatomy"
threads = 1
[cohort]
folder = "cohort"
domain = "knee.toml"
[prepare]
shape = [48, 48]
[image_codec]
codec = "identity"
latent_channels = 1
[mask_codec]
codec = "identity"
[diffusion]
channels = [8, 8]
norm_groups = 4
head_channels = 8
optimiser = {steps = 1, batch_size = 1, learning_rate = 1e-3}
[label_vae]
patch = 2
channels = [8, 8]
dimensions = 4
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[export]
generator = ""
segmenter = ""
anatomy = "out/knee-anatomy"
"""


def write_cohort(path: Path) -> None:
    """Bones of 20 sizes in `train` and 4 in `val`, every second one with a cyst."""
    domain = find_domain("knee.toml")
    masks = np.zeros((24, 48, 48), np.uint8)
    for number, labels in enumerate(masks):
        labels[10:20 + number, 10:38] = 1
        labels[12:12 + 4 * (number % 2), 12:16] = 2
    measured = domain.measure(masks, (1.0, 1.0))
    path.parent.mkdir(parents=True)
    with create_dataset(path, DatasetSpec(domain, (48, 48), (1.0, 1.0), metadata={"nature": "phantom"})) as writer:
        writer.append(images=masks[:, None] / 2.0, masks=masks, mask_attributes=measured.values,
                      mask_reasons=measured.reasons, subset=["train"] * 20 + ["val"] * 4, slices=np.zeros(24, int),
                      patients=[f"p{number}" for number in range(24)])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("knee")
    (folder / "knee.toml").write_text(DOMAIN)
    (folder / "my.toml").write_text(CONFIGURATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_cohort(folder / "cohort" / "cohort.h5")
        train("label-vae", "--config", "my.toml")
        train("export", "--config", "my.toml", "--what", "anatomy", "--no-torchscript")
        yield folder


def test_the_bundle_states_what_it_draws_for_and_the_acceptance(path: Path) -> None:
    assert call("verify", "out/knee-anatomy") == 0
    manifest = Bundle.load("out/knee-anatomy").manifest
    assert [spec.name for spec in manifest.attributes] == ["bone_area", "bone_components", "cyst_area",
                                                           "cyst_components"]
    assert 0.0 <= manifest.quality["measured"]["acceptance, share of draws"] <= 1.0
    assert sorted(component.lesion for component in manifest.latent_prior.components) == [False, True]


def test_requests_are_of_sizes_and_counts(path: Path) -> None:
    anatomy = LearnedAnatomy.load(Bundle.load("out/knee-anatomy"))
    assert anatomy.identity()["anatomy_bundle"] == "knee-anatomy" and anatomy.decode(np.zeros(4)).shape == (48, 48)
    assert "bone_thickness cannot be requested" in anatomy.faults({"bone_thickness": 3.0})[0]
    assert "no map of anatomy knee-anatomy meets bone_components = 20" in anatomy.faults({"bone_components": 20.0})[0]
