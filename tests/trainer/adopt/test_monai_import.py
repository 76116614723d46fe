"""MONAI's diffusion models, imported, compute what MONAI's modules compute, and become bundles that generate."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import AutoencoderKL, ControlNet, DiffusionModelUNet

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.adopt.description import read_description
from cldm_trainer.adopt.networks import Imported
from cldm_trainer.adopt.networks_file import import_networks, read_networks
from import_fixtures import CODEC, CONTROL, HEAD, UNET, condition, filled, one_hot, save, section, write

SCALES = "[latent]\nscale = 0.5\nmask_scale = 0.25\n"
CLOSE = {"rtol": 0, "atol": 1e-5}
TIMES = torch.tensor([0.0, 19.0])


def read(file: Path) -> Imported:
    return read_networks(*read_description(file), file.parent)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AutoencoderKL]:
    folder = tmp_path_factory.mktemp("codec")
    return folder, save(filled(AutoencoderKL(2, 1, 1, **CODEC)), folder / "codec.pt")


@torch.no_grad()
def test_latents_and_a_concatenated_mask_latent(codec) -> None:
    """Strategy 3 of the cLDM paper."""
    folder, autoencoder = codec
    unet, (maps, numbers) = save(filled(DiffusionModelUNet(2, 4, 2, **UNET)), folder / "unet.pt"), one_hot()
    roles = read(write(folder, section("autoencoder", "codec.pt", CODEC),
                       section("mask_autoencoder", "codec.pt", CODEC), section("unet", "unet.pt", UNET),
                       condition(), SCALES)).roles
    x, image, fed = noise(2, 16, 16), torch.rand(2, 1, 32, 32), 0.25 * autoencoder.encode(numbers)[0]
    torch.testing.assert_close(roles["mask_encoder"](maps), fed, **CLOSE)
    torch.testing.assert_close(roles["denoiser"](x, TIMES, fed), unet(torch.cat([fed, x], 1), TIMES), **CLOSE)
    decoded = (autoencoder.decode(x / 0.5) + 1) / 2
    torch.testing.assert_close(roles["decoder"](x), decoded.clamp(0, 1), **CLOSE)
    encoded = roles["encoder"](image, torch.zeros_like(x))
    torch.testing.assert_close(encoded, 0.5 * autoencoder.encode(2 * image - 1)[0], **CLOSE)


@torch.no_grad()
def test_a_controlnet_on_the_raw_label_map(codec) -> None:
    """Strategy 2: the part that does not depend on the timestep is a graph of its own."""
    folder, _ = codec
    unet = save(filled(DiffusionModelUNet(2, 2, 2, **UNET)), folder / "base.pt")
    control = save(filled(ControlNet(2, 2, **UNET, **CONTROL), seed=1), folder / "control.pt")
    roles = read(write(folder, section("autoencoder", "codec.pt", CODEC), section("unet", "base.pt", UNET),
                       section("controlnet", "control.pt", UNET | CONTROL), condition("controlnet"))).roles
    x, (maps, numbers) = noise(2, 16, 16), one_hot()
    down, middle = control(x.clone(), TIMES, numbers)
    expected = unet(x, TIMES, down_block_additional_residuals=down, mid_block_additional_residual=middle)
    computed = roles["denoiser"](x, TIMES, roles["control_encoder"](maps))
    torch.testing.assert_close(computed, expected, **CLOSE)
    assert (unet(x, TIMES) - expected).abs().max() > 0.01  # the ControlNet counts


@torch.no_grad()
def test_attributes_as_tokens(codec) -> None:
    """Strategy 1.1: bare numbers through cross-attention, of images: there is no autoencoder."""
    folder, _ = codec
    options = UNET | {"with_conditioning": True, "cross_attention_dim": 1}
    unet = save(filled(DiffusionModelUNet(2, 1, 1, **options)), folder / "tokens.pt")
    more = 'attributes = ["transmurality", "infarct_size"]\nmean = [0.5, 0.1]\nstd = [0.2, 0.1]'
    roles = read(write(folder, section("unet", "tokens.pt", UNET), condition("tokens", {}, more))).roles
    values = torch.tensor([[0.3, 0.7, 0.0, 0.5], [0.1, 0.0, 0.2, 0.4]])
    tokens = roles["attribute_encoder"](values, torch.tensor([[1.0, 1, 1, 1], [1, 0, 1, 1]]))
    torch.testing.assert_close(tokens[..., 0], torch.tensor([[1.0, 2.0], [0.0, 0.0]]), **CLOSE)
    x = noise(1, 32, 32)
    torch.testing.assert_close(roles["denoiser"](x, TIMES, tokens), unet(x, TIMES, context=tokens), **CLOSE)


@torch.no_grad()
def test_volumes_with_one_channel_for_each_label(tmp_path: Path) -> None:
    (tmp_path / "knee.toml").write_text('name = "knee"\naxes = 3\n[labels]\nbone = 1\nlesion = 2\n')
    unet = save(filled(DiffusionModelUNet(3, 4, 1, **UNET)), tmp_path / "unet.pt")
    head = HEAD.replace("[image]", 'domain = "knee.toml"\n[image]').replace("[32, 32]", "[4, 8, 8]")
    chosen = condition(labels={"background": 0, "bone": 2, "lesion": 1}, more='channels = 3\norder = "image first"')
    file = write(tmp_path, section("unet", "unet.pt", UNET), chosen, head=head.replace("[3.0, 3.0]", "[4.0, 1.0, 1.0]"))
    roles, (maps, _) = read(file).roles, one_hot((4, 8, 8), 3)
    x = noise(1, 4, 8, 8)
    expected = unet(torch.cat([x, maps[:, [0, 2, 1]]], 1), TIMES)
    torch.testing.assert_close(roles["denoiser"](x, TIMES, roles["mask_encoder"](maps)), expected, **CLOSE)


def test_what_does_not_fit_is_one_message(codec) -> None:
    folder, _ = codec
    save(DiffusionModelUNet(2, 2, 2, **UNET), folder / "plain.pt")
    autoencoder, unet = section("autoencoder", "codec.pt", CODEC), section("unet", "plain.pt", UNET)
    wrong = {
        (autoencoder, unet, condition()): r"1 of another shape: conv_in.conv.weight \[8, 2, 3, 3\], expected \[8, 3,",
        (section("unet", "plain.pt", UNET | {"norm_num_groups": 5}),): "MONAI's DiffusionModelUNet refuses them",
        (section("autoencoder", "codec.pt", CODEC | {"in_channels": 3}), unet): "in_channels: found 3, but the rest",
        (section("unet", "plain.pt", UNET | {"num_class_embeds": 3}),): "takes classes is supported only"}
    for parts, message in wrong.items():
        with pytest.raises(InputError, match=message):
            read(write(folder, *parts))
    with pytest.raises(InputError, match=r"the network makes \[1, 4, 4\], expected \[1, 5, 5\]"):
        read(write(folder, autoencoder, unet, head=HEAD.replace("[32, 32]", "[5, 5]")))


def test_a_small_one_becomes_a_bundle_that_verifies_and_generates(tmp_path: Path) -> None:
    tiny = {"channels": [4], "norm_num_groups": 2, "num_res_blocks": 1, "attention_levels": [False],
            "num_head_channels": 4}
    unet = save(filled(DiffusionModelUNet(2, 2, 1, **tiny)), tmp_path / "unet.pt")
    file = write(tmp_path, section("unet", "unet.pt", tiny), condition())
    bundle = Bundle.load(import_networks(file, tmp_path / "tiny", torchscript=False))
    assert all(check.passed for check in verify_bundle(bundle))
    masks = np.zeros((2, 32, 32), np.uint8)
    masks[1, 8:24, 8:24] = 2
    images, _ = Generator.load(bundle.path).sample(masks=masks, seed=1)
    assert images.shape == (2, 1, 32, 32) and 0 <= images.min() < images.max() <= 1
    x, (_, numbers) = noise(1, 32, 32), one_hot()
    computed = open_graph(bundle, "denoiser").run(
        {"x": x.numpy(), "timestep": TIMES.numpy(), "condition": numbers.numpy()})["prediction"]
    with torch.no_grad():
        np.testing.assert_allclose(computed, unet(torch.cat([numbers, x], 1), TIMES), rtol=0, atol=1e-5)


@pytest.mark.long
def test_the_papers_kinds_become_bundles(codec) -> None:
    """Of latents, with attention, all four graphs and their TorchScript forms."""
    folder, _ = codec
    save(filled(DiffusionModelUNet(2, 4, 2, **UNET)), folder / "unet.pt")
    file = write(folder, section("autoencoder", "codec.pt", CODEC), section("mask_autoencoder", "codec.pt", CODEC),
                 section("unet", "unet.pt", UNET), condition(), SCALES)
    bundle = Bundle.load(import_networks(file, folder / "latent"))
    assert {"denoiser", "mask_encoder", "decoder", "encoder"} == set(bundle.manifest.graphs)
    assert all(check.passed for check in verify_bundle(bundle))
    assert max(row["max_abs"] for row in bundle.manifest.quality["parity"] if "loop" not in row["what"]) < 1e-5
    assert bundle.manifest.provenance["imported"]["weights"].keys() == {"codec.pt", "unet.pt"}
