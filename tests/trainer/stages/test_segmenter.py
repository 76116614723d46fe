"""The segmenter stage: nnU-Net plans, preprocesses, trains, stops and goes on."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import DatasetError, InputError, InterruptedRun
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer import export
from cldm_trainer.cli import run_stage
from cldm_trainer.config import Config, SegmenterConfig
from cldm_trainer.nnunet.plan import reduced_plan
from cldm_trainer.stages import segmenter
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training.run_folder import RunFolder

TINY = SegmenterConfig(planned=False, features=(4, 8, 8), batch_size=2, epochs=2, iterations_per_epoch=2,
                       validation_iterations_per_epoch=1)
PRESET = Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml"


def config_in(folder: Path) -> Config:
    config = load_config(PRESET)
    return dataclasses.replace(
        config, segmenter=TINY,
        run=dataclasses.replace(config.run, folder=str(folder / "runs"), threads=1),
        cohort=dataclasses.replace(config.cohort, folder=str(folder)),
        prepare=dataclasses.replace(config.prepare, workers=1, shape=(32, 32)))


def write_cohort(file: Path, subsets: tuple[str, ...]) -> None:
    y, x = np.mgrid[:32, :32]
    radius = np.hypot(y - 16, x - 16)
    masks = np.stack([np.where(radius < 5, 1, np.where(radius < 9, 2, 0))] * len(subsets)).astype(np.uint8)
    noise = np.random.default_rng(0).random(masks.shape)
    domain = get_domain("lge")
    with create_dataset(file, DatasetSpec(domain, (32, 32), (1.0, 1.0), metadata={"nature": "phantom"})) as writer:
        writer.append(images=((masks / 4 + noise) / 2)[:, None], masks=masks, subset=list(subsets),
                      mask_attributes=domain.measure(masks).values,
                      patients=[f"P{i}" for i in range(len(subsets))])


def export_segmenter(config: Config, target: Path) -> Path:
    """Trained, and written as a bundle."""
    run_stage("segmenter", config)
    config = dataclasses.replace(config, export=dataclasses.replace(config.export, segmenter=str(target)))
    (folder,) = export.run(config, torchscript=False, what="segmenter")
    return folder


def test_reduced_plan_replaces_the_architecture_and_nothing_else():
    plan = {"plans_name": "nnUNetPlans", "x": 1, "configurations": {"2d": {
        "data_identifier": "d", "batch_size": 50, "patch_size": [64, 64],
        "architecture": {"arch_kwargs": {"n_stages": 6, "norm_op": "n"}}}}}
    reduced = reduced_plan(plan, TINY, "2d")
    configuration = reduced["configurations"]["2d"]
    arguments = configuration["architecture"]["arch_kwargs"]
    assert (reduced["x"], configuration["data_identifier"], configuration["batch_size"]) == (1, "d", 2)
    assert arguments["features_per_stage"] == [4, 8, 8] and arguments["strides"] == [[1, 1], [2, 2], [2, 2]]
    assert arguments["norm_op"] == "n" and plan["configurations"]["2d"]["batch_size"] == 50


def test_cohort_without_validation_slices_is_refused(tmp_path):
    write_cohort(tmp_path / "cohort.h5", ("train", "train"))
    with pytest.raises(DatasetError, match="no slices of subset val"):
        run_stage("segmenter", config_in(tmp_path))


@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
def test_trains_stops_and_goes_on(tmp_path, monkeypatch):
    write_cohort(tmp_path / "cohort.h5", ("train",) * 4 + ("val", "test"))
    config = config_in(tmp_path)
    from cldm_trainer.nnunet import trainer as nnunet_trainer

    def stop_after_first_epoch(trainer):
        trainer.stop = trainer.current_epoch == 1

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="in epoch 2 of 2"):
        patch.setattr(nnunet_trainer.CohortTrainer, "on_epoch_start",
                      lambda self: (nnunet_trainer.nnUNetTrainer.on_epoch_start(self), stop_after_first_epoch(self)))
        run_stage("segmenter", config)
    run_stage("segmenter", config)
    folder = segmenter.result_folder(config.segmenter, RunFolder.of(config))
    final = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)  # written by this test
    assert final["current_epoch"] == 2 and final["trainer_name"] == "nnUNetTrainer"
    log = (config.run_folder / "segmenter" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "2", "4"]
    other = dataclasses.replace(config, segmenter=dataclasses.replace(TINY, learning_rate=0.1))
    with pytest.raises(InputError, match=r"learning_rate: was 0.01, is now 0.1"):
        run_stage("segmenter", other)


@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
def test_in_bfloat16_it_learns_as_in_single_precision(tmp_path):
    """The first losses differ by rounding alone; a longer training may be asked for afterwards."""
    write_cohort(tmp_path / "cohort.h5", ("train",) * 4 + ("val",))
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        config = config_in(tmp_path)
        config = dataclasses.replace(config, run=dataclasses.replace(config.run, name=precision, precision=precision),
                                     segmenter=dataclasses.replace(TINY, epochs=1))
        run_stage("segmenter", config)
        log = (config.run_folder / "segmenter" / "log.csv").read_text().splitlines()
        losses[precision] = float(log[1].split(",")[log[0].split(",").index("loss")])
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
    assert losses["bf16-mixed"] != losses["32-true"]
    longer = dataclasses.replace(config, segmenter=dataclasses.replace(TINY, epochs=2))
    run_stage("segmenter", longer)
    assert (longer.run_folder / "segmenter" / "log.csv").read_text().splitlines()[-1].startswith("4,")


@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
def test_it_begins_with_the_weights_of_a_bundle(tmp_path):
    """At a rate of nearly 0 the exported network answers as the bundle does that it began with; the bundle's nature is
    kept, and another network than the bundle's is refused."""
    write_cohort(tmp_path / "cohort.h5", ("train",) * 4 + ("val", "test"))
    config = config_in(tmp_path)
    first = export_segmenter(config, tmp_path / "first")
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, name="second", seed=7),
        segmenter=dataclasses.replace(TINY, start=str(first), learning_rate=1e-9))
    second = export_segmenter(config, tmp_path / "second")
    images = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    graphs = [open_graph(Bundle.load(folder), "segmenter") for folder in (first, second)]
    assert np.allclose(*(graph.run({"image": images})["logits"] for graph in graphs), atol=1e-3)
    assert Bundle.load(second).manifest.nature == "phantom"
    facts = json.loads((config.run_folder / "segmenter" / "config.json").read_text())["inherited"]
    assert facts["bundle"].startswith("first 1.0") and facts["natures"] == ["phantom"]
    wider = dataclasses.replace(config, run=dataclasses.replace(config.run, name="third"),
                                segmenter=dataclasses.replace(config.segmenter, features=(8, 8, 8)))
    with pytest.raises(InputError, match="is not the network that the configuration describes"):
        run_stage("segmenter", wider)


def test_a_training_that_diverges_is_one_message(tmp_path):
    write_cohort(tmp_path / "cohort.h5", ("train", "train", "val"))
    config = config_in(tmp_path)
    config = dataclasses.replace(config, segmenter=dataclasses.replace(TINY, learning_rate=1e30))
    with pytest.raises(InputError) as caught:
        run_stage("segmenter", config)
    text = str(caught.value)
    assert text.startswith("segmenter: training diverged") and "learning_rate in [segmenter]" in text
    assert "No checkpoint was saved yet" in text
