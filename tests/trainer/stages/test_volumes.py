"""A declared domain, two channels, slices and volumes: codecs, texture, latents and denoisers train, and sample."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import results
from cldm_trainer.audit.sets import cohort_sets
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.config import Config
from cldm_trainer.export import generator_export
from cldm_trainer.export.anatomy.traversal import traversal_picture
from cldm_trainer.stages import diffusion, label_vae
from cldm_trainer.training.run_folder import RunFolder

LABELS = {"bone": 1, "marrow": 2, "vessel": 3, "lesion": 4}
TOML = """name = "knee"
axes = {axes}
[labels]
bone = 1
marrow = 2
vessel = 3
lesion = 4
"""


def write(config: Config, shape: tuple[int, ...]) -> None:
    """Blocks of every label on noise, in two channels: four samples train, two val."""
    domain = Declaration("knee", len(shape), LABELS).domain()
    masks = np.zeros((6, *shape), np.uint8)
    for value in range(1, 5):
        masks[..., 2 * value : 2 * value + 2, :] = value
    images = np.stack([masks / 4.0, 1.0 - masks / 4.0], axis=1).astype(np.float32)
    spacing = (1.0,) * len(shape)
    measured = domain.measure(masks, spacing)
    config.cohort_file.parent.mkdir(parents=True, exist_ok=True)
    config.cohort_file.unlink(missing_ok=True)
    with create_dataset(config.cohort_file, DatasetSpec(domain, shape, spacing, channels=2)) as writer:
        writer.append(images=images, masks=masks, subset=["train"] * 4 + ["val"] * 2,
                      mask_attributes=measured.values, mask_reasons=measured.reasons)


@pytest.fixture(scope="module", params=[(16, 16), (8, 16, 16)], ids=["slices", "volumes"])
def knee(make_small_config: Callable[[Path], Config], request: pytest.FixtureRequest,
         tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run whose stages were trained for two steps."""
    shape: tuple[int, ...] = request.param
    folder = tmp_path_factory.mktemp("knee")
    (folder / "knee.toml").write_text(TOML.format(axes=len(shape)))
    small = make_small_config(folder)

    def two(section):  # type: ignore[no-untyped-def]  # any section with an optimiser
        return replace(section, optimiser=replace(section.optimiser, steps=2, batch_size=2))

    config = replace(small, cohort=replace(small.cohort, domain=str(folder / "knee.toml")),
                     prepare=replace(small.prepare, shape=shape, spacing_mm=(1.0,) * len(shape)),
                     image_codec=two(small.image_codec), mask_codec=two(small.mask_codec),
                     texture=two(small.texture), diffusion=two(small.diffusion), label_vae=two(small.label_vae),
                     export=replace(small.export, generator=str(folder / "out"), segmenter="", steps=2))
    write(config, shape)
    for stage in ("image-codec", "mask-codec", "texture", "label-vae", "diffusion"):
        run_stage(stage, config)
    return config


def test_two_channels_of_any_rank_train_and_sample(knee: Config) -> None:
    parts = arguments("diffusion", knee)
    task, latent = diffusion.make_task(*parts), (4, 4) if len(knee.prepare.shape) == 2 else (2, 4, 4)
    drawn = task.sample(diffusion.trained_model(*parts), task.conditions["val"](slice(2)), 2, 0, torch.device("cpu"))
    assert drawn.shape == (2, 2, *latent) and torch.isfinite(drawn).all()
    assert task.image_codec.decode(drawn).shape == (2, 2, *knee.prepare.shape)


@pytest.mark.parametrize("knee", [(8, 16, 16)], ids=["volumes"], indirect=True)  # of slices: test_declared_path.py
def test_their_bundle_verifies_and_generates_from_label_maps(knee: Config) -> None:
    bundle = Bundle.load(generator_export(knee, torchscript=False).write(Path(knee.export.generator)))
    assert not [check.name for check in verify_bundle(bundle) if not check.passed]
    masks = np.zeros((2, *knee.prepare.shape), np.uint8)
    masks[:, 4:8] = 4
    images, used = Generator(bundle).sample(masks=masks, seed=0)
    assert images.shape == (2, 2, *knee.prepare.shape) and np.array_equal(used, masks)
    with pytest.raises(InputError, match="knee draws no label maps"):
        results.run(knee, "cldm-train results")


@pytest.mark.parametrize("knee", [(8, 16, 16)], ids=["volumes"], indirect=True)
def test_an_audit_of_volumes_is_refused(knee: Config) -> None:
    with pytest.raises(InputError, match="samples have 3 axes, but only slices can be audited"):
        cohort_sets(knee.cohort_file)


def test_the_pictures_of_a_label_vae_measure_volumes_too(knee: Config) -> None:
    folder = RunFolder.of(knee)
    vae = label_vae.trained_label_vae(knee.label_vae, knee.latents, folder)
    means = np.random.default_rng(0).normal(size=(5, knee.label_vae.dimensions))
    domain = folder.cohort.domain
    attributes = np.full((5, len(domain.attributes)), 1.0)
    attributes[:, 0] = range(5)

    def decode(z: np.ndarray) -> np.ndarray:
        return vae.decode(torch.from_numpy(z).float()).argmax(1).to(torch.uint8).numpy()

    assert traversal_picture(decode, means, attributes, domain, folder.cohort.spacing_mm).startswith(b"\x89PNG")
