"""Contradictions inside a manifest whose types are right."""

import math
from dataclasses import replace

import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.checks import consistency_faults
from cldm_runtime.bundle.manifest import DistilledSpec


@pytest.fixture
def manifest(tiny_generator):
    return Bundle.load(tiny_generator).manifest


@pytest.fixture
def guided(tiny_guided):
    return Bundle.load(tiny_guided).manifest


def test_a_sound_manifest_has_no_fault(manifest, guided):
    assert consistency_faults(manifest) == consistency_faults(guided) == []


def test_missing_graph_and_section(manifest):
    faults = consistency_faults(replace(manifest, graphs={}, latent=None))
    assert any(fault.startswith("graphs.denoiser: missing") for fault in faults)
    assert any(fault.startswith("latent: missing") for fault in faults)


def test_a_schedule_must_fall(manifest):
    rising = replace(manifest.schedule, alphas_cumprod=tuple(reversed(manifest.schedule.alphas_cumprod)))
    assert any("fall strictly" in fault for fault in consistency_faults(replace(manifest, schedule=rising)))


def test_a_distilled_bundle_has_its_guidance_inside(guided):
    told = DistilledSpec("teacher 1.0", "0" * 64, 2.0)
    assert any(fault.startswith("distilled:") for fault in consistency_faults(replace(guided, distilled=told)))


def test_an_input_that_nothing_feeds(manifest):
    assert any("no condition feeds it" in fault for fault in consistency_faults(replace(manifest, conditions=())))


def test_an_empty_value_range(manifest):
    image = replace(manifest.image, value_range=(1.0, 1.0))
    assert any("value_range" in fault for fault in consistency_faults(replace(manifest, image=image)))


def test_more_steps_than_were_trained(manifest):
    sampling = replace(manifest.sampling, steps=manifest.schedule.train_timesteps + 1)
    assert any(fault.startswith("sampling.steps") for fault in consistency_faults(replace(manifest, sampling=sampling)))


@pytest.mark.parametrize(("null", "fault"), [
    ((0.0,) * 3, "conditions.mask.null: 3 values, expected one for each channel of mask_latent, which has 16."),
    ((0.0,) * 17, "conditions.mask.null: 17 values, expected one for each channel of mask_latent, which has 16."),
    ((math.nan,) * 16, "conditions.mask.null: expected finite numbers."),
    (None, "sampling.guidance = 2: needs a null in every condition."),
])
def test_a_null_fits_what_the_condition_feeds(guided, null, fault):
    condition = replace(guided.conditions[0], null=null)
    assert consistency_faults(replace(guided, conditions=(condition,))) == [fault]


@pytest.mark.parametrize(("change", "fault"), [
    ({"guidance": -1.0}, "sampling.guidance = -1: expected a finite number"),
    ({"guidance": math.inf}, "sampling.guidance = inf: expected a finite number"),
    ({"guidance_interval": (0.5, 0.5)}, "sampling.guidance_interval = 0.5 to 0.5: expected 0 <= low < high <= 1"),
    ({"guidance_interval": (0.0, 1.5)}, "sampling.guidance_interval = 0 to 1.5: expected"),
])
def test_guidance_is_within_its_bounds(guided, change, fault):
    faults = consistency_faults(replace(guided, sampling=replace(guided.sampling, **change)))
    assert len(faults) == 1 and faults[0].startswith(fault)
