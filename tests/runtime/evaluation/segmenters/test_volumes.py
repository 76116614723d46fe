"""Every form of segmenter on volumes of two channels."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("nibabel")

from onnx.helper import make_node

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.evaluation.checking import check_segmenter
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from cldm_runtime.evaluation.segmenters.own_function import as_segmenter
from cldm_runtime.report.segmenter_sheet import segmenter_sheet
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from onnx_fixtures import model, tensor

DOMAIN = Declaration("organ", 3, {"organ": 1, "tumour": 2}, {"whole": ("organ", "tumour"), "tumour": ("tumour",)},
                     lesion="tumour").domain()
MASKS = np.zeros((2, 5, 12, 16), np.uint8)
MASKS[:, 1:4, 3:9, 3:13] = 1
MASKS[:, 2, 5:8, 4:9] = 2


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The first channel is a quarter of the label, the second its complement."""
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, MASKS.shape[1:], (3.0, 1.0, 1.0), 2)) as writer:
        writer.append(images=np.stack([MASKS / 4, 1 - MASKS / 4], axis=1), masks=MASKS)
    return tmp_path / "a.h5"


def write_network(path: Path) -> None:
    """4 times channel 1 of the image, to the nearest whole number: a label map."""
    nodes = [make_node("Mul", ["input", "weights"], ["weighted"]),
             make_node("ReduceSum", ["weighted", "axis"], ["sum"], keepdims=0), make_node("Round", ["sum"], ["output"])]
    weights = np.array([4, 0], np.float32).reshape(1, 2, 1, 1, 1)
    path.write_bytes(model(nodes, (tensor("input", 2, 8, 12, 16),), (tensor("output", 8, 12, 16),),
                           {"weights": weights, "axis": np.array([1])}))


def test_a_described_network(volumes: Path, tmp_path: Path) -> None:
    write_network(tmp_path / "v.onnx")
    (tmp_path / "v.toml").write_text(
        'name = "v"\nonnx = "v.onnx"\n[input]\nlayout = "NCDHW"\nspacing_mm = [3, 1, 1]\nflip = ["depth"]\n'
        '[output]\nkind = "labels"\n[labels]\n0 = "background"\n1 = "organ"\n2 = "tumour"\n')
    network = load_segmenter(tmp_path / "v.toml")
    with open_dataset(volumes) as dataset:
        found = check_segmenter(dataset, network)
        assert np.array_equal(found.labels, MASKS) and found.frames.shape == (2, 2, 8, 12, 16)
        assert segmenter_sheet(dataset, DOMAIN, found)[:4] == b"\x89PNG"


def test_a_function_gets_all_channels(volumes: Path) -> None:
    segmenter = as_segmenter(lambda images: np.rint(4 * images[:, 0]), "mine")
    with open_dataset(volumes) as dataset:
        assert np.array_equal(segmenter.segment_rows(dataset, slice(0, 2), 16), MASKS)


def test_a_program_gets_a_file_for_each_channel(volumes: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys, nibabel, numpy as np\nfrom pathlib import Path\n"
        "for file in sorted(Path(sys.argv[1]).glob('*_0000.nii.gz')):\n"
        "    scan = nibabel.load(file)\n"
        "    labels = np.rint(4 * scan.get_fdata()).astype(np.uint8)\n"
        "    target = Path(sys.argv[2]) / file.name.replace('_0000', '')\n"
        "    nibabel.save(nibabel.Nifti1Image(labels, scan.affine), target)\n")
    (tmp_path / "p.toml").write_text(
        f'name = "p"\ncommand = ["{sys.executable}", "program.py", "{{images}}", "{{labels}}"]\n')
    with open_dataset(volumes) as dataset:
        assert np.array_equal(load_segmenter(tmp_path / "p.toml").segment_rows(dataset, slice(0, 2), 16), MASKS)
