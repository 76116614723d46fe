"""A segmenter that is a Python function of the user's: `module:function`, or any callable of the Python API."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from ...domains.labels import LabelMap
from ...errors import CldmError, InputError, as_array
from ...files.digest import sha256_of_bytes
from ...store import Dataset
from .interface import AnySegmenter
from .own_code import CODE, OwnCode

SegmentImages = Callable[..., Any]


@dataclass(frozen=True)
class OwnFunction(OwnCode):
    """function: images (n, *spatial), or (n, C, *spatial) of several channels, float32, and spacing in mm -> label maps
    (n, *spatial). A function of one argument gets the images alone."""

    function: SegmentImages

    def __reduce__(self) -> tuple[object, ...]:
        """Another process imports the function by its name."""
        reference = _reference(self.function)
        if reference is None:
            raise InputError(f"{self.origin}: cannot be sent to other processes, for no module holds it under its own "
                             "name. Pass workers=1, or define it with def in a module.")
        return _imported, (reference, self.name, dict(self.labels), sys.path)

    @property
    def origin(self) -> str:
        return f"the function {_reference(self.function) or self.name}"

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        return {"form": "function", "function": _reference(self.function) or "", CODE: _code_digest(self.function)}

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        images = dataset.images(rows)
        given = images[:, 0] if dataset.channels == 1 else images
        arguments = (given, dataset.spacing_mm)[:_arguments_taken(self.function)]
        try:
            values = self.function(*arguments)
        except CldmError:
            raise
        except Exception as error:
            raise InputError(f"{self.origin}: failed for images of shape {given.shape} ({type(error).__name__}: "
                             f"{error}).") from error
        return self.in_domain(as_array(values, self.origin), dataset, len(images))

    def with_threads(self, threads: int | None) -> Self:
        return self


def as_segmenter(segmenter: AnySegmenter | SegmentImages, name: str | None = None) -> AnySegmenter:
    """The segmenter itself, or one around a function. Raises InputError for anything else."""
    if isinstance(segmenter, AnySegmenter):
        if name is not None:
            raise InputError(f"name = {name!r}: {segmenter.origin} has the name {segmenter.name!r}. Leave name out.")
        return segmenter
    if not callable(segmenter):
        raise InputError(f"segmenter: found {type(segmenter).__name__}, expected a segmenter of load_segmenter or "
                         "Segmenter.load, or a function of images and spacing_mm.")
    own = name or str(getattr(segmenter, "__name__", type(segmenter).__name__))
    if own == "<lambda>":
        raise InputError("segmenter: a lambda has no name. Pass name=, for the segmentation in the file.")
    return OwnFunction(own, segmenter)


def load_function(text: str, folder: Path, name: str | None = None, labels: Mapping[str, str] | None = None
                  ) -> OwnFunction:
    """The function `module:function`; modules are also looked for in `folder`. Raises InputError."""
    if str(folder.absolute()) not in sys.path:
        sys.path.insert(0, str(folder.absolute()))
    return _imported(text, name, labels or {}, [])


def _imported(text: str, name: str | None, labels: Mapping[str, str], search: list[str]) -> OwnFunction:
    sys.path += [folder for folder in search if folder not in sys.path]
    module, _, path = text.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise InputError(f"segmenter {text}: cannot be imported ({error}). Give module:function, with the module in "
                         "the current folder or installed.") from error
    if not callable(found):
        raise InputError(f"segmenter {text}: is a {type(found).__name__}, expected a function.")
    return OwnFunction(name or f"{module.rpartition('.')[2]}-{path.rpartition('.')[2]}", found, labels=labels)


def _reference(function: SegmentImages) -> str | None:
    """module:function, if the function can be imported by that name."""
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    found: Any = sys.modules.get(module or "")
    for part in path.split("."):
        found = getattr(found, part, None)
    return f"{module}:{path}" if found is function and module != "__main__" else None


def _code_digest(function: SegmentImages) -> str:
    """SHA-256 of the file that defines it; empty where there is none."""
    try:
        return sha256_of_bytes(Path(inspect.getfile(inspect.unwrap(function))).read_bytes())
    except (OSError, TypeError):
        return ""


def _arguments_taken(function: SegmentImages) -> int:
    """2, or 1 for a function that cannot take a second positional argument."""
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return 1
    except ValueError:  # of native code
        return 2
    return 2
