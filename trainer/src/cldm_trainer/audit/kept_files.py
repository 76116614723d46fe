"""Files that a measurement makes once and keeps. A text beside each says what it was made from and what it holds."""

from pathlib import Path

from cldm_runtime.files.atomic import write_text
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.store import open_dataset, read_content


def is_as_made(path: Path, recipe: str) -> bool:
    """Whether the file was made by the recipe with this SHA-256 and holds what was written."""
    text = _text(path)
    if not (path.exists() and text.exists()):
        return False
    stated = Derivation.read(text.read_text(encoding="utf-8"))
    return stated is not None and stated.sources.get("recipe") == recipe and stated == _made(path, recipe)


def record_made(path: Path, recipe: str) -> None:
    """Write the text beside a file that was made just now."""
    write_text(_text(path), _made(path, recipe).text())


def forget_made(path: Path) -> None:
    """Let the file be made again."""
    _text(path).unlink(missing_ok=True)


def _text(path: Path) -> Path:
    return path.with_suffix(".made.json")


def _made(path: Path, recipe: str) -> Derivation:
    """A dataset file holds images and label maps, whatever was segmented since; any other its bytes."""
    if path.suffix != ".h5":
        return Derivation({"recipe": recipe, "file": sha256_of(path)})
    with open_dataset(path) as dataset:
        content = read_content(dataset).derivation
    return Derivation({"recipe": recipe, **content.sources}, content.settings)
