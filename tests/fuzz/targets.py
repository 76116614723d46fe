"""What is fuzzed: for each parser its seeds, and a function of bytes that may raise nothing but CldmError."""

import dataclasses
import io
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from onnx import TensorProto, helper, numpy_helper

import onnx_fixtures
from anatomy_fixtures import make_anatomy
from attacks import child
from cldm_runtime.bundle.onnx_scan import scan_model
from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.bundle.reference import Reference
from cldm_runtime.domains.lge.anatomy import LgeAnatomy
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, list_faults
from cldm_runtime.files.npz import read_npz
from cldm_runtime.requests.given_maps import npy_masks
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset


@dataclass(frozen=True)
class Target:
    """share: of the inputs of a run over all parsers; slow parsers have a smaller one."""

    seeds: Sequence[bytes]
    parse: Callable[[bytes], Any]
    share: float
    text: bool = False


class Untried(LgeAnatomy):
    """Without the trials by which a grid's rows are known to be feasible: 20 ms each, and no parsing."""

    def faults(self, request: Any) -> list[str]:
        return self.contradictions(request)


def make_targets(folder: Path) -> dict[str, Target]:
    """Every parser that can be imported here; files are written in `folder`."""
    targets = {"manifest": manifest_target(folder), "grid": grid_target(folder), "npz": npz_target(),
               "npy": npy_target(folder), "onnx": onnx_target(), "dataset": dataset_target(folder)}
    if find_spec("nibabel"):
        targets |= {"nifti": nifti_target(folder), "description": description_target(folder)}
    if find_spec("SimpleITK"):
        targets |= {"metaimage": itk_target(folder, ".mha"), "nrrd": itk_target(folder, ".nrrd")}
    if find_spec("nnunetv2"):
        targets |= {"plan": plan_target(folder)}
    return targets


def in_a_file(file: Path, parse: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def parse_bytes(data: bytes) -> Any:
        file.write_bytes(data)
        return parse(file)

    return parse_bytes


def manifest_target(folder: Path) -> Target:
    bundles = [onnx_fixtures.make_generator(folder / "g", null=0.0, guidance=2.0, conditions=("mask", "attributes")),
               onnx_fixtures.make_segmenter(folder / "s"), make_anatomy(folder / "a")]

    def parse(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return
        manifest = read_manifest(text)
        assert read_manifest(manifest.to_json()) == manifest

    seeds = [json.dumps(_shortened(json.loads((bundle / "manifest.json").read_text()))).encode() for bundle in bundles]
    return Target(seeds, parse, 0.17, text=True)


def _shortened(manifest: Any) -> Any:
    """With a schedule of four steps, so that most of the text is something else."""
    if "schedule" in manifest:
        manifest["schedule"].update(alphas_cumprod=[0.9, 0.5, 0.2, 0.1], train_timesteps=4)
        manifest["sampling"]["steps"] = 2
    return manifest


def grid_target(folder: Path) -> Target:
    lge = get_domain("lge")
    domain, file = dataclasses.replace(lge, anatomy=Untried()), folder / "grid.csv"

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        grid = read_grid(file, domain, for_masks=data.startswith(b"rotation"))
        assert grid.counts(7).sum() == 7

    seeds = [b"infarct_size,transmurality,label,weight\n0.1,0.5,a,1\n0.2,,\"b \"\"c\"\"\",2.5\n\n",
             b"\xef\xbb\xbfslice_position,endocardial_surface_length\r\n0.5,0.1\r\n,0.2\r\n",
             b"rotation_deg,widening_mm,weight\n90,-1.5,1\n-360,2,0\n"]
    return Target(seeds, parse, 0.2, text=True)


def npz_target() -> Target:
    seeds = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **{"decoder/in/x": np.ones((2, 3), np.float32), "loop/steps": np.array(4),
                        "decoder/out/y": np.zeros((2, 0), np.uint8)})
        seeds.append(buffer.getvalue())
    return Target(seeds, lambda data: Reference.from_arrays(read_npz(data, "reference")), 0.17)


def npy_target(folder: Path) -> Target:
    def parse(file: Path) -> None:
        rows = npy_masks(file)
        get_domain("lge").labels.check(rows.block(slice(0, 1)), "masks")

    seeds = []
    for array in (np.zeros((2, 4, 4), np.uint8), np.asfortranarray(np.ones((1, 4, 4), np.int64))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        seeds.append(buffer.getvalue())
    return Target(seeds, in_a_file(folder / "masks.npy", parse), 0.13)


def onnx_target() -> Target:
    weights = numpy_helper.from_array(np.ones((2, 2), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], strides=[1, 1], auto_pad="SAME_UPPER"),
             helper.make_node("Gelu", ["y"], ["z"], domain="com.microsoft"),
             helper.make_node("Constant", [], ["c"], value=weights)]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])] for name in "xz"]
    models = [helper.make_model(helper.make_graph(some, "g", *ends, [weights])) for some in (nodes, nodes[:1])]

    def parse(data: bytes) -> None:
        if faults := scan_model(data):
            raise BundleError(list_faults("refused", faults))

    return Target([model.SerializeToString() for model in models], parse, 0.2)


def dataset_target(folder: Path) -> Target:
    seeds = []
    write_dataset(folder / "one.h5", 2)
    seeds.append((folder / "one.h5").read_bytes())
    seeds.append(plain_dataset(folder / "plain.h5"))
    return Target(seeds, in_a_file(folder / "fuzzed.h5", child.open_cohort), 0.05)


def write_dataset(file: Path, count: int) -> None:
    domain = get_domain("lge")
    masks = np.zeros((count, 8, 8), np.uint8)
    with create_dataset(file, DatasetSpec(domain, (8, 8), (1.0, 1.0), metadata={"seed": 7})) as writer:
        writer.append(images=np.zeros((count, 1, 8, 8), np.float32), masks=masks, patients=["P1"] * count,
                      mask_attributes=np.zeros((count, 4), np.float32), subset=["train"] * count)
    with edit_dataset(file) as editor:
        editor.segmentation("one").append(masks=masks)


def plain_dataset(file: Path) -> bytes:
    """As another program would write it, in the oldest form of the file format and without chunks."""
    with h5py.File(file, "w", libver="earliest") as target:
        target.attrs.update({"format": "cldm-dataset", "format_version": 1, "complete": 1, "domain": "lge"})
        images = target.create_dataset("images", data=np.zeros((2, 1, 8, 8), np.uint16))
        images.attrs.update({"rescale_slope": 1.0, "rescale_intercept": 0.0, "spacing_mm": [1.0, 1.0]})
        target.create_dataset("masks", data=np.zeros((2, 8, 8), np.uint8), compression="gzip", shuffle=True)
    return file.read_bytes()


def nifti_target(folder: Path) -> Target:
    import nibabel

    from cldm_runtime.scans.volume_files import read_array

    nibabel.imageglobals.logger.setLevel(logging.CRITICAL)
    seeds = []
    for kind, number in ((nibabel.Nifti1Image, np.int16), (nibabel.Nifti2Image, np.float32)):
        image = kind(np.zeros((3, 4, 2), number), np.diag([2.0, 2.0, 8.0, 1.0]))
        seeds.append(image.to_bytes())
    return Target(seeds, in_a_file(folder / "volume.nii", read_array), 0.08)


def itk_target(folder: Path, ending: str) -> Target:
    """Headers of text, read by SimpleITK."""
    import SimpleITK

    from cldm_runtime.scans.volume_files import read_array

    image = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    seeds = []
    for compressed in (False, True):
        SimpleITK.WriteImage(image, str(folder / f"seed{ending}"), compressed)
        seeds.append((folder / f"seed{ending}").read_bytes())
    return Target(seeds, in_a_file(folder / f"volume{ending}", read_array), 0.02)


def description_target(folder: Path) -> Target:
    """dataset.json, and the same text as splits, subsets and patients."""
    from cldm_runtime.scans.nnunet_raw import read_raw_dataset

    raw = child.make_raw(folder / "raw")
    extra = [raw / name for name in ("subsets.json", "splits_final.json", "patients.json")]

    def parse(data: bytes) -> None:
        kind, text = data[:1], data[1:]
        for file in extra:
            file.unlink(missing_ok=True)
        place = {b"1": extra[0], b"2": extra[1], b"3": extra[2]}.get(kind)
        (place or raw / "dataset.json").write_bytes(text)
        try:
            read_raw_dataset(raw)
        finally:
            (raw / "dataset.json").write_bytes(sound)

    sound = (raw / "dataset.json").read_bytes()
    listed = {**json.loads(sound), "dataset": {"anna": {
        "images": [os.fspath(child.Path("imagesTr") / "anna_0000.nii.gz")], "label": "labelsTr/anna.nii.gz"}}}
    seeds = [b" " + sound, b" " + json.dumps(listed).encode(), b'1{"train": ["anna"], "val": []}',
             b'2[{"train": ["anna"], "val": []}]', b'3{"anna": "A"}']
    return Target(seeds, parse, 0.05, text=True)


def plan_target(folder: Path) -> Target:
    from cldm_runtime.files.user_files import read_json
    from cldm_trainer.nnunet.results import check_architecture
    from nnunet_fixtures import plans

    def parse(file: Path) -> None:
        content = read_json(file)
        if isinstance(content, dict):
            check_architecture(file, content)

    return Target([json.dumps(plans()).encode()], in_a_file(folder / "plans.json", parse), 0.05, text=True)
