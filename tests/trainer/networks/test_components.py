"""The linear codec of blocks, and a network that begins by adding nothing to it."""

import pytest
import torch

from cldm_trainer.config import CodecConfig
from cldm_trainer.networks import Codec
from cldm_trainer.networks.components import BlockComponents


def test_as_many_components_as_places_lose_nothing() -> None:
    samples = (torch.rand(6, 2, 4, 8, generator=torch.Generator().manual_seed(0)) > 0.6).to(torch.uint8)
    codec = BlockComponents(channels=2, components=8, stride=2, dims=2)
    codec.fit(samples)
    x = 2.0 * samples.float() - 1.0
    assert codec.encode(x).shape == (6, 8, 2, 4)
    assert torch.allclose(codec.decode(codec.encode(x)), x, atol=1e-4)


def test_the_first_component_is_what_the_blocks_have_in_common() -> None:
    samples = torch.zeros(2, 1, 4, 4, 4)
    samples[:, :, :2, :2, :2] = 1.0  # one full block of eight; the other blocks are background
    codec = BlockComponents(channels=1, components=1, stride=2, dims=3)
    codec.fit(samples)
    z = codec.encode(2.0 * samples - 1.0)
    assert z[0, 0, 0, 0, 0].abs().item() == pytest.approx(1.0, abs=1e-5)  # scaled to a mean square of 1
    assert z.abs().sum().item() == pytest.approx(2.0, abs=1e-5)  # background is 0
    assert torch.allclose(codec.decode(z), 2.0 * samples - 1.0, atol=1e-5)


def test_samples_that_are_background_have_no_direction() -> None:
    codec = BlockComponents(channels=1, components=2, stride=2, dims=2)
    codec.fit(torch.zeros(3, 1, 4, 4))
    assert torch.isfinite(codec.encode(-torch.ones(1, 1, 4, 4))).all()


@pytest.mark.parametrize(("patch", "channels"), [(2, (8,)), (1, (8, 8))])
def test_a_codec_begins_with_its_components(patch: int, channels: tuple[int, ...]) -> None:
    codec = Codec(1, CodecConfig(patch=patch, channels=channels, latent_channels=4, components=True), 2).eval()
    assert codec.components is not None
    samples = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    codec.components.fit(samples)
    x = 2.0 * samples - 1.0
    assert torch.allclose(codec.decode(codec.encode(x)[0]), x, atol=1e-4)
