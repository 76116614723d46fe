"""A run whose every stage of a generator was trained for two steps, on label maps that the domain draws."""

from dataclasses import replace
from pathlib import Path

from cldm_trainer.cli import run_stage
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort

SHORT = """
[run]
name = "short"
threads = 1
[cohort]
folder = "cohort"
[image_codec]
patch = 2
channels = [8, 8]
latent_channels = 2
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[mask_codec]
patch = 2
channels = [8, 8]
latent_channels = 3
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[texture]
channels = 4
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[diffusion]
channels = [8, 8]
norm_groups = 4
head_channels = 8
sample_steps = 2
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[export]
steps = 2
"""


def train_short(folder: Path, changes: str = "") -> Config:
    """Train it below a folder. changes: TOML that is laid over the configuration."""
    (folder / "base.toml").write_text(SHORT)
    (folder / "short.toml").write_text(f'extends = "base.toml"\n{changes}')
    config = load_config(folder / "short.toml")
    config = replace(
        config,
        run=replace(config.run, folder=str(folder / "runs")),
        cohort=replace(config.cohort, folder=str(folder / "cohort")),
        export=replace(config.export, generator=str(folder / "lge"), segmenter=str(folder / "none")),
    )
    write_drawn_cohort(config.cohort_file, {"train": 6, "val": 3})
    first = ("acquisition",) if config.acquisition.detection else ()
    for stage in (*first, "image-codec", "mask-codec", "latents", "texture", "diffusion"):
        run_stage(stage, config)
    return config
