"""The trainer's benchmark: who takes part, what others do, quality that is measured once, page and picture."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import onnx_fixtures
from cldm_runtime.bench.contest import ContestOptions
from cldm_runtime.bench.rows import COLUMNS, read_rows
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer import bench
from cldm_trainer.audit.two_sample import ClassifierTraining
from cldm_trainer.bench.contenders import all_entries, read_sampling
from cldm_trainer.bench.diffusers_loop import DiffusersLoop, make_scheduler
from cldm_trainer.bench.monai_inferer import MonaiInferer
from cldm_trainer.bench.page import BEGIN, END, bench_section, write_page
from cldm_trainer.bench.quality import quality
from cldm_trainer.bench.rebuilt_nnunet import check_rebuilt, rebuilt_result
from cldm_trainer.config import Config
from cldm_trainer.export.nnunet_agreement import nnunet_labels
from cldm_trainer.results.workshop import Sizes, Workshop
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort
from nnunet_fixtures import export_of, result_folder, slices

ROOT = Path(__file__).parents[3]
PHANTOM = ROOT / "trainer" / "configs" / "phantom-cpu.toml"
PAPER = """
[run]
name = "paper"
[cohort]
folder = "none"
[prepare]
shape = [16, 16]
[image_codec]
channels = [8, 8, 8]
norm_groups = 4
latent_channels = 1
optimiser = {steps = 1, batch_size = 1, learning_rate = 1e-3}
[mask_codec]
channels = [8, 8, 8]
norm_groups = 4
latent_channels = 1
optimiser = {steps = 1, batch_size = 1, learning_rate = 1e-3}
[texture]
optimiser = {steps = 1, batch_size = 1, learning_rate = 1e-3}
[diffusion]
channels = [8, 8]
norm_groups = 4
head_channels = 8
optimiser = {steps = 1, batch_size = 1, learning_rate = 1e-3}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A configuration with tiny bundles and a cohort."""
    folder = tmp_path_factory.mktemp("bench")
    onnx_fixtures.make_generator(folder / "lge", encoder=True)
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    loaded = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    targets = {"generator": str(folder / "lge"), "segmenter": str(folder / "lge-segmenter")}
    section = dataclasses.replace(loaded.bench, samplings=("ddim 2", "no-such 3"), torch_samplings=("ddim 2",),
                                  providers=("cpu",))
    changed = dataclasses.replace(
        loaded, run=dataclasses.replace(loaded.run, folder=str(folder / "runs")), bench=section,
        cohort=dataclasses.replace(loaded.cohort, folder=str(folder / "cohort")),
        export=dataclasses.replace(loaded.export, **targets))
    write_drawn_cohort(changed.cohort_file, {"train": 6, "val": 3, "test": 12})
    return changed


def row(name: str, kind: str = "networks", **values) -> dict:
    base = {"name": name, "kind": kind, "provider": "cpu", "evaluations": 50, "batch_size": 8, "timing": "whole",
            "images_per_second": 4.0, "seconds_per_image": [0.25, 0.2, 0.3], "gflop_per_image": 40.0,
            "share_of_matrix_product": 0.5, "peak_memory_mib": 300, "first_image_seconds": 1.5, "threads": 2,
            "matrix_product_gflops": [100.0, 90.0, 110.0], "versions": {"numpy": "2"}, "date": "2026", "command": "c",
            "machine": {"cpu": "abacus", "cores": 2, "memory_gib": 4, "os": "Linux", "load": [0.0]}}
    return dict.fromkeys(COLUMNS) | base | values


QUALITY = {"r2": {"infarct_size": 0.9}, "frechet": 1.5, "two_sample": 0.75, "latent_spread": 0.95,
           "high_frequency_ratio": 1.02}


def test_who_takes_part(config: Config, tmp_path: Path) -> None:
    entries = all_entries(config, tmp_path / "c.toml", ContestOptions(), tmp_path)
    names = [entry.contender.name for entry in entries]
    assert names[:5] == ["lge, ddim 4", "lge, ddim 4, requests to memory", "lge, ddim 4, requests to file",
                         "lge, ddim 2", "lge, no-such 3"]
    assert "diffusers around lge, torch compiled, ddim 2" in names and len(set(names)) == len(names)
    monai = {entry.contender.arguments["sampler"]: entry for entry in entries if "MONAI" in entry.contender.name}
    assert monai["ddpm"].contender.extrapolate and monai["ddpm"].contender.check
    assert not monai["ddim"].contender.extrapolate
    assert monai["ddim"].reason == "untrained networks of the paper's size"


@pytest.mark.parametrize("text", ["ddim", "ddim x", "ddim 0"])
def test_a_sampling_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="expected a sampler and its steps"):
        read_sampling(text)


def test_quality_is_measured_once(config: Config, tmp_path: Path) -> None:
    said: list[str] = []
    shop = Workshop(tmp_path / "bench", config.cohort_file, Generator.load(config.export.generator),
                    Segmenter.load(config.export.segmenter), tmp_path / "grid.csv", Sizes(features_repeats=2),
                    said.append)
    settings = shop.generator.settings(steps=2)
    found = quality(shop, settings, ClassifierTraining(steps=2, batch=4))
    assert found["r2"]["infarct_size"] > 0.99 and found["slices"] == 12  # greys that the segmenter reads back
    assert 0 <= found["two_sample"] <= 1 and found["high_frequency_ratio"] > 0
    said.clear()
    assert quality(shop, settings, ClassifierTraining(steps=2, batch=4)) == found and not said
    (file,) = shop.folder.glob("quality-*.json")
    file.write_text(file.read_text().replace('"slices": 12', '"slices": 13'))
    assert quality(shop, settings, ClassifierTraining(steps=2, batch=4)) == found and said


def test_monai_inferer_by_a_made_up_clock(tmp_path: Path) -> None:
    (tmp_path / "paper.toml").write_text(PAPER)
    ticks = itertools.count()
    work = MonaiInferer(str(tmp_path / "paper.toml"), "ddpm", 60, 1, clock=lambda: float(next(ticks)))
    work.prepare(2)
    assert work.estimate() == {"images": 2, "condition encoder": 1, "denoiser and sampler": 3, "decoder": 1}
    assert work.complete() == 2
    facts = work.facts()
    assert facts["evaluations"] == 60 and facts["gflop_per_image"] > 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
def test_diffusers_walks_the_same_steps() -> None:
    pytest.importorskip("diffusers")
    generator = Generator.load(ROOT / "exported" / "lge-teacher")
    table = generator.step_table(generator.settings(sampler="ddim", steps=25))
    assert generator.manifest.schedule is not None
    for sampler in ("ddim", "dpm++2m"):
        scheduler = make_scheduler(sampler, np.array(generator.manifest.schedule.alphas_cumprod), "v_prediction")
        scheduler.set_timesteps(25)
        assert np.array_equal(scheduler.timesteps.numpy(), table.timesteps[:25])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
@pytest.mark.long
def test_the_loop_in_torch_draws_what_the_runtime_draws() -> None:
    pytest.importorskip("diffusers")
    work = DiffusersLoop(str(PHANTOM), str(ROOT / "exported" / "lge-teacher"), "ddim", 3, 1)
    work.prepare(1)
    assert work.complete() == 1
    facts = work.facts()
    assert facts["differs_from_runtime"] < 1e-3 and facts["evaluations"] == 6
    assert facts["gflop_per_image"] == pytest.approx(BUNDLE_GFLOP, rel=0.02)


BUNDLE_GFLOP = (0.353894 + 0.998285 + 6 * 0.774652)  # as onnxruntime's shapes say


def test_nnunet_rebuilt_from_a_bundle_says_the_same(tmp_path: Path, small: Config) -> None:
    small = dataclasses.replace(small, segmenter=dataclasses.replace(
        small.segmenter, planned=False, features=(4, 8, 8), convolutions=1))
    export = export_of(result_folder(tmp_path / "result"), small)
    generator = torch.Generator().manual_seed(1)
    for values in export.result.network.parameters():  # an untrained network's are often equal, and stored once
        values.add_(0.01 * torch.randn(values.shape, generator=generator))
    segmenter = Segmenter.load(export.write(tmp_path / "bundle"))
    rebuilt = rebuilt_result(segmenter)
    assert check_rebuilt(segmenter, rebuilt) < 1e-4
    expected, found = (nnunet_labels(result, slices(), (1.0, 1.0), segmenter.spec.label_values, mirror=True)
                       for result in (export.result, rebuilt))
    assert (expected != found).mean() < 0.001
    segmenter.bundle.manifest.provenance["config"]["segmenter"]["planned"] = True
    with pytest.raises(InputError, match="planned = false"):
        rebuilt_result(segmenter)


def test_the_page_keeps_what_is_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Benchmarks\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    agreement = {"dice_with_nnunet": {"infarct": 0.9995}, "differing_pixels": 3}
    rows = [row("ours", quality=QUALITY), row("theirs", timing="extrapolated from a few steps of the sampling loop"),
            row("segmenter", "segmenter", quality=agreement), row("broken", error="no compiler")]
    write_page(page, rows)
    text = page.read_text()
    assert "before" in text and "after" in text and "\nold\n" not in text
    assert "| ours | 50 | 8 | 4 | 3.33 to 5 | 40 | 50 % | 300 | 1.5 | 0.900 | 1.5000 | 0.750 | 0.950 | 1.020 |" in text
    assert "| theirs | 50 | 8 | 4 e |" in text and "0.99950 | 3 |" in text
    assert "- broken: not measured, no compiler" in bench_section(rows)


def test_a_run_writes_rows_page_and_picture(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(contenders, *rest):
        return [row(contender.name, contender.kind) for contender in contenders]

    monkeypatch.setattr(bench, "time_contenders", timed)
    monkeypatch.setattr(bench, "quality", lambda shop, settings: QUALITY)
    file = bench.run(config, tmp_path / "c.toml", "cldm-train bench", out=tmp_path / "docs", only="lge, ")
    rows = read_rows(file)
    assert len(rows) == 7  # five of the bundle, two of diffusers around it
    assert [found["name"] for found in rows if found["quality"] is None] == ["lge, no-such 3"]
    assert "'no-such' is unknown" in rows[4]["quality_reason"]
    assert (tmp_path / "docs" / "figures" / "quality-speed.png").stat().st_size > 1000
    assert json.loads(file.read_text().splitlines()[0])["quality"] == QUALITY
    assert "lge, ddim 2" in (tmp_path / "docs" / "benchmarks.md").read_text()
