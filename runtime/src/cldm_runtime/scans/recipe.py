"""The recipe of a cohort: the settings with every name resolved to numbers, for one raw dataset and one domain."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..bundle.nature import NATURES
from ..domains.domain import Domain
from ..errors import InputError, list_faults
from .geometry import AXES
from .label_map import map_labels
from .nnunet_raw import RawDataset
from .resample import Window
from .settings import (
    ALL_CHANNELS,
    CENTRES,
    NAN_IS_AN_ERROR,
    NAN_IS_LOWEST,
    PADDING_APART,
    PADDING_IS_IMAGE,
    ZERO_IS_OUTSIDE,
    PrepareSettings,
)


@dataclass(frozen=True)
class Recipe:
    """Everything that preparing a case needs in addition to the case; sent to the worker processes.

    domain: as `find_domain` takes it. lookup: source label value -> label value of the domain. regions: label values of
    each region that decides whether a slice is usable; empty: every slice is usable. first_slice: the end of the stack
    that the first slice shows; "" if the domain has no rules for stacks. nature: "" if it is not stated.
    allow_nan: voxels of NaN get the lowest value of their channel. padding_apart: rims of one value do not count.
    zero_is_outside: no voxel of 0 counts.
    """

    domain: str
    lookup: Mapping[int, int]
    window: Window
    percentiles: tuple[float, float]
    regions: tuple[tuple[int, ...], ...]
    channels: tuple[int, ...]
    image_order: int
    check_geometry: bool
    first_slice: str
    nature: str
    centre_on_labels: bool = True
    allow_nan: bool = False
    padding_apart: bool = False
    label_names: tuple[str, ...] = ()  # of the domain, for messages
    zero_is_outside: bool = False


def make_recipe(settings: PrepareSettings, raw: RawDataset, domain: Domain, domain_name: str = "") -> Recipe:
    """Resolve names to numbers. `domain_name` is the name that the domain was found by, if it differs from its name.

    Raises InputError listing every setting that does not fit the domain, and every label that is not mapped.
    """
    faults: list[str] = []
    lookup = map_labels(raw, domain, settings.labels, faults)
    window = _window(settings, domain, faults)
    regions = _regions(settings, domain, faults)
    first, nature = _first_slice(settings, raw, domain, faults), _nature(settings, raw, faults)
    faults += _out_of_range(settings)
    if settings.slice_axis not in ("", *AXES) or (settings.slice_axis and domain.axes != 2):
        faults.append(f"prepare.slice_axis: found {settings.slice_axis!r}, expected z, y or x, for a domain of slices")
    if settings.centre not in CENTRES:
        faults.append(f"prepare.centre: found {settings.centre!r}, expected one of {', '.join(CENTRES)}")
    if settings.nan not in (NAN_IS_AN_ERROR, NAN_IS_LOWEST):
        faults.append(f"prepare.nan: found {settings.nan!r}, expected {NAN_IS_AN_ERROR} or {NAN_IS_LOWEST}")
    if settings.padding not in (PADDING_APART, PADDING_IS_IMAGE, ZERO_IS_OUTSIDE):
        faults.append(f"prepare.padding: found {settings.padding!r}, expected {PADDING_APART}, {PADDING_IS_IMAGE} or "
                      f"{ZERO_IS_OUTSIDE}")
    if faults:
        raise InputError(list_faults(f"{raw.folder} cannot be prepared:", faults))
    low, high = settings.percentiles
    return Recipe(domain_name or domain.name, lookup, window, (low, high), regions, _channels(settings, raw),
                  settings.image_order, settings.check_geometry, first, nature, settings.centre == "labels",
                  settings.nan == NAN_IS_LOWEST, settings.padding == PADDING_APART, domain.labels.names,
                  settings.padding == ZERO_IS_OUTSIDE)


def _out_of_range(settings: PrepareSettings) -> list[str]:
    low, high = settings.percentiles if len(settings.percentiles) == 2 else (0.0, 0.0)
    rules = [
        ("percentiles", 0 <= low < high <= 100, "two numbers from 0 to 100, the lower one first"),
        ("image_order", 0 <= settings.image_order <= 5, "0 to 5"),
        ("margin_mm", 0 <= settings.margin_mm < math.inf, "0 or more"),
        ("shape", min(settings.shape, default=1) > 0, "numbers of 1 or more"),
        ("spacing_mm", all(0 < length < math.inf for length in settings.spacing_mm), "numbers above 0"),
        ("channel", settings.channel >= 0, "0 or more"),
        ("workers", settings.workers >= 1, "1 or more")]
    return [f"prepare.{name}: found {_spelled(getattr(settings, name))}, expected {expected}"
            for name, fits, expected in rules if not fits]


def _spelled(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _window(settings: PrepareSettings, domain: Domain, faults: list[str]) -> Window:
    for name, sizes in (("shape", settings.shape), ("spacing_mm", settings.spacing_mm)):
        if len(sizes) != domain.axes:
            faults.append(f"prepare.{name}: found {list(sizes)}, expected {domain.axes} numbers, for samples of domain "
                          f"{domain.name} have {domain.axes} axes")
    return Window(settings.shape, settings.spacing_mm, settings.margin_mm)


def _regions(settings: PrepareSettings, domain: Domain, faults: list[str]) -> tuple[tuple[int, ...], ...]:
    """Label values of the regions that decide whether a slice is usable."""
    expected = domain.stack.regions if domain.stack else ()
    names = expected if settings.ring is None else settings.ring
    values = {**{name: (value,) for value, name in enumerate(domain.labels.names)}, **domain.labels.regions}
    unknown = [name for name in names if name not in values]
    faults += [f"prepare.ring: {name!r} is no label or region. Known: {', '.join(values)}" for name in unknown]
    if names and len(names) != len(expected):
        faults.append(f"prepare.ring: found {list(names)}, expected {len(expected)} names, or [] to keep every slice")
    return () if unknown else tuple(values[name] for name in names)


def _first_slice(settings: PrepareSettings, raw: RawDataset, domain: Domain, faults: list[str]) -> str:
    if domain.stack is None:
        if settings.first_slice:
            faults.append(f"first_slice: found {settings.first_slice!r}, but stacks of domain {domain.name} have no "
                          "named ends. Leave it out")
        return ""
    ends = domain.stack.ends
    first = settings.first_slice or str(raw.extra.get("first_slice", ends[0]))
    if first not in ends:
        faults.append(f"first_slice: found {first!r}, expected {ends[0]} or {ends[1]}")
    return first


def _nature(settings: PrepareSettings, raw: RawDataset, faults: list[str]) -> str:
    """The nature of the images, from the settings or dataset.json, which must not contradict each other."""
    stated = {str(raw.extra["nature"])} if "nature" in raw.extra else set()
    stated |= {settings.nature} - {""}
    if len(stated) > 1 or not stated <= set(NATURES):
        faults.append(f"nature: found {' and '.join(sorted(stated))} in prepare.nature and dataset.json, expected one "
                      f"of {', '.join(NATURES)}")
    return next(iter(stated), "")


def _channels(settings: PrepareSettings, raw: RawDataset) -> tuple[int, ...]:
    """Numbers of the channels to read. Raises InputError for a text other than "all"."""
    if isinstance(settings.channels, str):
        if settings.channels != ALL_CHANNELS:
            raise InputError(f"prepare.channels: found {settings.channels!r}, expected \"all\" or a list such as "
                             "[0, 1].")
        named = raw.extra.get("channel_names")
        return tuple(range(len(named) if isinstance(named, dict) else 1))
    return settings.channels or (settings.channel,)


def described(recipe: Recipe, settings: PrepareSettings, domain: Domain) -> dict[str, object]:
    """Everything other than its files that a cohort depends on, as JSON values.

    Settings that are newer than the first version are left out at their defaults, so cohorts of earlier versions still
    count as made with the same settings.
    """
    one = len(recipe.channels) == 1
    stack = {f"{domain.stack.ends[1]}_first": recipe.first_slice == domain.stack.ends[1]} if domain.stack else {}
    return {
        "domain": domain.name, "lookup": sorted(recipe.lookup.items()), "window": asdict(recipe.window),
        "percentiles": recipe.percentiles, "ring": recipe.regions,
        **({"channel": recipe.channels[0]} if one else {"channels": recipe.channels}),
        "image_order": recipe.image_order, "check_geometry": recipe.check_geometry, **stack,
        **({"nature": settings.nature} if settings.nature else {}),
        **({"slice_axis": settings.slice_axis} if settings.slice_axis else {}),
        **({} if settings.reorient else {"reorient": False}),
        **({} if recipe.centre_on_labels else {"centre": settings.centre}),
        **({"nan": settings.nan} if recipe.allow_nan else {}),
        **({} if recipe.padding_apart else {"padding": settings.padding}),
    }
