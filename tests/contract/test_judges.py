"""None of the judges may serve as a critic in training: nothing that trains imports them."""

import ast
from pathlib import Path

TRAINER = Path(__file__).parents[2] / "trainer" / "src" / "cldm_trainer"
TRAINS = ("networks", "training", "conditions", "nnunet", "stages", "adopt", "export")


def names_the_audit(path: Path) -> bool:
    """Whether a file imports the room `audit`, wherever the import stands, or names it for `import_module`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (
                "audit" in (node.module or "").split(".") or "audit" in [alias.name for alias in node.names]):
            return True
        if isinstance(node, ast.Import) and any("audit" in alias.name.split(".") for alias in node.names):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "cldm_trainer.audit" in node.value:
            return True
    return False


def test_nothing_that_trains_imports_a_judge() -> None:
    assert not [str(path) for room in TRAINS for path in (TRAINER / room).rglob("*.py") if names_the_audit(path)]


def test_an_import_of_a_judge_is_found(tmp_path: Path) -> None:
    for text in ("from ..audit.judges import panel", "from .. import audit", "import cldm_trainer.audit.judges",
                 "def f():\n    import_module('cldm_trainer.audit.judges.panel')"):
        (tmp_path / "planted.py").write_text(text)
        assert names_the_audit(tmp_path / "planted.py"), text
