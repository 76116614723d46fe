"""metadata.json has what MONAI's specification asks for, and MONAI's parser runs inference.json."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.bundle.properties import MetaProperties
from monai.utils import BundleProperty, BundlePropertyConfig

from cldm_runtime.errors import BundleError
from cldm_runtime.generation.generator import Generator
from cldm_trainer.export.monai_bundle import write_monai_bundle

EXPORTED = Path(__file__).parents[3] / "exported"
# Of docs/source/mb_specification.rst; MONAI 1.6 calls optional_packages_version required_packages_version
KEYS = {"version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task",
        "description", "authors", "copyright", "network_data_format"}
TENSOR = {"type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data",
          "channel_def"}


@pytest.mark.parametrize("name", ["lge", "lge-segmenter"])
def test_metadata_has_every_mandatory_key(tmp_path: Path, name: str) -> None:
    shutil.copytree(EXPORTED / name, tmp_path / name)
    parser = ConfigParser()
    parser.read_meta(str(write_monai_bundle(tmp_path / name) / "configs" / "metadata.json"))
    meta = parser.get("_meta_")
    assert meta.keys() >= KEYS
    tensors = [*meta["network_data_format"]["inputs"].values(), *meta["network_data_format"]["outputs"].values()]
    assert all(tensor.keys() >= TENSOR for tensor in tensors)
    assert len(meta["network_data_format"]["outputs"]) == 1 and tensors[-1]["spatial_shape"] == [128, 128]
    needed = [entry for entry in MetaProperties.values() if entry[BundleProperty.REQUIRED]]
    assert needed and all(entry[BundlePropertyConfig.ID] in parser for entry in needed)


def test_monai_runs_the_bundle(tmp_path: Path) -> None:
    shutil.copytree(EXPORTED / "lge", tmp_path / "lge")
    folder = write_monai_bundle(tmp_path / "lge")
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    parser.update({"bundle_root": str(folder), "number": 1, "out": str(tmp_path / "images.npy")})
    parser.get_parsed_content("run")
    expected, _ = Generator.load(EXPORTED / "lge").sample(n=1, seed=0)
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), expected)


def test_only_such_a_folder_is_replaced(tmp_path: Path) -> None:
    shutil.copytree(EXPORTED / "lge-segmenter", tmp_path / "lge-segmenter")
    folder = write_monai_bundle(tmp_path / "lge-segmenter")
    with pytest.raises(BundleError, match=r"exists. Pass --force"):
        write_monai_bundle(tmp_path / "lge-segmenter")
    assert write_monai_bundle(tmp_path / "lge-segmenter", force=True) == folder
    (folder / "configs" / "metadata.json").unlink()
    with pytest.raises(BundleError, match=r"exists"):
        write_monai_bundle(tmp_path / "lge-segmenter", force=True)
