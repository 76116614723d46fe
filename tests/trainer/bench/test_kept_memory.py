"""What training steps keep in memory, counted by hand and on real tensors."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import brain_run
from cldm_trainer.bench.growth import kept_lines
from cldm_trainer.bench.kept_memory import codec_memory, denoiser_memory, kept_memory
from cldm_trainer.conditions.kind import Design

MEBI = 2**20


def test_each_tensor_counts_once_and_weights_do_not() -> None:
    with torch.device("meta"):
        first, second = nn.Linear(4, 8), nn.Linear(8, 2)
        x = torch.empty(16, 4)
        kept = kept_memory(nn.ModuleList([first, second]), lambda: second(torch.tanh(first(x))))
    # x for the first layer; what tanh gives, for its own gradient and for the second layer
    assert kept.activations_mib * MEBI == 4 * 16 * (4 + 8)
    assert kept.weights_mib * MEBI == 4 * 5 * (4 * 8 + 8 + 8 * 2 + 2)


def test_frozen_weights_have_no_gradient_and_what_is_recomputed_is_not_kept() -> None:
    with torch.device("meta"):
        layer = nn.Sequential(nn.Linear(4, 400), nn.Tanh(), nn.Linear(400, 4))
        x = torch.empty(16, 4, requires_grad=True)
        whole = kept_memory(layer, lambda: layer(x))
        again = kept_memory(layer, lambda: checkpoint(layer, x, use_reentrant=False))
        frozen = kept_memory(layer.requires_grad_(False), lambda: layer(x))
    assert again.activations_mib < whole.activations_mib / 10
    assert frozen.weights_mib == pytest.approx(whole.weights_mib / 5)


def test_the_count_without_values_is_that_with_them(tmp_path: Path) -> None:
    _, segments = brain_run.make_runs(tmp_path)
    design = Design.of(segments)
    from cldm_trainer.networks import make_image_codec

    codec = make_image_codec(design.codecs.image, 3, 3).train()
    latent = [size // design.codecs.image.stride for size in design.shape]
    real = kept_memory(codec, lambda: codec(torch.rand(1, 3, *design.shape),
                                            torch.rand(1, design.codecs.image.latent_channels, *latent)))
    assert codec_memory(design, 3).activations_mib == pytest.approx(real.activations_mib, rel=0.02)
    assert codec_memory(design, 3).weights_mib == real.weights_mib


def test_a_control_net_keeps_more_than_the_frozen_network_that_it_stands_on(tmp_path: Path) -> None:
    labels, segments = brain_run.make_runs(tmp_path)
    alone, controlled = denoiser_memory(Design.of(labels)), denoiser_memory(Design.of(segments))
    assert controlled.activations_mib > alone.activations_mib > 0
    assert [line.partition(",")[0] for line in kept_lines(segments)] == ["image-codec", "diffusion"]
