"""A declared domain, two channels, slices and volumes: codecs, texture, latents and denoisers train, and sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.config import Config
from cldm_trainer.stages import diffusion

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
        masks[:, 2 * value : 2 * value + 2] = value
    images = np.stack([masks / 4.0, 1.0 - masks / 4.0], axis=1).astype(np.float32)
    spacing = (1.0,) * len(shape)
    measured = domain.measure(masks, spacing)
    config.cohort_file.parent.mkdir(parents=True, exist_ok=True)
    config.cohort_file.unlink(missing_ok=True)
    with create_dataset(config.cohort_file, DatasetSpec(domain, shape, spacing, channels=2)) as writer:
        writer.append(images=images, masks=masks, subset=["train"] * 4 + ["val"] * 2,
                      mask_attributes=measured.values, mask_reasons=measured.reasons)


@pytest.fixture(params=[(16, 16), (16, 16, 16)], ids=["slices", "volumes"])
def knee(small: Config, request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    shape: tuple[int, ...] = request.param
    (tmp_path / "knee.toml").write_text(TOML.format(axes=len(shape)))

    def two(section):  # type: ignore[no-untyped-def]  # any section with an optimiser
        return replace(section, optimiser=replace(section.optimiser, steps=2, batch_size=2))

    config = replace(small, cohort=replace(small.cohort, domain=str(tmp_path / "knee.toml")),
                     prepare=replace(small.prepare, shape=shape, spacing_mm=(1.0,) * len(shape)),
                     image_codec=two(small.image_codec), mask_codec=two(small.mask_codec),
                     texture=two(small.texture), diffusion=two(small.diffusion), label_vae=two(small.label_vae))
    write(config, shape)
    return config


def test_two_channels_of_any_rank_train_and_sample(knee: Config) -> None:
    for stage in ("image-codec", "mask-codec", "texture", "label-vae", "diffusion"):
        run_stage(stage, knee)
    parts = arguments("diffusion", knee)
    task, latent = diffusion.make_task(*parts), (4,) * len(knee.prepare.shape)
    drawn = task.sample(diffusion.trained_model(*parts), task.conditions["val"](slice(2)), 2, 0, torch.device("cpu"))
    assert drawn.shape == (2, 2, *latent) and torch.isfinite(drawn).all()
    assert task.image_codec.decode(drawn).shape == (2, 2, *knee.prepare.shape)
