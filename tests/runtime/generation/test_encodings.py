"""Encodings of samples that show the same condition: the same bits, with less work."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.generation.encodings import Encodings
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.repeats import repeated
from cldm_runtime.requests.sources import mask_requests

ROOT = Path(__file__).parents[3]


def squares(count: int) -> np.ndarray:
    masks = np.zeros((count, 128, 128), dtype=np.uint8)
    for number, mask in enumerate(masks):
        mask[32:64, 32 : 40 + number] = 3
    return masks


def test_known_rows_are_taken_from_the_batch_before() -> None:
    known, runs = Encodings(), []

    def encode() -> dict[str, np.ndarray]:
        runs.append(1)
        return {"latent": np.arange(2.0)}

    for keys, latent, count in (("ab", [0, 1], 1), ("ba", [1, 0], 1), ("bb", [1, 1], 1), ("ac", [0, 1], 2)):
        found = known.of([key.encode() for key in keys], encode)
        assert found["latent"].tolist() == latent and len(runs) == count


def test_a_condition_is_encoded_once_for_all_its_batches(tiny_generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = Generator.load(tiny_generator), []
    source = repeated(mask_requests(ArrayMasks(squares(2)), model.canvas, "masks"), 8)
    whole = model._pipeline.encode
    monkeypatch.setattr(model._pipeline, "encode", lambda sources: (runs.append(1), whole(sources))[1])
    batches = list(model.batches(source, range(16), 5, model.settings()))  # batches of 4
    assert len(runs) == 2
    alone = [model.batch([source.request(5, i) for i in range(start, start + 4)], 5, model.settings())
             for start in (0, 4, 8, 12)]
    assert all(np.array_equal(one.images, other.images) for one, other in zip(batches, alone, strict=True))


def test_where_a_map_stands_in_a_batch_does_not_change_its_encoding() -> None:
    """With a trained encoder: what a sample of a later batch gets is what it would have got."""
    model = Generator.load(ROOT / "exported" / "lge", threads=1)
    one_hot = model.domain.labels.one_hot(squares(4))
    forward = model._pipeline.encode({"one_hot": one_hot})["mask_latent"]
    assert np.array_equal(forward[::-1], model._pipeline.encode({"one_hot": one_hot[::-1]})["mask_latent"])
