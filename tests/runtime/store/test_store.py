"""The dataset format: what is written is read back, atomically, and unsafe files are refused."""

import dataclasses
import hashlib
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains import registry
from cldm_runtime.domains.attributes import Attribute, Measurement
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.store import DatasetSpec, DatasetWriter, create_dataset, edit_dataset, open_dataset

LABELS = LabelSet(("background", "wall"), {"wall": (1,)}, ((0, 0, 0), (255, 0, 0)))
ATTRIBUTES = (Attribute("size", "fraction", 0, 1, 0.02, ""), Attribute("depth", "mm", 0, 9, 0.1, ""))


def no_measure(labels: np.ndarray) -> Measurement:
    raise AssertionError("the store measures nothing")


DOMAIN = Domain("toy", LABELS, ATTRIBUTES, no_measure, anatomy=None)  # type: ignore[arg-type]
SPEC = DatasetSpec(DOMAIN, (8, 8), (1.5, 1.5), metadata={"seed": 7, "note": "x" * 100_000})
IMAGES = np.linspace(0, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
MASKS = (IMAGES[:, 0] > 0.5).astype(np.uint8)


@pytest.fixture(autouse=True)
def toy_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DOMAINS, "toy", lambda: DOMAIN)


def write(path: Path, repeats: int = 1, **columns: object) -> Path:
    with create_dataset(path, SPEC) as writer:
        for _ in range(repeats):
            writer.append(images=IMAGES, masks=MASKS, **columns)  # type: ignore[arg-type]
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_images_read_back_within_half_a_step(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset:
        assert np.abs(dataset.images() - IMAGES).max() <= 0.5 / 65535 + 1e-7
        assert dataset.images(1).shape == (1, 8, 8)
        assert np.array_equal(dataset.masks(slice(1, 3)), MASKS[1:3])
        assert np.array_equal(dataset.masks(np.array([2, 0, 2])), MASKS[[2, 0, 2]])


def test_images_that_are_no_scans_may_be_compressed(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, compress_images=True)
    for name in ("part.h5", "whole.h5"):
        with create_dataset(tmp_path / name, spec) as writer:
            if name == "part.h5":
                writer.append(images=IMAGES)
            else:
                with open_dataset(tmp_path / "part.h5") as part:
                    writer.append_dataset(part)
    with h5py.File(tmp_path / "whole.h5") as file, open_dataset(write(tmp_path / "plain.h5")) as plain:
        assert file["images"].compression == "gzip" and np.array_equal(file["images"][:], plain.stored_images())


def test_intensities_of_any_range_read_back(tmp_path: Path) -> None:
    spec = DatasetSpec(DOMAIN, (1, 3), (1.0, 1.0), intensity_range=(-1.0, 3.0))
    with create_dataset(tmp_path / "a.h5", spec) as writer:
        writer.append(images=[[[[-1.0, 0.0, 3.0]]]])
    with open_dataset(tmp_path / "a.h5") as dataset:
        assert dataset.stored_images().ravel().tolist() == [0, 16384, 65535]  # 65535 / 4 is 16383.75
        assert dataset.images().ravel() == pytest.approx([-1.0, 0.0, 3.0], abs=2 / 65535)


@pytest.mark.parametrize("lengths", [(16, 16, 5), (16, 3, 16, 1)])  # chunks of 8 images and of 16 label maps
def test_rows_of_other_files_are_appended_as_they_are_stored(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    rng, spec = np.random.default_rng(0), DatasetSpec(DOMAIN, (128, 128), (1.0, 1.0))
    images = rng.random((sum(lengths), 1, 128, 128), dtype=np.float32)
    masks, index = (images[:, 0] > 0.5).astype(np.uint8), np.arange(sum(lengths))
    starts = np.cumsum((0, *lengths))
    with create_dataset(tmp_path / "whole.h5", spec) as whole:
        for number, (start, end) in enumerate(pairwise(starts)):
            part = tmp_path / f"{number}.h5"
            with create_dataset(part, spec) as writer:
                writer.append(images=images[start:end], masks=masks[start:end], sample_index=index[start:end])
            with open_dataset(part) as dataset:
                whole.append_dataset(dataset)
    with open_dataset(tmp_path / "whole.h5") as dataset:
        assert np.abs(dataset.images() - images).max() <= 0.5 / 65535 + 1e-7
        assert np.array_equal(dataset.masks(), masks) and np.array_equal(dataset.sample_index, index)


def test_appending_a_damaged_file_says_which(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", repeats=100)
    with h5py.File(path, "r+") as file:  # a chunk that was never written
        file["masks"].resize(2000, axis=0)
        file["images"].resize(2000, axis=0)
    with open_dataset(path) as part, pytest.raises(DatasetError, match=r"a\.h5: cannot be read"), \
            create_dataset(tmp_path / "b.h5", SPEC) as writer:
        writer.append_dataset(part)


def test_header_says_what_the_file_is(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset:
        assert (len(dataset), dataset.shape, dataset.channels, dataset.spacing_mm) == (3, (8, 8), 1, (1.5, 1.5))
        assert dataset.domain == "toy" and dataset.label_names == ("background", "wall")
        assert dataset.metadata["seed"] == 7 and len(str(dataset.metadata["note"])) == 100_000
        assert dataset.requested is None and dataset.patients is None and dataset.segmentations == {}


def test_all_columns_read_back(tmp_path: Path) -> None:
    values = np.array([[0.1, np.nan], [0.2, 3], [0.3, 4]], dtype=np.float32)
    path = write(tmp_path / "a.h5", requested=values, mask_attributes=values, mask_reasons=np.array([[0, 1]] * 3),
                 grid_row=[0, 0, 1], sample_index=[5, 6, 7], condition=[2, 2, 3], patients=["p1", "p1", "pä"],
                 slices=[0, 1, 0], subset=["train"] * 3)
    with open_dataset(path) as dataset:
        assert np.array_equal(dataset.requested, values, equal_nan=True)
        assert dataset.attribute_names == ("size", "depth") and dataset.attribute_units == ("fraction", "mm")
        assert dataset.mask_reasons.tolist() == [[0, 1]] * 3
        assert dataset.condition.tolist() == [2, 2, 3]
        assert dataset.sample_index.tolist() == [5, 6, 7] and dataset.grid_row.tolist() == [0, 0, 1]
        assert dataset.patients.tolist() == ["p1", "p1", "pä"] and dataset.subset.tolist() == ["train"] * 3


def test_plain_h5py_serves_who_knows_nothing_of_us(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5")) as file:
        assert file["images"][1].shape == (1, 8, 8) and file["images"].dtype == np.uint16
        assert file["masks"][1].dtype == np.uint8


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    assert digest(write(tmp_path / "a.h5", 50)) == digest(write(tmp_path / "b.h5", 50))


def test_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    before = digest(write(tmp_path / "a.h5"))
    with pytest.raises(DatasetError, match="already exists"):
        write(tmp_path / "a.h5")
    assert digest(tmp_path / "a.h5") == before


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=IMAGES)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_columns_of_different_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="3 rows"), create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=IMAGES)
        writer.append(masks=MASKS[:2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, 1.1, -0.1])
def test_intensities_out_of_range_are_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(DatasetError, match="Normalise"), create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=np.where(IMAGES == 0, bad, IMAGES))


def test_long_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="32 bytes"):
        write(tmp_path / "a.h5", patients=["a", "b", "c" * 33])


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing/a\.h5: cannot be written"):
        write(tmp_path / "missing" / "a.h5")


def test_segmentation_is_appended_in_passes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with edit_dataset(path) as editor:
        segmentation = editor.segmentation("nnunet", {"bundle": "abc"})
        segmentation.append(masks=MASKS[:2])
        segmentation.append(masks=MASKS[2:])
    with edit_dataset(path) as editor:
        editor.segmentation("nnunet").append(
            attributes=np.zeros((3, 2)), attribute_reasons=np.zeros((3, 2), int), scores=np.ones((3, 1)),
            score_names=["dice_wall"], score_units=["fraction"])
    with open_dataset(path) as dataset:
        found = dataset.segmentation("nnunet")
        assert np.array_equal(found.masks(), MASKS) and found.metadata == {"bundle": "abc"}
        assert found.name == "nnunet" and found.score_names == ("dice_wall",) and found.score_units == ("fraction",)
        assert found.scores.tolist() == [[1.0]] * 3 and found.attribute_names == ("size", "depth")
        assert np.array_equal(dataset.masks(), MASKS)


def test_replacing_a_column_keeps_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with edit_dataset(path) as editor:
        editor.segmentation("s").append(masks=MASKS, attributes=np.zeros((3, 2)))
    with pytest.raises(DatasetError, match="exists already"), edit_dataset(path) as editor:
        editor.segmentation("s").append(attributes=np.ones((3, 2)))
    with edit_dataset(path, replace=["segmentations/s/attributes"]) as editor:
        editor.segmentation("s").append(attributes=np.ones((3, 2)))
    with open_dataset(path) as dataset:
        assert dataset.segmentation("s").attributes.tolist() == [[1.0, 1.0]] * 3
        assert np.array_equal(dataset.segmentation("s").masks(), MASKS)


def test_failed_edit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    before = digest(write(tmp_path / "a.h5"))
    with pytest.raises(DatasetError, match="3 rows"), edit_dataset(tmp_path / "a.h5") as editor:
        editor.segmentation("s").append(masks=MASKS[:1])
    assert digest(tmp_path / "a.h5") == before and len(list(tmp_path.iterdir())) == 1


def test_killed_edit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    before = digest(write(tmp_path / "a.h5"))
    script = f"""
        import os, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_store as t; t.registry.DOMAINS["toy"] = lambda: t.DOMAIN
        with t.edit_dataset({str(tmp_path / "a.h5")!r}) as editor:
            editor.segmentation("s").append(masks=t.MASKS)
            os.kill(os.getpid(), 9)
        """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == -9
    assert digest(tmp_path / "a.h5") == before


def test_unknown_segmentation_lists_the_known(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with edit_dataset(path) as editor:
        editor.segmentation("one").append(masks=MASKS)
    with open_dataset(path) as dataset, pytest.raises(DatasetError, match="Found: one"):
        dataset.segmentation("two")


def spoil(path: Path, change: str) -> None:
    with h5py.File(path, "r+") as file:
        exec(change, {"file": file, "h5py": h5py, "np": np, "path": path})


@pytest.mark.parametrize(("change", "message"), [
    ("file.attrs['format'] = 'other'", "expected 'cldm-dataset'"),
    ("file.attrs['format_version'] = np.int64(99)", "99 found, 1 supported"),
    ("file.attrs['complete'] = 0", "not complete"),
    ("del file['images']", "/images is missing"),
    ("del file['images'].attrs['rescale_slope']", "rescale_slope is missing, expected 1 number"),
    ("file['images'].attrs['rescale_slope'] = 'two'", "rescale_slope is two"),
    ("file['images'].attrs['rescale_slope'] = np.nan", "rescale_slope is nan"),
    ("file['images'].attrs['spacing_mm'] = 1.0", "spacing_mm is 1.0, expected 2 number"),
    ("file['images'].attrs['spacing_mm'] = [1.5, 0.0]", "expected 2 number"),
    ("file.attrs.create('r', file['images'].ref, dtype=h5py.ref_dtype)", "is neither numbers nor text"),
    ("file.attrs['format_version'] = np.int64(0)", "expected a positive integer"),
    ("file['attributes/mask'] = np.zeros((3, 2), 'f4')", "0 names"),
    ("del file['masks']; file['masks'] = np.zeros((2, 8, 8), 'u1')", r"/masks has shape \(2, 8, 8\)"),
    ("del file['masks']; file['masks'] = np.zeros((3, 8, 8), 'f4')", "/masks has type float32"),
    ("file['patients'] = h5py.ExternalLink('/etc/passwd', '/x')", "link"),
    ("file['patients'] = h5py.SoftLink('/masks')", "link"),
    ("file.create_dataset('slices', (3,), 'i4', external=[('/etc/passwd', 0, 12)])", "other files"),
    ("layout = h5py.VirtualLayout((3,), 'i4'); layout[:] = h5py.VirtualSource('/x', 'y', (3,));"
     "file.create_virtual_dataset('slices', layout)", "other files"),
    ("file.create_dataset('slices', data=np.zeros(3, 'i4'), compression='lzf')", "filters"),
    ("file.create_dataset('slices', data=['a'] * 3, dtype=h5py.string_dtype())", "fixed-length"),
    ("file['a/b/c/d/e'] = 1", "levels"),
])
def test_bad_or_hostile_files_are_refused(tmp_path: Path, change: str, message: str) -> None:
    path = write(tmp_path / "a.h5")
    spoil(path, change)
    with pytest.raises(DatasetError, match=message):
        open_dataset(path)


def test_truncated_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:3000])
    (tmp_path / "b.h5").write_text("hello")
    for name, message in (("a.h5", "cannot be"), ("b.h5", "cannot be opened"), ("c.h5", "no such file")):
        with pytest.raises(DatasetError, match=message):
            open_dataset(tmp_path / name)


def test_rows_of_subsets(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=np.zeros((4, 1, 8, 8)), subset=["train", "val", "train", "test"])
    with open_dataset(tmp_path / "a.h5") as dataset:
        assert dataset.rows().tolist() == [0, 1, 2, 3]
        assert dataset.rows("train").tolist() == [0, 2]
        assert dataset.rows(("val", "test", "none")).tolist() == [1, 3]
        with pytest.raises(InputError, match=r"a\.h5: has no subset 'none'\. Found: test, train, val\."):
            dataset.rows("none")


def test_a_file_without_subsets(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=np.zeros((1, 1, 8, 8)))
    with open_dataset(tmp_path / "a.h5") as dataset, pytest.raises(InputError, match="no subsets at all"):
        dataset.rows("train")


def test_segmenters_learn_what_a_reader_drew_and_are_judged_by_the_truth(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5", annotations=1 - MASKS)) as dataset:
        np.testing.assert_array_equal(dataset.annotations(), 1 - MASKS)
        np.testing.assert_array_equal(dataset.drawn(1), 1 - MASKS[1])
        np.testing.assert_array_equal(dataset.reference(1), MASKS[1])
        np.testing.assert_array_equal(dataset.masks(), MASKS)
    with open_dataset(write(tmp_path / "b.h5")) as dataset:
        assert "annotations" not in dataset
        np.testing.assert_array_equal(dataset.drawn(), MASKS)


@pytest.mark.parametrize(("method", "error"), [("start", ValueError), ("copy_from", ValueError)])
def test_a_writer_that_cannot_begin_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str,
                                                   error: type[Exception]) -> None:
    write(tmp_path / "a.h5")

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(DatasetWriter, method, fail)
    with pytest.raises(error):
        create_dataset(tmp_path / "b.h5", SPEC) if method == "start" else edit_dataset(tmp_path / "a.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_file_that_hdf5_cannot_begin_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("cldm_runtime.store.writer.h5py.File", fail)
    with pytest.raises(DatasetError, match=r"b\.h5: cannot be written \(no space\)"):
        create_dataset(tmp_path / "b.h5", SPEC)
    assert not list(tmp_path.iterdir())


def test_rows_of_a_file_with_other_chunks_are_copied(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        images, attributes = file["images"][:], dict(file["images"].attrs)
        del file["images"]
        file.create_dataset("images", data=images, chunks=(1, 1, 8, 8)).attrs.update(attributes)
    with create_dataset(tmp_path / "b.h5", SPEC) as writer, open_dataset(path) as part:
        writer.append_dataset(part)
    with open_dataset(tmp_path / "b.h5") as dataset:
        assert np.abs(dataset.images() - IMAGES).max() <= 0.5 / 65535 + 1e-7


def test_scores_need_a_column_each(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="3 scores, 1 names"), edit_dataset(write(tmp_path / "a.h5")) as editor:
        editor.segmentation("s").append(masks=MASKS, scores=[0.1, 0.2, 0.3], score_names=["a"], score_units=["mm"])
