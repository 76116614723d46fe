"""The TOML file that describes a segmenter of the user's own. docs/segmenters.md says what every key means."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...errors import InputError, list_faults
from ...files.names import is_plain_name, is_sha256
from ...files.records import TOML, read_record
from ...files.toml_file import read_toml

AXES = ("depth", "rows", "columns")
LAYOUTS = {"NCHW": 2, "NHWC": 2, "NCDHW": 3, "NDHWC": 3}
"""Spatial axes of each layout."""
Pad = float | Literal["edge", "reflect"]
FORMS = ("onnx", "function", "command", "predictions")


@dataclass(frozen=True)
class NetworkInput:
    """The frame that the network sees. Entries for each axis are in the order of the network's axes: rows, columns;
    depth first in volumes. In this order an image is turned, cropped, resampled, and placed in the centre."""

    layout: Literal["NCHW", "NHWC", "NCDHW", "NDHWC"] = "NCHW"
    size: tuple[int, ...] = ()  # pixels that the network takes; empty: those that the graph states
    channels: tuple[int, ...] = ()  # of the image, one for each channel of the network; empty: all of them
    transpose: bool = False  # rows become columns
    flip: tuple[Literal["depth", "rows", "columns"], ...] = ()  # after that, the order of these is turned round
    crop: Literal["none", "nonzero"] = "none"  # nonzero: to the box around all pixels that are not 0
    square: bool = False  # the centre square of rows and columns
    spacing_mm: tuple[float, ...] = ()  # pixels that the network was trained on; empty: `place` decides
    place: tuple[int, ...] = ()  # pixels of the frame that the image is resampled to; empty: all of it
    pad: Pad = 0.0  # the rest of the frame: a value after scaling, or a mode
    order: int = 1  # of the spline: 0 nearest, 1 linear, 3 cubic
    antialias: bool = False  # blur before an image shrinks, as scikit-image does

    @property
    def axes(self) -> int:
        return LAYOUTS[self.layout]

    def faults(self) -> list[str]:
        axes = self.axes
        checks = (
            *((not values or (len(values) == axes and min(values) > 0),
               f"input.{name}: found {list(values)}, expected {axes} positive numbers for layout {self.layout}")
              for name, values in (("size", self.size), ("place", self.place), ("spacing_mm", self.spacing_mm))),
            (not (self.place and self.spacing_mm), "input: found place and spacing_mm, expected one of them at most"),
            (set(self.flip) <= set(AXES[-axes:]), f"input.flip: expected some of {', '.join(AXES[-axes:])}"),
            (0 <= self.order <= 5, f"input.order: found {self.order}, expected 0 to 5"),
            (min(self.channels, default=0) >= 0, "input.channels: expected numbers from 0 on"))
        return [message for good, message in checks if not good]


@dataclass(frozen=True)
class Intensity:
    """How the pixels of one image are scaled, each channel for itself, before it is cropped: scaled, clipped, and
    mapped from 0..1 to `range`."""

    scale: Literal["none", "percentile", "z-score", "fixed"] = "none"
    over: Literal["all", "nonzero"] = "all"  # the pixels that percentiles, mean and deviation are taken of
    percentiles: tuple[float, float] = (0.5, 99.5)  # become 0 and 1
    mean: tuple[float, ...] = ()  # of each channel, for fixed
    std: tuple[float, ...] = ()
    clip: tuple[float, float] | None = None
    range: tuple[float, float] = (0.0, 1.0)

    def faults(self) -> list[str]:
        low, high = self.percentiles
        fixed = self.scale == "fixed"
        checks = (
            (0 <= low < high <= 100, f"intensity.percentiles: found {[low, high]}, expected two rising numbers in "
             "0..100"),
            (fixed == bool(self.mean) == bool(self.std) and len(self.mean) == len(self.std),
             "intensity.mean, std: expected a number for each channel with scale = \"fixed\", and none otherwise"),
            (min(self.std, default=1.0) > 0, "intensity.std: expected positive numbers"),
            (self.clip is None or self.clip[0] < self.clip[1], "intensity.clip: expected two rising numbers"),
            (self.range[0] != self.range[1], "intensity.range: expected two different numbers"))
        return [message for good, message in checks if not good]


@dataclass(frozen=True)
class NetworkOutput:
    """softmax, logits: a channel for each label, the largest decides. sigmoid: probabilities of regions that may
    overlap; regions: the same as logits. The later of two channels above the threshold decides. labels: one label map.
    """

    kind: Literal["softmax", "logits", "sigmoid", "regions", "labels"]
    threshold: float = 0.5  # of sigmoid
    name: str = ""  # of the graph's output; empty: the only one

    def faults(self) -> list[str]:
        good = 0 < self.threshold < 1
        return [] if good else [f"output.threshold: found {self.threshold}, expected a number between 0 and 1"]


@dataclass(frozen=True)
class SegmenterDescription:
    """One of `onnx`, `function`, `command` and `predictions` says what segments. Paths are relative to the file.

    labels: channel of the output, or value of a label map -> label of the domain. A label that the domain lacks is
    mapped to the domain's background, or to the label that it is part of. Empty: values are those of the domain.
    """

    name: str
    onnx: str = ""  # file
    sha256: str = ""  # of it; empty: not compared
    function: str = ""  # module:function
    command: tuple[str, ...] = ()
    predictions: str = ""  # folder
    input: NetworkInput = NetworkInput()
    intensity: Intensity = Intensity()
    output: NetworkOutput | None = None
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def output_kind(self) -> str:
        return "labels" if self.output is None else self.output.kind

    def faults(self) -> list[str]:
        given = [form for form in FORMS if getattr(self, form)]
        ours = (self.input, self.intensity, self.output) == (NetworkInput(), Intensity(), None)
        checks = (
            (len(given) == 1, f"found {' and '.join(given) or 'none'} of {', '.join(FORMS)}, expected one"),
            (is_plain_name(self.name), f"name: found {self.name!r}, expected letters, digits, '.', '_' and '-'"),
            (not self.sha256 or is_sha256(self.sha256), "sha256: expected 64 hexadecimal digits in lower case"),
            (bool(self.onnx) or ours, "input, intensity and output: only an ONNX file has them"),
            (not self.onnx or self.output is not None, "output.kind: missing, an ONNX file needs it"),
            (not self.onnx or bool(self.labels), "labels: missing, an ONNX file needs them"),
            (all(value.isascii() and value.isdigit() and int(value) < 256 for value in self.labels),
             f"labels: found {', '.join(self.labels)}, expected numbers of channels or values, 0 to 255"))
        parts = [part for part in (self.input, self.intensity, self.output) if part is not None]
        return [message for good, message in checks if not good] + [f for part in parts for f in part.faults()]


def read_description(path: Path) -> SegmenterDescription:
    """Raises InputError that lists every fault."""
    faults: list[str] = []
    description = read_record(SegmenterDescription, read_toml(path), "", faults, TOML)
    if description is not None:
        faults = description.faults()
    if description is None or faults:
        raise InputError(list_faults(f"{path}: describes no segmenter. docs/segmenters.md lists the keys.", faults))
    return description
