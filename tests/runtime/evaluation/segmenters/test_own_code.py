"""What functions, commands and folders have in common."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.own_code import CODE
from cldm_runtime.evaluation.segmenters.own_function import OwnFunction
from cldm_runtime.store import open_dataset
from segmenter_fixtures import read_greys, write_hearts


def test_another_function_of_the_same_name_is_another_segmenter() -> None:
    mine, other = OwnFunction("mine", read_greys), OwnFunction("mine", np.zeros_like)
    assert mine.made({**mine.source(), CODE: "of yesterday"}) and not mine.made(other.source())
    assert not mine.made({}) and (mine.threads, mine.default_workers, mine.on_gpu) == (None, 1, False)


def test_labels_that_the_domain_lacks_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset, pytest.raises(InputError, match="names rv"):
        OwnFunction("mine", read_greys, labels={"1": "rv"}).check_fit(dataset)
