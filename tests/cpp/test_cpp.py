"""The C++ program beside the Python runtime: the same noise bit for bit, the same images, and errors as clear."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.diffusion.schedule import SPACINGS
from cldm_runtime.generation.generator import Generator
from cldm_runtime.noise import Purpose, Stream
from cpp_program import BUNDLE, ROOT, SEGMENTER, TEACHER, copied, cpp, needs_program

pytestmark = needs_program


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    drawn = Generator.load(BUNDLE).sample({"infarct_size": [0.1, 0.2, 0.3]}, seed=1)[1]
    assert drawn is not None
    return drawn


@pytest.mark.parametrize(("seed", "index", "purpose", "step"), [
    (0, 0, Purpose.INITIAL, 0), (7, 99_999, Purpose.STEP, 24), (2**64 - 1, 2**63, Purpose.TEXTURE, 1)])
def test_noise_is_that_of_python_bit_for_bit(tmp_path: Path, seed: int, index: int, purpose: Purpose,
                                             step: int) -> None:
    done = cpp("noise", seed, index, int(purpose), step, 4099, "--out", tmp_path / "noise.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "noise.npy").view(np.uint32),
                                  Stream(seed, index, purpose, step).normals((4099,)).view(np.uint32))


@pytest.mark.parametrize("name", ["lge", "lge-teacher", "lge-controlnet", "lge-attributes", "lge-segmenter",
                                  "organs-segguided", "organs-segmenter"])
def test_the_reference_is_reproduced(name: str) -> None:
    done = cpp("verify", ROOT / "exported" / name, "--threads", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout and done.stdout.count(": ok") >= 2


def test_images_are_those_of_python(tmp_path: Path, masks: np.ndarray) -> None:
    np.save(tmp_path / "masks.npy", masks)
    done = cpp("generate", BUNDLE, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "images.npy", "--seed", 5)
    assert done.returncode == 0, done.stderr
    expected, _ = Generator.load(BUNDLE).sample(masks=masks, seed=5)
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), expected, atol=1e-4)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++2m", "unipc"])
def test_samplers_and_guidance_are_those_of_python(tmp_path: Path, masks: np.ndarray, sampler: str) -> None:
    np.save(tmp_path / "masks.npy", masks[:1])
    done = cpp("generate", TEACHER, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "images.npy",
               "--sampler", sampler, "--steps", 3)
    assert done.returncode == 0, done.stderr
    expected, _ = Generator.load(TEACHER).sample(masks=masks[:1], sampler=sampler, steps=3)
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), expected, atol=1e-3)


@pytest.mark.parametrize("spacing", sorted(SPACINGS))
def test_spacings_are_those_of_python(tmp_path: Path, masks: np.ndarray, spacing: str) -> None:
    np.save(tmp_path / "masks.npy", masks[:1])
    done = cpp("generate", TEACHER, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "images.npy",
               "--spacing", spacing, "--steps", 3, "--guidance", 1)
    assert done.returncode == 0, done.stderr
    expected, _ = Generator.load(TEACHER).sample(masks=masks[:1], spacing=spacing, steps=3, guidance=1.0)
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), expected, atol=1e-3)


def test_images_lie_in_the_value_range(tmp_path: Path, masks: np.ndarray) -> None:
    np.save(tmp_path / "masks.npy", masks)
    assert cpp("generate", BUNDLE, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "i.npy").returncode == 0
    images = np.load(tmp_path / "i.npy")
    assert images.min() >= 0.0 and images.max() <= 1.0


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (["verify"], 2, "BUNDLE is missing"),
    (["verify", "nowhere"], 3, "missing or no regular file"),
    (["verify", BUNDLE, "--provider", "nonsense"], 2, "provider nonsense is unknown"),
    (["verify", BUNDLE, "--provider", "cuda"], 5, "pip install onnxruntime-gpu"),
    (["verify", BUNDLE, "--provider", "tensorrt"], 5, "-DCLDM_TENSORRT=ON"),
    (["generate", BUNDLE, "--masks", "none.npy", "--out", "x.npy"], 2, "cannot be read"),
    (["generate", BUNDLE, "--masks", __file__, "--out", "x.npy"], 2, "is not a .npy file"),
    (["generate", BUNDLE, "--out", "x.npy"], 2, "--masks is missing"),
    (["generate", SEGMENTER, "--masks", "m.npy", "--out", "x.npy"], 3, "expected a generator"),
    (["segment", BUNDLE, "--images", "none.npy", "--out", "x.npy"], 3, "expected a segmenter"),
    (["bench", BUNDLE, "--steps", "4"], 2, "serves no others"),
    (["bench", TEACHER, "--sampler", "euler"], 2, "sampler euler is unknown"),
    (["bench", BUNDLE, "--batch", "0"], 2, "expected whole numbers"),
    (["bench", BUNDLE, "--provider", "cuda"], 5, "CPUExecutionProvider"),
    (["bench", BUNDLE, "--nonsense", "1"], 2, "is unknown"),
])
def test_bad_input_is_one_clear_message(arguments: list[object], status: int, message: str) -> None:
    done = cpp(*arguments)
    assert done.returncode == status and message in done.stderr and done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    graph = copied(BUNDLE, tmp_path) / "decoder.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    done = cpp("verify", tmp_path)
    assert done.returncode == 3 and "altered or damaged" in done.stderr


def test_a_reference_that_is_not_met_is_status_3(tmp_path: Path) -> None:
    manifest = copied(BUNDLE, tmp_path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"decoder/image": 0.0005', '"decoder/image": 1e-12'))
    done = cpp("verify", tmp_path)
    assert done.returncode == 3 and "decoder/image differ from the reference" in done.stderr
    assert done.stdout.count("FAILED") == 1


def edit(manifest: Path, keys: tuple[str | int, ...], value: object) -> None:
    """Set the value at the end of a path of keys."""
    text = json.loads(manifest.read_text())
    section = text
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    manifest.write_text(json.dumps(text))


@pytest.mark.parametrize(("bundle", "keys", "value"), [
    (BUNDLE, ("image", "shape"), [128]),
    (BUNDLE, ("image", "spacing_mm"), [4.0, 8.0, 1.5, 1.5]),
    (BUNDLE, ("kind",), "captioner"),
    (BUNDLE, ("output",), "label_map"),
    (BUNDLE, ("conditions", 0, "kind"), "text"),
    (BUNDLE, ("conditions", 0, "source"), "captions"),
    (BUNDLE, ("conditions", 0, "source"), "masks and paintings"),
    (SEGMENTER, ("segmenter", "kind"), "nnunet-3d"),
    (SEGMENTER, ("segmenter", "patch_size"), [16, 64, 64]),
])
def test_what_the_program_does_not_serve_is_refused_by_name(tmp_path: Path, bundle: Path, keys: tuple[str | int, ...],
                                                            value: object) -> None:
    edit(copied(bundle, tmp_path) / "manifest.json", keys, value)
    done = cpp("verify", tmp_path)
    name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    assert done.returncode == 3 and f"{name}: found" in done.stderr and "Use the Python runtime" in done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("key", "value"), [("shape", [16, 128, 128]), ("spacing_mm", [8.0, 1.5, 1.5])])
def test_a_spacing_of_other_axes_than_the_shape_is_refused(tmp_path: Path, key: str, value: object) -> None:
    edit(copied(BUNDLE, tmp_path) / "manifest.json", ("image", key), value)
    done = cpp("verify", tmp_path)
    assert done.returncode == 3 and "image.spacing_mm: found" in done.stderr and "image.shape" in done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1


def test_newer_optional_keys_are_accepted(tmp_path: Path) -> None:
    manifest = copied(SEGMENTER, tmp_path) / "manifest.json"
    for key, value in {"nature": "phantom", "declared_domain": None, "output": "image"}.items():
        edit(manifest, (key,), value)
    assert cpp("verify", tmp_path, "--threads", 2).returncode == 0
