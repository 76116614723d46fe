"""A cohort of two channels and five labels as files, and the commands that take it from there to the report."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.cli.main import cldm
from cldm_runtime.cli.main import run as run_command
from cldm_trainer.cli import cli as cldm_train
from scan_fixtures import describe, write_case

LABELS = {"background": 0, "bone": 1, "marrow": 2, "vessel": 3, "lesion": 4}
REGIONS = ("limb", "bone", "vessel", "lesion")
DOMAIN = """
name = "knee"
axes = {axes}
lesion = "lesion"
[labels]
bone = 1
marrow = 2
vessel = 3
lesion = 4
[regions]
limb = ["bone", "marrow"]
bone = ["bone"]
vessel = ["vessel"]
lesion = ["lesion"]
[colours]
lesion = [255, 0, 255]
"""
CONFIGURATION = """
[run]
name = "knee"
folder = "runs"
threads = 2
[cohort]
folder = "cohort"
domain = "knee.toml"
[prepare]
raw = "raw"
nature = "phantom"
shape = {shape}
spacing_mm = {spacing}
margin_mm = 0.0
channels = "all"
workers = 1
[image_codec]
patch = 2
channels = [8, 8]
latent_channels = 2
optimiser = {{steps = 2, batch_size = 2, learning_rate = 1e-3}}
[mask_codec]
patch = 2
channels = [8, 8]
latent_channels = 3
optimiser = {{steps = 2, batch_size = 2, learning_rate = 1e-3}}
[texture]
channels = 4
optimiser = {{steps = 2, batch_size = 2, learning_rate = 1e-3}}
[diffusion]
channels = [8, 8]
norm_groups = 4
head_channels = 8
sample_steps = 2
optimiser = {{steps = 2, batch_size = 2, learning_rate = 1e-3}}
[segmenter]
planned = false
features = [4, 8, 8]
convolutions = 1
batch_size = 2
epochs = 1
iterations_per_epoch = 1
validation_iterations_per_epoch = 1
[export]
generator = "out/knee"
segmenter = "out/knee-segmenter"
steps = 2
batch_size = 4
"""


def write_files(folder: Path, shape: tuple[int, ...]) -> None:
    """knee.toml, my.toml and raw/ in a folder: four cases of five planes with blocks of every label, of which the last
    is a test case. Of slices, shape is that of a slice; of volumes, that of a case."""
    axes = len(shape)
    spacing = [1.0] * axes if axes == 2 else [2.0, 1.0, 1.0]
    (folder / "knee.toml").write_text(DOMAIN.format(axes=axes))
    (folder / "my.toml").write_text(CONFIGURATION.format(shape=list(shape), spacing=spacing))
    depth, random = shape[0] if axes == 3 else 2, np.random.default_rng(0)
    for number in range(6):
        labels = case_labels((depth, *shape[-2:]), number)
        channels = [grey + 0.05 * random.random(labels.shape) for grey in (labels / 4.0, 1.0 - labels / 5.0)]
        write_case(folder / "raw", f"case{number}", channels, labels, (2.0, 1.0, 1.0), "Ts" if number == 5 else "Tr")
    describe(folder / "raw", channels=2, labels=LABELS)


def case_labels(shape: tuple[int, int, int], number: int) -> NDArray[np.uint8]:
    """Bone around marrow with a vessel, and a lesion that grows with the case's number."""
    labels = np.zeros(shape, np.uint8)
    rows, columns = shape[1], shape[2]
    labels[:, 2 : rows - 2, 2 : columns - 2] = 1
    labels[:, 5 : rows - 5, 4 : columns - 4] = 2
    labels[:, 3:5, 3 : columns - 6] = 3
    labels[:, -7 : -5 + number // 3, 6 : 8 + number] = 4
    return labels


def call(*arguments: object) -> int:
    """The exit code of `cldm` with these arguments."""
    return run_command(cldm, [str(argument) for argument in arguments])


def train(*arguments: str) -> None:
    """`cldm-train` with these arguments; whatever it raises comes through."""
    cldm_train(list(arguments), standalone_mode=False)


def take_the_path(folder: Path, shape: tuple[int, ...]) -> Path:
    """Every command from the raw files to the report, in `folder`, which must be the current one."""
    write_files(folder, shape)
    assert call("prepare", "--config", "my.toml") == 0
    train("all", "--config", "my.toml")
    train("export", "--config", "my.toml", "--no-torchscript")
    for bundle in ("out/knee", "out/knee-segmenter"):
        assert call("verify", bundle) == 0
    assert call("gen", "--bundle", "out/knee", "--masks", "cohort/cohort.h5", "--n", 5, "--out", "samples.h5") == 0
    assert call("evaluate", "samples.h5", "--segmenter", "out/knee-segmenter", "--out", "report") == 0
    return folder
