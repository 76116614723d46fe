"""A segmenter that is a program of the user's: it reads NIfTI files of a folder and writes label maps to another."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ...domains.labels import LabelMap
from ...errors import InputError
from ...scans.sample_files import case_name
from ...store import Dataset
from .cases import read_label_maps, write_images
from .own_code import OwnCode

IMAGES, LABELS = "{images}", "{labels}"  # folders
IMAGE, LABEL = "{image}", "{label}"  # files, one call for each
AT_ONCE = 256  # images of one call with folders: a program takes seconds to begin
_KILL, _OF_MEMORY = 9, ", as a system does whose memory has run out"
_LONGEST_TEXT = 2000  # of what the program said, its end


@dataclass(frozen=True)
class OwnCommand(OwnCode):
    """words: program and arguments, with {images} and {labels} for two folders, or {image} and {label} for two files.
    folder: where it runs."""

    words: tuple[str, ...]
    folder: Path

    def __post_init__(self) -> None:
        text = " ".join(self.words)
        if [sign in text for sign in (IMAGES, LABELS, IMAGE, LABEL)] not in ([True, True, False, False],
                                                                             [False, False, True, True]):
            raise InputError(f"{self.origin}: found {text!r}, expected {IMAGES} and {LABELS} for the folders that it "
                             f"reads and writes, or {IMAGE} and {LABEL} for files of one channel.")

    @property
    def origin(self) -> str:
        return f"the command {self.words[0]}"

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        return {"form": "command", "command": " ".join(self.words)}

    def check_fit(self, dataset: Dataset) -> None:
        super().check_fit(dataset)
        if dataset.channels > 1 and IMAGE in " ".join(self.words):
            raise InputError(f"{dataset.path}: holds {dataset.channels} channels, which are files of their own. Give "
                             f"{self.origin} folders: {IMAGES} and {LABELS}.")

    def images_at_once(self, batch_size: int) -> int:
        return max(batch_size, AT_ONCE) if IMAGES in " ".join(self.words) else batch_size

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        chosen = range(*rows.indices(len(dataset)))
        with tempfile.TemporaryDirectory(prefix="cldm-") as name:
            images, labels = Path(name) / "images", Path(name) / "labels"
            images.mkdir()
            labels.mkdir()
            write_images(dataset, chosen, images)
            for places in self._calls(chosen, images, labels):
                self._run([_filled(word, places) for word in self.words], dataset)
            values = read_label_maps(dataset, chosen, labels, f"{self.origin} ended, but what it wrote to {LABELS} or "
                                     f"{LABEL} does not fit. {_by_hand(dataset)}")
            return self.in_domain(np.asarray(values), dataset, len(chosen))

    def with_threads(self, threads: int | None) -> Self:
        return self

    def _calls(self, rows: range, images: Path, labels: Path) -> Sequence[dict[str, Path]]:
        if IMAGES in " ".join(self.words):
            return [{IMAGES: images, LABELS: labels}]
        return [{IMAGE: images / f"{case_name(row)}_0000.nii.gz", LABEL: labels / f"{case_name(row)}.nii.gz"}
                for row in rows]

    def _run(self, words: Sequence[str], dataset: Dataset) -> None:
        try:
            done = subprocess.run(words, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise InputError(f"{self.origin}: cannot be started ({error.strerror or error}). Install it, or give its "
                             "full path.") from error
        if done.returncode:
            said = os.fsdecode(done.stderr or done.stdout).strip()[-_LONGEST_TEXT:]
            ending = (f"ended with exit code {done.returncode}" if done.returncode > 0 else
                      f"was ended by signal {-done.returncode}{_OF_MEMORY if done.returncode == -_KILL else ''}")
            raise InputError(f"{self.origin}: {ending}. It said: {said or 'nothing'}\n{_by_hand(dataset)}")


def _by_hand(dataset: Dataset) -> str:
    """How to try the program on the same images."""
    return (f"To find out why, run it by hand on the same images: `cldm convert {shlex.quote(str(dataset.path))} --to "
            "nnunet --out FOLDER` writes them to FOLDER/imagesTr. Then mend the program, or `command` of the "
            "description.")


def _filled(word: str, places: dict[str, Path]) -> str:
    for sign, place in places.items():
        word = word.replace(sign, str(place))
    return word
