"""`cldm gen --edit`, `--pairs` and `--hold-anatomy`: what changes, what stays bit for bit, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.lge.place import measure_place
from cldm_runtime.domains.lge.scar_edit import healed
from cldm_runtime.domains.registry import get_domain, measure
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_runtime.store.links import painted, pairs_of

Cli = Callable[..., tuple[int, str, str]]
EDITS = "infarct_size,angle_deg,layer\n0.05,0,endocardial\n0.15,0,endocardial\n"


def heart(index: int, size: float) -> np.ndarray:
    anatomy = get_domain("lge").anatomy
    request = anatomy.complete({"infarct_size": size, "slice_position": 0.5}, Stream(4, index, Purpose.CONDITION))
    return anatomy.draw(request, Stream(4, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=(1.0, 1.0)).labels


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Path) -> Path:
    """A working folder with three noisy images and their maps: healthy, scarred, and with an open wall."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(encoding))
    stored = np.random.default_rng(0).integers(0, 2**16, (3, 1, 128, 128)).astype(np.uint16)
    masks = np.stack([heart(0, 0.0), heart(1, 0.1), heart(2, 0.0)])
    masks[2, :, :64] = 0
    with create_dataset(tmp_path / "given.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=stored / 65535, masks=masks, subset=["ring", "ring", "open"],
                      mask_attributes=np.tile(np.float32([0, np.nan, 0, 0.5]), (3, 1)))
    (tmp_path / "edits.csv").write_text(EDITS)
    return tmp_path


EDIT = ["--like", "given.h5", "--subset", "ring", "--edit", "scar", "--attributes", "edits.csv"]


def test_pixels_outside_come_back_bit_for_bit(cli: Cli) -> None:
    code, _, err = cli("--n", 4, *EDIT)
    assert code == 0, err
    with open_dataset("samples.h5") as dataset, open_dataset("given.h5") as given:
        rows, region, maps = dataset.given_row, painted(dataset), dataset.masks()
        assert rows.tolist() == [0, 0, 1, 1] and dataset.grid_row.tolist() == [0, 1, 0, 1]
        before, after = given.stored_images()[rows], dataset.stored_images()
        np.testing.assert_array_equal(after[:, 0][~region], before[:, 0][~region])
        assert all((before[k] != after[k]).any() for k in range(4)) and 0.01 < region.mean() < 0.25
        np.testing.assert_array_equal(healed(maps), healed(given.masks()[rows]))
        np.testing.assert_allclose(measure(maps)["infarct_size"], [0.05, 0.15] * 2, atol=0.02)
        assert all(measure_place(labels).layer == "endocardial" for labels in maps)
        assert (dataset.requested[:, 3] == 0.5).all()  # the position that the file knows


def test_where_a_scar_was_requested_and_where_it_lies_are_in_the_file(cli: Cli, folder: Path) -> None:
    (folder / "edits.csv").write_text("infarct_size,aha_segment,angle_deg,rv_insertion_deg,layer\n"
                                      "0.1,8,,320,epicardial\n0.1,,200,,\n")
    assert cli("--n", 8, *EDIT, "--pairs", "--workers", 1)[0] == 0
    with open_dataset("samples.h5") as dataset:
        requested, measured = dataset.place_requested, dataset.place
        np.testing.assert_array_equal(requested, np.tile(np.float32(
            [[np.nan] * 4, [np.nan, 8, 2, 320], [np.nan] * 4, [200, np.nan, np.nan, np.nan]]), (2, 1)))
        np.testing.assert_array_equal(measured[[1, 5], 1:], [[8, 2, 320]] * 2)
        assert (np.abs(measured[[3, 7], 0] - 200) < 10).all() and np.isnan(measured[0]).all()
        assert dataset.place_reasons[[0, 3]].tolist() == [[1, 1, 1, 9], [0, 9, 0, 9]]
    names = h5py.File("samples.h5")["attributes/place"].attrs["names"].tolist()
    assert names == ["angle_deg", "aha_segment", "layer", "rv_insertion_deg"]


def test_pairs_of_given_images_are_the_image_itself_and_its_edit(cli: Cli) -> None:
    assert cli("--n", 8, *EDIT, "--pairs", "--workers", 1)[0] == 0
    assert cli("--n", 4, *EDIT, "--out", "alone.h5", "--workers", 1)[0] == 0
    with open_dataset("samples.h5") as dataset, open_dataset("given.h5") as given, open_dataset("alone.h5") as alone:
        pairs, rows = pairs_of(dataset), dataset.given_row
        assert pairs.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
        np.testing.assert_array_equal(dataset.stored_images(pairs[:, 0]), given.stored_images()[rows[pairs[:, 0]]])
        np.testing.assert_array_equal(dataset.masks(pairs[:, 0]), given.masks()[rows[pairs[:, 0]]])
        np.testing.assert_array_equal(dataset.masks(pairs[:, 1]), alone.masks())
        np.testing.assert_allclose(dataset.images(pairs[:, 1]), alone.images(), atol=3e-5)
        assert not painted(dataset, pairs[:, 0]).any() and painted(dataset, pairs[:, 1]).any(axis=(1, 2)).all()


def test_pairs_of_drawn_hearts_share_every_pixel_away_from_the_scar(cli: Cli, folder: Path) -> None:
    (folder / "sizes.csv").write_text("infarct_size\n0.05\n0.2\n")
    assert cli("--n", 8, "--attributes", "sizes.csv", "--pairs", "--hold-anatomy")[0] == 0
    with open_dataset("samples.h5") as dataset:
        first, second = pairs_of(dataset).T
        region, images, maps = painted(dataset, second), dataset.stored_images(), dataset.masks()
        np.testing.assert_array_equal(images[second][:, 0][~region], images[first][:, 0][~region])
        np.testing.assert_array_equal(maps[first], healed(maps[second]))
        assert (images[first] != images[second]).any(axis=(1, 2, 3)).all()
        np.testing.assert_array_equal(images[0], images[2])  # both rows begin from the same heart
        assert dataset.grid_row.tolist() == [0, 0, 1, 1] * 2


def test_workers_and_a_resumed_run_write_the_same_bytes(cli: Cli) -> None:
    flags = ["--n", 36, *EDIT, "--pairs"]
    cli(*flags, "--out", "one.h5", "--workers", 1)
    assert cli(*flags, "--out", "shards.h5", "--workers", 1, "--shard", "1/2")[0] == 0
    assert cli(*flags, "--out", "shards.h5", "--workers", 2, "--resume")[0] == 0
    assert Path("one.h5").read_bytes() == Path("shards.h5").read_bytes()


def test_a_damaged_file_is_repaired(cli: Cli) -> None:
    flags = ["--n", 36, *EDIT, "--pairs", "--workers", 1]
    cli(*flags)
    whole = Path("samples.h5").read_bytes()
    with h5py.File("samples.h5", "r+") as file:
        file["images"][35] = 0
    assert cli(*flags, "--repair")[0] == 0 and Path("samples.h5").read_bytes() == whole


def test_without_like_the_whole_image_shows_the_edited_map(cli: Cli) -> None:
    assert cli("--n", 2, "--masks", *EDIT[1:])[0] == 0
    with open_dataset("samples.h5") as dataset:
        assert painted(dataset) is None and dataset.given_row.tolist() == [0, 0]
        plain = dataset.images()
        assert (plain[0] != plain[1]).any() and np.ptp(plain[0] - plain[1]) > 0.1
        same = dataset.masks(0) == dataset.masks(1)
        assert np.abs((plain[0] - plain[1])[0, same]).max() < 0.05  # the same noise


def test_skip_leaves_out_the_maps_that_a_row_cannot_be_drawn_in(cli: Cli) -> None:
    flags = ["--n", 6, "--like", "given.h5", "--edit", "scar", "--attributes", "edits.csv"]
    code, _, err = cli(*flags)
    assert code == 2 and "line 2, map 2: has no closed wall" in err and not Path("samples.h5").exists()
    code, _, err = cli(*flags, "--infeasible", "skip")
    assert code == 0 and "1 map(s) left out" in err
    with open_dataset("samples.h5") as dataset:
        assert set(dataset.given_row) == {0, 1}


@pytest.mark.parametrize(("flags", "message"), [
    (["--edit", "scar"], "Pass --masks FILE, or --like FILE"),
    (["--edit", "tumour", "--masks", "given.h5"], "there is scar to edit"),
    (["--edit", "scar", "--like", "given.h5", "--similarity", "0.5"], "Leave them out"),
    (["--edit", "scar", "--like", "given.h5", "--hold-anatomy"], "Leave it out"),
    (["--edit", "scar", "--like", "given.h5", "--infeasible", "nearest"], "Pass skip"),
    (["--edit", "scar", "--like", "pictures.npy"], "Pass --masks FILE, or a dataset"),
    (["--pairs", "--attributes", "sizes.csv", "--per-condition", "2"], "pass one of the two"),
    (["--edit", "scar", "--like", "given.h5", "--keep-classes", "lv_cavity"], "Leave --keep-classes out"),
    (["--prompt", "small scar", "--hold-anatomy"], "Pass --attributes CSV with a column prompt"),
    (["--prompt", "small scar", *EDIT], "--prompt and edits.csv both say what to edit"),
    (["--prompt", "ein Infarkt", "--edit", "scar", "--like", "given.h5"], "nothing of 'ein Infarkt' was understood"),
    (["--pairs", "--attributes", "sizes.csv", "--batch-size", "3"], "Pass an even number"),
])
def test_what_does_not_go_together_is_refused(cli: Cli, folder: Path, flags: list[str], message: str) -> None:
    (folder / "sizes.csv").write_text("infarct_size\n0.1\n")
    code, _, err = cli("--n", 2, *flags)
    assert code == 2 and message in err and not Path("samples.h5").exists()


def test_a_prompt_says_where_a_scar_lies(cli: Cli) -> None:
    text = "small subendocardial scar in the inferior wall"
    code, _, err = cli("--n", 2, *EDIT[:6], "--prompt", text, "--workers", 1)
    assert code == 0 and "understood: 'inferior': angle_deg 210 (from the insertion: at 11 o'clock" in err, err
    with open_dataset("samples.h5") as dataset:
        assert dataset.metadata["prompt"] == text
        for labels in dataset.masks():
            place = measure_place(labels)  # from 12 o'clock: 180 degrees is the bottom of the image
            assert place.layer == "endocardial" and abs(place.angle_deg - 180) < 15
            assert 0.03 <= measure(labels[None])["infarct_size"][0] <= 0.1


def test_odd_numbers_of_pairs_are_refused(cli: Cli) -> None:
    code, _, err = cli("--n", 3, *EDIT, "--pairs")
    assert code == 2 and "counts both images of each pair" in err


def test_the_help_names_the_columns_of_edits(capsys: pytest.CaptureFixture[str]) -> None:
    rules = get_domain("lge").edit
    assert rules is not None and run(cldm, ["gen", "--help"]) == 0
    text = capsys.readouterr().out
    assert [name for name in (*rules.words, *(each.name for each in rules.attributes)) if name not in text] == []
