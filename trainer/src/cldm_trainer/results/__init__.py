"""`cldm-train results`: measures the exported bundles on a cohort and writes results.md, results.json and pictures."""

import dataclasses
import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from cldm_runtime.engines.processor import processor_name
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.features import open_extractor
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.records import without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset
from cldm_runtime.version import __version__ as runtime_version

from ..config import Config
from ..export.anatomy.traversal import TRAVERSAL
from . import pictures
from .cldm import sweeps
from .cldm.goals import goals
from .cldm.paper import TITLES
from .cldm.strategies import Strategy, strategies, strategy_figures
from .cldm.students import student_figures
from .cldm.trade import trade_figures
from .figures_of_merit import (
    Json,
    Measured,
    error_split,
    grid_figures,
    measure_set,
    reconstruction_texture,
    same_slices,
    texture_figures,
    without_label,
)
from .markdown import VERSION
from .names import shown_name
from .new_patients import cohort_of_results
from .page_file import RESULTS_FILE, write_results_page
from .realism import realism_figures, uncertainty_figures
from .sets import grid_set, original_set, reconstructed_set, synthetic_set
from .workshop import Say, Sizes, Workshop

GRID = Path("examples/grid.csv")


def run(
    config: Config, command: str, *, out: Path = Path("docs"), grid: Path = GRID, sizes: Sizes | None = None,
    say: Say = lambda text: None
) -> Path:
    """Make every set that is missing, measure, and write the results below `out`; returns the page.

    A run that was stopped goes on with the first set that is missing. Raises DatasetError for a missing
    cohort, BundleError for bundles that are missing or damaged, InputError for a domain that draws no label maps.
    """
    cohort = cohort_of_results(config)
    generator = Generator.load(config.export.generator)
    if generator.domain.anatomy is None:
        raise InputError(f"results: the domain {generator.domain.name} draws no label maps, which the results need for "
                         "requested attributes. Use `cldm gen --masks` and `cldm evaluate`.")
    shop = Workshop(
        config.run_folder / "results",
        cohort,
        generator,
        Segmenter.load(config.export.segmenter),
        grid,
        sizes or Sizes(),
        say,
        config.results.without,
        config.results.strategies,
        students=config.results.students,
        features=Path(config.results.features) if config.results.features else None,
    )
    figures = collect(shop, command, out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RESULTS_FILE, figures)
    page = write_results_page(out)
    assert page is not None  # its figures have just been written
    return page


def collect(shop: Workshop, command: str, out: Path) -> Json:
    """Every figure, as JSON values without NaN; pictures are drawn on the way."""
    with open_dataset(shop.cohort) as dataset:
        nature = dataset.nature
    cohort = measure_set(shop, original_set(shop))
    mean, textured = (measure_set(shop, reconstructed_set(shop, texture=texture)) for texture in (False, True))
    synthetic = measure_set(shop, synthetic_set(shop))
    grid = measure_set(shop, grid_set(shop))
    rows = _rows(shop, cohort, mean, textured, synthetic)
    domain, test = shop.generator.domain, cohort.samples("test")
    requested = grid.samples()
    grid_summary = grid_figures(requested)
    attributes = grid_summary["attributes"]
    figures: Json = {
        "version": VERSION,
        "nature": nature,
        "axes": domain.axes,
        "tolerances": {attribute.name: attribute.tolerance for attribute in domain.attributes},
        "lesion": domain.lesion,
        "attributes": attributes,
        "compared": list(shop.compared),
        "without": dict(shop.without),
        "sets": rows,
        "reconstruction_texture": {
            "mean": reconstruction_texture(shop, mean),
            "textured": reconstruction_texture(shop, textured),
        },
        "texture": texture_figures(shop, synthetic, "synthetic"),
        "steps": [
            {"steps": steps, **_trial(shop, synthetic_set(shop, steps=steps))}
            for steps in (*shop.sizes.steps, shop.generator.sampling.steps)
        ],
        "guidance": [
            {"guidance": weight, **_trial(shop, synthetic_set(shop, guidance=weight))} for weight in _weights(shop)
        ],
        "grid": grid_summary | {"split": error_split(test, requested, attributes)},
    }
    figures |= _strategies(shop, cohort, out)
    figures["students"] = student_figures(shop)
    figures["uncertainty"] = uncertainty_figures(synthetic, "test")
    if figures["uncertainty"] is not None:
        pictures.calibration(out / "figures" / "uncertainty.png", figures["uncertainty"])
    pictures.montage(out / "montage.png", cohort, shop.generator, shop.compared[:2], nature)
    panels = {shown_name("real, test", nature): test, "synthetic, test": synthetic.samples("test")}
    pictures.scatter(out / "figures" / "agreement.png", panels, attributes)
    pictures.scatter(out / "figures" / "grid.png", {"grid": requested}, attributes, requested=True)
    figures["goals"] = goals(figures)
    figures["made"] = _made(shop, command)
    clean: Json = without_nan(figures)
    return clean


def _strategies(shop: Workshop, cohort: Measured, out: Path) -> Json:
    """The comparison of all strategies; nothing where the configuration names none."""
    if not shop.strategies:
        return {}
    extractor = open_extractor(shop.features, shop.segmenter.bundle.path)
    chosen = strategies(shop)
    compared = strategy_figures(shop, cohort, chosen, extractor) | {"traversals": _copy_traversals(chosen, out)}
    attributes = list(compared["rows"]["real, test"]["agreement"])
    panels = {TITLES.get(strategy.key, strategy.key): strategy.test() for strategy in chosen}
    pictures.scatter(out / "figures" / "strategies.png", panels, attributes)
    trade = trade_figures(shop, chosen, extractor)
    pictures.trade(out / "figures" / "trade.png", trade, attributes)
    for strategy in chosen:
        generator = strategy.shop.generator
        sweeps.picture(out / "figures" / f"sweep-{generator.bundle.path.name}.png", generator, shop.segmenter)
    return {"strategies": compared, "trade": trade, "realism": realism_figures(shop, chosen)}


def _copy_traversals(chosen: list[Strategy], out: Path) -> dict[str, str]:
    """The bundles' pictures of what their label VAE's dimensions mean, copied next to the page: strategy -> link."""
    links = {}
    for strategy in chosen:
        bundle = strategy.shop.generator.bundle.path
        if (bundle / TRAVERSAL).is_file():
            links[strategy.key] = f"figures/traversal-{bundle.name}.png"
            (out / "figures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / TRAVERSAL, out / links[strategy.key])
    return links


def _rows(shop: Workshop, cohort: Measured, mean: Measured, textured: Measured, synthetic: Measured) -> list[Json]:
    """One row for each set, in the order of the table."""
    by_kind = {"real": cohort, "reconstructed without noise": mean, "reconstructed": textured, "synthetic": synthetic}
    rows = []
    for kind, measured in by_kind.items():
        for name in shop.subsets if kind == "real" else shop.compared:
            samples = measured.samples(name)
            titled = {f"{kind}, {name}": samples}
            if name in shop.without:
                label = shop.without[name]
                titled[f"{kind}, {name} without {label}"] = without_label(measured, samples, label)
            if kind == "real" and name in shop.compared and len(textured.samples(name)) < len(samples):
                titled[f"real, {name}, the same slices"] = same_slices(samples, textured.samples(name))
            rows += [measured.row(title, chosen) for title, chosen in titled.items()]
    return rows


def _trial(shop: Workshop, path: Path) -> Json:
    """Test masks with another number of steps or weight of guidance."""
    measured = measure_set(shop, path)
    return {"row": measured.row(path.stem, measured.samples()), "texture": texture_figures(shop, measured, path.stem)}


def _weights(shop: Workshop) -> list[float]:
    """The weights of guidance that are shown; none where the bundle cannot guide."""
    if not shop.generator.manifest.can_guide:
        return []
    return sorted({*shop.sizes.guidance, shop.generator.sampling.guidance})


def _made(shop: Workshop, command: str) -> Json:
    """What the page says about the run itself."""
    sampling = shop.generator.sampling
    with open_dataset(shop.cohort) as dataset:
        slices = len(dataset)
    packages = {"cldm-trainer": version("cldm-trainer"), "cldm-runtime": runtime_version,
                "Python": platform.python_version()}
    return {
        "command": command,
        "cpu": processor_name(),
        "cores": os.cpu_count(),
        "versions": ", ".join(map(" ".join, packages.items())),
        "generator": shop.generator.bundle.identity,
        "segmenter": shop.segmenter.bundle.identity,
        "sampling": f"{sampling.sampler}, {sampling.steps} steps, {sampling.spacing}, eta {sampling.eta:g}, "
        f"guidance {sampling.guidance:g}",
        "cohort_slices": slices,
        "sizes": dataclasses.asdict(shop.sizes),
        "seconds": dict(shop.seconds),
        "minutes": sum(shop.seconds.values()) / 60,
    }
