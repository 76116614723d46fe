"""Blocks are sized in bytes, and no result depends on them."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.files import blocks
from cldm_runtime.files.blocks import samples_in_block
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.sources import Canvas, mask_requests
from cldm_runtime.runs.run import cut
from cldm_runtime.store import DatasetSpec, check_samples, create_dataset, open_dataset

LGE = get_domain("lge")


@pytest.mark.parametrize(("values", "samples"), [(128 * 128, 256), (240 * 240 * 155, 1), (10**9, 1), (512 * 512, 64)])
def test_samples_in_64_mib(values: int, samples: int) -> None:
    assert samples_in_block(values) == samples


def test_parts_of_slices_are_what_they_were_and_those_of_volumes_are_small() -> None:
    assert cut(640, 8, 8, samples_in_block(128 * 128)) == cut(640, 8, 8)
    assert {len(part) for part in cut(640, 1, 1, samples_in_block(240 * 240 * 155))} == {1}


def results(folder: Path) -> tuple[list[float], bool, str]:
    """What a small file holds after measuring, whether it is sound, and the digest of its masks as given maps."""
    masks = np.random.default_rng(0).integers(0, 4, (9, 16, 16)).astype(np.uint8)
    path, spec = folder / "a.h5", DatasetSpec(LGE, (16, 16), (1.0, 1.0), checksums=True)
    with create_dataset(path, spec) as writer:
        writer.append(images=masks[:, None] / 4, masks=masks, sample_index=np.arange(9))
        writer.segmentation("mine").append(masks=masks[::-1])
    measure_dataset(path)
    with open_dataset(path) as dataset:
        sound, found = not check_samples(dataset, range(9)), dataset.segmentation("mine")
        values = [*dataset.mask_attributes.ravel(), *found.attributes.ravel(), *found.scores.ravel()]
    given = mask_requests(ArrayMasks(masks), Canvas(LGE, (16, 16), (1.0, 1.0)), "")
    return np.nan_to_num(values).tolist(), sound, given.sha256


def test_no_result_depends_on_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    expected = results(tmp_path)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert results(tmp_path / "one") == expected and expected[1]
