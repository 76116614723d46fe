"""A cohort of 32x32 slices and a configuration that trains on it in a second; graphs that are exported once."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.config import Config
from cldm_trainer.graphs.write import export_graph
from cldm_trainer.stages.config_file import load_config
from short_run_fixtures import train_short

SMALL = """
[run]
name = "small"
threads = 1
[cohort]
folder = "cohort"
[prepare]
shape = [32, 32]
[image_codec]
patch = 2
channels = [8, 8]
latent_channels = 2
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[mask_codec]
patch = 2
channels = [8, 8]
latent_channels = 3
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[latents]
copies = 2
[texture]
channels = 4
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[diffusion]
channels = [8, 8]
norm_groups = 4
head_channels = 8
timesteps = 10
sample_steps = 2
context_width = 4
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[label_vae]
channels = [4, 4]
optimiser = {steps = 4, batch_size = 4, learning_rate = 1e-3}
[control]
channels = [4, 4, 8]
"""


def write_cohort(path: Path, count: int = 12) -> None:
    """Rings on noise, every other one with a wedge of infarct; two thirds train, one third val."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    masks = np.zeros((count, 32, 32), dtype=np.uint8)
    for number, mask in enumerate(masks):
        top, left = rng.uniform(14, 18, 2)
        radius = np.hypot(rows - top, columns - left)
        mask[radius < 10] = 2
        if number % 2:
            mask[(radius < 10) & (np.arctan2(rows - top, columns - left) < -3 + 0.2 * number)] = 3
        mask[radius < 6] = 1
    measured = get_domain("lge").measure(masks)
    measured.values[:, 3] = np.linspace(0.0, 1.0, count)
    images = np.clip(0.4 * masks + 0.1 * rng.random(masks.shape), 0.0, 1.0)[:, None]
    subset = ["train" if i < count * 2 // 3 else "val" for i in range(count)]
    path.parent.mkdir(parents=True)
    with create_dataset(path, DatasetSpec(get_domain("lge"), (32, 32), (1.0, 1.0))) as writer:
        writer.append(images=images.astype(np.float32), masks=masks, subset=subset,
                      mask_attributes=measured.values, mask_reasons=measured.reasons)


def make_small(folder: Path) -> Config:
    """A configuration whose cohort and runs lie in a folder."""
    (folder / "small.toml").write_text(SMALL)
    config = load_config(folder / "small.toml")
    config = replace(config, run=replace(config.run, folder=str(folder / "runs")),
                     cohort=replace(config.cohort, folder=str(folder / "cohort")))
    write_cohort(config.cohort_file)
    return config


@pytest.fixture
def small(tmp_path: Path) -> Config:
    """A configuration whose cohort and runs lie in tmp_path."""
    return make_small(tmp_path)


@pytest.fixture(scope="session")
def make_small_config() -> Callable[[Path], Config]:
    """`make_small`, for fixtures that outlive a test."""
    return make_small


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A configuration whose every stage has been trained for two steps. Tests export it to folders of their own; those
    that use it are named in tests/conftest.py, so that one process trains it."""
    return train_short(tmp_path_factory.mktemp("short"))


EXPORTERS = [f"cldm_trainer.{name}.export_graph"
             for name in ("graphs.read_weights", "export.anatomy.bundle", "export.generator", "export.segmenter")]


def fingerprint(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], outputs: Sequence[str]) -> str:
    """Of all that decides a graph: what the module consists of, its settings and numbers, names and shapes."""
    digest = hashlib.sha256(repr((module, {name: value.shape for name, value in inputs.items()}, outputs)).encode())
    for part in module.modules():
        digest.update(repr({name: value for name, value in vars(part).items() if not name.startswith("_")}).encode())
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(name.encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="session", autouse=True)
def _graphs_once() -> Iterator[None]:
    """torch takes seconds for a graph, and many tests write bundles of the same networks: each is exported once."""
    known: dict[str, bytes] = {}

    def remembered(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], outputs: Sequence[str]) -> bytes:
        key = fingerprint(module.eval(), inputs, outputs)
        if key not in known:
            known[key] = export_graph(module, inputs, outputs)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for name in EXPORTERS:
            patch.setattr(name, remembered)
        yield
