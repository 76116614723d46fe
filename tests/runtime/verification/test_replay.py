"""Replaying a bundle's reference."""

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.reference import Reference, ReferenceCase, write_reference
from cldm_runtime.errors import BundleError
from cldm_runtime.verification.replay import check_output, verify_bundle


def with_reference(bundle, arrays):
    """The bundle with other reference arrays, in memory."""
    class Altered(Bundle):
        def reference(self):
            return arrays

    return Altered(bundle.path, bundle.manifest, bundle.manifest_text)


def altered(bundle, arrays):
    return with_reference(bundle, {**bundle.reference(), **arrays})


def test_a_sound_generator_passes_every_check(tiny_generator):
    checks = verify_bundle(Bundle.load(tiny_generator))
    assert [check.name for check in checks] == [
        "denoiser/prediction", "mask_encoder/mask_latent", "decoder/image", "loop/in/x", "loop/in/texture_noise",
        "loop/latent", "loop/image"]
    assert all(check.passed for check in checks)


def test_the_loop_is_replayed_with_the_bundles_guidance(tiny_guided, tiny_generator):
    bundle, plain = Bundle.load(tiny_guided), Bundle.load(tiny_generator)
    assert all(check.passed for check in verify_bundle(bundle))
    unguided = {"loop/out/latent": plain.reference()["loop/out/latent"]}
    assert [check.name for check in verify_bundle(altered(bundle, unguided)) if not check.passed] == ["loop/latent"]


def test_the_noise_must_agree_bit_for_bit(tiny_generator):
    checks = {check.name: check for check in verify_bundle(Bundle.load(tiny_generator))}
    assert (checks["loop/in/x"].max_abs, checks["loop/in/x"].tolerance) == (0.0, 0.0)


def test_a_sound_segmenter_passes(tiny_segmenter):
    checks = verify_bundle(Bundle.load(tiny_segmenter))
    assert [check.name for check in checks] == ["segmenter/logits", "features/features"]
    assert all(check.passed for check in checks)


def test_an_output_that_is_off_fails_its_own_check(tiny_segmenter):
    bundle = Bundle.load(tiny_segmenter)
    off = bundle.reference()["features/out/features"] + np.float32(0.5)
    checks = verify_bundle(altered(bundle, {"features/out/features": off}))
    assert [check.passed for check in checks] == [True, False]
    assert checks[1].max_abs == pytest.approx(0.5, abs=1e-4)


def test_other_noise_fails(tiny_generator):
    bundle = Bundle.load(tiny_generator)
    x = bundle.reference()["loop/in/x"].copy()
    x[0, 0, 0, 0] += 1e-6
    failed = [check.name for check in verify_bundle(altered(bundle, {"loop/in/x": x})) if not check.passed]
    assert failed == ["loop/in/x"]


def test_a_reference_without_output_or_loop_is_incomplete(tiny_generator):
    bundle = Bundle.load(tiny_generator)
    kept = {key: array for key, array in bundle.reference().items() if not key.startswith("loop")}
    del kept["decoder/out/image"]
    with pytest.raises(BundleError) as caught:
        verify_bundle(with_reference(bundle, kept))
    assert "decoder/out/image is missing" in str(caught.value)
    assert "the sampling loop has no reference" in str(caught.value)


def test_unknown_keys_are_listed():
    with pytest.raises(BundleError, match="decoder/image") as caught:
        Reference.from_arrays({"decoder/image": np.zeros(1), "loop/steps": np.array("a")})
    assert "loop/steps" in str(caught.value)


def test_the_file_gives_back_what_was_written_and_is_the_same_each_time(tmp_path):
    case = ReferenceCase({"x": np.arange(3.0)}, {"y": np.ones(2, np.float32)})
    reference = Reference({"decoder": case}, loop=case, loop_steps=5)
    arrays = reference.to_arrays()
    assert write_reference(tmp_path / "a.npz", arrays) == write_reference(tmp_path / "b.npz", arrays)
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays) == ["decoder/in/x", "decoder/out/y", "loop/in/x", "loop/out/y", "loop/steps"]
        assert Reference.from_arrays(dict(arrays)).loop_steps == 5


def test_images_have_their_psnr(tiny_generator):
    checks = {check.name: check for check in verify_bundle(Bundle.load(tiny_generator))}
    assert checks["loop/image"].psnr_db > 100 and checks["loop/latent"].psnr_db is None


def test_a_lower_precision_may_be_off_by_32_of_its_roundings(tiny_generator):
    manifest, expected = Bundle.load(tiny_generator).manifest, np.array([0.5, -2.0])
    found = expected + np.array([0.0, 0.2])
    checks = {precision: check_output(manifest, "loop/latent", found, expected, precision)
              for precision in ("fp32", "bf16", "fp16")}
    assert [check.tolerance for check in checks.values()] == [1e-5, 0.25, 0.03125]  # 32 x 2 / 2**8, 32 x 2 / 2**11
    assert [check.passed for check in checks.values()] == [False, True, False]
