"""A tiny untrained nnU-Net result folder becomes a bundle whose predictor says what nnUNetPredictor says."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.cli import cli
from cldm_trainer.export.nnunet_agreement import (
    PredictorAgreement,
    compare_predictors,
    nnunet_labels,
    require_agreement,
)
from cldm_trainer.export.parity import GraphParity, ParityError
from cldm_trainer.export.segmenter import nnunet_labels as labels_of
from cldm_trainer.export.segmenter import trace_or_say
from cldm_trainer.export.settings import BundleSettings
from cldm_trainer.nnunet.results import load_result, segmenter_spec
from nnunet_fixtures import export_of, result_folder, slices


def test_bundle_of_a_result_folder(tmp_path, small):
    export = export_of(result_folder(tmp_path / "result"), small)
    bundle = Bundle.load(export.write(tmp_path / "bundle"))
    manifest = bundle.manifest
    assert set(manifest.graphs) == {"segmenter", "features"} and manifest.segmenter == export.spec
    assert manifest.files().keys() >= {"segmenter.ts", "features.ts"}
    assert all(row["max_abs"] <= 1e-4 for row in manifest.quality["parity"])
    assert manifest.quality["measured"]["nnUNetPredictor, with mirroring: slices"] == 3
    assert Segmenter.load(bundle.path).features(slices()).shape == (3, 8)
    assert str(tmp_path) not in (bundle.path / "manifest.json").read_text()
    with pytest.raises(BundleError, match="Pass --force"):
        export.write(tmp_path / "bundle")
    export.write(tmp_path / "bundle", force=True)


@pytest.mark.parametrize(("options", "shape"), [
    ({}, (2, 1, 50, 71)),  # tiles
    ({"spacing": (1.25, 0.8)}, (2, 1, 45, 30)),  # resampling, then tiles along one axis and padding along none
    ({"transpose": (0, 2, 1), "patch": (32, 48), "spacing": (0.9, 1.1)}, (2, 1, 40, 60)),
    ({"scheme": "CTNormalization"}, (2, 1, 20, 24)),  # padding
])
def test_predictor_agrees_with_nnunet(tmp_path, small, options, shape):
    export = export_of(result_folder(tmp_path / "result", **options), small, slices((3, 1, 32, 32)))
    segmenter = Segmenter.load(export.write(tmp_path / "bundle"))
    images = slices(shape, seed=1)
    images[:, :, :2] = 0  # cropped away
    for mirror in (True, False):
        agreement = compare_predictors(segmenter, export.result, images, mirror=mirror)
        assert len(agreement.dice) >= 3  # the labels that win somewhere
        assert agreement.differing_pixels <= 0.002 * agreement.all_pixels  # ties: nnU-Net sums in float16


def test_regions_and_foreign_label_names(tmp_path, small):
    labels = {"background": 0, "heart": [1, 2, 3], "blood": 1, "scar": [3]}
    mapping = {"1": "lv_cavity", "2": "healthy_myocardium", "3": "infarct"}
    export = export_of(result_folder(tmp_path / "result", labels), small, labels=mapping)
    assert export.spec.decision == "regions" and export.spec.label_values == (2, 1, 3)
    ours = Segmenter.load(export.write(tmp_path / "bundle")).segment(slices(), mirror=False)
    theirs = nnunet_labels(export.result, slices(), (1.0, 1.0), (2, 1, 3), mirror=False)
    assert (ours != theirs).mean() < 0.002 and len(np.unique(ours)) > 2


def test_the_export_command_takes_any_result_folder(tmp_path, small):
    masks = np.zeros((2, 32, 32), np.uint8)
    masks[:, 8:24, 8:24], masks[:, 12:20, 12:20] = 2, 1
    domain = get_domain("lge")
    measured, cohort = domain.measure(masks), tmp_path / "other"
    cohort.mkdir()
    with create_dataset(cohort / "cohort.h5", DatasetSpec(domain, (32, 32), (1.0, 1.0))) as writer:
        writer.append(images=slices((2, 1, 32, 32)), masks=masks, mask_attributes=measured.values,
                      subset=["val", "test"], patients=["P1", "P2"])
    (tmp_path / "config.toml").write_text(
        (tmp_path / "small.toml").read_text().replace('folder = "cohort"', f'folder = "{cohort}"')
        + f'\n[export]\nsegmenter = "{tmp_path / "bundle"}"\n')
    folder = result_folder(tmp_path / "result")
    arguments = ["export", "--config", str(tmp_path / "config.toml"), "--nnunet", str(folder)]
    outcome = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0 and "bundle: written; graphs agree with torch, labels with nnU-Net" in outcome.output
    assert "sampling loop" not in outcome.output
    assert outcome.output.splitlines()[-1].startswith("TensorRT: ")
    manifest = Bundle.load(tmp_path / "bundle").manifest
    assert manifest.provenance["nnunet"] == {
        "trainer": "nnUNetTrainer", "plans": "nnUNetPlans", "epochs": 3, "trained_on": "slices",
        "dataset": "Dataset001_T", "trained": "elsewhere"}
    assert not manifest.provenance["cohort"] and not manifest.provenance["config"]
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "Trained elsewhere; its training data are not known here." in card and "| nnU-Net, epochs | 3 |" in card
    assert "patients" not in card and "Training run" not in card and "training cohort" not in card


def test_a_network_that_cannot_be_traced_is_exported_without_a_trace(capsys):
    class Untraceable(torch.nn.Module):
        def forward(self, image):
            return str(image.sum())

    assert trace_or_say("segmenter", Untraceable(), torch.zeros(2, 1, 4, 4)) is None
    line = capsys.readouterr().err
    assert line.startswith("segmenter: without a TorchScript form, because torch cannot trace Untraceable: ")
    assert line.count("\n") == 1
    assert trace_or_say("segmenter", torch.nn.Conv2d(1, 1, 3), torch.zeros(2, 1, 4, 4))


def test_unmapped_labels_are_listed(tmp_path):
    folder = result_folder(tmp_path / "result", {"background": 0, "blood": 1, "muscle": 2})
    with pytest.raises(InputError, match=r"(?s)label 'blood' \(1\).*label 'muscle' \(2\)"):
        segmenter_spec(load_result(folder), get_domain("lge"), {}, True)


def test_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    folder = result_folder(tmp_path / "result")

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"network_weights": Trap()}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(InputError, match="not a checkpoint that can be read as plain data"):
        load_result(folder)
    assert not (tmp_path / "ran").exists()


def test_disagreement_of_a_common_label_stops_the_export():
    agreement = PredictorAgreement(50, True, 40, 100_000, {"infarct": 0.98, "mvo": 0.5}, {"infarct": 5000, "mvo": 12})
    with pytest.raises(ParityError, match=r"with mirroring: infarct: Dice 0.98000 over 5000 pixels") as caught:
        require_agreement([agreement])
    assert "mvo" not in str(caught.value)


def test_fewer_than_999_of_1000_equal_labels_stop_the_export_with_the_figure():
    require_agreement([PredictorAgreement(1, False, 100, 100_000, {}, {})])
    with pytest.raises(ParityError, match=r"the labels of 99\.899% of 100000 pixels agree, expected at least 99\.9%"):
        require_agreement([PredictorAgreement(1, False, 101, 100_000, {}, {})])


def test_a_few_pixels_of_tiny_images_may_differ():
    require_agreement([PredictorAgreement(1, False, 16, 512, {}, {})])
    with pytest.raises(ParityError, match=r"or all but 16"):
        require_agreement([PredictorAgreement(1, False, 17, 512, {}, {})])


def test_logits_beyond_the_tolerance_are_reported_and_the_labels_decide(tmp_path, small, capsys):
    export = replace(export_of(result_folder(tmp_path / "result"), small), tolerance=1e-9)
    parity = GraphParity("segmenter", "random", 2, 0.5, 0.1)
    export._judge([parity])
    assert "export.parity_tolerance = 1e-09" in capsys.readouterr().err
    for broken in (replace(parity, what="features"), replace(parity, max_abs=float("inf"))):
        with pytest.raises(ParityError, match=r"raise export\.parity_tolerance"):
            export._judge([broken])


def test_names_are_taken_from_the_preparation_where_the_export_maps_none(tmp_path, small):
    labels = {"background": 0, "scar": 1, "lv_cavity": 2, "wall": 3}
    result = load_result(result_folder(tmp_path / "result", labels))
    settings = replace(BundleSettings.of(small), prepare_labels={"scar": "infarct", "wall": "mvo", "1": "mvo"},
                       export=replace(small.export, nnunet_labels={"wall": "healthy_myocardium"}))
    mapping = labels_of(settings, result)
    assert mapping == {"scar": "infarct", "wall": "healthy_myocardium"}
    assert segmenter_spec(result, get_domain("lge"), mapping, True).label_values == (0, 3, 1, 2)
