"""The dataset files that the results are measured on: real, reconstructed and synthetic slices of the same patients.

Each is made once. A file that exists is used again if it was made from the same bundles, cohort and sizes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.manifest import SamplingSpec
from cldm_runtime.engines.open import open_graph
from cldm_runtime.engines.processor import default_workers
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.pipeline import Pipeline, decoder_noise
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, DatasetWriter, create_dataset, open_dataset

BATCH = 16
Say = Callable[[str], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """How much is measured: training slices, slices of each further test subset, seeds for each mask of the first test
    subset, images of the grid, and the numbers of sampling steps and the weights of guidance that are shown beside the
    bundle's own. trade: the weights of guidance at which obedience and variety are compared, for so many conditions and
    seeds of each."""

    train: int = 600
    other: int = 750
    seeds: int = 4
    grid: int = 1000
    steps: tuple[int, ...] = (4, 10, 20)
    guidance: tuple[float, ...] = (1.0, 1.5, 2.0)
    features_repeats: int = 10
    trade: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0)
    trade_conditions: int = 30
    trade_seeds: int = 3


@dataclass
class Workshop:
    """Where the sets are made, and from what. `seconds` says how long each set took that was made now."""

    folder: Path
    cohort: Path
    generator: Generator
    segmenter: Segmenter
    grid: Path
    sizes: Sizes = Sizes()
    say: Say = print
    without: Mapping[str, str] = field(default_factory=dict)  # subset -> label whose slices are left out once more
    strategies: Mapping[str, str] = field(default_factory=dict)  # number in the paper -> bundle
    only: tuple[str, ...] = ()  # the compared subsets; empty: all that were not trained on
    features: Path | None = None  # an ONNX file for Frechet and kernel distance; None: the segmenter's encoder
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cohort_sha256 = sha256_of(self.cohort)
        timings = self.folder / "seconds.json"
        if timings.exists():
            self.seconds |= json.loads(timings.read_text(encoding="utf-8"))

    def recipe(self, **choices: Any) -> str:
        """What decides the content of a set, as text. Of the bundle that is its networks and its schedule: new defaults
        or figures in its manifest make no other images."""
        return self._recipe(list(self.generator.manifest.graphs), choices)

    def latents_recipe(self, **choices: Any) -> str:
        """What decides the sampled latents of a set: its recipe without the networks of the image codec."""
        return self._recipe([role for role in self.generator.manifest.graphs if role not in ("encoder", "decoder")],
                            choices)

    def _recipe(self, roles: Sequence[str], choices: Mapping[str, Any]) -> str:
        manifest = self.generator.manifest
        assert manifest.schedule is not None  # a generator has it: the manifest was checked
        networks = {role: manifest.graphs[role].sha256 for role in roles}
        basis = {"cohort": self.cohort_sha256, "networks": networks, "schedule": asdict(manifest.schedule),
                 "nulls": [condition.null for condition in manifest.conditions]}
        return json.dumps({**basis, **choices}, sort_keys=True)

    def timed(self, name: str, work: Callable[[], object]) -> None:
        """Do some work and write down how long it took."""
        self.say(f"{name} ...")
        begun = time.monotonic()
        work()
        self.seconds[name] = round(time.monotonic() - begun, 1)
        (self.folder / "seconds.json").write_text(json.dumps(self.seconds, indent=1) + "\n", encoding="utf-8")

    @property
    def from_masks(self) -> bool:
        """Whether the generator is told label maps, and not their attributes alone."""
        return "masks" in self.generator.manifest.sources

    @property
    def subsets(self) -> tuple[str, ...]:
        """Subsets of the cohort: train, val, test, then any others. Raises InputError where there is no test subset."""
        with open_dataset(self.cohort) as dataset:
            found = set() if dataset.subset is None else set(dataset.subset.tolist())
        if "test" not in found:
            raise InputError(f"{self.cohort}: has no subset test; found {', '.join(sorted(found)) or 'no subsets'}.")
        first = [name for name in ("train", "val", "test") if name in found]
        return (*first, *sorted(found - set(first)))

    @property
    def compared(self) -> tuple[str, ...]:
        """Subsets that reconstructions and synthetic images are made for: test and whatever else was not trained on."""
        return self.only or tuple(name for name in self.subsets if name not in ("train", "val"))

    def rows(self, subset: str) -> Rows:
        """Rows of a subset of the cohort; some of them, evenly picked, where `sizes` asks for fewer."""
        count = {"train": self.sizes.train, "val": None, "test": None}.get(subset, self.sizes.other)
        found = self.all_rows(subset)
        if count is None or len(found) <= count:
            return found
        picked: Rows = found[np.linspace(0, len(found) - 1, count).round().astype(int)]
        return picked

    def all_rows(self, subset: str) -> Rows:
        """Every row of a subset."""
        with open_dataset(self.cohort) as dataset:
            return dataset.rows(subset)

    def make(self, name: str, recipe: str, fill: Callable[[DatasetWriter], None]) -> Path:
        """The file `<name>.h5`, filled unless it is there with the same recipe."""
        path = self.folder / f"{name}.h5"
        digest = _digest(recipe)
        if path.exists():
            with open_dataset(path) as dataset:
                if dataset.metadata.get("recipe_sha256") == digest:
                    return path
        image = self.generator.manifest.image
        spec = DatasetSpec(
            self.generator.domain,
            image.shape,
            image.spacing_mm,
            image.channels,
            image.value_range,
            {"recipe_sha256": digest},
        )

        def work() -> None:
            with create_dataset(path, spec, overwrite=True) as writer:
                fill(writer)

        self.timed(name, work)
        return path


def real_set(shop: Workshop) -> Path:
    """Slices of every subset of the cohort as they are."""
    chosen = [shop.rows(name) if name == "train" else shop.all_rows(name) for name in shop.subsets]
    rows = np.concatenate(chosen)

    def fill(writer: DatasetWriter) -> None:
        for _, images, masks, known in read_rows(shop.cohort, rows):
            writer.append(images=images, masks=masks, **known)

    return shop.make("real", shop.recipe(kind="real", train=shop.sizes.train), fill)


def compared_rows(shop: Workshop) -> Rows:
    """The cohort's rows whose masks are used for reconstructions and synthetic images."""
    return np.concatenate([shop.rows(name) for name in shop.compared])


def reconstructed_set(shop: Workshop, *, texture: bool) -> Path:
    """Slices of the compared subsets through the codec, with the decoder's texture noise or with zeros in its place."""
    rows = compared_rows(shop)

    def fill(writer: DatasetWriter) -> None:
        decoder = open_graph(shop.generator.bundle, "decoder")
        for part, images, masks, known in read_rows(shop.cohort, rows):
            noise = decoder_noise(shop.generator.manifest.graphs["decoder"], 0, part)
            if not texture:
                noise = {name: np.zeros_like(value) for name, value in noise.items()}
            latent = encode(shop, images)
            writer.append(images=decoder.run({"latent": latent, **noise})["image"], masks=masks, **known)

    name = "reconstructed-textured" if texture else "reconstructed"
    return shop.make(name, shop.recipe(kind=name, other=shop.sizes.other), fill)


def synthetic_set(shop: Workshop, *, steps: int | None = None, guidance: float | None = None) -> Path:
    """Images for the slices of the compared subsets: each slice of `test` once for each seed, every other slice once,
    and no other for a bundle that is told attributes alone.

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
    settings = replace(settings, batch_size=BATCH)  # which is the batch here, whatever the bundle's is
    choices = {"kind": name, "settings": asdict(settings), **choices}
    digest = _digest(shop.latents_recipe(**choices))
    sampled = _sampled_before(shop, name, digest)
    latents: list[NDArray[np.float32]] = []

    def fill(writer: DatasetWriter) -> None:
        pipeline, done = Pipeline.open(shop.generator.bundle), 0
        plan, decoder = pipeline.plan(settings), pipeline.manifest.graphs["decoder"]
        for seed, rows in jobs:
            for part, _, masks, known in read_rows(shop.cohort, rows):
                if sampled is None:
                    told = encoder_inputs(pipeline.manifest, shop.generator.domain, masks, known["mask_attributes"])
                    batch = pipeline.sample(told, plan, seed, part)
                    latent, image = batch.latent, batch.image
                else:
                    latent = sampled[done : done + len(part)]
                    image = pipeline.decode(latent, decoder_noise(decoder, seed, part))
                done += len(part)
                writer.append(images=image, sample_index=part, condition=part, **_truth(shop, masks, known))
                latents.append(latent)
        np.save(latents_file(shop, name), np.concatenate(latents))
        latents_file(shop, name).with_suffix(".sha256").write_text(digest, encoding="utf-8")

    return shop.make(name, shop.recipe(**choices), fill)


def _sampled_before(shop: Workshop, name: str, digest: str) -> NDArray[np.float32] | None:
    """Latents sampled by the recipe of this digest, of which another decoder made images; None: there are none."""
    kept = latents_file(shop, name)
    stated = kept.with_suffix(".sha256")
    if not (kept.exists() and stated.exists()) or stated.read_text(encoding="utf-8") != digest:
        return None
    latents: NDArray[np.float32] = np.load(kept)
    return latents


def _digest(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest()


def _truth(shop: Workshop, masks: NDArray[np.uint8], known: Mapping[str, Any]) -> dict[str, Any]:
    if shop.from_masks:
        return {**known, "masks": masks}
    whose = {key: known[key] for key in ("patients", "slices", "subset") if key in known}
    return {**whose, "requested": known["mask_attributes"]}


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
    if path.exists():
        with open_dataset(path) as dataset:
            if dataset.metadata.get("plan") == plan.text:
                return path
        path.unlink()
    workers = default_workers(shop.generator.provider)
    shop.timed("grid", lambda: generate_dataset(plan, path, "resume", workers=workers))
    return path


def read_rows(
    cohort: Path, rows: Rows
) -> Iterator[tuple[Rows, NDArray[np.float32], NDArray[np.uint8], Mapping[str, Any]]]:
    """The cohort's rows in batches: row numbers, images, masks, and the columns that say whose they are."""
    with open_dataset(cohort) as dataset:
        columns = {
            "patients": dataset.patients,
            "slices": dataset.slices,
            "subset": dataset.subset,
            "mask_attributes": dataset.mask_attributes,
            "mask_reasons": dataset.mask_reasons,
        }
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            known = {name: column[part] for name, column in columns.items() if column is not None}
            yield part, dataset.images(part), dataset.masks(part), known


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
