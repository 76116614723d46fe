"""`cldm-train import`: a bundle of each source; for each bad input one message, an exit code, and nothing written."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import DiffusionModelUNet
from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.open import open_graph
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.cli.commands import main
from import_fixtures import HEAD, condition, filled, one_hot, save, section, write
from nnunet_fixtures import result_folder

TINY = {"channels": [4], "norm_num_groups": 2, "num_res_blocks": 1, "attention_levels": [False], "num_head_channels": 4}
NO_SCHEDULE = HEAD.replace("[schedule]\ntimesteps = 20\n", "")
SEGMENTER = HEAD.replace("[schedule]\ntimesteps = 20\n[sampling]\nsteps = 2\n", "")
NNUNET = '[nnunet]\nfolder = "result"\nmirroring = false\n'
AS_PICTURE = condition(more='divide_by = 255\norder = "image first"')

Change = Callable[[Path], object]


@pytest.fixture
def import_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command on networks.toml in the current folder; gives its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*options: str, out: str = "bundle") -> int:
        words = ["cldm-train", "import", "networks.toml", "--out", out, "--no-torchscript", *options]
        monkeypatch.setattr(sys, "argv", words)
        try:
            main()
        except SystemExit as stopped:
            return int(str(stopped.code))
        return 0

    return call


@pytest.fixture
def unet(tmp_path: Path) -> nn.Module:
    """MONAI's, with its description, in the current folder."""
    write(tmp_path, section("unet", "unet.pt", TINY), condition())
    return save(filled(DiffusionModelUNet(2, 2, 1, **TINY)), tmp_path / "unet.pt")


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def sampled(bundle: Path) -> np.ndarray:
    masks = np.zeros((2, 32, 32), np.uint8)
    masks[1, 8:24, 8:24] = 2
    images, returned = Generator.load(bundle).sample(masks=masks, seed=1)
    assert np.array_equal(returned, masks) and images.shape == (2, 1, 32, 32)
    assert 0 <= images.min() < images.max() <= 1 and not np.array_equal(images[0], images[1])
    return images


def verified(folder: Path) -> Bundle:
    bundle = Bundle.load(folder)
    checks = verify_bundle(bundle)
    assert checks and all(check.passed for check in checks), checks
    return bundle


@torch.no_grad()
def test_a_folder_of_diffusers(tmp_path: Path, import_to: Callable[..., int],
                               capsys: pytest.CaptureFixture[str]) -> None:
    """As SegGuidedDiff releases one: an image and its label map as channels, with attention, and a scheduler."""
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    from cldm_trainer.adopt.diffusers_import import _diffusers

    original = filled(_diffusers("UNet2DModel")(
        sample_size=32, in_channels=2, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
        norm_num_groups=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D")))
    original.save_pretrained(tmp_path / "release" / "unet")
    _diffusers("DDIMScheduler")(num_train_timesteps=20).save_pretrained(tmp_path / "release" / "scheduler")
    write(tmp_path, '[diffusers]\nfolder = "release"\n', AS_PICTURE, head=NO_SCHEDULE)
    assert import_to() == 0 and "bundle: written" in capsys.readouterr().out
    bundle = verified(tmp_path / "bundle")
    sampled(bundle.path)
    (maps, numbers), x, times = one_hot(), torch.randn(2, 1, 32, 32), torch.tensor([3.0, 19.0])
    fed = open_graph(bundle, "mask_encoder").run({"one_hot": maps.numpy()})["condition"]
    computed = open_graph(bundle, "denoiser").run({"x": x.numpy(), "timestep": times.numpy(), "condition": fed})
    expected = original(torch.cat([x, numbers / 255], 1), times).sample
    np.testing.assert_allclose(computed["prediction"], expected, rtol=0, atol=1e-5)


def test_a_network_of_monai_described_to_its_tools(tmp_path: Path, unet: nn.Module,
                                                   import_to: Callable[..., int],
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert import_to("--monai-compat") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("bundle: written") and second.startswith("bundle-monai: describes bundle")
    sampled(verified(tmp_path / "bundle").path)
    metadata = json.loads((tmp_path / "bundle-monai" / "configs" / "metadata.json").read_text())
    assert metadata["name"] == "bundle" and metadata["network_data_format"]["outputs"]["image"]["num_channels"] == 1


def test_a_result_of_nnunet(tmp_path: Path, import_to: Callable[..., int]) -> None:
    result_folder(tmp_path / "result", spacing=(3.0, 3.0), mirror=())
    write(tmp_path, NNUNET, head=SEGMENTER)
    assert import_to("--monai-compat") == 0
    assert Segmenter.load(tmp_path / "bundle").segment(np.zeros((1, 1, 32, 32), np.float32)).shape == (1, 32, 32)
    metadata = json.loads((tmp_path / "bundle-monai" / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 5


def other(old: str, new: str) -> Change:
    """Another word in the description."""
    def change(folder: Path) -> None:
        file = folder / "networks.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return change


def broken(weights: object) -> Change:
    return lambda folder: torch.save(weights, folder / "unet.pt")


BAD = [
    (lambda folder: (folder / "networks.toml").unlink(), 2, "networks.toml: cannot be read"),
    (other("[image]", "[image"), 2, "networks.toml: "),
    (other("steps = 2", "stepps = 2"), 2, "stepps"),
    (other('licence = "CC0-1.0"', ""), 2, "licence"),
    (other("timesteps = 20", "timesteps = 0"), 2, "timesteps"),
    (other('"concatenated"', '"classes"'), 2, "classes"),
    (other("infarct = 2, ", ""), 2, "expected a number for each of background"),
    (other('[bundle]', '[bundle]\ndomain = "brain"'), 2, "brain"),
    (other("[unet]", '[diffusers]\nfolder = "x"\n[unet]'), 2, "found unet and diffusers of unet, diffusers, nnunet"),
    (other('"unet.pt"', '"vnet.pt"'), 2, "vnet.pt: not found"),
    (other("channels = [4]", "channels = [8]"), 2, "are not those of the network that is described"),
    (other("norm_num_groups = 2", "norm_num_groups = 3"), 2, "norm_num_groups"),
    (lambda folder: (folder / "unet.pt").write_bytes(b"none"), 2, "unet.pt: "),
    (broken({"what": 1}), 2, "no state dict in it"),
    (broken({"conv_in.conv.weight": Path("x")}), 2, "holds more than tensors"),
    (lambda folder: (folder / "bundle").mkdir(), 3, "bundle exists. Pass --force to replace it, or choose another"),
    (lambda folder: (folder / "bundle-monai").mkdir(), 3, "bundle-monai exists. Pass --force to replace it"),
]


@pytest.mark.parametrize(("change", "code", "message"), BAD, ids=[message for *_, message in BAD])
def test_each_bad_input_is_one_message_and_nothing_is_written(
        tmp_path: Path, unet: nn.Module, import_to: Callable[..., int], capsys: pytest.CaptureFixture[str],
        change: Change, code: int, message: str) -> None:
    change(tmp_path)
    before = listing(tmp_path)
    assert import_to("--monai-compat") == code
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and told.err.count("error: ") == 1 and message in told.err and not told.out
    assert listing(tmp_path) == before


def test_the_page_says_what_a_wrong_input_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "weights-from-elsewhere.md").read_text()
    table = page.partition("| what is wrong | it says |\n|---|---|\n")[2].partition("\n\n")[0]
    shown = [re.findall("`([^`]+)`", row)[-1] for row in table.splitlines()]
    assert len(shown) == 8 and set(shown) <= {message for *_, message in BAD}


def test_force_replaces_a_bundle_and_nothing_else(tmp_path: Path, unet: nn.Module, import_to: Callable[..., int],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert import_to("--monai-compat") == 0
    before = listing(tmp_path)
    assert import_to("--monai-compat", "--force") == 0
    assert listing(tmp_path).keys() == before.keys()
    (tmp_path / "notes").mkdir()
    assert import_to("--force", out="notes") == 3 and "is not a bundle" in capsys.readouterr().err
    (tmp_path / "second-monai").mkdir()
    assert import_to("--force", "--monai-compat", out="second") == 3
    assert "holds no configs/metadata.json. Move it away" in capsys.readouterr().err
    assert listing(tmp_path / "notes") == {} and not (tmp_path / "second").exists()


def test_a_network_that_computes_something_else_is_not_written(
        tmp_path: Path, unet: nn.Module, import_to: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "", head="tolerance = 1e-12\n" + (tmp_path / "networks.toml").read_text())
    before = listing(tmp_path)
    assert import_to() != 0 and "differs from torch" in capsys.readouterr().err
    assert listing(tmp_path) == before


def test_export_refuses_a_description_that_is_there_before_it_begins(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml"
    (tmp_path / "my.toml").write_text(f'extends = "{tiny}"\n[export]\ngenerator = "lge"\nsegmenter = "lge-segmenter"\n')
    (tmp_path / "lge-monai").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cldm-train", "export", "--config", "my.toml", "--monai-compat"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 3 and "lge-monai exists. Pass --force" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lge-monai", "my.toml"]
