"""nnU-Net's result folders become segmenters without a cohort, whatever their configuration is called."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.adopt.networks_file import import_networks
from cldm_trainer.export.nnunet_agreement import nnunet_labels
from cldm_trainer.nnunet.results import load_result
from import_fixtures import HEAD, write
from nnunet_fixtures import result_folder, slices

BARE = HEAD.replace("[schedule]\ntimesteps = 20\n[sampling]\nsteps = 2\n", "")
NET = '[nnunet]\nfolder = "result"\nmirroring = false\n'


def renamed(folder: Path, old: str, new: str, **more: object) -> None:
    """The configuration under another name, as its planner may call it."""
    file = folder / "plans.json"
    plans = json.loads(file.read_text())
    plans["configurations"] = {new: plans["configurations"][old] | more}
    file.write_text(json.dumps(plans))
    file = folder / "fold_0" / "checkpoint_final.pth"
    stored = torch.load(file, weights_only=False)  # written by this test
    torch.save(stored | {"init_args": {"configuration": new}}, file)


def test_a_configuration_of_ones_own_says_what_nnunets_predictor_says(tmp_path: Path) -> None:
    folder = result_folder(tmp_path / "result", spacing=(3.0, 3.0), mirror=())
    renamed(folder, "2d", "2d_large_batch")
    segmenter = Segmenter.load(import_networks(write(tmp_path, NET, head=BARE), tmp_path / "bundle",
                                               torchscript=False))
    images = slices((2, 1, 32, 32), seed=3)
    expected = nnunet_labels(load_result(folder), images, (3.0, 3.0), segmenter.spec.label_values, mirror=False)
    assert np.mean(segmenter.segment(images) == expected) > 0.999 and len(np.unique(expected)) > 2
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "Trained elsewhere" in card and "weights, checkpoint_final.pth" in card


def test_volumes_of_a_low_resolution(tmp_path: Path) -> None:
    folder = result_folder(tmp_path / "result", patch=(8, 16, 16), spacing=(4.0, 2.0, 2.0))
    renamed(folder, "3d_fullres", "3d_lowres")
    result = load_result(folder)
    assert (result.configuration, result.axes, result.trained_on) == ("3d_lowres", 3, "volumes")


def test_a_cascade_and_unmapped_labels_are_one_message(tmp_path: Path) -> None:
    folder = result_folder(tmp_path / "result", {"background": 0, "scar": 1}, mirror=())
    with pytest.raises(InputError, match=r"(?s)scar.*nnunet\.labels"):
        import_networks(write(tmp_path, NET, head=BARE), tmp_path / "bundle")
    renamed(folder, "2d", "2d_cascade", previous_stage="2d_lowres")
    with pytest.raises(InputError, match="takes the labels of '2d_lowres' as input"):
        import_networks(write(tmp_path, NET, head=BARE), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
