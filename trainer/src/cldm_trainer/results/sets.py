"""The dataset files that the results are measured on: original, reconstructed, synthetic slices of the same patients.

Each is made once. A file that exists is used again if it was made from the same bundles, cohort and sizes, and holds
what was written.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.manifest import SamplingSpec
from cldm_runtime.cli.progress import show_progress
from cldm_runtime.engines.open import open_graph
from cldm_runtime.engines.processor import default_workers
from cldm_runtime.generation.pipeline import Pipeline, decoder_noise
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.store import DatasetWriter, open_dataset

from ..audit.kept_files import forget_made, is_as_made, record_made
from ..audit.sets import remove_if_changed
from .workshop import Rows, Workshop, digest_of

BATCH = 16


def original_set(shop: Workshop) -> Path:
    """Slices of every subset of the cohort as they are."""
    chosen = [shop.rows(name) if name == "train" else shop.all_rows(name) for name in shop.subsets]
    rows = np.concatenate(chosen)

    def fill(writer: DatasetWriter) -> None:
        for _, images, masks, columns in read_rows(shop.cohort, rows):
            writer.append(images=images, masks=masks, **columns)

    return shop.make("real", shop.recipe(kind="real", train=shop.sizes.train), fill)


def compared_rows(shop: Workshop) -> Rows:
    """The cohort's rows whose masks are used for reconstructions and synthetic images."""
    return np.concatenate([shop.rows(name) for name in shop.compared])


def reconstructed_set(shop: Workshop, *, texture: bool) -> Path:
    """Slices of the compared subsets through the codec, with the decoder's texture noise or with zeros instead."""
    rows = compared_rows(shop)

    def fill(writer: DatasetWriter) -> None:
        decoder = open_graph(shop.generator.bundle, "decoder")
        for part, images, masks, columns in read_rows(shop.cohort, rows):
            noise = decoder_noise(shop.generator.manifest.graphs["decoder"], 0, part)
            if not texture:
                noise = {name: np.zeros_like(value) for name, value in noise.items()}
            latent = encode(shop, images)
            writer.append(images=decoder.run({"latent": latent, **noise})["image"], masks=masks, **columns)

    name = "reconstructed-textured" if texture else "reconstructed"
    return shop.make(name, shop.recipe(kind=name, other=shop.sizes.other), fill)


def synthetic_set(shop: Workshop, *, steps: int | None = None, guidance: float | None = None) -> Path:
    """Images for the slices of the compared subsets: each slice of `test` once for each seed, every other slice once,
    and no other for a bundle that takes attributes alone.

    With `steps` or `guidance`, which replace the bundle's own: test slices and the first seed only. The sampled latents
    go to `<name>-latents.npy`.
    """
    default = shop.generator.sampling
    settings = replace(default, steps=steps or default.steps,
                       guidance=default.guidance if guidance is None else guidance)
    trial = steps is not None or guidance is not None
    test, others = shop.rows("test"), [shop.rows(name) for name in shop.compared[1:]]
    jobs = [(seed, test) for seed in range(1 if trial else shop.sizes.seeds)]
    jobs += [(0, rows) for rows in others if shop.from_masks and not trial]
    name = f"synthetic-{settings.steps:03d}-steps-guidance-{settings.guidance:g}" if trial else "synthetic"
    choices = {"other": shop.sizes.other, "seeds": shop.sizes.seeds} if not trial else {}
    return drawn_set(shop, name, jobs, settings, **choices)


def drawn_set(shop: Workshop, name: str, jobs: Sequence[tuple[int, Rows]], settings: SamplingSpec,
              **choices: Any) -> Path:
    """Images for jobs of (seed, rows of the cohort); `sample_index` and `condition` are the row. Masks stand in the
    file where the bundle takes masks; else the attributes that were asked for, which are those of the slice's mask."""
    settings = replace(settings, batch_size=BATCH)  # the batch of this module, not the bundle's
    choices = {"kind": name, "settings": asdict(settings), **choices}
    recipe = digest_of(shop.latents_recipe(**choices))
    sampled = _sampled_before(shop, name, recipe)
    if sampled is None:
        forget_made(shop.folder / f"{name}.h5")  # images and latents are made together
    latents: list[NDArray[np.float32]] = []

    def fill(writer: DatasetWriter) -> None:
        pipeline, done = Pipeline.open(shop.generator.bundle), 0
        plan, decoder = pipeline.plan(settings), pipeline.manifest.graphs["decoder"]
        for seed, rows in jobs:
            for part, _, masks, columns in read_rows(shop.cohort, rows):
                if sampled is None:
                    inputs = encoder_inputs(pipeline.manifest, shop.generator.domain, masks, columns["mask_attributes"])
                    batch = pipeline.sample(inputs, plan, seed, part)
                    latent, image = batch.latent, batch.image
                else:
                    latent = sampled[done : done + len(part)]
                    image = pipeline.decode(latent, decoder_noise(decoder, seed, part))
                done += len(part)
                writer.append(images=image, sample_index=part, condition=part, **_truth(shop, masks, columns))
                latents.append(latent)
        file = latents_file(shop, name)
        np.save(file, np.concatenate(latents))
        record_made(file, recipe)

    return shop.make(name, shop.recipe(**choices), fill)


def _sampled_before(shop: Workshop, name: str, recipe: str) -> NDArray[np.float32] | None:
    """Latents sampled by the recipe of this digest, of which another decoder made images; None: there are none."""
    file = latents_file(shop, name)
    if not is_as_made(file, recipe):
        return None
    latents: NDArray[np.float32] = np.load(file)
    return latents


def _truth(shop: Workshop, masks: NDArray[np.uint8], columns: Mapping[str, Any]) -> dict[str, Any]:
    if shop.from_masks:
        return {**columns, "masks": masks}
    whose = {key: columns[key] for key in ("patients", "slices", "subset") if key in columns}
    return {**whose, "requested": columns["mask_attributes"]}


def latents_file(shop: Workshop, name: str) -> Path:
    """Where the latents of a synthetic set lie."""
    return shop.folder / f"{name}-latents.npy"


def grid_set(shop: Workshop) -> Path:
    """What `cldm-gen --attributes` makes of the grid file."""
    grid = read_grid(shop.grid, shop.generator.domain)
    count = shop.sizes.grid
    plan = Plan(
        shop.generator, GridRequests.spread(grid, count, shop.generator.canvas), count, 0, shop.generator.settings()
    )
    path = shop.folder / "grid.h5"
    remove_if_changed(path)
    if path.exists():
        with open_dataset(path) as dataset:
            if dataset.metadata.get("plan") == plan.text:
                return path
        path.unlink()
    workers = default_workers(shop.generator.provider)

    def work() -> None:
        with show_progress("grid", count, sys.stderr, brief=True) as progress:
            generate_dataset(plan, path, "resume", progress, workers)

    shop.timed("grid", work)
    return path


def read_rows(
    cohort: Path, rows: Rows
) -> Iterator[tuple[Rows, NDArray[np.float32], NDArray[np.uint8], Mapping[str, Any]]]:
    """The cohort's rows in batches: row numbers, images, masks, and the columns that say whose they are."""
    with open_dataset(cohort) as dataset, show_progress("slices", len(rows), sys.stderr, brief=True) as progress:
        columns = {
            "patients": dataset.patients,
            "slices": dataset.slices,
            "subset": dataset.subset,
            "mask_attributes": dataset.mask_attributes,
            "mask_reasons": dataset.mask_reasons,
        }
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            of_rows = {name: column[part] for name, column in columns.items() if column is not None}
            yield part, dataset.images(part), dataset.masks(part), of_rows
            progress(start + len(part), len(rows))


def encode(
    shop: Workshop, images: NDArray[np.float32], noise: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Standardised latents (N, C, h, w) of images (N, C, H, W): draws from the posterior; without noise its means."""
    encoder, graph = open_graph(shop.generator.bundle, "encoder"), shop.generator.manifest.graphs["encoder"]
    parts = []
    for start in range(0, len(images), BATCH):
        inputs = {"image": images[start : start + BATCH]}
        for spec in graph.inputs[1:]:
            shape = (len(inputs["image"]), *(int(size) for size in spec.shape[1:]))
            drawn = np.zeros(shape) if noise is None else noise.standard_normal(shape)
            inputs[spec.name] = drawn.astype(np.float32)
        parts.append(encoder.run(inputs)["latent"])
    return np.concatenate(parts)
