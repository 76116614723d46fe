"""Every stage of a training notices that something it was made from has changed, and nothing else.

A station is a stage of `cldm-train`. The fixture carries out all of them but for the training itself: what a stage
leaves are its untrained weights, moved a little by all that its configuration records, so that weights of other data
differ. Then one thing is changed at a time, and every stage is asked again.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import onnx_fixtures
from cldm_runtime.errors import CldmError
from cldm_trainer.config import Config, DistilConfig, FinishConfig, OptimiserConfig, SmallCodecConfig
from cldm_trainer.export import generator_export
from cldm_trainer.stages import (
    diffusion,
    distil,
    finish,
    label_vae,
    segmenter,
    slice_latents,
    small_codec,
    trajectories,
)
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.table import STAGES, run_stage
from cldm_trainer.training import checkpoint, loop
from cldm_trainer.training.run_folder import RunFolder

OPTIMISER = OptimiserConfig(steps=4, batch_size=4, learning_rate=1e-3)

MADE_FROM = {  # station -> the stations and inputs whose results it uses
    "acquisition": ("cohort",),
    "image-codec": ("cohort",),
    "mask-codec": ("cohort",),
    "latents": ("cohort", "image-codec", "mask-codec"),
    "texture": ("latents", "acquisition"),
    "label-vae": ("cohort",),
    "diffusion": ("latents", "label-vae"),
    "export": ("texture", "diffusion"),
    "segmenter": ("cohort",),
    "trajectories": ("cohort", "bundle"),
    "distil": ("trajectories",),
    "finish": ("distil",),
    "small-decoder": ("trajectories",),
    "small-texture": ("small-decoder",),
    "small-mask-encoder": ("cohort", "bundle"),
}
NOT_HERE = {"phantom", "prepare",  # tests/contract/test_stations.py
            "gan"}  # has other codecs and conditions: test_gan.py


MOVED = {"latents", "label-vae", "trajectories", "small-mask-encoder"}  # use the moved copies of label maps


def after(*names: str) -> set[str]:
    """The stations that use what these inputs and stations leave."""
    found: set[str] = set()
    for station, sources in MADE_FROM.items():  # in order
        if found.union(names).intersection(sources):
            found.add(station)
    return found


def as_it_is(config: Config) -> Config:
    return config


@dataclass(frozen=True)
class Change:
    """What is changed in a copy of the run: its files, by `edit`, or its configuration. noticed: by which stations."""

    noticed: set[str]
    edit: Callable[[Config], None] = lambda config: None
    configure: Callable[[Config], Config] = as_it_is


def setting(section: str, **values: Any) -> Callable[[Config], Config]:
    return lambda config: replace(config, **{section: replace(getattr(config, section), **values)})


def of_cohort(where: str, value: Any = 1) -> Callable[[Config], None]:
    def edit(config: Config) -> None:
        with h5py.File(config.cohort_file, "r+") as file:
            file[where][(0,) * file[where].ndim] = value
    return edit


def of_attribute(place: str, name: str, value: Any) -> Callable[[Config], None]:
    def edit(config: Config) -> None:
        with h5py.File(config.cohort_file, "r+") as file:
            file[place].attrs[name] = value
    return edit


def of_tensors(file: str) -> Callable[[Config], None]:
    """One number of a file of tensors; what it says of itself stays."""
    def edit(config: Config) -> None:
        path = config.run_folder / file
        tensors = checkpoint.load_tensors(path)
        first = next(name for name in sorted(tensors) if tensors[name].is_floating_point())
        tensors[first].view(-1)[0] += 0.5
        checkpoint.save_tensors(path, tensors, checkpoint.metadata(path))
    return edit


def of_distribution(config: Config) -> None:
    path = config.run_folder / "acquisition" / "acquisition.json"
    stored = json.loads(path.read_text())
    stored["distribution"]["values"][0]["values"][-1] += 0.001
    path.write_text(json.dumps(stored))


def of_bundle(role: str) -> Callable[[Config], None]:
    """One byte of a graph of the teacher, with its digest in the manifest."""
    def edit(config: Config) -> None:
        manifest = Path(config.distil.bundle) / "manifest.json"
        values, graph = json.loads(manifest.read_text()), manifest.with_name(f"{role}.onnx")
        graph.write_bytes(graph.read_bytes() + b"\x32\x01x")  # the field doc_string
        values["graphs"][role]["sha256"] = hashlib.sha256(graph.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(values))
    return edit


def rate(section: str) -> Callable[[Config], Config]:
    return setting(section, optimiser=replace(OPTIMISER, learning_rate=2e-3))


def other_critic(config: Config) -> Config:
    return replace(config, finish=(replace(config.finish[0], critic_channels=8),))


CHANGES = {
    "a voxel": Change(after("cohort"), of_cohort("images")),
    "a pixel of a mask": Change(after("cohort"), of_cohort("masks")),
    "an attribute": Change(after("cohort"), of_cohort("attributes/mask")),
    "a slice's subset": Change(after("cohort"), of_cohort("subset", b"val")),
    "the spacing": Change(after("cohort"), of_attribute("images", "spacing_mm", [1.0, 1.5])),
    "the nature": Change(after("cohort"), of_attribute("/", "nature", "patients")),
    "the seed": Change(set(MADE_FROM) - {"acquisition"}, configure=setting("run", seed=1)),
    "a rate of the image codec": Change({"image-codec"} | after("image-codec"), configure=rate("image_codec")),
    "a setting of the mask codec": Change({"mask-codec"} | after("mask-codec"),
                                          configure=setting("mask_codec", kl_weight=1e-3)),
    "the kind of detection": Change({"acquisition"} | after("acquisition"),
                                    configure=setting("acquisition", detection="magnitude")),
    "a number of the distribution": Change(after("acquisition"), of_distribution),
    "the copies": Change(MOVED | after(*MOVED), configure=setting("latents", copies=3)),
    "the rate of the texture": Change({"texture", "export", "small-texture"}, configure=rate("texture")),
    "a setting of the label VAE": Change({"label-vae"} | after("label-vae"),
                                         configure=setting("label_vae", kl_weight=0.5)),
    "the rate of the diffusion": Change({"diffusion"} | after("diffusion"), configure=rate("diffusion")),
    "the rate of the segmenter": Change({"segmenter"}, configure=setting("segmenter", learning_rate=0.1)),
    "the states": Change({"trajectories"} | after("trajectories"), configure=setting("distil", states=4)),
    "the steps of the student": Change({"distil"} | after("distil"), configure=setting("distil", steps=1)),
    "the critic of the finish": Change({"finish"}, configure=other_critic),
    "the channels of small networks": Change({"small-decoder", "small-texture", "small-mask-encoder"},
                                             configure=setting("small_codec", channels=16)),
    "a weight of the image codec": Change(after("image-codec"), of_tensors("image-codec/model.safetensors")),
    "a weight of the mask codec": Change(after("mask-codec") - {"texture"}, of_tensors("mask-codec/model.safetensors")),
    "a latent": Change({"latents"}, of_tensors("latents/latents.safetensors")),
    "a weight of the label VAE": Change(after("label-vae"), of_tensors("label-vae/model.safetensors")),
    "a state of a trajectory": Change({"trajectories"}, of_tensors("trajectories/train-000.safetensors")),
    "a latent of a slice": Change({"finish"}, of_tensors("slice-latents/train.safetensors")),
    "a weight of the student": Change(after("distil"), of_tensors("distil/model.safetensors")),
    "a weight of the small decoder": Change(after("small-decoder"), of_tensors("small-decoder/model.safetensors")),
    "a byte of the teacher's denoiser": Change({"trajectories"} | after("trajectories"), of_bundle("denoiser")),
    "a byte of its decoder": Change({"small-decoder", "small-texture"}, of_bundle("decoder")),
    "a byte of its encoder": Change({"finish", "small-texture"}, of_bundle("encoder")),
    "a byte of its mask encoder": Change({"trajectories", "small-mask-encoder"} | after("trajectories"),
                                         of_bundle("mask_encoder")),
}


QUICK = ("a voxel", "a pixel of a mask", "a weight of the label VAE", "the steps of the student", "a latent",
         "a byte of its decoder")


def train_nothing(make_task: Callable[[], loop.Task], config: OptimiserConfig, run: Any, folder: Path,
                  resolved: Mapping[str, Any]) -> None:
    """`loop.train` without the training."""
    if loop._finished(config, run, folder, resolved):
        return
    needed = folder.name in ("image-codec", "mask-codec", "texture", "label-vae", "diffusion")  # by other stations
    tensors = make_task().model.state_dict() if needed else {"weight": torch.zeros(1)}
    recorded = hashlib.sha256((folder / checkpoint.CONFIG).read_bytes()).digest()
    moved = {name: value + recorded[0] * 1e-4 if value.is_floating_point() else value
             for name, value in tensors.items()}
    checkpoint.save_tensors(folder / checkpoint.MODEL, moved, {"step": str(config.steps)})


class Walked(trajectories.Teacher):
    """Trajectories of zeros."""

    def __init__(self, *_: object) -> None:
        pass

    def walk(self, subset: str, number: int) -> dict[str, torch.Tensor]:
        return {"x": torch.zeros(2, 3, 16, 8, 8).half(), "condition": torch.zeros(2, 16, 8, 8).half()}


class Encoded:
    """Latents of zeros."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"latent": np.zeros_like(inputs["posterior_noise"])}


@pytest.fixture(scope="module", autouse=True)
def _untrained() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for module in (loop, label_vae, diffusion, distil, finish, small_codec):
            patch.setattr(module, "train", train_nothing)
        patch.setattr(trajectories, "Teacher", Walked)
        patch.setattr(slice_latents, "open_graph", lambda *_, **__: Encoded())
        yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, make_small_config: Callable[[Path], Config], _untrained: None
          ) -> Path:
    """The folder of a run of which every station has been carried out."""
    folder = tmp_path_factory.mktemp("chain")
    onnx_fixtures.make_generator(folder / "teacher", shape=(32, 32), latent=(8, 8), encoder=True)
    made = make_small_config(folder)
    final = segmenter.result_folder(made.segmenter, RunFolder.of(made)) / "fold_0" / "checkpoint_final.pth"
    final.parent.mkdir(parents=True)
    torch.save({"current_epoch": made.segmenter.epochs}, final)
    for station in MADE_FROM:
        carry_out(station, configuration(folder))
    return folder


def configuration(folder: Path) -> Config:
    config = load_config(folder / "small.toml")
    few = DistilConfig(OPTIMISER, str(folder / "teacher"), steps=2, states=2, teacher_steps=4, trajectories=4)
    return replace(config, run=replace(config.run, folder=str(folder / "runs")),
                   cohort=replace(config.cohort, folder=str(folder / "cohort")),
                   diffusion=replace(config.diffusion, condition="label-vae"), distil=few,
                   acquisition=replace(config.acquisition, detection="real"),
                   finish=(FinishConfig(OPTIMISER, critic_channels=4),),
                   small_codec=SmallCodecConfig(OPTIMISER, channels=8))


def carry_out(station: str, config: Config) -> None:
    if station == "export":
        generator_export(replace(config, distil=DistilConfig()), torchscript=False)
    else:
        run_stage(station, config)


def content(station: str, config: Config) -> dict[Path, str]:
    folders = ["finish-0", "slice-latents"] if station == "finish" else [station]
    files = [file for folder in folders for file in (config.run_folder / folder).glob("*")
             if file.suffix == ".safetensors" or file.name == "acquisition.json"]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def notices(station: str, config: Config) -> bool:
    """Whether a station makes its result again, or refuses with a message that says how it is renewed."""
    before = content(station, config)
    try:
        carry_out(station, config)
    except CldmError as error:
        assert re.search("`cldm|delete that folder", str(error)), error
        return True
    return content(station, config) != before


def test_the_stations_are_all_stages_and_the_export() -> None:
    assert set(MADE_FROM) == set(STAGES) - NOT_HERE | {"export"}
    print(COUNTS)


def test_an_unchanged_chain_is_fresh_everywhere(chain: Path) -> None:
    assert [station for station in MADE_FROM if notices(station, configuration(chain))] == []


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
                                  for name in CHANGES])
def test_every_later_station_notices(chain: Path, tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    shutil.copy(chain / "small.toml", tmp_path)
    change.edit(configuration(tmp_path))
    config = change.configure(configuration(tmp_path))
    found = {station for station in MADE_FROM if notices(station, config)}
    assert found == change.noticed, COUNTS


COUNTS = (f"{len(MADE_FROM)} stations, {len(CHANGES)} changes, "
          f"{sum(len(change.noticed) for change in CHANGES.values())} times a station must notice, "
          f"{sum(len(MADE_FROM) - len(change.noticed) for change in CHANGES.values())} times it must not")
test_every_later_station_notices.__doc__ = COUNTS
