"""A configuration of diffusion on the pixels, and its cohort."""

from collections.abc import Mapping
from pathlib import Path

from cohort_fixtures import write_drawn_cohort

PIXELS = """
[run]
name = "pixels"
threads = 1
[cohort]
folder = "cohort"
[image_codec]
codec = "identity"
latent_channels = 1
[mask_codec]
codec = "identity"
[latents]
copies = 2
[diffusion]
channels = [8, 8]
patch = 4
hidden_channels = 4
norm_groups = 4
head_channels = 8
schedule = "cosine"
shifted_for = 128
sample_steps = 2
condition_dropout = 0.1
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[export]
generator = "out/pixels"
segmenter = "out/segmenter"
steps = 2
batch_size = 4
"""


def write_configuration(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """pixels.toml in a folder. changes: texts of `PIXELS`, and what replaces them."""
    text = PIXELS
    for old, new in (changes or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "pixels.toml"
    path.write_text(text)
    return path


def write_pixels(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """The same, with a cohort of drawn anatomies: 8 slices of train, 4 of val."""
    write_drawn_cohort(folder / "cohort" / "cohort.h5", {"train": 8, "val": 4})
    return write_configuration(folder, changes)
