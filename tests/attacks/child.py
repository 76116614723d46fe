"""Runs the attacks on one parser, each in a process of its own that may neither start a program nor open a connection,
and prints a line of JSON for each: what the parser said, and what that cost.

    python -m attacks.child PARSER FOLDER
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import CldmError

from .corpus import ATTACKS

MODULES = {"bundle": "bundles", "grid": "tables", "masks": "arrays", "dataset": "datasets", "prepare": "volumes",
           "plans": "plans"}
NET = 2**31  # bytes of address space that a parser may ask for in vain, so that no failure harms the machine
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "socket.__new__",
             "socket.connect", "socket.getaddrinfo", "urllib.", "ctypes.dlopen", "pickle.find_class", "webbrowser.")


def open_bundle(path: Path) -> None:
    from cldm_runtime.bundle.bundle import Bundle
    from cldm_runtime.bundle.reference import Reference

    bundle = Bundle.load(path)
    bundle.domain()
    Reference.from_arrays(bundle.reference())
    for role in bundle.manifest.graphs:
        open_graph(bundle, role, threads=1)


def open_grid(path: Path) -> None:
    from cldm_runtime.requests.grid import read_grid

    read_grid(path, get_domain("lge"))


def open_masks(path: Path) -> None:
    from cldm_runtime.requests.sources import Canvas, read_masks

    read_masks(path, Canvas(get_domain("lge"), (128, 128), (1.0, 1.0)))


def open_cohort(path: Path) -> None:
    from cldm_runtime.store import open_dataset

    with open_dataset(path) as dataset:
        get_domain(dataset.domain)
        for name in ("shape", "channels", "spacing_mm", "label_names", "metadata", "attribute_names", "requested",
                     "mask_attributes", "mask_reasons", "grid_row", "sample_index", "slices", "patients", "subset"):
            getattr(dataset, name)
        for part in (dataset, *dataset.segmentations.values()):
            part.masks(slice(0, 2))
        dataset.images(slice(0, 2))


def open_raw(path: Path) -> None:
    from cldm_runtime.scans.prepare import prepare
    from cldm_runtime.scans.settings import PrepareSettings

    config = PrepareSettings(shape=(32, 32), spacing_mm=(2.0, 2.0), labels={"cavity": "lv_cavity"}, workers=1)
    prepare(path, path.parent / "cohort.h5", config, "lge")


def open_result(path: Path) -> None:
    from cldm_trainer.nnunet.results import load_result, segmenter_spec

    segmenter_spec(load_result(path), get_domain("lge"), {}, True)


def make_grid(folder: Path) -> Path:
    folder.mkdir()
    (folder / "sound.csv").write_text("slice_position\n0.5\n")
    return folder / "sound.csv"


def make_masks(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "sound.npy", np.zeros((2, 128, 128), np.uint8))
    return folder / "sound.npy"


def make_bundle(folder: Path) -> Path:
    from onnx_fixtures import make_generator

    return make_generator(folder)


def make_cohort(folder: Path) -> Path:
    from cohort_fixtures import write_drawn_cohort

    write_drawn_cohort(folder / "sound.h5", {"train": 3})
    return folder / "sound.h5"


def make_raw(folder: Path) -> Path:
    from cldm_runtime.files.atomic import write_json
    from cldm_runtime.scans.nnunet_raw import write_nifti

    y, x = np.mgrid[:48, :48]
    radius = np.hypot(y - 20, x - 26)
    ring = np.where(radius < 4, 1, np.where(radius < 8, np.where(x > 28, 3, 2), 0)).astype(np.uint8)
    labels = np.stack([ring] * 5)
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True)
    write_nifti(folder / "imagesTr" / "anna_0000.nii.gz", labels + 0.01 * np.arange(48, dtype=np.float32), (8, 2, 2))
    write_nifti(folder / "labelsTr" / "anna.nii.gz", labels, (8, 2, 2))
    names = {"background": 0, "cavity": 1, "healthy_myocardium": 2, "infarct": 3}
    write_json(folder / "dataset.json", {"channel_names": {"0": "LGE"}, "labels": names, "file_ending": ".nii.gz"})
    return folder


def make_result(folder: Path) -> Path:
    from nnunet_fixtures import result_folder

    return result_folder(folder)


PARSERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Path]]] = {
    "bundle": (open_bundle, make_bundle), "grid": (open_grid, make_grid), "masks": (open_masks, make_masks),
    "dataset": (open_cohort, make_cohort), "prepare": (open_raw, make_raw), "plans": (open_result, make_result)}


def confine(events: list[str]) -> None:
    """From here on nothing may be started or connected to; what is tried is noted."""
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN):
            events.append(f"{event} {arguments!r:.200}")
            raise PermissionError(f"forbidden: {event}")

    sys.addaudithook(hook)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + NET, used + NET))


def attempt(parse: Callable[[Path], None], path: Path) -> dict[str, object]:
    """Parse in this process, which ends afterwards."""
    events: list[str] = []
    confine(events)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, os.times()
    try:
        parse(path)
        said, message = "nothing", ""
    except CldmError as error:
        said, message = "CldmError", str(error)
    except BaseException:
        said, message = "another error", traceback.format_exc()
    end, after = os.times(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"said": said, "message": message[:3000], "length": len(message), "events": events,
            "seconds": end.user + end.system - start.user - start.system, "mebibytes": (after - before) / 1024}


def in_a_child(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What `work` returns in a fork of this process, or how that died."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(send, "w") as stream:
            json.dump(work(), stream)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        text = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return dict(json.loads(text)) if text and status == 0 else {"said": "death", "message": f"exit status {status}"}


def main(parser: str, root: Path) -> None:
    import_module(f"attacks.{MODULES[parser]}")
    parse, make = PARSERS[parser]
    sound = make(root / "sound")
    parse(make(root / "warm"))  # imports what parsing needs
    print(json.dumps({"attack": "", **in_a_child(lambda: attempt(parse, sound))}), flush=True)
    for name, maker in ATTACKS[parser].items():
        folder = Path(tempfile.mkdtemp(dir=root)) / "case"
        shutil.copytree(root / "sound", folder)
        path = maker(folder)
        print(json.dumps({"attack": name, **in_a_child(lambda path=path: attempt(parse, path))}), flush=True)
        shutil.rmtree(folder.parent, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
