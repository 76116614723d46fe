"""The C++ program beside the Python runtime: the same noise bit for bit, the same images, and errors as clear."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.generator import Generator
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.schedule import SPACINGS

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "cpp_bench" / "build" / "cldm-cpp"
BUNDLE = ROOT / "exported" / "lge"
TEACHER = ROOT / "exported" / "lge-teacher"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM.relative_to(ROOT)} is not built: make cpp")


def cpp(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False)


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


@pytest.mark.parametrize("name", ["lge", "lge-teacher", "lge-controlnet", "lge-attributes", "lge-segmenter"])
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


def test_a_row_of_the_benchmark(tmp_path: Path) -> None:
    done = cpp("bench", BUNDLE, "--batch", 2, "--rounds", 2)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["images_per_second"] > 0 and len(row["seconds_per_image"]) == 2 and row["batch_size"] == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["verify"], "BUNDLE is missing"),
    (["verify", "nowhere"], "cannot be read"),
    (["generate", BUNDLE, "--masks", "none.npy", "--out", "x.npy"], "cannot be read"),
    (["generate", BUNDLE, "--masks", __file__, "--out", "x.npy"], "is not a .npy file"),
    (["generate", BUNDLE, "--out", "x.npy"], "--masks is missing"),
    (["bench", BUNDLE, "--steps", "4"], "serves no others"),
    (["bench", BUNDLE, "--batch", "0"], "expected a whole number"),
    (["bench", BUNDLE, "--provider", "cuda"], "is not built in"),
    (["bench", BUNDLE, "--nonsense", "1"], "is unknown"),
])
def test_bad_input_is_one_clear_message(arguments: list[object], message: str) -> None:
    done = cpp(*arguments)
    assert done.returncode == 2 and message in done.stderr and done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    for file in BUNDLE.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "decoder.onnx").write_bytes((tmp_path / "decoder.onnx").read_bytes()[:-1] + b"x")
    done = cpp("verify", tmp_path)
    assert done.returncode == 2 and "altered or damaged" in done.stderr
