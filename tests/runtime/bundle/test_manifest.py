"""Reading and checking manifest.json."""

import json
from dataclasses import replace

import pytest

from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.errors import BundleError


@pytest.fixture
def value(tiny_generator):
    """The manifest of the tiny generator as JSON values, free to be spoilt."""
    return json.loads((tiny_generator / "manifest.json").read_text())


def faults_of(value):
    with pytest.raises(BundleError) as caught:
        read_manifest(json.dumps(value))
    return str(caught.value)


def test_a_manifest_survives_the_round_trip(tiny_generator, tiny_segmenter):
    for folder in (tiny_generator, tiny_segmenter):
        text = (folder / "manifest.json").read_text()
        manifest = read_manifest(text)
        assert read_manifest(manifest.to_json()) == manifest
        assert manifest.to_json() == text


def test_numbers_keep_full_precision(tiny_generator):
    manifest = read_manifest((tiny_generator / "manifest.json").read_text())
    third = replace(manifest.schedule, alphas_cumprod=(1 / 3, 0.1), train_timesteps=2)
    changed = replace(manifest, schedule=third, sampling=replace(manifest.sampling, steps=2))
    assert read_manifest(changed.to_json()).schedule.alphas_cumprod == (1 / 3, 0.1)


def test_a_manifest_from_before_guidance_has_none(value):
    del value["sampling"]["guidance"], value["sampling"]["guidance_interval"]
    manifest = read_manifest(json.dumps(value))
    assert (manifest.sampling.guidance, manifest.sampling.guidance_interval) == (1.0, (0.0, 1.0))
    assert manifest.conditions[0].null is None and not manifest.can_guide


def test_the_format_comes_first(tiny_generator):
    lines = (tiny_generator / "manifest.json").read_text().splitlines()
    assert lines[:3] == ["{", ' "format": "cldm-bundle",', ' "format_version": 1,']


def test_all_faults_are_reported_at_once(value):
    del value["licence"]
    value["image"]["shape"] = [128, "wide"]
    value["latent"]["std"] = 3
    value["colour"] = "red"
    value["kind"] = "classifier"
    message = faults_of(value)
    for fault in ("licence: missing", "image.shape[1]: found 'wide', expected an integer", "latent.std: found 3",
                  "colour: unknown key", "kind: found 'classifier', expected one of: generator, segmenter"):
        assert fault in message


def test_all_contradictions_are_reported_at_once(value):
    value["image"]["spacing_mm"] = [1.0]
    value["schedule"]["alphas_cumprod"].reverse()
    value["sampling"]["steps"] = 101
    value["conditions"][0]["feeds"] = "other"
    value["graphs"]["decoder"]["file"] = "../decoder.onnx"
    value["labels"]["regions"]["scar"] = [9]
    message = faults_of(value)
    for fault in ("image.spacing_mm", "alphas_cumprod: expected numbers that fall",
                  "sampling.steps: 101 is outside 1..100", "mask_encoder has no output other",
                  "'../decoder.onnx': expected a plain file name",
                  "labels.regions.scar"):
        assert fault in message


def test_a_newer_format_is_refused_before_anything_else(value):
    message = faults_of({"format": "cldm-bundle", "format_version": 2, "unheard": "of"})
    assert "format_version 2 is newer" in message
    assert "reads (1)" in message
    assert "pip install --upgrade cldm-runtime" in message


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_a_version_that_is_none_is_refused(value, version):
    assert "format_version is" in faults_of({**value, "format_version": version})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "other"}', "[" * 100_000, '{"a": 1, "a": 2}',
                                  '{"format": "cldm-bundle", "format_version": NaN}'])
def test_text_that_is_no_manifest_is_refused(text):
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_manifest(text)


@pytest.mark.parametrize("role", ["denoiser", "decoder", "mask_encoder"])
def test_a_generator_needs_its_graphs(value, role):
    del value["graphs"][role]
    assert role in faults_of(value)


@pytest.mark.parametrize("section", ["latent", "schedule", "sampling"])
def test_a_generator_needs_its_sections(value, section):
    del value[section]
    assert f"{section}: missing; a generator needs it" in faults_of(value)


def test_a_denoiser_input_that_nothing_feeds_is_refused(value):
    value["conditions"] = []
    assert "graphs.denoiser.inputs.mask_latent: no condition feeds it" in faults_of(value)


def test_a_graph_needs_the_tensors_of_its_role(value):
    value["graphs"]["decoder"]["outputs"][0]["name"] = "picture"
    assert "graphs.decoder.outputs: image is missing" in faults_of(value)


def test_epsilon_cannot_be_predicted_from_pure_noise(value):
    value["schedule"]["prediction_type"] = "epsilon"
    value["schedule"]["alphas_cumprod"][-1] = 0.0
    assert "Use v, sample or flow" in faults_of(value)


@pytest.mark.parametrize("kind", ["v", "sample", "flow"])
def test_a_schedule_may_end_in_pure_noise(value, kind):
    value["schedule"]["prediction_type"] = kind
    value["schedule"]["alphas_cumprod"][-1] = 0.0
    value["sampling"]["spacing"] = "log-snr"
    assert read_manifest(json.dumps(value)).schedule.alphas_cumprod[-1] == 0.0


def test_hashes_must_be_hashes(value):
    value["graphs"]["decoder"]["sha256"] = "ABC"
    assert "64 lower-case hexadecimal digits" in faults_of(value)


def test_a_number_that_is_not_finite_is_refused(value):
    text = json.dumps(value).replace('"eta": 0.0', '"eta": 1e999')
    with pytest.raises(BundleError, match=r"sampling\.eta: found inf, expected a finite number"):
        read_manifest(text)


def test_files_lists_every_file_once(tiny_generator):
    manifest = read_manifest((tiny_generator / "manifest.json").read_text())
    assert sorted(manifest.files()) == ["decoder.onnx", "denoiser.onnx", "mask_encoder.onnx", "reference.npz"]


def test_the_nature_is_kept_and_no_other_word_is_taken(value):
    manifest = read_manifest(json.dumps(value | {"nature": "phantom"}))
    assert manifest.nature == json.loads(manifest.to_json())["nature"] == "phantom"
    assert read_manifest(json.dumps(value)).nature is None
    assert "nature: found 'real', expected one of: phantom, patients." in faults_of(value | {"nature": "real"})
