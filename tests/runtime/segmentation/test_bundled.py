"""What segmenters by a bundle say of themselves, and which segmentations they use again."""

from types import SimpleNamespace
from typing import Any

import pytest

from cldm_runtime.engines.choose import Choice
from cldm_runtime.segmentation.bundled import BundledSegmenter


class SomeSegmenter(BundledSegmenter):
    FREE = ("seed",)

    def __init__(self, choice: Choice, seed: int = 0) -> None:
        self.bundle: Any = SimpleNamespace(path="some/where", manifest_sha256="ab", manifest=SimpleNamespace(
            name="some", bundle_version="1", nature="phantom"))
        self.choice, self.seed = choice, seed

    def settings_used(self, mirror: bool | None) -> dict[str, str | int | float]:
        return {"mirror": int(bool(mirror)), "seed": self.seed}


CPU, AUTO_CPU = Choice("cpu", "cpu", "fp32"), Choice("auto", "cpu", "fp32")


def test_a_segmentation_is_used_again_where_all_but_free_settings_agree() -> None:
    stored = SomeSegmenter(CPU).source()
    assert stored == {"bundle": "some", "bundle_version": "1", "manifest_sha256": "ab", "provider": "cpu",
                      "precision": "fp32", "mirror": 0, "seed": 0, "nature": "phantom"}
    assert SomeSegmenter(CPU, seed=7).made(stored)
    assert not SomeSegmenter(CPU).made(stored, mirror=True)


@pytest.mark.parametrize(("choice", "used_again"), [(CPU, False), (AUTO_CPU, True)])
def test_only_auto_takes_what_another_provider_made(choice: Choice, used_again: bool) -> None:
    assert SomeSegmenter(choice).made({**SomeSegmenter(CPU).source(), "provider": "openvino"}) is used_again


def test_files_that_state_no_precision_are_of_single_precision() -> None:
    stored = SomeSegmenter(CPU).source()
    del stored["precision"]
    assert SomeSegmenter(CPU).made(stored)
    assert not SomeSegmenter(Choice("openvino", "openvino", "bf16")).made(stored)


def test_where_it_runs_and_lies() -> None:
    some = SomeSegmenter(CPU)
    assert (some.name, some.origin, some.on_gpu) == ("some", "the bundle some/where", False)
    assert SomeSegmenter(Choice("cuda", "cuda", "fp32")).on_gpu
