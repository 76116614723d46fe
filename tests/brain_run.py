"""A tiny cohort of four-channel volumes with three nested labels, and runs that learn to draw its label maps."""

from pathlib import Path

import numpy as np

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.cli import run_stage
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config

SHAPE = (8, 16, 16)
STEPS = 3
DOMAIN = """name = "toy-brain"
axes = 3
lesion = "wt"
[labels]
ncr = 1
ed = 2
et = 3
[regions]
et = ["et"]
tc = ["ncr", "et"]
wt = ["ncr", "ed", "et"]
"""
LABELS = """
[run]
name = "brain-labels"
output = "labels"
threads = 1
[cohort]
folder = "{folder}/cohort"
domain = "{folder}/brain.toml"
[prepare]
shape = [8, 16, 16]
spacing_mm = [1.0, 1.0, 1.0]
[image_codec]
patch = 2
channels = [8, 8]
latent_channels = 2
hidden_channels = 4
optimiser = {{steps = {steps}, batch_size = 2, learning_rate = 3e-3}}
[latents]
copies = 2
[diffusion]
condition = "none"
channels = [8, 8]
norm_groups = 4
head_channels = 8
objective = "epsilon"
schedule = "scaled_linear"
timesteps = 20
sample_steps = 2
optimiser = {{steps = {steps}, batch_size = 2, learning_rate = 1e-3}}
[export]
generator = "{folder}/exported/brain-labels"
segmenter = ""
steps = 3
batch_size = 2
"""
SEGMENTS = """extends = "labels.toml"
[run]
name = "ldm-seg"
codecs = "brain-labels"
[diffusion]
condition = "image"
[control]
base = "brain-labels"
image_channels = 4
patch = 4
channels = [8]
[export]
generator = "{folder}/exported/ldm-seg"
"""


def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 4, *SHAPE) in [0, 1] and label maps (N, *SHAPE): cubes within cubes on noise, the last map empty."""
    rng, labels = np.random.default_rng(0), np.zeros((count, *SHAPE), np.uint8)
    for row, volume in enumerate(labels[:-1]):
        z, y, x = (int(start) for start in rng.integers(0, 3, 3))
        volume[z : z + 5, y : y + 9, x : x + 9] = 2
        volume[z + 1 : z + 4, y + 2 : y + 7, x + 2 : x + 7] = 1 + 2 * (row % 2)
        volume[z + 2, y + 4, x + 4] = 1
    contrast = np.array([[0.2, 0.1, 0.5, 0.3], [0.3, 0.2, 0.7, 0.6], [0.4, 0.8, 0.9, 0.4], [0.5, 0.9, 0.3, 0.9]])
    images = contrast[:, labels].swapaxes(0, 1) + 0.05 * rng.standard_normal((count, 4, *SHAPE))
    return np.clip(images, 0.0, 1.0).astype(np.float32), labels


def write_cohort(path: Path, domain: str, count: int = 8) -> None:
    """Two thirds train, the rest val and test."""
    images, labels = draw(count)
    found, spacing = find_domain(domain), (1.0, 1.0, 1.0)
    measured = found.measure(labels, spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_dataset(path, DatasetSpec(found, SHAPE, spacing, channels=4)) as writer:
        writer.append(images=images, masks=labels, subset=["train"] * (count - 4) + ["val"] * 2 + ["test"] * 2,
                      mask_attributes=measured.values, mask_reasons=measured.reasons)


def make_runs(folder: Path, steps: int = STEPS) -> tuple[Config, Config]:
    """Configurations of a generator of label maps and of one that draws them from images, with their cohort."""
    (folder / "brain.toml").write_text(DOMAIN)
    (folder / "labels.toml").write_text(LABELS.format(folder=folder, steps=steps).replace(
        'output = "labels"', f'output = "labels"\nfolder = "{folder}/runs"'))
    (folder / "segments.toml").write_text(SEGMENTS.format(folder=folder))
    labels, segments = load_config(folder / "labels.toml"), load_config(folder / "segments.toml")
    write_cohort(labels.cohort_file, labels.cohort.domain)
    return labels, segments


def train(labels: Config, segments: Config) -> None:
    for stage in ("image-codec", "diffusion"):
        run_stage(stage, labels)
    run_stage("diffusion", segments)
