"""Images that are painted anew in a region: what is learned, what the network sees, and what a bundle makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.edit_rules import EditRequest
from cldm_runtime.domains.lge.scar_edit import SCAR_EDIT, healed
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.requests.edit_grid import open_edit_grid
from cldm_runtime.requests.edited_maps import EditedMapRequests
from cldm_runtime.requests.given_images import array_images
from cldm_runtime.requests.given_maps import array_masks
from cldm_runtime.requests.painted_images import PaintedImageRequests
from cldm_runtime.requests.painting import painting_of
from cldm_runtime.requests.sources import mask_requests
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import export
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.painting import edited_region
from cldm_trainer.conditions.registry import KINDS
from cldm_trainer.config import Config
from cldm_trainer.networks import PaintingEncoder
from cldm_trainer.stages import diffusion
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import SHORT, train_short

MM = (1.0, 1.0)


def heart(index: int, size: float) -> np.ndarray:
    anatomy = get_domain("lge").anatomy
    request = anatomy.complete({"infarct_size": size, "slice_position": 0.5}, Stream(4, index, Purpose.CONDITION))
    return anatomy.draw(request, Stream(4, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=MM).labels


def test_a_scar_is_learned_in_the_region_that_its_edit_paints() -> None:
    labels = heart(0, 0.15)
    first, another = (edited_region(labels, SCAR_EDIT, number, MM) for number in (0, 1))
    np.testing.assert_array_equal(first, painting_of(healed(labels), labels, MM).region)
    assert (another & ~first).any()  # healthy wall, where the other scar was


def test_a_healthy_wall_is_learned_where_a_scar_was() -> None:
    labels = heart(1, 0.0)
    scar = SCAR_EDIT.draw(labels, EditRequest(), 22, 4) != labels
    region = edited_region(labels, SCAR_EDIT, 4, MM)
    assert scar.any() and region[scar].all() and region.mean() < 0.2


def test_a_map_that_takes_no_edit_is_painted_whole() -> None:
    labels = heart(2, 0.0)
    labels[:, :64] = 0
    assert edited_region(labels, SCAR_EDIT, 0, MM).all()


def test_the_encoder_sees_the_image_around_the_region_alone() -> None:
    encoder = PaintingEncoder(5, 1, (4, 4, 8), 16, 2)
    torch.nn.init.normal_(encoder.embedding.conv_out.conv.weight)
    one_hot, image, region = torch.rand(1, 5, 32, 32), torch.rand(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    region[..., 8:24, 8:24] = 1.0
    control = encoder(one_hot, image, region)
    inside, outside = (image + 0.3 * mask for mask in (region, 1.0 - region))
    assert control.shape == (1, 16, 8, 8) and torch.equal(control, encoder(one_hot, inside, region))
    assert not torch.equal(control, encoder(one_hot, outside, region))


def test_errors_count_in_cells_of_the_region_and_some_images_are_painted_whole() -> None:
    kind, region = KINDS["painting"], torch.zeros(64, 1, 16, 16)
    region[:, :, 5, 10] = 1.0
    places = kind.places((region, region, region), (4, 4))
    assert places.sum().item() == 64 and places[:, 0, 1, 2].all()
    hidden = kind.hide((region, region, region), 0.5, torch.Generator().manual_seed(0))[2].mean((1, 2, 3))
    assert 10 < (hidden == 1).sum() < 54 and torch.equal(hidden[hidden < 1], region.mean((1, 2, 3))[hidden < 1])


def test_a_domain_without_edits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(SHORT)
    domain = Path("trainer/configs/domains/organs.toml").absolute()
    (tmp_path / "bad.toml").write_text('extends = "base.toml"\n[control]\nbase = "none"\n[diffusion]\ncondition = '
                                       f'"painting"\n[cohort]\ndomain = "{domain}"\n')
    with pytest.raises(InputError, match="cannot be edited, so nothing says which regions to learn"):
        load_config(tmp_path / "bad.toml")


def painting_run(folder: Path) -> Config:
    """Two steps of an unconditional run, and of one that paints, on its codecs."""
    base = train_short(folder, '[diffusion]\ncondition = "none"\ncondition_dropout = 0.0\n[control]\n'
                               'channels = [4, 4, 8]\nbase = "short"\n[acquisition]\ndetection = "real"\n')
    painting = replace(base, run=replace(base.run, name="painting", codecs="short"),
                       diffusion=replace(base.diffusion, condition="painting", value_dropout=0.1))
    run_stage("diffusion", painting)
    return painting


@pytest.mark.long
def test_a_short_run_paints_given_images_and_leaves_the_rest_bit_for_bit(tmp_path: Path) -> None:
    config = painting_run(tmp_path)
    task = diffusion.make_task(Design.of(config), RunFolder.of(config))
    with torch.no_grad():
        assert task.validate(task.model, torch.device("cpu"))["loss"] > 0
    export.run(config, what="generator")
    bundle = Bundle.load(config.export.generator)
    assert all(check.passed for check in verify_bundle(bundle)) and bundle.manifest.sources == ("masks", "paintings")
    generator = Generator(bundle)
    given = np.random.default_rng(0).random((2, 1, 128, 128)).astype(np.float32)
    maps = np.stack([heart(0, 0.15), heart(1, 0.0)])
    requests = mask_requests(array_masks(maps, (128, 128)), generator.canvas, "maps")
    edited = EditedMapRequests.spread(open_edit_grid(), 2, requests, SCAR_EDIT, 0)
    source = PaintedImageRequests.of(edited, array_images(given, (1, 128, 128), "given"), "", (0.0, 1.0))
    settings = generator.settings(batch_size=2)
    (batch,) = generator.batches(source, range(2), 0, settings)
    regions = np.stack([source.request(0, index).painting.region for index in range(2)])
    np.testing.assert_array_equal(batch.images[:, 0][~regions], given[:, 0][~regions])
    assert all((batch.images[k, 0] != given[k, 0])[regions[k]].mean() > 0.9 for k in range(2))
    whole = generator.sample(masks=maps, seed=0)[0]  # without an image: painted whole
    assert np.isfinite(whole).all() and whole.std() > 0
