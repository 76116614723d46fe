"""`cldm inspect`: what a bundle is."""

from collections.abc import Iterator
from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..bundle.manifest import Manifest, TensorSpec

_WIDTH = 14
_NEEDS = {"masks": " (drawn for the attributes asked for, or given)",
          "attributes": " (asked for, or measured on given masks; none are drawn or written)",
          "nothing": " (what the images show cannot be chosen)"}


@click.command()
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print manifest.json itself.")
def inspect(bundle: Path, as_json: bool) -> None:
    """Check the files of BUNDLE and say what it is: its networks, attributes, defaults and quality.

    \b
    Example:
      cldm inspect exported/lge
    """
    opened = Bundle.load(bundle)
    if as_json:
        click.echo(opened.manifest_text, nl=False)
        return
    for name, text in summary(opened.manifest):
        printable = "".join(character if character.isprintable() else "?" for character in text)
        click.echo(f"{name:{_WIDTH}}{printable}")
    click.echo(f"{'sha256':{_WIDTH}}{opened.manifest_sha256} (manifest.json; the listed files agree with it)")


def summary(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(name, text) lines that describe a manifest."""
    image = manifest.image
    yield "name", f"{manifest.name} {manifest.bundle_version} ({manifest.kind}, domain {manifest.domain})"
    yield "description", manifest.description
    yield "intended use", manifest.intended_use
    yield "licence", manifest.licence
    yield "image", (f"{image.channels} x {_by(image.shape)}, {_by(image.spacing_mm)} mm, "
                    f"values {image.value_range[0]:g} to {image.value_range[1]:g}")
    yield "labels", ", ".join(f"{value} {name}" for value, name in enumerate(manifest.labels.names))
    for spec in manifest.attributes:
        yield "attribute", f"{spec.name} ({spec.unit}, {spec.low:g} to {spec.high:g}; training mean {spec.mean:.3g})"
    for role, graph in manifest.graphs.items():
        yield "graph", f"{role} ({graph.precision}): {_tensors(graph.inputs)} -> {_tensors(graph.outputs)}"
    yield from _generator_lines(manifest)
    if manifest.latent_prior:
        prior = manifest.latent_prior
        shares = [sum(c.share for c in prior.components if c.lesion == lesion) for lesion in (True, False)]
        yield "prior", (f"{prior.dimensions} dimensions, {len(prior.components)} Gaussians; of the slices "
                        f"{shares[0]:.0%} with a lesion, {shares[1]:.0%} without")
    for name, figure in manifest.quality.items():
        yield "quality", f"{name}: {figure}"


def _generator_lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.kind == "generator":
        needed = "masks" if "masks" in manifest.sources else "attributes" if manifest.sources else "nothing"
        yield "needs", needed + _NEEDS[needed]
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
        yield "distilled", (f"from {manifest.distilled.teacher}, guidance {manifest.distilled.guidance:g} included; "
                            "serves these steps only")


def _tensors(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} [{', '.join(map(str, spec.shape))}]" for spec in specs)


def _by(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
