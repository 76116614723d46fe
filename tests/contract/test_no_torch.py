"""The runtime runs where torch and the rest of the training stack are not installed, and never reads pickles."""

import re
import subprocess
import sys
from pathlib import Path

import cldm_runtime

RUNTIME = Path(cldm_runtime.__file__).parent
FORBIDDEN = ("torch", "monai", "onnx", "nnunetv2", "cldm_trainer", "lightning", "lightning_fabric", "nibabel",
             "skimage", "matplotlib", "diffusers", "openvino")
BLOCK = f"""
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Block())
"""


def run_blocked(code):
    """Run code in a Python where the forbidden packages cannot be imported."""
    return subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": str(RUNTIME.parent), "PATH": ""}, check=False)


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


def test_the_runtime_never_reads_pickles():
    """numpy reads them only when told to; nothing here may tell it, or use a module that does."""
    pattern = re.compile(r"\b((import|from) (pickle|dill|joblib|shelve|marshal)|allow_pickle\s*=\s*True|torch\.load)\b")
    for path in RUNTIME.rglob("*.py"):
        assert not pattern.search(path.read_text()), path.name


def test_every_load_of_numpy_refuses_pickles():
    for path in RUNTIME.rglob("*.py"):
        for call in re.findall(r"np\.load\(.*", path.read_text()):
            assert "allow_pickle=False" in call, f"{path.name}: {call}"
