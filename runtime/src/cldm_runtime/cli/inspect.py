"""`cldm inspect`: what a bundle or a dataset is."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..bundle.bundle import Bundle
from ..bundle.declarations import carried_domain
from ..bundle.manifest import Manifest, TensorSpec
from ..bundle.nature import trained_on_sentence
from ..bundle.obedience import read_obedience, weakness
from ..bundle.outputs import channels_of, draws_labels
from ..bundle.sources import SOURCES
from ..store import open_dataset
from .inspect_dataset import dataset_facts, dataset_lines

_WIDTH = 14


@click.command()
@click.argument("path", metavar="BUNDLE|FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print manifest.json itself; of a dataset, its facts as JSON.")
def inspect(path: Path, as_json: bool) -> None:
    """Say what a bundle or a dataset is.

    Of a BUNDLE: what it was trained on, its networks, attributes, defaults and quality. The files are checked first.
    Of a dataset FILE: its images, spacing, domain, subsets, segmentations and attributes.

    \b
    Examples:
      cldm inspect exported/lge
      cldm inspect out/samples.h5
    """
    if path.is_file():
        with open_dataset(path) as dataset:
            facts = dataset_facts(dataset)
        if as_json:
            click.echo(json.dumps(facts, indent=1))
        else:
            _print_lines(dataset_lines(facts))
        return
    opened = Bundle.load(path)
    if as_json:
        click.echo(opened.manifest_text, nl=False)
        return
    _print_lines(summary(opened.manifest))
    click.echo(f"{'sha256':{_WIDTH}}{opened.manifest_sha256} (manifest.json; the listed files agree with it)")


def _print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Names in a column, texts next to them; a line without a name has no column. Control characters become "?"."""
    for name, text in lines:
        printable = "".join(character if character.isprintable() else "?" for character in text)
        click.echo(f"{name:{_WIDTH}}{printable}" if name else printable)


def summary(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(name, text) lines that describe a manifest."""
    image = manifest.image
    yield "", trained_on_sentence(manifest.nature, manifest.provenance)
    yield "name", f"{manifest.name} {manifest.bundle_version} ({manifest.kind}, domain {manifest.domain})"
    yield "description", manifest.description
    yield "intended use", manifest.intended_use
    yield "licence", manifest.licence
    yield "image", (f"{image.channels} x {_by(image.shape)}, {_by(image.spacing_mm)} mm, "
                    f"values {image.value_range[0]:g} to {image.value_range[1]:g}")
    yield "labels", ", ".join(f"{value} {name}" for value, name in enumerate(manifest.labels.names))
    for spec in manifest.attributes:
        yield "attribute", f"{spec.name} ({spec.unit}, {spec.low:g} to {spec.high:g}; training mean {spec.mean:.3g})"
    for value in manifest.acquisition.requestable if manifest.acquisition else ():
        middle = value.table.value(np.zeros(1))[0]
        yield "attribute", f"{value.name} ({value.unit}, {value.low:g} to {value.high:g}; training median {middle:.3g})"
    for role, graph in manifest.graphs.items():
        yield "graph", f"{role} ({graph.precision}): {_tensors(graph.inputs)} -> {_tensors(graph.outputs)}"
    yield from _generator_lines(manifest)
    if manifest.latent_prior:
        prior = manifest.latent_prior
        shares = [sum(c.share for c in prior.components if c.lesion == lesion) for lesion in (True, False)]
        yield "prior", (f"{prior.dimensions} dimensions, {len(prior.components)} Gaussians; of the slices "
                        f"{shares[0]:.0%} with a lesion, {shares[1]:.0%} without")
    for name, figure in figures("", manifest.quality):
        yield "quality", f"{name}: {figure}"


def figures(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """(name, number or text) of every figure in nested JSON values; a table of records gives one line a record."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from figures(f"{name}, {key}" if name else str(key), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield name, ", ".join(f"{key} {_plain(part)}" for key, part in figures("", item)) if isinstance(
                item, Mapping) else _plain(item)
    else:
        yield name, _plain(value)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _generator_lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.kind == "generator":
        domain = carried_domain(manifest.domain, manifest.declared_domain, manifest.name)
        if short := weakness(read_obedience(manifest.quality), domain):
            yield "falls short", short
        if draws_labels(manifest):
            yield "draws", f"label maps, a channel for each of {', '.join(channels_of(manifest).names)}"
        first = next((source for source in SOURCES.values() if source.name in manifest.sources), None)
        yield "needs", (f"{first.name} ({first.needs})" if first else
                        f"nothing (you cannot choose what the {'label maps' if draws_labels(manifest) else 'images'} "
                        "show)")
    for condition in manifest.conditions:
        yield "condition", (f"{condition.name} ({condition.kind}, from {condition.source}; "
                            f"{'no null, so no guidance' if condition.null is None else 'with a null for guidance'})")
    if manifest.schedule:
        schedule = manifest.schedule
        yield "schedule", f"{schedule.train_timesteps} training steps, predicts {schedule.prediction_type}"
    if manifest.sampling:
        chosen = manifest.sampling
        yield "sampling", (f"{chosen.sampler}, {chosen.steps} steps, {chosen.spacing} spacing, eta {chosen.eta:g}, "
                           f"batches of {chosen.batch_size}")
        low, high = chosen.guidance_interval
        yield "guidance", f"weight {chosen.guidance:g} from {low:g} to {high:g} of the training timesteps"
    if manifest.distilled:
        yield "distilled", (f"from {manifest.distilled.teacher}, includes guidance {manifest.distilled.guidance:g}; "
                            "runs with these steps only")


def _tensors(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} [{', '.join(map(str, spec.shape))}]" for spec in specs)


def _by(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
