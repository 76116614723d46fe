"""An anatomy bundle from a label VAE of a few steps, and the figures of one that works."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.generation.learned_anatomy import LearnedAnatomy
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import export
from cldm_trainer.cli import commands as cli
from cldm_trainer.cli import run_stage
from cldm_trainer.config import Config
from cldm_trainer.export.anatomy.bundle import SmoothDecoder
from cldm_trainer.export.anatomy.mixture import fit_mixture
from cldm_trainer.export.anatomy.prior import fit_prior
from cldm_trainer.export.anatomy.quality import MeasuredSlices, measure_anatomy
from cldm_trainer.stages import label_vae
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.needed import is_needed
from cldm_trainer.training.run_folder import RunFolder


@pytest.fixture
def trained(small: Config, tmp_path: Path) -> Config:
    """A label VAE of 4 steps, to be exported to tmp_path/anatomy."""
    section = replace(small.export, generator="", anatomy=str(tmp_path / "anatomy"), weights="fp16")
    config = replace(small, label_vae=replace(small.label_vae, attribute_weight=3.0), export=section,
                     run=replace(small.run, codecs="another"))
    run_stage("label-vae", config)
    return config


def test_a_bundle_is_written_and_replays(trained: Config) -> None:
    (folder,) = export.run(trained)
    bundle = Bundle.load(folder)
    assert bundle.manifest.kind == "anatomy" and all(check.passed for check in verify_bundle(bundle))
    vae = label_vae.trained_label_vae(trained.label_vae, trained.latents, RunFolder.of(trained))
    z = np.zeros((1, 8), np.float32)
    with torch.no_grad():
        expected = SmoothDecoder(vae.decoder, 5)(torch.from_numpy(z)).numpy()
    for provider in ("cpu", "torchscript"):
        logits = open_graph(bundle, "decoder", provider).run({"z": z})["logits"]
        np.testing.assert_allclose(logits, expected, atol=0.02)  # half precision
    card = (folder / "MODEL_CARD.md").read_text()
    assert "requests met" in card and "spearman_infarct_size" in card and "Not a medical device" in card
    assert sorted(c.lesion for c in bundle.manifest.latent_prior.components) == [False, True]


def test_only_what_the_anatomy_needs_is_trained(trained: Config) -> None:
    needed = [name for name in cli.STAGES if is_needed(name, trained)]
    assert needed == ["label-vae"]
    preset = load_config(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-cpu-anatomy.toml")
    assert preset.export.anatomy == "exported/lge-anatomy" and not preset.export.generator


def test_a_bundle_that_is_not_configured_is_said(small: Config) -> None:
    with pytest.raises(InputError, match=r"export\.anatomy: empty"):
        export.run(small, what="anatomy")


def test_borders_that_fray_at_every_second_pixel_are_smoothed() -> None:
    frayed = torch.ones(1, 2, 8, 8)
    frayed[:, :, ::2] = -1.0
    smooth = SmoothDecoder(torch.nn.Identity(), 2)(frayed)
    assert smooth.shape == frayed.shape and smooth[:, :, 2:-2].abs().max() < 1e-6  # 1 + 6 + 1 = 4 + 4


def test_a_mixture_finds_two_groups_and_adds_their_errors() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal((0, 0), 1, (300, 2)), rng.normal((20, 5), 1, (100, 2))])
    found = fit_mixture(x, np.full((400, 2), 2.0), 2, pooled=0.0)
    order = np.argsort(found.means[:, 0])
    assert found.shares[order] == pytest.approx([0.75, 0.25]) and found.means[order] == pytest.approx(
        np.array([[0, 0], [20, 5]]), abs=0.3)
    assert np.diagonal(found.covariances, axis1=1, axis2=2) == pytest.approx(np.full((2, 2), 5.0), rel=0.2)  # 1 + 2^2


def test_a_prior_has_components_with_and_without_the_lesion() -> None:
    rng, attributes = np.random.default_rng(0), np.full((40, 4), np.nan)
    attributes[:30] = rng.uniform(0.1, 0.9, (30, 4))
    attributes[30:, [0, 2]], attributes[30:, 3] = 0.0, rng.uniform(0, 1, 10)
    spec = fit_prior(rng.normal(size=(40, 2)), np.ones((40, 2)), attributes, get_domain("lge"))
    assert list(spec.faults(4)) == [] and [component.lesion for component in spec.components] == [True, False]
    assert [component.share for component in spec.components] == [0.75, 0.25]
    assert spec.components[1].mean[2:5] == (0.0, None, 0.0) and 0 < spec.components[1].mean[5] < 1


def test_figures_of_an_anatomy_that_meets_every_request(tiny_anatomy: Path) -> None:
    anatomy = LearnedAnatomy.load(Bundle.load(tiny_anatomy))
    request = {"infarct_size": 0.2, "transmurality": 0.5, "endocardial_surface_length": 0.4}
    maps = np.stack([anatomy.attempt(request, Stream(0, i, Purpose.ANATOMY)).labels for i in range(3)])
    values = anatomy.domain.measure(maps).values
    figures = measure_anatomy(anatomy, MeasuredSlices(maps, values, maps, values))
    assert figures["requests met"] == 3 and 0 < figures["acceptance, share of draws"] <= 1
    assert figures["mean absolute error of infarct_size"] <= 0.02
    assert figures["Dice of lv_cavity, drawn for one request"] == 1
    assert 0 < figures["Dice of infarct, drawn for one request"] < 1
