"""What weights learned from before their run is known, also when the runs before are gone."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.files.records import plain
from cldm_trainer.config import RunConfig
from cldm_trainer.stages.lineage import INHERITED, Inheritance, inheritance, natures_of
from cldm_trainer.training import checkpoint
from cldm_trainer.training.run_folder import Cohort, RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(RunConfig("last", folder=str(tmp_path)), Cohort(tmp_path, get_domain("lge"), (32, 32), (1.0, 1.0)))


def trained(run: RunFolder, name: str, nature: str | None, start: str = "", *, step: int = 1) -> None:
    """A finished denoiser; nature None: by an earlier version, which recorded no cohort."""
    config = {"start": start} | ({} if nature is None else {checkpoint.COHORT: {"nature": nature}})
    if start and nature is not None:
        config[INHERITED] = plain(inheritance(run, start))
    folder = run.other(name, "diffusion")
    folder.mkdir(parents=True)
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    checkpoint.save_tensors(folder / checkpoint.MODEL, {"a": torch.zeros(1)}, {"step": str(step)})


def test_every_ancestor_counts_and_is_known_when_it_is_gone(run: RunFolder) -> None:
    trained(run, "first", "phantom", step=7)
    trained(run, "second", "patients", "first", step=3)
    expected = Inheritance({"second": 3, "first": 7}, ("patients", "phantom"))
    assert inheritance(run, "second") == expected
    shutil.rmtree(run.other("first", ""))
    assert inheritance(run, "second") == expected


def test_runs_of_earlier_versions_are_followed_and_not_known_to_be_phantoms(run: RunFolder) -> None:
    trained(run, "first", "phantom")
    trained(run, "second", None, "first")
    assert inheritance(run, "second") == Inheritance({"second": 1, "first": 1}, ("", "phantom"))


@pytest.mark.parametrize(("adopted", "natures"), [({"nature": "phantom"}, ("phantom",)),
                                                  ({"natures": ["patients", "phantom"]}, ("patients", "phantom"))])
def test_an_adopted_bundle_counts_for_the_stages_that_have_its_weights(run: RunFolder, adopted: dict[str, object],
                                                                       natures: tuple[str, ...]) -> None:
    trained(run, "first", "patients")
    (run.other("first", "diffusion") / checkpoint.CONFIG).unlink()  # as `adopt` leaves it
    (run.other("first", checkpoint.ADOPTED)).write_text(json.dumps(adopted))
    assert inheritance(run, "first").natures == natures
    assert natures_of([run.other("first", "texture")], Inheritance()) == list(natures)
    assert natures_of([run.other("first", "label-vae")], Inheritance()) == []


def test_without_a_parent_nothing_is_inherited(run: RunFolder) -> None:
    assert inheritance(run, "") == Inheritance()
