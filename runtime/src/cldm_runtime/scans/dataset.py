"""A folder of scans in any known layout: which layout it has, its cases, labels, patients and subsets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..domains.domain import Domain
from ..domains.layout import FileLayout
from ..errors import InputError, list_faults
from .dicom.dataset import LAYOUT as DICOM
from .dicom.dataset import NO_DICOM, read_dicom_dataset
from .file_patterns import file_pattern, files_below
from .layout_cases import FileSet, FoundCases, find_cases
from .layouts import AUTO, FOLDERS, NNUNET, file_layouts
from .nnunet_raw import Case, RawDataset, read_raw_dataset
from .settings import PHANTOM_RECIPE, PrepareSettings
from .subsets import check_patients, patients_of, split_note, subsets_of

_DESCRIPTION = "dataset.json"
_MOST_NAMED = 3


def read_dataset(folder: Path, settings: PrepareSettings, domain: Domain) -> tuple[RawDataset, list[str]]:
    """The dataset of a folder with the faults found, in the layout that `settings.layout` names, or that fits.

    Raises InputError where no layout fits, with the first thing that is missing in each.
    """
    layouts = _candidates(settings)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Give the folder of the dataset as prepare.raw.")
    if settings.layout in (AUTO, NNUNET) and not settings.image_files and (folder / _DESCRIPTION).is_file():
        return read_raw_dataset(folder, fold=settings.fold, validation_share=settings.validation_share)
    paths = files_below(folder)
    tried: dict[str, FoundCases] = {}
    for layout in layouts:
        tried[layout.name] = found = find_cases(layout, paths)
        if found.cases:
            return _dataset(folder, layout, found, settings, domain)
    no_dicom = ""
    if settings.layout in (AUTO, DICOM) and not settings.image_files:
        read = read_dicom_dataset(folder, paths, settings, domain)
        if not isinstance(read, str):
            return read
        no_dicom = read
    raise InputError(_no_layout(folder, settings, tried, paths, no_dicom))


def _candidates(settings: PrepareSettings) -> Sequence[FileLayout]:
    """The layouts to try; with patterns of the user's own, that one alone. Raises InputError for a name of none."""
    known = {layout.name: layout for layout in file_layouts()}
    own = (settings.image_files, settings.label_files)
    if any(own):
        if not all(own) or settings.layout not in (AUTO, FOLDERS):
            raise InputError(f'prepare.image_files and prepare.label_files belong together, with layout = "{FOLDERS}": '
                             f"found {settings.image_files!r}, {settings.label_files!r} and {settings.layout!r}.")
        return [_own_layout(known[FOLDERS], settings)]
    if settings.layout not in (AUTO, NNUNET, *known, DICOM):
        raise InputError(f"prepare.layout: found {settings.layout!r}, expected one of {AUTO}, {NNUNET}, "
                         f"{', '.join(known)}, {DICOM}.")
    return list(known.values()) if settings.layout == AUTO else [
        layout for layout in known.values() if layout.name == settings.layout]


def _own_layout(folders: FileLayout, settings: PrepareSettings) -> FileLayout:
    """The layout of the user's patterns. Raises InputError for patterns whose parts differ."""
    texts = (settings.image_files,) if isinstance(settings.image_files, str) else settings.image_files
    patterns = [file_pattern(text, "prepare.image_files") for text in texts]
    patterns.append(file_pattern(settings.label_files, "prepare.label_files"))
    if len({frozenset(pattern.parts) for pattern in patterns}) > 1:
        raise InputError("prepare.image_files, prepare.label_files: each pattern needs the same parts in braces, found "
                         + "; ".join(pattern.text for pattern in patterns) + ".")
    return replace(folders, images={str(number): text for number, text in enumerate(texts)},
                   label_maps=(settings.label_files,), title="patterns of your own")


def _dataset(folder: Path, layout: FileLayout, found: FoundCases, settings: PrepareSettings, domain: Domain
             ) -> tuple[RawDataset, list[str]]:
    faults = list(found.missing)
    known = {case.name: case.subset for case in found.cases}
    patients = patients_of(folder, {case.name: case.patient for case in found.cases}, faults)
    subsets = subsets_of(folder, known, patients, settings.fold, settings.validation_share, faults)
    check_patients(patients, subsets, faults)
    cases = tuple(_case(folder, layout, files, patients[files.name], subsets[files.name])
                  for files in sorted(found.cases, key=lambda files: files.name) if files.name in subsets)
    names = dict(enumerate(layout.images))
    return RawDataset(folder, _labels(layout, settings, domain), cases,
                      {"channel_names": {str(number): name for number, name in names.items()},
                       **({"nature": "phantom"} if (folder / PHANTOM_RECIPE).is_file() else {})},
                      split_note(folder, known, patients, subsets, settings.validation_share),
                      source=f"layout {layout.name}", meanings=layout.meanings,
                      notes=tuple(_notes(layout, found, settings, domain))), faults


def _case(folder: Path, layout: FileLayout, files: FileSet, patient: str, subset: str) -> Case:
    maps = tuple(folder / file for file in files.label_maps)
    regions = tuple(zip(maps, range(1, len(maps) + 1), strict=True)) if layout.one_region_each else ()
    return Case(files.name, patient, subset, tuple(folder / file for file in files.images), maps[0], regions,
                layout.lost_affine)


def _labels(layout: FileLayout, settings: PrepareSettings, domain: Domain) -> Mapping[str, tuple[int, ...]]:
    """The names of the values. Where the dataset gives none, [prepare.labels] says what each value is; without it the
    values are those of the domain."""
    if layout.labels:
        return layout.labels
    names = domain.labels.names
    return {names[0]: (0,)} if settings.labels else {name: (value,) for value, name in enumerate(names)}


def _notes(layout: FileLayout, found: FoundCases, settings: PrepareSettings, domain: Domain) -> list[str]:
    """What was decided, and what to know of the dataset."""
    notes = [f"read as layout {layout.name} ({layout.title}): {len(found.cases)} cases. If it is another, set "
             "prepare.layout."]
    meant = {name: target for name, target in layout.meanings.items()
             if {name, target} & set(domain.labels.names) == {target} and name not in settings.labels}
    if meant:
        notes.append("labels by what they mean: " + ", ".join(f"{name} is {target}" for name, target in meant.items())
                     + ". [prepare.labels] can say otherwise.")
    if not layout.labels and not settings.labels:
        listed = ", ".join(f"{value} {name}" for value, name in enumerate(domain.labels.names))
        notes.append(f"the label values are taken for those of domain {domain.name}: {listed}. If they are others, say "
                     "what each value is in [prepare.labels].")
    if found.unlabelled:
        notes.append(f"left out, for validation and test cases without a label map cannot be used: "
                     f"{len(found.unlabelled)} cases, such as {found.unlabelled[0]}.")
    return notes + ([layout.remark] if layout.remark else [])


def _no_layout(folder: Path, settings: PrepareSettings, tried: Mapping[str, FoundCases], paths: Sequence[str],
               no_dicom: str) -> str:
    """One message: the layouts that were tried, and the first thing that is missing in each."""
    reasons = {name: _first_missing(found) for name, found in tried.items()}
    near = [name for name, found in tried.items() if found.has_images]
    if settings.layout in (AUTO, NNUNET) and not settings.image_files:
        reasons = {NNUNET: f"{_DESCRIPTION} is missing"} | reasons
    if no_dicom:
        reasons[DICOM] = no_dicom
        near += [DICOM] if no_dicom != NO_DICOM else []
    missing = [f"{name}: {reasons[name]}" for name in dict.fromkeys([*near, *reasons])]
    holds = f"holds {len(paths)} file(s), such as {', '.join(paths[:_MOST_NAMED])}" if paths else "holds no files"
    nearest = "" if not near or settings.image_files else f" Its images are those of layout {' or '.join(near)}."
    return list_faults(
        f"{folder}: {holds}, in no layout that was tried.{nearest} Give the folder that holds all cases; or describe "
        "it with prepare.image_files and prepare.label_files, such as \"images/{case}.nii.gz\" and "
        "\"labels/{case}.nii.gz\"; the first thing missing in each layout:", missing)


def _first_missing(found: FoundCases) -> str:
    """Why no case could be taken."""
    if not found.missing:
        return (f"none of its {len(found.unlabelled)} cases of val and test has a label map, such as "
                f"{found.unlabelled[0]}")
    others = len(found.missing) - 1
    return found.missing[0] + (f" (and {others} more like it)" if others else "")
