"""Checkpoints of monai-generative 0.2.3, made by that package itself, give the same numbers in MONAI's networks."""

import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch
from monai.networks.nets import AutoencoderKL

from cldm_trainer.adopt.description import NetworkFile
from cldm_trainer.adopt.monai_networks import build
from import_fixtures import CODEC, CONTROL, UNET, filled, save

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def old() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its use of torch.cuda.amp
        return pytest.importorskip("generative.networks.nets", reason="monai-generative is not installed")


def old_options(options):
    """By that package's names: num_channels, and residual blocks of every level."""
    named = {("num_channels" if name == "channels" else name): value for name, value in options.items()}
    return named | {"num_res_blocks": [1, 1]}


@torch.no_grad()
def test_an_autoencoder(old: ModuleType, tmp_path: Path) -> None:
    options = old_options(CODEC)
    original = save(filled(old.AutoencoderKL(2, 1, 1, **options)), tmp_path / "w.pt")
    network = build("autoencoder", NetworkFile("w.pt", "", options), tmp_path, 2, {"in_channels": 1})
    x, z = torch.randn(2, 1, 16, 16), torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(network.decode(z), original.decode(z), **CLOSE)
    torch.testing.assert_close(network.encode(x), original.encode(x), **CLOSE)


@torch.no_grad()
def test_the_trap_is_one(old: ModuleType) -> None:
    """MONAI's own reader copies a projection that the old network never applied."""
    original = filled(old.AutoencoderKL(2, 1, 1, **old_options(CODEC)))
    network, z = AutoencoderKL(2, 1, 1, **CODEC), torch.randn(2, 2, 8, 8)
    network.load_old_state_dict(original.state_dict())
    assert (network.eval().decode(z) - original.decode(z)).abs().max() > 1e-3


@pytest.mark.parametrize("context", [None, 3])
@torch.no_grad()
def test_a_unet(old: ModuleType, tmp_path: Path, context: int | None) -> None:
    options = UNET | ({} if context is None else {"with_conditioning": True, "cross_attention_dim": context})
    original = save(filled(old.DiffusionModelUNet(2, 2, 2, **old_options(options))), tmp_path / "w.pt")
    network = build("unet", NetworkFile("w.pt", "", options), tmp_path, 2, {"in_channels": 2, "out_channels": 2})
    x, t = torch.randn(2, 2, 8, 8), torch.tensor([3, 500])
    tokens = None if context is None else torch.randn(2, 4, context)
    torch.testing.assert_close(network(x, t, tokens), original(x, t, tokens), **CLOSE)


@torch.no_grad()
def test_a_controlnet(old: ModuleType, tmp_path: Path) -> None:
    options = old_options(UNET) | CONTROL
    original = save(filled(old.ControlNet(2, 2, **options)), tmp_path / "w.pt")
    network = build("controlnet", NetworkFile("w.pt", "", options), tmp_path, 2, {"in_channels": 2})
    x, t, maps = torch.randn(2, 2, 8, 8), torch.tensor([3, 500]), torch.randn(2, 1, 16, 16)
    down, middle = network(x.clone(), t, maps)
    expected_down, expected_middle = original(x.clone(), t, maps)
    torch.testing.assert_close(down, list(expected_down), **CLOSE)
    torch.testing.assert_close(middle, expected_middle, **CLOSE)
