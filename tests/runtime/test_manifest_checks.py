"""Contradictions inside a manifest whose types are right."""

from dataclasses import replace

import pytest

from cldm_runtime.bundle import Bundle
from cldm_runtime.manifest_checks import consistency_faults


@pytest.fixture
def manifest(tiny_generator):
    return Bundle.load(tiny_generator).manifest


def test_a_sound_manifest_has_no_fault(manifest):
    assert consistency_faults(manifest) == []


def test_missing_graph_and_section(manifest):
    faults = consistency_faults(replace(manifest, graphs={}, latent=None))
    assert any(fault.startswith("graphs.denoiser: missing") for fault in faults)
    assert any(fault.startswith("latent: missing") for fault in faults)


def test_a_schedule_must_fall(manifest):
    rising = replace(manifest.schedule, alphas_cumprod=tuple(reversed(manifest.schedule.alphas_cumprod)))
    assert any("fall strictly" in fault for fault in consistency_faults(replace(manifest, schedule=rising)))


def test_an_input_that_nothing_feeds(manifest):
    assert any("no condition feeds it" in fault for fault in consistency_faults(replace(manifest, conditions=())))


def test_an_empty_value_range(manifest):
    image = replace(manifest.image, value_range=(1.0, 1.0))
    assert any("value_range" in fault for fault in consistency_faults(replace(manifest, image=image)))


def test_more_steps_than_were_trained(manifest):
    sampling = replace(manifest.sampling, steps=manifest.schedule.train_timesteps + 1)
    assert any(fault.startswith("sampling.steps") for fault in consistency_faults(replace(manifest, sampling=sampling)))
