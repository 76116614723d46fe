"""`cldm gen --like`: samples towards given images; what is written, what it does not depend on, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.diffusion.interpolation import mixed
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.png import png_bytes
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Path) -> Path:
    """A working folder with three images and their maps as a dataset, an array, and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(encoding))
    stored = np.random.default_rng(0).integers(0, 2**16, (3, 1, 128, 128)).astype(np.uint16)
    masks = np.zeros((3, 128, 128), np.uint8)
    masks[:, 40:60, 40:88], masks[1:, 45:55, 50:60] = 2, 3
    with create_dataset(tmp_path / "given.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=stored / 65535, masks=masks, subset=["test", "val", "val"])
    np.save(tmp_path / "given.npy", (stored / 65535).astype(np.float32))
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "pictures").mkdir()
    for row, image in enumerate(stored):
        (tmp_path / "pictures" / f"{row}.png").write_bytes(png_bytes(image[0]))
    return tmp_path


def images_of(file: str) -> np.ndarray:
    with open_dataset(file) as dataset:
        return dataset.images()


def test_similarity_0_is_free_generation_bit_for_bit(cli: Cli) -> None:
    cli("--n", 5, "--masks", "given.h5", "--out", "free.h5")
    cli("--n", 5, "--like", "given.h5", "--similarity", 0, "--from-step", 24, "--out", "like.h5")
    np.testing.assert_array_equal(images_of("free.h5"), images_of("like.h5"))


def test_a_sample_is_what_the_formula_gives(cli: Cli, encoding: Path) -> None:
    """From the last step on, the tiny denoiser answers 0.02 tanh(x) + 0.01 tanh(t / T) + the grey of the label."""
    assert cli("--n", 4, "--like", "given.h5", "--similarity", 1, "--from-step", 24, "--seed", 5)[0] == 0
    generator = Generator.load(encoding)
    table = generator.step_table(generator.settings())
    tiny = pytest.importorskip("onnx_fixtures")
    images, masks = images_of("given.h5")[[0, 1, 2, 0]], np.load("masks.npy")[[0, 1, 2, 0]]
    latent = tiny.space_to_depth(images - tiny.CENTRE, 4)
    fresh = np.stack([Stream(5, i, Purpose.LIKE).normals(latent.shape[1:]) for i in range(4)])
    x = mixed(latent, latent, fresh, 1.0, float(table.alpha[3]), float(table.sigma[3]))
    made = tiny.depth_to_space(0.02 * np.tanh(x) + 0.01 * np.tanh(0.24), 4) + tiny.GREYS[masks][:, None]
    grain = np.stack([Stream(5, i, Purpose.TEXTURE).normals((1, 128, 128)) for i in range(4)])
    np.testing.assert_allclose(images_of("samples.h5"), made + 0.01 * grain, atol=3e-5)


def test_the_file_says_what_was_used_and_shows_the_datasets_maps(cli: Cli) -> None:
    code, _, err = cli("--n", 2, "--like", "given.h5", "--subset", "val", "--from-step", 45)
    assert code == 0 and "note: from step 45: images are mixed in at step 49, the nearest sampling step." in err
    with open_dataset("samples.h5") as dataset:
        stated = {key: dataset.metadata[key] for key in ("like_images", "similarity", "from_step", "like_step")}
        assert stated == {"like_images": 2, "similarity": 0.5, "from_step": 45, "like_step": 49}
        assert json.loads(str(dataset.metadata["plan"]))["requests"]["like_sha256"] == dataset.metadata["like_sha256"]
        np.testing.assert_array_equal(dataset.masks(), np.load("masks.npy")[1:])


@pytest.mark.parametrize("source", ["given.npy", "pictures"])
def test_arrays_and_pictures_serve_as_the_dataset_does(cli: Cli, source: str) -> None:
    flags = ["--n", 4, "--similarity", 0.7, "--from-step", 24, "--masks", "masks.npy"]
    assert [cli(*flags, "--like", name, "--out", f"{name[:3]}{i}.h5")[0] for i, name in
            enumerate(("given.h5", source))] == [0, 0]
    np.testing.assert_allclose(images_of("giv0.h5"), images_of(f"{source[:3]}1.h5"), atol=2e-5)


def test_workers_shards_and_a_resumed_run_write_the_same_bytes(cli: Cli) -> None:
    flags = ["--n", 33, "--like", "pictures", "--masks", "masks.npy", "--similarity", 0.5, "--from-step", 24]
    cli(*flags, "--out", "one.h5", "--workers", 1)
    cli(*flags, "--out", "two.h5", "--workers", 2)
    flags += ["--out", "shards.h5", "--workers", 1]
    assert [cli(*flags, "--shard", f"{i}/2")[0] for i in range(2)] == [0, 0] and cli(*flags, "--resume")[0] == 0
    assert Path("one.h5").read_bytes() == Path("two.h5").read_bytes() == Path("shards.h5").read_bytes()


def test_a_resumed_run_with_other_images_is_refused(cli: Cli) -> None:
    flags = ["--n", 33, "--masks", "masks.npy", "--like", "given.npy"]
    cli(*flags, "--shard", "0/2")
    np.save("given.npy", np.load("given.npy") * 0.5)
    code, _, err = cli(*flags, "--resume")
    assert code == 2 and "holds an unfinished run of another plan" in err and "like_sha256" in err


def test_samples_of_a_condition_share_their_image(cli: Cli, folder: Path) -> None:
    np.save("levels.npy", np.full((2, 1, 128, 128), [[[[0.0]]], [[[1.0]]]], np.float32))
    np.save("blank.npy", np.zeros((1, 128, 128), np.uint8))
    cli("--n", 4, "--per-condition", 2, "--like", "levels.npy", "--masks", "blank.npy", "--from-step", 24,
        "--similarity", 1)
    means = images_of("samples.h5").mean(axis=(1, 2, 3))
    assert max(means[:2]) < min(means[2:])  # the first two follow black, the others white


def test_folders_of_pictures_pair_by_name(cli: Cli, folder: Path) -> None:
    (folder / "maps").mkdir()
    for row, labels in enumerate(np.load("masks.npy")):
        (folder / "maps" / f"{row}.png").write_bytes(png_bytes(labels))
    flags = ["--n", 3, "--like", "pictures", "--masks", "maps"]
    assert cli(*flags)[0] == 0
    with open_dataset("samples.h5") as dataset:
        np.testing.assert_array_equal(dataset.masks(), np.load("masks.npy"))
    (folder / "maps" / "2.png").rename(folder / "maps" / "3.png")
    code, _, err = cli(*flags, "--out", "other.h5")
    assert code == 2 and "expected an image and a label map of each name, found only one of 2, 3. Add the others" in err


def test_a_nifti_slice_serves_as_nibabel_wrote_it(cli: Cli) -> None:
    nibabel = pytest.importorskip("nibabel")
    image, labels = np.load("given.npy")[0, 0], np.load("masks.npy")[1]
    for name, array in (("image", image), ("labels", labels), ("unknown", labels * 9)):
        nibabel.Nifti1Image(array.T[..., None], np.eye(4)).to_filename(f"{name}.nii.gz")  # x, y, z
    nibabel.Nifti1Image(image.T[..., None], np.diag([2, 2, 1, 1])).to_filename("wide.nii.gz")
    nibabel.Nifti1Image(np.stack([image.T] * 3, 2), np.eye(4)).to_filename("stack.nii.gz")
    flags = ["--n", 1, "--similarity", 1, "--from-step", 24]
    assert cli(*flags, "--like", "image.nii.gz", "--masks", "labels.nii.gz")[0] == 0
    np.save("one.npy", labels[None])
    cli(*flags, "--like", "given.npy", "--masks", "one.npy", "--out", "expected.h5")
    np.testing.assert_allclose(images_of("samples.h5"), images_of("expected.h5"), atol=2e-5)
    for like, masks, message in (("wide", "labels", "its pixels are (2.0, 2.0) mm, the bundle needs (1.0, 1.0)"),
                                 ("stack", "labels", "holds 3 slices, expected one. Save each slice in a file"),
                                 ("image", "image", "image.nii.gz: label values must be whole numbers"),
                                 ("image", "unknown", "unknown label values [18, 27]. Known: 0 background")):
        code, _, err = cli(*flags, "--like", f"{like}.nii.gz", "--masks", f"{masks}.nii.gz", "--out", "no.h5")
        assert code == 2 and message in err and not Path("no.h5").exists()


def test_python_gives_the_images_of_the_command(cli: Cli, encoding: Path) -> None:
    cli("--n", 4, "--like", "given.npy", "--masks", "masks.npy", "--similarity", 0.7, "--from-step", 24, "--seed", 2)
    images, masks = Generator.load(encoding).sample(masks=np.load("masks.npy"), like=np.load("given.npy")[:, 0], n=4,
                                                    similarity=0.7, from_step=24, seed=2)
    np.testing.assert_allclose(images, images_of("samples.h5"), atol=1e-5)
    assert masks is not None and len(masks) == 4


@pytest.mark.parametrize("like", [np.zeros((2, 3, 128, 128)), np.zeros(5), ["a"], np.full((128, 128), 2.0), "none.h5"])
def test_python_refuses_what_are_no_images(encoding: Path, like: object) -> None:
    with pytest.raises(InputError, match=r"expected|no such file"):
        Generator.load(encoding).sample(masks=np.load("masks.npy"), like=like)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--like", "given.h5", "--similarity", 1.5], "similarity = 1.5: expected 0 (free) to 1"),
    (["--like", "given.h5", "--from-step", 100], "from_step = 100: expected 0 (clean) to 99 (noise)"),
    (["--like", "given.h5", "--from-step", 90], "the nearest of the 4 sampling steps is 99, where sampling begins"),
    (["--like", "pictures"], "Pass --masks FILE with their label maps, or --attributes CSV"),
    (["--masks", "masks.npy", "--like", "small.npy"], "small.npy: has the shape (1, 64, 64), expected (1, 128, 128)"),
    (["--masks", "masks.npy", "--like", "large.npy"], "large.npy, image 1: its values reach from 255 to 255, exp"),
    (["--masks", "masks.npy", "--like", "nan.npy"], "nan.npy: its values reach from nan to nan, expected 0 to 1"),
    (["--masks", "masks.npy", "--like", "none"], "none: there is no such file. Give a dataset (.h5)"),
    (["--masks", "masks.npy", "--like", "."], "the folder has no file that ends with one of .nii, .nii.gz"),
    (["--masks", "masks.npy", "--like", "masks.npy", "--subset", "val"], "an array has no subset 'val'"),
    (["--masks", "masks.npy", "--similarity", 1], "--similarity 1: is of given images. Pass them with --like FILE"),
    (["--masks", "pictures", "--subset", "val"], "pictures: files have no subset 'val'. Give a dataset (.h5)"),
    (["--like", "given.h5", "--subset", "train"], "has no subset 'train'. Found: test, val."),
])
def test_what_does_not_fit_is_one_message_and_nothing_is_written(cli: Cli, arguments: list[str], message: str) -> None:
    np.save("small.npy", np.zeros((64, 64), np.float32))
    np.save("large.npy", np.full((2, 128, 128), [[[0]], [[255]]], np.float32))
    np.save("nan.npy", np.full((128, 128), np.nan, np.float32))
    before = sorted(Path().iterdir())
    code, out, err = cli("--n", 2, *arguments)
    assert (code, out) == (2, "") and message in err and sorted(Path().iterdir()) == before


def test_a_bundle_without_an_encoder_takes_none(cli: Cli, tiny_generator: Path) -> None:
    code, _, err = cli("--n", 2, "--like", "given.h5", "--bundle", tiny_generator)
    assert code == 2 and "has no graph encoder, so it cannot take given images" in err
