"""The phantom of a declared domain goes the whole way: drawn, prepared, trained, exported, generated from label maps
and from areas and counts, evaluated and reported. In the short run test_declared_path.py and the tests of
domains/organs stand for it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.store import open_dataset
from declared_path import CONFIGURATION, call, train

DOMAIN = Path(__file__).parents[2] / "trainer" / "configs" / "domains" / "organs.toml"
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # nnU-Net's own
COHORT = '''domain = "organs.toml"
phantom = "organs-mr"
train_patients = 3
val_patients = 1
test_patients = 2
[prepare]
centre = "image"
padding = "none"
'''
FROM_ATTRIBUTES = '''extends = "my.toml"
[run]
name = "counted"
codecs = "knee"
[diffusion]
condition = "attributes"
value_dropout = 0.5
attention = [false, true]
[export]
generator = "out/counted"
'''


def configured() -> str:
    text = CONFIGURATION.format(shape=[32, 32], spacing=[12.0, 12.0])
    text = text.replace('domain = "knee.toml"\n[prepare]\nraw = "raw"\nnature = "phantom"\n', COHORT)
    return text.replace('channels = "all"\n', "")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("organs")
    shutil.copy(DOMAIN, folder / "organs.toml")
    (folder / "my.toml").write_text(configured())
    (folder / "counted.toml").write_text(FROM_ATTRIBUTES)
    (folder / "grid.csv").write_text("liver_area,kidney_components\n9000,2\n15000,1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("phantom", "--config", "my.toml")
        assert call("prepare", "--config", "my.toml") == 0
        train("all", "--config", "my.toml")
        train("export", "--config", "my.toml", "--no-torchscript")
        yield folder


def test_from_label_maps_to_the_report(path: Path) -> None:
    assert call("gen", "--bundle", "out/knee", "--masks", "cohort/cohort.h5", "--n", 4, "--out", "samples.h5") == 0
    assert call("evaluate", "samples.h5", "--segmenter", "out/knee-segmenter", "--out", "report") == 0
    scores = json.loads((path / "report" / "scores.json").read_text())
    assert {"liver", "kidney", "vessel", "tumour"} < {region["region"] for region in scores["regions"]}
    assert Bundle.load(path / "out" / "knee").manifest.declared_domain["labels"]["tumour"] == 7
    with open_dataset(path / "cohort" / "cohort.h5") as cohort:
        names = cohort.load_domain().attribute_names
        counts = cohort.mask_attributes[:, names.index("kidney_components")]
        assert cohort.nature == "phantom" and {0.0, 2.0} <= set(counts.tolist())


def test_from_areas_and_counts(path: Path) -> None:
    train("all", "--config", "counted.toml")
    train("export", "--config", "counted.toml", "--no-torchscript")
    assert call("gen", "--bundle", "out/counted", "--attributes", "grid.csv", "--n", 4, "--out", "counted.h5") == 0
    with open_dataset(path / "counted.h5") as samples:
        names = samples.load_domain().attribute_names
        asked = samples.requested[:, names.index("liver_area")]
        assert samples.images().shape == (4, 1, 32, 32) and sorted(asked.tolist()) == [9000, 9000, 15000, 15000]
