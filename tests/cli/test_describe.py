"""`cldm describe`: one sentence on each label map of a dataset."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import describe
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset
from segmenter_fixtures import DOMAIN, MASKS, write_hearts


@pytest.fixture
def hearts(tmp_path: Path) -> Path:
    """Four hearts, the last two of a test subset, with their places in the stack."""
    known = DOMAIN.measure(MASKS).values.copy()
    known[:, 3] = [0.1, 0.5, 0.9, np.nan]
    return write_hearts(tmp_path / "hearts.h5", subset=["train", "train", "test", "test"], mask_attributes=known,
                        mask_reasons=np.zeros(known.shape, np.uint8))


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(cldm, ["describe", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_each_map_has_its_sentence(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed(capsys, hearts)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["row"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["caption"] for row in rows] == [
        describe(mask, position) for mask, position in zip(MASKS, (0.1, 0.5, 0.9, None), strict=True)]
    assert rows[0]["caption"] == "No scar, apical level." and "o'clock" in rows[1]["caption"]


def test_walls_are_named_where_the_insertion_is_known(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, hearts, "--subset", "test", "--insertion", 330, "--json")[1]
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["row"] for line in lines] == [2, 3] and " wall, basal level" in lines[0]["caption"]


def test_a_segmentation_is_described(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with edit_dataset(hearts) as editor:
        editor.segmentation("mine").append(masks=MASKS[::-1])
    out = printed(capsys, hearts, "--segmentation", "mine", "--json")[1]
    assert json.loads(out.splitlines()[3])["caption"] == "No scar."


def test_mistakes_are_told(hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with create_dataset(tmp_path / "bare.h5", DatasetSpec(DOMAIN, (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((1, 1, 8, 8)))
    for arguments, code, message in (
            ((tmp_path / "none.h5",), 4, "no such file"), ((tmp_path / "bare.h5",), 2, "holds no label maps"),
            ((hearts, "--segmentation", "mine"), 4, "has no segmentation 'mine'"),
            ((hearts, "--subset", "d8"), 2, "has no subset 'd8'"), ((hearts, "--insertion", "x"), 2, "'x'")):
        found, out, err = printed(capsys, *arguments)
        assert found == code and not out and message in err
