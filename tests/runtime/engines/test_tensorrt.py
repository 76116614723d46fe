"""TensorRT up to the call, with stand-ins for the package and the GPU: plans, profiles, cache keys, the self-test."""

import ctypes
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import GraphSpec, TensorSpec
from cldm_runtime.bundle.reference import ReferenceCase
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.engines import open as opening
from cldm_runtime.engines import tensorrt, tensorrt_build
from cldm_runtime.engines.tensorrt import TensorRtEngine
from cldm_runtime.engines.tensorrt_build import EnginePlan, build_engine, profile, read_engine, write_engine
from cldm_runtime.errors import BundleError, ProviderError
from cldm_runtime.files.user_cache import private_folder

torch = pytest.importorskip("torch")
A, B, SUM = (TensorSpec(name, "float32", ("N", 2), "a number") for name in ("a", "b", "sum"))
ADDER = GraphSpec("adder.onnx", hashlib.sha256(b"model").hexdigest(), "fp32", (A, B), (SUM,))
CASE = ReferenceCase({"a": np.ones((1, 2), np.float32), "b": np.full((1, 2), 2, np.float32)},
            {"sum": np.full((1, 2), 3, np.float32)})
PLAN = EnginePlan(ADDER.sha256, profile(ADDER, 4), "11.0", "a GPU", (9, 0))


class Trt:
    """What of TensorRT's Python API is called, recorded. An engine's bytes say by what its sums are multiplied: an
    engine of "0" is black."""

    __version__ = "11.0"
    BuilderFlag = SimpleNamespace(TF32="TF32")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)

    def __init__(self) -> None:
        self.built, self.parses, self.calls = b"1", True, list[Any]()

    class Logger:
        ERROR = 1

        def __init__(self, level: int) -> None: ...

    def Builder(self, logger: Any) -> Any:
        def build(network: Any, config: Any) -> bytes | None:
            self.calls.append("build")
            return self.built

        timings = SimpleNamespace(serialize=lambda: b"timings")
        config = SimpleNamespace(clear_flag=lambda flag: self.calls.append(("cleared", flag)),
                                 add_optimization_profile=lambda profile: None, get_timing_cache=lambda: timings,
                                 create_timing_cache=lambda data: self.calls.append(("timings", data)) or timings,
                                 set_timing_cache=lambda cache, ignore_mismatch: True)
        shapes = SimpleNamespace(set_shape=lambda *shape: self.calls.append(shape))
        network = SimpleNamespace(num_inputs=2, get_input=lambda i: SimpleNamespace(name="ab"[i]))
        return SimpleNamespace(create_network=lambda flags: self.calls.append(("flags", flags)) or network,
                               create_builder_config=lambda: config, create_optimization_profile=lambda: shapes,
                               build_serialized_network=build)

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return SimpleNamespace(parse=lambda model: self.parses, num_errors=1, get_error=lambda i: "no such operator")

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda data: Loaded(data) if data.isdigit() else None)


class Loaded:
    """An engine that adds two vectors at the addresses it is given."""

    num_io_tensors = 3

    def __init__(self, data: bytes) -> None:
        self.factor, self.engine, self.addresses = int(data), self, dict[str, int]()
        self.shape: tuple[int, ...] = ()

    def get_tensor_name(self, number: int) -> str:
        return ("a", "b", "sum")[number]

    def create_execution_context(self) -> "Loaded":
        return self

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def execute_async_v3(self, stream: int) -> bool:
        a, b, total = (np.ctypeslib.as_array(ctypes.cast(self.addresses[name], ctypes.POINTER(ctypes.c_float)),
                                             self.shape) for name in ("a", "b", "sum"))
        total[...] = self.factor * (a + b)
        return True


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Trt]:
    """TensorRT and a GPU, as far as the engine can tell; memory is the host's."""
    found = Trt()
    cuda = SimpleNamespace(current_stream=lambda: SimpleNamespace(cuda_stream=0),
                           get_device_name=lambda number: "a GPU", get_device_capability=lambda number: (9, 0))
    gpu = SimpleNamespace(cuda=cuda, float32=torch.float32, empty=lambda shape, dtype, device: torch.empty(
        shape, dtype=dtype))
    memory = SimpleNamespace(put=lambda array: torch.from_numpy(array.copy()),
                             fetch=lambda tensor: lambda: tensor.numpy())
    monkeypatch.setenv("CLDM_CACHE", str(tmp_path / "cache"))
    for module in (tensorrt, tensorrt_build):
        monkeypatch.setattr(module, "import_tensorrt", lambda: found)
        monkeypatch.setattr(module, "import_torch", lambda provider: gpu)
        monkeypatch.setattr(module, "TorchDevice", lambda torch, provider: memory)
    monkeypatch.setenv("CLDM_CUDA_GRAPHS", "0")
    yield found


def opened() -> TensorRtEngine:
    return TensorRtEngine(b"model", ADDER, CASE, {"sum": 1e-6})


def ones(batch: int) -> dict[str, np.ndarray]:
    return {name: np.ones((batch, 2), np.float32) for name in "ab"}


def test_the_profile_has_one_shape_for_every_input() -> None:
    assert profile(ADDER, 4) == {"a": (4, 2), "b": (4, 2)}


@pytest.mark.parametrize("changed", [{"graph_sha256": "0"}, {"tensorrt": "11.1"}, {"gpu": "another"}, {"tf32": True},
                                     {"compute_capability": (8, 0)}, {"shapes": profile(ADDER, 5)}])
def test_whatever_an_engine_is_made_from_is_in_its_name(changed: dict[str, Any]) -> None:
    assert EnginePlan(**{**vars(PLAN), **changed}).name != PLAN.name == EnginePlan(**vars(PLAN)).name


def test_networks_are_strongly_typed_and_tf32_is_off(trt: Trt) -> None:
    assert build_engine(b"model", ADDER, PLAN) == b"1"
    assert trt.calls == [("flags", 2), ("cleared", "TF32"), ("a", (4, 2), (4, 2), (4, 2)),
                         ("b", (4, 2), (4, 2), (4, 2)), ("timings", b""), "build"]
    build_engine(b"model", ADDER, EnginePlan(**{**vars(PLAN), "tf32": True}))
    assert trt.calls[6:7] == [("flags", 2)] and trt.calls[7] != ("cleared", "TF32")
    assert trt.calls[-2] == ("timings", b"timings")


def test_an_engine_is_built_once_for_each_batch_size(trt: Trt) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(opened().run(ones(3))["sum"], np.full((3, 2), 2, np.float32))
    assert trt.calls.count("build") == 1
    opened().run(ones(4))
    assert trt.calls.count("build") == 2


def test_a_damaged_engine_is_built_again(trt: Trt) -> None:
    opened().run(ones(3))
    (path,) = private_folder("tensorrt").glob("*.engine")
    path.write_bytes(path.read_bytes()[:-1] + b"5")
    np.testing.assert_array_equal(opened().run(ones(3))["sum"], np.full((3, 2), 2, np.float32))
    assert trt.calls.count("build") == 2


def test_an_engine_that_gives_black_images_is_refused_and_not_kept(trt: Trt) -> None:
    trt.built = b"0"
    with pytest.raises(ProviderError, match=r"off the reference by 3e\+06 times the tolerance at batch 3"):
        opened().run(ones(3))
    assert not list(private_folder("tensorrt").glob("*.engine"))


def test_a_kept_engine_that_has_become_wrong_is_built_again(trt: Trt) -> None:
    opened().run(ones(3))
    (path,) = private_folder("tensorrt").glob("*.engine")
    path.write_bytes(hashlib.sha256(b"0").digest() + b"0")
    np.testing.assert_array_equal(opened().run(ones(3))["sum"], np.full((3, 2), 2, np.float32))


def test_a_graph_that_tensorrt_does_not_take(trt: Trt) -> None:
    trt.parses = False
    with pytest.raises(BundleError, match=r"adder\.onnx is not taken by TensorRT 11\.0: no such operator"):
        opened().run(ones(1))


def test_a_build_that_fails(trt: Trt) -> None:
    trt.built = None
    with pytest.raises(ProviderError, match=r"could not build an engine on a GPU\. Pass --provider cuda"):
        opened().run(ones(1))


def test_engines_are_kept_for_their_own_plan(trt: Trt) -> None:
    write_engine(PLAN, b"1")
    assert read_engine(PLAN) == b"1"
    assert read_engine(EnginePlan(**{**vars(PLAN), "gpu": "another"})) is None
    assert not list(private_folder("tensorrt").glob("*.partial"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners on this system")
def test_a_folder_that_others_may_write_to_is_refused(trt: Trt) -> None:
    private_folder("tensorrt").chmod(0o777)
    with pytest.raises(ProviderError, match="others own it or may write to it"):
        opened().run(ones(1))


def test_without_tensorrt_the_pip_line_is_told() -> None:
    if tensorrt_build.missing() is None:
        pytest.skip("TensorRT and a GPU are here")
    with pytest.raises(ProviderError, match="provider tensorrt was requested, but"):
        opened()


def test_the_command_builds_every_graph_at_every_batch_size(trt: Trt, tiny_segmenter: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = list[tuple[str, int]]()
    monkeypatch.setattr(opening, "open_graph", lambda bundle, role, provider, precision: SimpleNamespace(
        prepare=lambda batch: prepared.append((role, batch))))
    sizes = ("--batch-size", "2", "--batch-size", "3")
    result = CliRunner().invoke(cldm, ["engine", "build", str(tiny_segmenter), *sizes])
    assert result.exit_code == 0 and prepared == [(role, batch) for role in Bundle.load(tiny_segmenter).manifest.graphs
                                                  for batch in (2, 3)]
    assert ": segmenter, batch 2, TensorRT 11.0 on a GPU: is built" in result.stderr


def test_the_command_without_tensorrt_says_what_to_install(tiny_segmenter: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    if tensorrt_build.missing() is None:
        pytest.skip("TensorRT and a GPU are here")
    assert run(cldm, ["engine", "build", str(tiny_segmenter)]) == 5
    assert "provider tensorrt was requested, but" in capsys.readouterr().err
