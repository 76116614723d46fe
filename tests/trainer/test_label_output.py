"""Label maps as what is drawn, the whole way: codec, latents, diffusion, bundle, the file that cldm-gen writes; then a
ControlNet on images, its bundle, cldm segment of datasets and cases, and the evaluation."""

import pickle
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import brain_run
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.outputs import output_of
from cldm_runtime.cli import segment_cases
from cldm_runtime.cli.evaluate import evaluate
from cldm_runtime.cli.gen import gen
from cldm_runtime.cli.segment import segment
from cldm_runtime.domains.label_channels import LabelChannels
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.generation.ensemble import EnsembleSegmenter
from cldm_runtime.generation.generator import Generator
from cldm_runtime.requests.canvas import Canvas
from cldm_runtime.requests.sources import read_masks
from cldm_runtime.store import open_dataset
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import Config
from cldm_trainer.export import run as export
from cldm_trainer.stages import diffusion, latents
from cldm_trainer.stages.codec import ImageCodecTask
from cldm_trainer.stages.needed import is_needed
from cldm_trainer.training.batches import step_generator
from cldm_trainer.training.loop import Step
from cldm_trainer.training.losses import channel_dice
from cldm_trainer.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Config]:
    both = brain_run.make_runs(tmp_path_factory.mktemp("brain"))
    brain_run.train(*both)
    return both


@pytest.fixture(scope="module")
def labels_bundle(runs: tuple[Config, Config]) -> Path:
    return export(runs[0], torchscript=False, what="generator")[0]


def test_the_channels_are_the_nested_regions_of_the_maps(runs: tuple[Config, Config]) -> None:
    cohort = RunFolder.of(runs[0]).cohort
    drawn, images = cohort.drawn("train"), brain_run.draw(8)[1][:4]
    assert cohort.drawn_channels == 3 and drawn.images.shape == (4, 3, *brain_run.SHAPE)
    assert np.array_equal(drawn.images[:, 0].numpy(), images == 3)
    assert np.array_equal(drawn.images[:, 2].numpy(), images > 0)


def test_moved_copies_stay_zero_or_one(runs: tuple[Config, Config]) -> None:
    cohort, channels = RunFolder.of(runs[0]).cohort, RunFolder.of(runs[0]).cohort.drawn_labels
    parts = list(latents.moved_slices(cohort.drawn("train"), 4, runs[0].latents, 2, 0, channels))
    assert len(parts) == 2 and set(parts[1][0].unique().tolist()) == {0, 1}
    assert np.array_equal(channels.decode(parts[1][0].numpy()), parts[1][1].argmax(1).numpy())


def test_only_what_a_generator_of_label_maps_needs_is_trained(runs: tuple[Config, Config]) -> None:
    stages = ("image-codec", "mask-codec", "texture", "latents", "segmenter")
    assert [stage for stage in stages if is_needed(stage, runs[0])] == ["image-codec", "latents"]
    folder = RunFolder.of(runs[0])
    assert not folder.own("mask-codec").exists()
    loaded = latents.load_latents(Design.of(runs[0]).codecs, folder, "train")
    assert loaded.mean.shape == (8, 2, 2, 4, 4) and loaded.mask.shape == (8, 0, 2, 4, 4)


def test_a_codec_of_label_maps_begins_certain_and_sees_windows(runs: tuple[Config, Config]) -> None:
    cohort = RunFolder.of(runs[0]).cohort
    task = ImageCodecTask(replace(runs[0].image_codec, window=8), cohort.drawn("train"), cohort.drawn("val"),
                          cohort.drawn_labels)
    seen: list[torch.Tensor] = []
    task.model.register_forward_hook(lambda model, given, out: seen.extend((given[0], out[2])))
    task.loss(task.model, None, Step(0, np.arange(2), step_generator(0, 0), torch.device("cpu")))
    assert seen[0].shape == (2, 3, 8, 8, 8) and set(seen[0].unique().tolist()) <= {-1.0, 1.0}
    assert 0.01 < seen[1].median() < 0.2  # e^-3, but for what the weights add


def test_the_codec_reports_the_dice_of_its_reconstructions(runs: tuple[Config, Config]) -> None:
    cohort = RunFolder.of(runs[0]).cohort
    task = ImageCodecTask(runs[0].image_codec, cohort.drawn("train"), cohort.drawn("val"), cohort.drawn_labels)

    class Exact(type(task.model)):
        def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return z.roll(1, dims=2)  # every map a voxel further

    task.model.__class__ = Exact
    figures = task.validate(task.model, torch.device("cpu"))
    truth = task.validation.images.numpy().astype(bool)
    moved = np.roll(truth, 1, axis=2)
    expected = 2 * (truth & moved).sum((0, 2, 3, 4)) / (truth.sum((0, 2, 3, 4)) + moved.sum((0, 2, 3, 4)))
    assert [figures[f"dice_{name}"] for name in ("et", "tc", "wt")] == pytest.approx(expected.tolist())


def test_soft_dice_of_channels_by_hand() -> None:
    x = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    y = torch.tensor([[[1.5, 0.5, 0.5, -1.0], [0.0, 0.0, 0.0, 0.0]]])  # cut off to 1, .5, .5, 0
    assert channel_dice(y, x).item() == pytest.approx(1 - 2 * 1.5 / (2 + 2))  # the empty channel does not count


def test_soft_dice_draws_a_lesion_that_is_far_from_found() -> None:
    x, y = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), torch.tensor([[[-3.0, 1.5, -3.0, 1.5]]], requires_grad=True)
    loss = channel_dice(y, x)  # cut off to 0, 1, 0, 1: hits 1, predicted 2, size 2
    loss.backward()
    assert loss.item() == pytest.approx(0.5) and y.grad is not None
    assert y.grad.flatten().tolist() == pytest.approx([-(2 * 4 - 2) / 16, 0.0, 0.0, 2 / 16])


def test_the_bundle_verifies_and_says_what_it_draws(labels_bundle: Path) -> None:
    bundle = Bundle.load(labels_bundle)
    assert not [check.name for check in verify_bundle(bundle) if not check.passed]
    assert output_of(bundle.manifest).name == "labels" and bundle.manifest.conditions == ()
    assert sorted(bundle.manifest.graphs) == ["decoder", "denoiser"]
    assert bundle.manifest.graphs["decoder"].outputs[0].shape == ("N", 3, *brain_run.SHAPE)
    assert "cldm-gen --bundle brain-labels --n 250 --out labels.h5" in (labels_bundle / "MODEL_CARD.md").read_text()


def test_cldm_gen_writes_label_maps(labels_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.h5"
    done = CliRunner().invoke(gen, ["--bundle", str(labels_bundle), "--n", "5", "--out", str(out), "--workers", "1"])
    assert done.exit_code == 0, done.output
    with open_dataset(out) as dataset:
        channels = LabelChannels("regions", ("et", "tc", "wt"), ((3,), (1, 3), (1, 2, 3)))
        assert dataset.images().shape == (5, 3, *brain_run.SHAPE)
        assert dataset.mask_attributes is not None and dataset.requested is None
        drawn = Generator(Bundle.load(labels_bundle)).sample(n=5, seed=0)
        assert np.array_equal(dataset.masks(), drawn[1]) and drawn[1].any()
        assert np.array_equal(dataset.masks(), channels.decode(drawn[0]))
        canvas = Canvas(dataset.load_domain(), brain_run.SHAPE, (1.0, 1.0, 1.0))
    given = read_masks(out, canvas).request(0, 3)  # of a generator of images from label maps
    assert np.array_equal(given.mask, drawn[1][3]) and np.isfinite(given.requested[0])


def test_label_maps_for_attributes_train_on_the_same_codec(runs: tuple[Config, Config]) -> None:
    config = replace(runs[0], run=replace(runs[0].run, name="asked", codecs="brain-labels"),
                     diffusion=replace(runs[0].diffusion, condition="attributes", context_width=8))
    run_stage("diffusion", config)
    parts = arguments("diffusion", config)
    task, model = diffusion.make_task(*parts), diffusion.trained_model(*parts)
    asked = task.conditions["val"](slice(2))
    assert asked[0].shape[0] == 2 and asked[0].shape[1] == len(RunFolder.of(config).cohort.domain.attributes)
    assert task.sample(model, asked, 2, 0, torch.device("cpu")).shape == (2, 2, 2, 4, 4)


@pytest.fixture(scope="module")
def segments_bundle(runs: tuple[Config, Config]) -> Path:
    return export(runs[1], torchscript=False, what="generator")[0]


def test_a_bundle_that_takes_images_says_so(segments_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(segments_bundle)
    assert not [check.name for check in verify_bundle(bundle) if not check.passed]
    assert bundle.manifest.sources == ("images",) and bundle.manifest.image.channels == 4
    assert "cldm segment cases/ --bundle ldm-seg --samples 30" in (segments_bundle / "MODEL_CARD.md").read_text()
    done = CliRunner().invoke(gen, ["--bundle", str(segments_bundle), "--n", "1", "--out", str(tmp_path / "a.h5")])
    assert "draws label maps of given images" in str(done.exception) and not (tmp_path / "a.h5").exists()


def test_the_unet_stays_and_its_control_learns(runs: tuple[Config, Config]) -> None:
    labels, segments = (diffusion.trained_denoiser(Design.of(config), RunFolder.of(config)) for config in runs)
    own = segments.unet.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in labels.unet.state_dict().items())
    encoder = diffusion.trained_condition_encoder(Design.of(runs[1]), RunFolder.of(runs[1]))
    assert encoder.embedding.conv_out.conv.weight.abs().max() > 0  # it began at zero


def test_draws_have_their_own_noise_whatever_the_batch(segments_bundle: Path) -> None:
    segmenter, image = EnsembleSegmenter.load(segments_bundle, samples=4, seed=3), brain_run.draw(2)[0][0]
    fed = segmenter.pipeline.encode({"image": image[None]})
    together = segmenter._drawn(fed, 5, range(4), 4)
    apart = [segmenter._drawn(fed, 5, range(k, k + 1), 1)[0] for k in range(4)]
    assert np.allclose(together, apart, atol=1e-5)
    assert np.array_equal(segmenter._drawn(fed, 5, range(2), 4), together[:2])  # fewer draws are the first of more
    assert not np.allclose(together[0], together[1]) and not np.allclose(
        segmenter._drawn(fed, 6, range(4), 4), together)


def test_the_mean_decides_and_the_variance_is_that_of_the_draws(segments_bundle: Path) -> None:
    segmenter, image = EnsembleSegmenter.load(segments_bundle, samples=5), brain_run.draw(2)[0][0]
    drawn = segmenter._drawn(segmenter.pipeline.encode({"image": image[None]}), 2, range(5), 5)
    found = segmenter.draw(image, 2, batch_size=2)
    assert np.allclose(found.variance, drawn.var(axis=0), atol=1e-5) and 0 < found.variance.max() <= 0.25
    mean = drawn.mean(axis=0)
    inside = mean[2] > 0.5
    expected = np.where(inside & (mean[1] > 0.5), np.where(mean[0] > 0.5, 3, 1), np.where(inside, 2, 0))
    unclear = (np.abs(mean - 0.5) < 1e-4).any(axis=0)
    assert np.array_equal(found.labels[~unclear], expected[~unclear]) and unclear.mean() < 0.01


def test_cldm_segment_then_evaluate(segments_bundle: Path, runs: tuple[Config, Config], tmp_path: Path) -> None:
    cohort = tmp_path / "cohort.h5"
    cohort.write_bytes(runs[0].cohort_file.read_bytes())
    done = CliRunner().invoke(segment, [str(cohort), "--bundle", str(segments_bundle), "--samples", "3",
                                        "--keep-samples"])
    assert done.exit_code == 0, done.output
    with open_dataset(cohort) as dataset:
        found = dataset.segmentation("ldm-seg")
        assert found.variance().shape == (8, 3, *brain_run.SHAPE) and found.variance_names == ("et", "tc", "wt")
        assert found.sample_dice.shape == (8, 3) and found.metadata["samples"] == 3
        first = EnsembleSegmenter.load(segments_bundle, samples=3, keep_samples=True).draw(dataset.images(6), 6)
        assert np.array_equal(list(found.samples(6)), first.maps) and first.maps.shape == (3, *brain_run.SHAPE)
        assert np.array_equal(found.masks(6), first.labels)
        assert np.allclose(found.variance(6), first.variance, atol=1e-3)
    done = CliRunner().invoke(evaluate, [str(cohort), "--segmenter", str(segments_bundle), "--workers", "1"])
    assert done.exit_code == 0, done.output
    with open_dataset(cohort) as dataset:
        assert dataset.segmentation("ldm-seg").scores.shape[0] == 8
        assert np.array_equal(dataset.segmentation("ldm-seg").masks(6), first.labels)  # what was drawn is used
    assert "How many draws" in (tmp_path / "report.html").read_text()


def test_an_evaluation_of_a_new_file_draws_too(segments_bundle: Path, runs: tuple[Config, Config], tmp_path: Path
                                               ) -> None:
    cohort, segmenter = tmp_path / "cohort.h5", EnsembleSegmenter.load(segments_bundle, samples=2)
    cohort.write_bytes(runs[0].cohort_file.read_bytes())
    assert evaluate_dataset(cohort, segmenter) == "ldm-seg"
    with open_dataset(cohort) as dataset:
        found, first = dataset.segmentation("ldm-seg"), segmenter.draw(dataset.images(6), 6)
        assert np.array_equal(found.masks(6), first.labels)
        assert np.allclose(found.variance(6), first.variance, atol=1e-3)
        assert found.variance_names == ("et", "tc", "wt") and found.scores is not None
    assert pickle.loads(pickle.dumps(segmenter)).source() == segmenter.source()  # as worker processes get it


def write_cases(folder: Path, count: int = 2) -> np.ndarray:
    """Cases on a grid that is larger along one axis and smaller along another; returns their affine."""
    affine = np.array([[-1.0, 0, 0, 90], [0, -1, 0, 126], [0, 0, 1, -72], [0, 0, 0, 1]])
    for row, image in enumerate(brain_run.draw(count)[0]):
        name = f"BraTS-GLI-0000{row}-000"
        (folder / name).mkdir(parents=True)
        for sequence, array in zip(("t1n", "t1c", "t2w", "t2f"), image, strict=True):
            grid = np.pad(1000 * array[:, :12], ((0, 3), (0, 0), (0, 0)))  # zeros above, rows cut off
            file = folder / name / f"{name}-{sequence}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(grid.transpose(2, 1, 0), affine), file)
    return affine


def test_cldm_segment_of_cases_writes_them_back_on_their_grid(segments_bundle: Path, tmp_path: Path) -> None:
    affine, out = write_cases(tmp_path / "cases"), tmp_path / "out"
    arguments = [str(tmp_path / "cases"), "--bundle", str(segments_bundle), "--samples", "2", "--out", str(out)]
    done = CliRunner().invoke(segment, arguments)
    assert done.exit_code == 0, done.output
    with open_dataset(out / segment_cases.FILE) as dataset:
        assert dataset.images().shape == (2, 4, 11, 12, 16)
        found = dataset.segmentation("ldm-seg")
        for row in range(2):
            labels = nibabel.load(out / f"BraTS-GLI-0000{row}-000-seg.nii.gz")
            doubt = nibabel.load(out / f"BraTS-GLI-0000{row}-000-variance.nii.gz")
            assert np.array_equal(labels.affine, affine) and np.array_equal(doubt.affine, affine)
            assert np.array_equal(np.asarray(labels.dataobj).transpose(2, 1, 0), found.masks(row))
            assert np.array_equal(np.asarray(doubt.dataobj).transpose(3, 2, 1, 0), found.variance(row))
    again = CliRunner().invoke(segment, arguments)
    assert "already exists" in str(again.exception)


def test_faulty_cases_are_named_and_nothing_is_written(segments_bundle: Path, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases")
    flair = tmp_path / "cases" / "BraTS-GLI-00001-000" / "BraTS-GLI-00001-000-t2f.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((16, 12, 11)), nibabel.load(flair).affine), flair)
    done = CliRunner().invoke(segment, [str(tmp_path / "cases"), "--bundle", str(segments_bundle)])
    assert "case BraTS-GLI-00001-000: t2f is empty" in str(done.exception)
    flair.unlink()
    done = CliRunner().invoke(segment, [str(tmp_path / "cases"), "--bundle", str(segments_bundle)])
    assert "BraTS-GLI-00001-000-t2f.nii[.gz] is missing" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "either --segmenter SEGMENTER or --bundle DIR"),
    (["--segmenter", "a", "--samples", "3"], "--samples: only with --bundle"),
    (["--segmenter", "a", "--keep-samples"], "--keep-samples: only with --bundle")])
def test_options_that_do_not_go_together(arguments: list[str], message: str) -> None:
    assert message in str(CliRunner().invoke(segment, ["a.h5", *arguments]).exception)
