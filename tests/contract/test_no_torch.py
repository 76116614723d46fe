"""The runtime runs where torch and the rest of the training stack are not installed, and never reads pickles."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import cldm_runtime
from attacks import child

ROOT = Path(__file__).parents[2]
RUNTIME = Path(cldm_runtime.__file__).parent
FORBIDDEN = ("torch", "monai", "onnx", "nnunetv2", "cldm_trainer", "lightning", "lightning_fabric", "nibabel",
             "SimpleITK", "skimage", "matplotlib", "diffusers", "openvino")
SCANS = ("nibabel", "SimpleITK")  # of the extra `scans`
BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
"""


def run_blocked(code, allowed=()):
    """Run code in a Python where the forbidden packages, but for the allowed ones, cannot be imported."""
    blocked = tuple(name for name in FORBIDDEN if name not in allowed)
    return subprocess.run([sys.executable, "-c", f"BLOCKED = {blocked!r}{BLOCK}{code}"], capture_output=True, text=True,
                          timeout=120, env={"PYTHONPATH": str(RUNTIME.parent), "PATH": ""}, check=False)


def module_names():
    for path in sorted(set(RUNTIME.rglob("*.py")) - set(RUNTIME.rglob("__main__.py"))):
        parts = path.relative_to(RUNTIME.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_module_imports_without_the_training_stack():
    names = list(module_names())
    assert {"cldm_runtime.engines.torchscript", "cldm_runtime.engines.openvino"} <= set(names)
    result = run_blocked(f"import importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('imported')")
    assert result.stdout == "imported\n", result.stderr


def test_the_block_blocks():
    assert "torch is blocked" in run_blocked("import torch").stderr


def test_torchscript_without_torch_prints_the_pip_line():
    result = run_blocked("""
from cldm_runtime.engines.open import open_engine
from cldm_runtime.errors import ProviderError
from cldm_runtime.bundle.manifest import GraphSpec
try:
    open_engine(b"", GraphSpec("a", "0" * 64, "fp32", (), ()), "torchscript")
except ProviderError as error:
    print(error.exit_code, error)
""")
    assert result.stdout.startswith("5 provider torchscript was requested")
    assert "pip install 'cldm-runtime[torch]'" in result.stdout


def test_a_bundle_verifies_without_the_training_stack(tiny_generator):
    result = run_blocked(f"""
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.verification.replay import verify_bundle
print(all(check.passed for check in verify_bundle(Bundle.load({str(tiny_generator)!r}))))
""")
    assert result.stdout == "True\n", result.stderr


def test_prepare_without_torch_writes_the_bytes_of_the_trainers_stage(tmp_path):
    config_file = pytest.importorskip("cldm_trainer.stages.config_file")
    table = import_module("cldm_trainer.stages.table")
    child.make_raw(tmp_path / "raw")
    for name in ("runtime", "trainer"):
        (tmp_path / f"{name}.toml").write_text(
            f"extends = '{ROOT}/trainer/configs/phantom-tiny.toml'\n[cohort]\nfolder = '{tmp_path}/{name}'\n"
            f"[prepare]\nraw = '{tmp_path}/raw'\nshape = [32, 32]\nspacing_mm = [2.0, 2.0]\n"
            "labels = { cavity = 'lv_cavity' }\n")
    result = run_blocked(f"""
from cldm_runtime.cli.main import cldm, run
sys.exit(run(cldm, ["prepare", "--config", {str(tmp_path / "runtime.toml")!r}]))
""", allowed=SCANS)
    assert result.returncode == 0, result.stderr
    table.run_stage("prepare", config_file.load_config(tmp_path / "trainer.toml"))
    assert (tmp_path / "runtime/cohort.h5").read_bytes() == (tmp_path / "trainer/cohort.h5").read_bytes()


def test_prepare_without_the_readers_prints_the_pip_line(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    result = run_blocked(f"""
from pathlib import Path
from cldm_runtime.errors import InputError
from cldm_runtime.scans.volume_files import read_array
try:
    read_array(Path({str(tmp_path / "a.nii.gz")!r}))
except InputError as error:
    print(error)
""")
    assert "nibabel is not installed" in result.stdout and "pip install 'cldm-runtime[scans]'" in result.stdout


def test_the_runtime_never_reads_pickles():
    """numpy reads them only when told to; nothing here may tell it, or use a module that does."""
    pattern = re.compile(r"\b((import|from) (pickle|dill|joblib|shelve|marshal)|allow_pickle\s*=\s*True|torch\.load)\b")
    for path in RUNTIME.rglob("*.py"):
        assert not pattern.search(path.read_text()), path.name


def test_every_load_of_numpy_refuses_pickles():
    for path in RUNTIME.rglob("*.py"):
        for call in re.findall(r"np\.load\(.*", path.read_text()):
            assert "allow_pickle=False" in call, f"{path.name}: {call}"
