"""A folder of DICOM series as a dataset: a case is a series that something was drawn on.

Cases are named by the folder of their files, patients by numbers: no text of a header leaves this file, except the
names of regions, which are labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...domains.domain import Domain
from ...files.user_files import composed
from ..layout_cases import subset_of_path
from ..nnunet_raw import Case, RawDataset
from ..settings import PrepareSettings
from ..subsets import check_patients, patients_of, split_note, subsets_of
from .index import DicomIndex, DicomSeries, Drawing, index_folder
from .masks import DicomMask
from .segments import plain_name
from .stacks import DicomStack, StackOrFault

LAYOUT = "dicom"
NO_DICOM = "no file is DICOM (DICM at byte 128)"
_SERIES = "series"  # name of a case whose files lie in the folder itself


@dataclass
class _Labelled:
    """A stack with all that was drawn on it."""

    name: str
    series: DicomSeries
    stack: DicomStack
    drawings: list[Drawing] = field(default_factory=list)


def read_dicom_dataset(folder: Path, paths: Sequence[str], settings: PrepareSettings, domain: Domain
                       ) -> tuple[RawDataset, list[str]] | str:
    """The dataset with the faults found; or why there is none, a sentence without its full stop."""
    index = index_folder(folder, paths)
    if not index.files:
        return NO_DICOM
    faults, notes = list(index.unread), list[str]()
    labelled = list(_labelled(index, faults))
    if not labelled and not faults:
        return (f"{len(index.series)} series of images, and {len(index.drawings)} SEG or RTSTRUCT that show what is "
                "where on them")
    kinds = _channels(labelled, index, faults)
    names = {name for case in labelled for drawing in case.drawings for name in drawing.names}
    ordered = tuple(name for name in map(plain_name, settings.labels) if name in names)
    values = {name: number for number, name in enumerate((*ordered, *sorted(names - set(ordered))), 1)}
    patients = {key: f"patient {number}" for number, key in
                enumerate(dict.fromkeys(case.series.patient for case in labelled), 1)}
    people = patients_of(folder, {case.name: patients[case.series.patient] for case in labelled}, faults)
    known = {case.name: subset_of_path(f"{case.series.folder}/file") for case in labelled}
    subsets = subsets_of(folder, known, people, settings.fold, settings.validation_share, faults)
    check_patients(people, subsets, faults)
    cases = tuple(_case(case, kinds, index, values, ordered, people[case.name], subsets[case.name])
                  for case in sorted(labelled, key=lambda case: case.name) if case.name in subsets)
    notes += _notes(labelled, index, kinds, values, len(set(people.values())))
    return RawDataset(folder, {"background": (0,)} | {name: (value,) for name, value in values.items()}, cases,
                      {"channel_names": {str(number): kind for number, kind in enumerate(kinds)}},
                      split_note(folder, known, people, subsets, settings.validation_share),
                      source=f"layout {LAYOUT}", notes=tuple(notes)), faults


def _labelled(index: DicomIndex, faults: list[str]) -> Iterator[_Labelled]:
    """The stacks that something was drawn on, in the order of their folders; their faults are appended."""
    drawn: dict[int, list[Drawing]] = {}
    places = {id(place): (series, place) for series in index.series.values() for place in series.stacks}
    for drawing in index.drawings:
        place = _place_of(drawing, index)
        if isinstance(place, str):
            faults.append(f"{drawing.file}: {place}")
        else:
            drawn.setdefault(id(place), []).append(drawing)
    chosen = sorted((places[key] + (drawings,) for key, drawings in drawn.items()),
                    key=lambda found: (found[0].folder, found[0].number, found[0].uid))
    times = Counter[str]()
    for series, place, drawings in chosen:
        folder = composed(series.folder) if series.folder != "." else _SERIES
        times[folder] += 1
        name = folder if times[folder] == 1 else f"{folder}-{times[folder]}"
        faults.extend(f"case {name}: {fault}" for fault in series.faults)
        if place.stack is None:
            faults.append(f"case {name}: {place.fault}")
        else:
            yield _Labelled(name, series, place.stack, drawings)


def _place_of(drawing: Drawing, index: DicomIndex) -> StackOrFault | str:
    """The frames that something was drawn on, or what is wrong: those that it names; else those of the one series that
    lies in its frame of reference."""
    if not drawing.names:
        return "holds no region: no segment, and no closed contour. Leave it out"
    series = [index.series[uid] for uid in sorted(drawing.series) if uid in index.series]
    stacks = [place for one in series or index.series.values() for place in one.stacks]
    named = Counter({number: len(place.instances & drawing.instances) for number, place in enumerate(stacks)})
    if named and (most := named.most_common(2))[0][1] and (len(most) == 1 or most[0][1] > most[1][1]):
        return stacks[most[0][0]]
    if not series:
        stacks = [place for one in index.series.values() for place in one.stacks if drawing.frame_of_reference
                  and one.frame_of_reference == drawing.frame_of_reference and one.study == drawing.study]
    if len(stacks) == 1:
        return stacks[0]
    if not stacks:
        return "the images that it was drawn on are not in the folder. Put their series there"
    return (f"which images it was drawn on cannot be said: {len(stacks)} stacks of images are possible. Keep one of "
            "them in the folder")


def _partners(case: _Labelled, index: DicomIndex) -> dict[str, list[DicomStack]]:
    """Kind -> the stacks of that kind that were scanned with a case: of one study, on one grid."""
    partners: dict[str, list[DicomStack]] = {}
    for series in index.series.values():
        if series.study == case.series.study and series.patient == case.series.patient:
            for place in series.stacks:
                if place.stack is not None and place.stack.same_grid(case.stack):
                    partners.setdefault(place.stack.kind, []).append(place.stack)
    return {**partners, case.stack.kind: [case.stack]}


def _channels(labelled: Sequence[_Labelled], index: DicomIndex, faults: list[str]) -> list[str]:
    """The kinds that every case has once: first the one that most was drawn on."""
    drawn_on = Counter(case.stack.kind for case in labelled)
    counts = Counter(kind for case in labelled for kind, stacks in _partners(case, index).items() if len(stacks) == 1)
    common = sorted((kind for kind, count in counts.items() if count == len(labelled)),
                    key=lambda kind: (-drawn_on[kind], kind))
    if labelled and not common:
        kinds = {kind: [case.name for case in labelled if case.stack.kind == kind] for kind in sorted(drawn_on)}
        told = "; ".join(f"{kind} in {len(names)}, such as {names[0]}" for kind, names in kinds.items())
        faults.append(f"the cases show different kinds of images, and no kind is in all of them: {told}. Prepare them "
                      "in folders of their own, or add the series that are missing")
    return common


def _case(case: _Labelled, kinds: Sequence[str], index: DicomIndex, values: Mapping[str, int],
          ordered: tuple[str, ...], patient: str, subset: str) -> Case:
    partners = _partners(case, index)
    own = tuple((name, values[name]) for drawing in case.drawings for name in drawing.names)
    mask = DicomMask(tuple(drawing.file for drawing in case.drawings), case.stack, tuple(dict.fromkeys(own)), ordered)
    return Case(case.name, patient, subset, tuple(partners[kind][0] for kind in kinds) or (case.stack,), mask)


def _notes(labelled: Sequence[_Labelled], index: DicomIndex, kinds: Sequence[str], values: Mapping[str, int],
           people: int) -> Iterator[str]:
    yield (f"read as layout {LAYOUT}: {len(labelled)} cases of {people} patient(s) by their patient IDs; patients.json "
           f"can say otherwise. {len(index.series) - len({case.series.uid for case in labelled})} series without SEG "
           "or RTSTRUCT were left out.")
    yield "labels: " + ", ".join(f"{value} {name}" for name, value in values.items()) + "."
    if kinds:
        yield ("kinds of images, by number of channel: " + ", ".join(f"{number} {kind}" for number, kind in
                                                                     enumerate(kinds)) + ".")

