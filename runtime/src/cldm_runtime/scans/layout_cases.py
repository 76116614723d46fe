"""The cases of a folder in a given layout: which files belong together, and what is missing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..domains.layout import FileLayout
from .file_patterns import FilePattern, file_pattern, match_files, unread_files, unread_sentence

_SUBSET = re.compile(r"(?:^|[^a-z])(train|val|test)", re.I)  # such as training, train25, BraTS20_Validation_001

Key = tuple[str, ...]
Group = dict[Key, list[str]]


@dataclass(frozen=True)
class FileSet:
    """The files of one case, relative to the folder of the dataset; "" for one that is missing."""

    name: str
    patient: str
    subset: str
    images: tuple[str, ...]
    label_maps: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return all((*self.images, *self.label_maps))


@dataclass
class FoundCases:
    """What a folder holds in a layout. missing: a sentence for each fault, the first of which says why nothing fits.
    unlabelled: the cases of validation and test without a label map. has_images: whether any file is named like an
    image of the first channel."""

    cases: list[FileSet] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    has_images: bool = False


def find_cases(layout: FileLayout, paths: Sequence[str], labelled: bool = True) -> FoundCases:
    """The complete cases among `paths`, and the faults. A file that is a label map by its name is no image.

    labelled: whether a case needs its label maps, which are not looked for otherwise.
    """
    where = f"layout {layout.name}"
    image_patterns = [file_pattern(text, where) for text in layout.images.values()]
    label_patterns = [file_pattern(text, where) for text in layout.label_maps]
    parts, found = image_patterns[0].parts, FoundCases()
    labels = [_grouped(pattern, parts, paths) for pattern in label_patterns]
    taken = {path for group in labels for files in group.values() for path in files}
    rest = [path for path in paths if path not in taken]
    images = [_grouped(pattern, parts, rest) for pattern in image_patterns]
    if not labelled:
        labels, label_patterns = [], []
    patterns = [*image_patterns, *label_patterns]
    unread = [_by_key(parts, unread_files(pattern, paths)) for pattern in patterns]
    if not any(images):
        nearly = next(iter(unread[0].values()), [""])[0]
        found.has_images = bool(nearly)
        found.missing.append(unread_sentence(nearly) if nearly else f"no file is named like {image_patterns[0].text}")
        return found
    found.has_images = bool(images[0])
    groups = [*images, *labels]
    for key in sorted({key for group in groups for key in group}):
        values = dict(zip(parts, key, strict=True))
        case = _file_set(layout, values, images, labels)
        if labelled and case.subset in ("val", "test") and all(case.images) and not any(case.label_maps):
            found.unlabelled.append(case.name)
            continue
        faults = list(_faults(case.name, values, patterns, groups, unread))
        found.missing.extend(faults)
        if not faults:
            found.cases.append(case)
    return found


def _grouped(pattern: FilePattern, parts: Sequence[str], paths: Sequence[str]) -> Group:
    """The files that match, by the values of `parts`."""
    return _by_key(parts, match_files(pattern, paths))


def _by_key(parts: Sequence[str], found: Mapping[str, Mapping[str, str]]) -> Group:
    """found: path -> the text of each part."""
    group: Group = {}
    for path, values in found.items():
        group.setdefault(tuple(values[part] for part in parts), []).append(path)
    return group


def _file_set(layout: FileLayout, values: Mapping[str, str], images: Sequence[Group], labels: Sequence[Group]
              ) -> FileSet:
    key = tuple(values.values())
    files, maps = ([group.get(key, [""])[0] for group in groups] for groups in (images, labels))
    name = layout.case.format(**values) if layout.case else "_".join(values.values())
    patient = layout.patient.format(**values) if layout.patient else values.get("patient", name)
    return FileSet(name, patient, subset_of_path(next(filter(None, files), "")), tuple(files), tuple(maps))


def subset_of_path(path: str) -> str:
    """train, val or test, as the last folder of a path that names one says; "" where none does."""
    named = [match[1].lower() for folder in Path(path).parts[:-1] for match in _SUBSET.finditer(folder)]
    return named[-1] if named else ""


def _faults(name: str, values: dict[str, str], patterns: Sequence[FilePattern], groups: Sequence[Group],
            unread: Sequence[Group]) -> Iterator[str]:
    """What is missing of a case, and what is there twice. unread: the files of each pattern that cannot be read."""
    key = tuple(values.values())
    files = [group.get(key, []) for group in groups]
    there = next((paths[0] for paths in files if paths), "")
    for pattern, paths, others in zip(patterns, files, unread, strict=True):
        if not paths:
            nearly = f": {unread_sentence(others[key][0])}" if key in others else ""
            yield f"case {name}: {there} is there, {pattern.filled(values)} is missing{nearly}"
        elif len(paths) > 1:
            yield f"case {name}: is there {len(paths)} times: {', '.join(paths[:3])}"
