"""The label map of which classes may be left free: the encoder, what training hides, and the whole path."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.free_classes import closed
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.store import open_dataset
from cldm_trainer.conditions.ablated_mask import AblatedMaskCondition
from cldm_trainer.networks.known_classes import KnownClassPlanes
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.trajectories import classes_told
from cldm_trainer.training.batches import one_hot
from declared_path import call, train
from pixel_fixtures import write_configuration, write_pixels

LABELS = get_domain("lge").labels
ABLATED = {"patch = 4": 'patch = 4\ncondition = "ablated-mask"\nvalue_dropout = 0.5'}


def test_the_encoder_closes_free_classes_as_the_domain_does() -> None:
    """For every set of classes, against the table of the runtime."""
    maps = np.random.default_rng(0).integers(0, 5, (16, 4, 6)).astype(np.uint8)
    kept = np.array([(1, *flags) for flags in product((0, 1), repeat=4)], bool)
    told = KnownClassPlanes(5, LABELS.within)(one_hot(torch.from_numpy(maps), 5), torch.from_numpy(kept).float())
    assert told.shape == (16, 9, 4, 6)
    for row, flags in enumerate(kept):
        assert np.array_equal(told[row, :5].argmax(0), closed(maps[row], flags, LABELS))
        assert np.array_equal(told[row, 5:, 2, 3], flags[1:]) and (told[row, 5:] == told[row, 5:, :1, :1]).all()
    assert set(told.unique().tolist()) == {0.0, 1.0} and (told[:, :5].sum(1) == 1.0).all()


def test_an_absent_class_differs_from_an_unknown_one() -> None:
    healthy = one_hot(torch.full((2, 4, 4), 2), 5)
    told = KnownClassPlanes(5, LABELS.within)(healthy, torch.tensor([[1.0] * 5, [1.0, 1.0, 1.0, 0.0, 0.0]]))
    assert torch.equal(told[0, :5], told[1, :5]) and told[0, 7:].min() == 1.0 and told[1, 7:].max() == 0.0


def test_every_class_of_every_sample_is_hidden_by_itself() -> None:
    sources = (torch.zeros(4000, 5, 1, 1), torch.ones(4000, 5))
    maps, known = AblatedMaskCondition().hide(sources, 0.5, torch.Generator().manual_seed(0))
    assert maps is sources[0] and (known[:, 0] == 1.0).all()
    assert known[:, 1:].mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.03)
    assert np.abs(np.corrcoef(known[:, 1:].numpy().T) - np.eye(4)).max() < 0.06
    assert set(sources[1].unique().tolist()) == {1.0}  # what validation sees


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ablated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("diffusion", "--config", str(write_pixels(folder, ABLATED)))
        train("export", "--config", "pixels.toml", "--what", "generator", "--no-torchscript")
        yield folder


def test_from_training_to_images_with_free_classes(path: Path) -> None:
    assert call("verify", "out/pixels") == 0
    common = ("gen", "--bundle", "out/pixels", "--masks", "cohort/cohort.h5", "--n", 4)
    assert call(*common, "--out", "whole.h5") == 0
    assert call(*common, "--keep-classes", "lv_cavity,healthy_myocardium", "--out", "freed.h5") == 0
    with open_dataset("whole.h5") as whole, open_dataset("freed.h5") as freed:
        assert freed.masks().max() == 2 and whole.masks().max() == 3
        assert not np.array_equal(whole.images(), freed.images())
        assert freed.metadata["kept_classes"] == "lv_cavity,healthy_myocardium"


def test_a_healthy_slice_differs_too(path: Path) -> None:
    """Its map is the same with and without the infarct's class: only the flags say that it may have one."""
    np.save("healthy.npy", np.where(np.hypot(*np.mgrid[-64:64, -64:64]) < 30, 2, 0).astype(np.uint8)[None])
    common = ("gen", "--bundle", "out/pixels", "--masks", "healthy.npy", "--n", 1)
    assert call(*common, "--out", "told.h5") == 0
    assert call(*common, "--keep-classes", "lv_cavity,healthy_myocardium", "--out", "untold.h5") == 0
    with open_dataset("told.h5") as told, open_dataset("untold.h5") as untold:
        assert np.array_equal(told.masks(), untold.masks()) and not np.array_equal(told.images(), untold.images())


def test_the_bundle_says_so(path: Path) -> None:
    manifest = Bundle.load(path / "out" / "pixels").manifest
    assert manifest.sources == ("masks", "classes") and "any of whose classes may be left free" in manifest.description


@pytest.mark.parametrize(("changes", "message"), [
    ({"patch = 4": 'patch = 4\ncondition = "ablated-mask"'}, "diffusion.value_dropout: found 0, expected more"),
    ({**ABLATED, 'codec = "identity"': 'codec = "kl"\nchannels = [8, 8]', "latent_channels = 1": "latent_channels = 2",
      "[latents]": "[texture]\nchannels = 4\n[latents]"}, "mask_codec.codec: found 'kl', expected 'identity'")])
def test_contradictions_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(write_configuration(tmp_path, changes))


def test_half_of_the_trajectories_are_told_some_classes_alone() -> None:
    told = classes_told(3, np.arange(2000), 5)
    assert told[::2].all() and told[:, 0].all()
    assert told[1::2, 1:].mean(axis=0) == pytest.approx([0.5] * 4, abs=0.05)
    assert np.array_equal(classes_told(3, np.array([7, 8]), 5), told[7:9])


STUDENT = """extends = "pixels.toml"
[run]
name = "student"
[distil]
bundle = "out/pixels"
steps = 2
states = 2
teacher_steps = 4
trajectories = 8
optimiser = {steps = 2, batch_size = 4, learning_rate = 1e-3}
[small_codec]
decoder = false
mask_encoder = false
[export]
generator = "out/student"
"""


@pytest.mark.long
def test_a_few_step_student_takes_free_classes_too(path: Path) -> None:
    Path("student.toml").write_text(STUDENT)
    train("all", "--config", "student.toml")
    train("export", "--config", "student.toml", "--what", "generator", "--no-torchscript")
    assert call("verify", "out/student") == 0
    assert call("gen", "--bundle", "out/student", "--masks", "cohort/cohort.h5", "--n", 2, "--out", "student.h5",
                "--keep-classes", "lv_cavity") == 0
    manifest = Bundle.load("out/student").manifest
    assert manifest.sampling.steps == 2 and manifest.sources == ("masks", "classes")
    assert set(manifest.graphs) == {"denoiser", "condition_encoder", "decoder", "encoder"}
