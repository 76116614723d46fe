"""A phantom of the lge domain that is drawn in no time: three slices of rings with a lesion, whose lesion varies in
brightness from repeat to repeat by a known deviation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.phantom_rules import DrawnVolume, PhantomRules
from cldm_runtime.domains.registry import DOMAINS, get_domain
from onnx_fixtures import GREYS

SLICES, SIZE = 3, 72
LESION_SD, NOISE_SD = 0.05, 0.01


def draw_rings(seed: int, patient: int, subset: str) -> DrawnVolume:
    random = np.random.default_rng([seed, patient, len(subset)])
    return DrawnVolume(paint(random, range(SLICES)), rings(), (8.0, 1.5, 1.5))


def rerender_rings(seed: int, patient: int, subset: str, repeat: int, slices: Sequence[int]) -> np.ndarray:
    return paint(np.random.default_rng([seed, patient, len(subset), repeat + 1]), slices)


def rings() -> np.ndarray:
    """(Z, H, W) labels: a cavity, a wall of 9 mm, a lesion in its right part."""
    rows, columns = np.indices((SIZE, SIZE)) - SIZE // 2
    radius = np.hypot(rows, columns)
    labels = np.zeros((SLICES, SIZE, SIZE), np.uint8)
    for z in range(SLICES):
        labels[z][radius < 16 + z] = 2
        labels[z][(radius < 16 + z) & (columns > np.abs(rows))] = 3
        labels[z][radius < 10 + z] = 1
    return labels


def paint(random: np.random.Generator, slices: Sequence[int]) -> np.ndarray:
    """Every label in its grey, the lesion darker than white by a random amount; black and white corners set the
    percentiles, so that a grey is the same before and after `prepare`."""
    labels = rings()[list(slices)]
    images = GREYS[labels] + NOISE_SD * random.standard_normal(labels.shape)
    images[labels == 3] += -0.2 + LESION_SD * random.standard_normal()
    images[:, :, :8], images[:, :, -8:] = 0.0, 1.0
    return images.astype(np.float32)


def lge_with_rings(*, rerender: bool = True) -> Domain:
    lge = get_domain("lge")
    rules = PhantomRules(draw_rings, {"train": 4, "val": 2, "test": 4, "d8": 2}, ("test", "d8"), "Rings", "Rings.",
                         ("LGE",), rerender_rings if rerender else None)
    return replace(lge, phantoms={"rings": rules})


def use_rings(monkeypatch: pytest.MonkeyPatch, *, rerender: bool = True) -> None:
    """The domain lge draws rings."""
    domain = lge_with_rings(rerender=rerender)
    monkeypatch.setitem(DOMAINS, "lge", lambda: domain)
