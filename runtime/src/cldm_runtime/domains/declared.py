"""Domains that users declare in a file: labels, regions and axes, with the attributes of `generic.py`.

    name = "spleen"            # of the domain; letters, digits, - and _
    axes = 3                   # 2: slices, 3: volumes
    lesion = "tumour"          # optional: the region that a sample may lack
    phantoms = ["organs-ct"]   # optional: what `cldm-train phantom` draws; each needs labels of certain names
    [labels]                   # name -> value; 0 is the background
    spleen = 1
    tumour = 2
    [regions]                  # optional: the regions that are measured and scored; default: one for each label
    organ = ["spleen", "tumour"]
    tumour = ["tumour"]
    [within]                   # optional: label -> the label around it, which stands for it where it is left free
    tumour = "spleen"

`bundle/declarations.py` reads the file. Bundles and datasets contain the declaration, without its phantoms.
"""

import colorsys
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .domain import Domain
from .generic import REASONS, GenericMeasure, generic_attributes, size_name
from .labels import LabelSet
from .phantom_rules import PhantomRules

BACKGROUND = "background"
_NAME, _REGION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}"), re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_MOST_LABELS, _MOST_REGIONS = 256, 256
_GOLDEN = 0.618034  # of a turn between the hues of neighbouring labels, which keeps them far apart


@dataclass(frozen=True)
class Declaration:
    """A user's declaration of a domain. labels: name -> value, 0 is the background. regions: name -> names of labels.
    colours: label -> red, green and blue 0..255. ranges: attribute -> least and greatest value that may be requested.
    lesion_size: the attribute that is 0 where the lesion is absent; None: the lesion's area or volume. within: label ->
    the label around it; the background if it is left out."""

    name: str
    axes: int
    labels: Mapping[str, int]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lesion: str | None = None
    lesion_size: str | None = None
    limits: str = ""
    phantoms: tuple[str, ...] = ()
    within: Mapping[str, str] = field(default_factory=dict)

    def domain(self) -> Domain:
        """The domain. It has no anatomy: users supply the label maps."""
        values = {BACKGROUND: 0, **self.labels} if 0 not in self.labels.values() else dict(self.labels)
        names = tuple(sorted(values, key=lambda name: values[name]))
        regions = self.regions or {as_identifier(name): (name,) for name in names[1:]}
        labels = LabelSet(names, {region: tuple(sorted(values[name] for name in members))
                                  for region, members in regions.items()},
                          tuple(self.colours.get(name, _colour(value)) for value, name in enumerate(names)),
                          {values[inner]: values[outer] for inner, outer in self.within.items()})
        lesion_size = self.lesion_size or (self.lesion and size_name(self.lesion, self.axes))
        return Domain(self.name, labels, generic_attributes(tuple(regions), self.axes, self.ranges),
                      GenericMeasure(labels, self.axes), lesion=self.lesion, lesion_size=lesion_size, axes=self.axes,
                      reasons=REASONS, limits=self.limits, declaration=self.as_json(), phantoms=self._phantoms())

    def _phantoms(self) -> dict[str, PhantomRules]:
        if not self.phantoms:
            return {}
        from .phantom_kinds import PHANTOM_KINDS  # here, because most declarations draw none

        return {name: PHANTOM_KINDS[name].rules(self.labels) for name in self.phantoms}

    def as_json(self) -> dict[str, Any]:
        """The declaration as JSON values; what is None is left out, and so are an empty `within`, which earlier
        versions do not know, and the phantoms: a cohort may be of patients, and which phantoms a version of this
        package draws concerns no file."""
        stated = {name: value for name, value in vars(self).items()
                  if value is not None and name != "phantoms" and (name != "within" or value)}
        values: dict[str, Any] = json.loads(json.dumps(stated))
        return values

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The declaration that `as_json` gave."""
        parts = {name: {key: tuple(item) for key, item in values.get(name, {}).items()}
                 for name in ("regions", "colours", "ranges")}
        return cls(**{**values, **parts})

    def faults(self) -> list[str]:
        """The faults of the declaration, one line each; empty for a valid one."""
        return list(_faults(self))


def as_identifier(name: str) -> str:
    """The name of a label or region in lower case, other characters than letters and digits replaced by _:
    "Left Lung" -> "left_lung"."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _faults(declared: Declaration) -> Iterator[str]:
    values = sorted(declared.labels.values())
    if max(len(values), len(declared.regions), len(declared.colours), len(declared.ranges) // 10) > _MOST_REGIONS:
        yield f"labels, regions, colours, ranges: expected at most {_MOST_LABELS} labels and {_MOST_REGIONS} regions."
        return
    if any(not name.isprintable() or len(name) > 64 for name in declared.labels):
        yield "labels: expected names of at most 64 printable characters."
        return
    if not _NAME.fullmatch(declared.name):
        yield f"name: found {declared.name!r}, expected at most 64 small letters, digits, - and _."
    if declared.axes not in (2, 3):
        yield f"axes: found {declared.axes}, expected 2 (slices) or 3 (volumes)."
    if not values or len(values) > 256 or values not in (list(range(len(values))), list(range(1, len(values) + 1))):
        yield f"labels: found the values {values[:20]}, expected 0, 1, 2, ... without gaps, at most 255."
    if BACKGROUND in declared.labels and declared.labels[BACKGROUND] != 0:
        yield f"labels.{BACKGROUND}: found {declared.labels[BACKGROUND]}, expected 0."
    for name, colour in declared.colours.items():
        if name not in declared.labels or not all(0 <= part <= 255 for part in colour):
            yield f"colours.{name}: expected a label's name, and three integers 0..255."
    yield from _region_faults(declared)
    yield from _within_faults(declared)
    yield from _phantom_faults(declared)


def _within_faults(declared: Declaration) -> Iterator[str]:
    foreground = [name for name, value in declared.labels.items() if value != 0]
    for inner, outer in declared.within.items():
        if not {inner, outer} <= set(foreground):
            yield f"within.{inner}: found {outer!r}, expected two of the labels: {', '.join(foreground)}."
            return
    for name in declared.within:
        around = name
        for _ in declared.within:
            around = declared.within.get(around, "")
        if around:
            yield f"within.{name}: goes in a circle. A label lies within another, and that in no label inside it."
            return


def _phantom_faults(declared: Declaration) -> Iterator[str]:
    if not declared.phantoms:
        return
    from .phantom_kinds import PHANTOM_KINDS

    for name in declared.phantoms:
        if name not in PHANTOM_KINDS:
            yield f"phantoms: found {name!r}, expected some of: {', '.join(PHANTOM_KINDS)}."
        elif missing := [label for label in PHANTOM_KINDS[name].labels if label not in declared.labels]:
            yield (f"phantoms: {name} draws {', '.join(PHANTOM_KINDS[name].labels)}, but labels lacks "
                   f"{', '.join(missing)}. Add it.")


def _region_faults(declared: Declaration) -> Iterator[str]:
    foreground = [name for name, value in declared.labels.items() if value != 0]
    regions = declared.regions or {as_identifier(name): (name,) for name in foreground}
    if len(regions) < len(declared.regions or foreground):
        yield "labels: two names differ in capitals and punctuation only. Name the regions yourself."
    for region, members in regions.items():
        if not _REGION.fullmatch(region):
            yield f"regions.{region}: expected at most 64 small letters, digits and _."
        if not members or not set(members) <= set(foreground):
            yield f"regions.{region}: found {list(members)}, expected some of: {', '.join(foreground)}."
    if declared.lesion is not None and declared.lesion not in regions:
        yield f"lesion: found {declared.lesion!r}, expected one of the regions: {', '.join(regions)}."
    attributes = [attribute.name for attribute in generic_attributes(tuple(regions), declared.axes, {})]
    for name in (*declared.ranges, *([declared.lesion_size] if declared.lesion_size else [])):
        low, high = declared.ranges.get(name, (0.0, 1.0))
        if name not in attributes or not low < high:
            yield f"ranges, lesion_size: {name} is no attribute, or its range is empty. Known: {', '.join(attributes)}."


def _colour(value: int) -> tuple[int, int, int]:
    """A colour for each label value, the background black."""
    red, green, blue = colorsys.hsv_to_rgb((value - 1) * _GOLDEN % 1.0, 0.7, 0.9) if value else (0.0, 0.0, 0.0)
    return round(255 * red), round(255 * green), round(255 * blue)


