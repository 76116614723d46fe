"""`cldm gen`: one message for each mistake, nothing half-written, and runs that survive being killed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.generation import run as generate
from cldm_runtime.store import open_dataset

Cli = Callable[..., tuple[int, str, str]]
GRID = "infarct_size,transmurality\n0.1,0.5\n0,\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """An empty working folder with a grid, masks and the tiny bundle in $CLDM_BUNDLE."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    (tmp_path / "grid.csv").write_text(GRID)
    quarters = np.array([[0, 3], [1, 2]], np.uint8).repeat(64, 0).repeat(64, 1)
    np.save(tmp_path / "masks.npy", np.stack([quarters, quarters.T]))
    return tmp_path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def untouched(folder: Path) -> bool:
    return sorted(path.name for path in folder.iterdir()) == ["grid.csv", "masks.npy"]


def test_a_run_writes_the_file_and_says_so(cli: Cli, folder: Path) -> None:
    code, out, err = cli("--n", 5, "--attributes", "grid.csv")
    assert code == 0 and out.startswith("samples.h5: 5 images in") and "generating: 5 of 5 (100 %)" in err
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.grid_row.tolist() == [0, 1, 0, 1, 0]


def test_json_is_all_that_stands_on_stdout(cli: Cli) -> None:
    code, out, _ = cli("--n", 3, "--masks", "masks.npy", "--out", "a.h5", "--json")
    assert code == 0 and json.loads(out)["samples"] == 3


def test_every_setting_reaches_the_file(cli: Cli, folder: Path) -> None:
    cli("--n", 3, "--masks", "masks.npy", "--seed", 9, "--steps", 3, "--sampler", "ddpm", "--batch-size", 2,
        "--spacing", "leading")
    with open_dataset(folder / "samples.h5") as dataset:
        found = dataset.metadata
        assert (found["seed"], found["sampler"], found["batch_size"]) == (9, "ddpm", 2)
        assert json.loads(str(found["step_table"]))["timesteps"] == [66, 33, 0]
        assert json.loads(str(found["plan"]))["requests"]["source"] == "masks"


def test_a_dry_run_prints_the_resolved_plan_and_writes_nothing(cli: Cli, folder: Path) -> None:
    code, out, _ = cli("--n", 300, "--attributes", "grid.csv", "--dry-run", "--json")
    plan = json.loads(out)
    assert code == 0 and plan["sampler"] == "ddim" and plan["steps"] == 4 and plan["batch_size"] == 4
    assert plan["samples"] == 300 and plan["parts"] == 19 and plan["provider"] == "cpu"
    code, out, _ = cli("--n", 300, "--attributes", "grid.csv", "--dry-run")
    assert code == 0 and "steps             4" in out.splitlines() and untouched(folder)


def test_images_of_one_condition_follow_each_other(cli: Cli, folder: Path) -> None:
    flags = ["--n", 5, "--masks", "masks.npy", "--per-condition", 2]
    assert json.loads(cli(*flags, "--dry-run", "--json")[1])["requests"]["per_condition"] == 2
    assert cli(*flags)[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.condition.tolist() == [0, 0, 1, 1, 2]
        given = np.load(folder / "masks.npy")[[0, 0, 1, 1, 0]]
        assert np.array_equal(dataset.masks(), given)


def test_guidance_is_in_the_plan_and_in_the_file(cli: Cli, folder: Path, tiny_guided: Path) -> None:
    flags = ["--n", 1, "--masks", "masks.npy", "--bundle", tiny_guided, "--guidance-interval", 0.2, 0.8]
    plan = json.loads(cli(*flags, "--dry-run", "--json")[1])
    assert (plan["guidance"], plan["guidance_interval"]) == (2.0, [0.2, 0.8])
    assert cli(*flags, "--guidance", 1.5)[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert (dataset.metadata["guidance"], dataset.metadata["guidance_interval"]) == (1.5, "[0.2, 0.8]")


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--n", 0, "--attributes", "grid.csv"], 2, "0 is not in the range x>=1"),
    (["--n", "x", "--attributes", "grid.csv"], 2, "'x' is not a whole number"),
    (["--attributes", "grid.csv"], 2, "Missing option '--n'"),
    (["--n", 1], 2, "either --attributes CSV or --masks FILE"),
    (["--n", 1, "--attributes", "grid.csv", "--masks", "masks.npy"], 2, "either --attributes CSV or --masks FILE"),
    (["--n", 1, "--attributes", "none.csv"], 2, "none.csv: cannot be read"),
    (["--n", 1, "--attributes", "masks.npy"], 2, "masks.npy"),
    (["--n", 1, "--masks", "grid.csv"], 2, "grid.csv"),
    (["--n", 1, "--attributes", "grid.csv", "--provider", "npu"], 2, "'npu' is not one of"),
    (["--n", 1, "--attributes", "grid.csv", "--provider", "cuda"], 5, "--provider cpu"),
    (["--n", 1, "--attributes", "grid.csv", "--sampler", "euler"], 2, "'euler' is not one of"),
    (["--n", 1, "--attributes", "grid.csv", "--spacing", "even"], 2, "'log-snr', 'karras'"),
    (["--n", 1, "--attributes", "grid.csv", "--steps", 5000], 2, "steps = 5000: expected 1 to 100"),
    (["--n", 1, "--attributes", "grid.csv", "--seed", -1], 2, "-1 is not in the range"),
    (["--n", 1, "--attributes", "grid.csv", "--per-condition", 0], 2, "0 is not in the range x>=1"),
    (["--n", 1, "--attributes", "grid.csv", "--guidance", 2], 2, "without a null condition"),
    (["--n", 1, "--attributes", "grid.csv", "--guidance", "nan"], 2, "'nan' is not a finite number"),
    (["--n", 1, "--attributes", "grid.csv", "--guidance-interval", 0.5, 2], 2, "guidance_interval = 0.5 to 2"),
    (["--n", 1, "--attributes", "grid.csv", "--bundle", "nowhere"], 3, "bundle nowhere: no such folder"),
    (["--n", 1, "--attributes", "grid.csv", "--out", "grid.csv/a.h5"], 4, "not a folder"),
    (["--n", 1, "--attributes", "grid.csv", "--resume", "--overwrite"], 2, "exclude each other"),
    (["--n", 10**12, "--attributes", "grid.csv"], 4, "Free some space"),
    (["--n", 1, "--attributes", "grid.csv", "--shards", 2], 2, "neither SLURM_ARRAY_TASK_ID"),
    (["--n", 1, "--attributes", "grid.csv", "--shard", "4/4"], 2, "expected I/K"),
    (["--n", 1, "--attributes", "grid.csv", "--shard", "0/4", "--resume"], 2, "exclude each other"),
    (["--n", 1, "--attributes", "grid.csv", "--shard", "0/4", "--shards", 4], 2, "Leave --shards out"),
    (["--n", 1, "--attributes", "grid.csv", "--merge"], 4, "1 of 1 parts are missing or damaged: 0."),
])
def test_each_mistake_gives_one_message(cli: Cli, folder: Path, arguments: Sequence[object], code: int,
                                        message: str) -> None:
    found, out, err = cli(*arguments)
    assert (found, out) == (code, "") and message in err and "Traceback" not in err
    assert untouched(folder)


def test_a_faulty_grid_is_listed_whole(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("infarct_size,transmurality\n0.5,1.4\n0.3,0.1\nnan,\n")
    code, _, err = cli("--n", 1, "--attributes", "grid.csv")
    assert code == 2 and "line 2: transmurality = 1.4 is outside 0..1" in err and "line 4: infarct_size = 'nan'" in err
    (folder / "grid.csv").write_text("infarct_size,transmurality\n0.1,0.5\n0.3,0.1\n")
    code, _, err = cli("--n", 1, "--attributes", "grid.csv")
    assert code == 2 and "line 3: transmurality = 0.1 is below infarct_size = 0.3" in err and untouched(folder)


def spoil_newer(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text()) | {"format_version": 99}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def spoil_byte(bundle: Path) -> None:
    data = bytearray((bundle / "denoiser.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "denoiser.onnx").write_bytes(data)


@pytest.mark.parametrize(("spoil", "message"), [
    (spoil_newer, "format_version 99 is newer"),
    (spoil_byte, "altered or truncated"),
    (lambda bundle: (bundle / "decoder.onnx").unlink(), "decoder.onnx: missing"),
    (lambda bundle: (bundle / "decoder.onnx").write_bytes(b""), "altered or truncated"),
    (lambda bundle: (bundle / "manifest.json").write_text("{"), "not valid JSON"),
])
def test_a_bundle_that_cannot_be_trusted_is_refused(cli: Cli, folder: Path, tmp_path_factory: pytest.TempPathFactory,
                                                    tiny_generator: Path, spoil: Callable[[Path], object],
                                                    message: str) -> None:
    bundle = tmp_path_factory.mktemp("spoiled") / "bundle"
    shutil.copytree(tiny_generator, bundle)
    spoil(bundle)
    code, _, err = cli("--n", 1, "--attributes", "grid.csv", "--bundle", bundle)
    assert code == 3 and message in err and untouched(folder)


@pytest.mark.parametrize(("masks", "message"), [
    (np.zeros((2, 64, 64), np.uint8), "the bundle needs (128, 128)"),
    (np.full((2, 128, 128), 7, np.uint8), "unknown label values [7]"),
])
def test_a_wrong_masks_file_is_refused(cli: Cli, folder: Path, masks: np.ndarray, message: str) -> None:
    np.save(folder / "masks.npy", masks)
    code, _, err = cli("--n", 1, "--masks", "masks.npy")
    assert code == 2 and message in err and untouched(folder)


def test_an_existing_output_needs_a_flag(cli: Cli, folder: Path) -> None:
    (folder / "samples.h5").write_text("mine")
    code, _, err = cli("--n", 1, "--masks", "masks.npy")
    assert code == 2 and "pass --overwrite" in err and (folder / "samples.h5").read_text() == "mine"
    assert cli("--n", 1, "--masks", "masks.npy", "--resume")[0] == 4  # not a dataset, so not ours to resume
    assert cli("--n", 1, "--masks", "masks.npy", "--overwrite")[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(cli: Cli, folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    code, _, err = cli("--n", 1, "--masks", "masks.npy", "--out", "closed/a.h5")
    assert code == 4 and "closed" in err


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130)])
def test_workers_end_with_the_run_that_started_them(cli: Cli, folder: Path, stop: signal.Signals, code: int) -> None:
    flags = ["--n", "30", "--masks", "masks.npy", "--workers", "2"]
    program = [sys.executable, Path(__file__).parents[1] / "stopped_run.py", str(int(stop)), "10"]
    stopped = subprocess.run([*program, *flags], capture_output=True, text=True, check=False)
    assert stopped.returncode == code and "Traceback" not in stopped.stderr
    workers = stopped.stdout.split()
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(Path("/proc", pid).exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path("/proc", pid).exists() for pid in workers)
    assert cli(*flags, "--resume")[0] == 0 and not (folder / "samples.h5.parts").exists()


def test_the_fastest_batch_size_is_said_and_kept_for_a_resumed_run(cli: Cli, folder: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--n", 6, "--masks", "masks.npy", "--batch-size", "auto"]
    monkeypatch.setattr("cldm_runtime.cli.gen.best_batch_size", lambda generator, settings: 2)
    code, _, err = cli(*flags)
    assert code == 0 and "batch size: 2\n" in err
    monkeypatch.setattr("cldm_runtime.cli.gen.best_batch_size", lambda generator, settings: 4)
    assert cli(*flags, "--resume")[0] == 0 and cli(*flags, "--resume", "--seed", 1)[0] == 2
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.metadata["batch_size"] == 2


def test_help_shows_defaults_units_and_examples(cli: Cli) -> None:
    code, out, _ = cli("--help")
    assert code == 0 and "cldm-gen --n 256 --attributes examples/grid.csv" in out and "[default: from bundle]" in out


def test_auto_says_what_it_chose_and_a_resumed_run_keeps_it(cli: Cli, folder: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--n", 9, "--masks", "masks.npy", "--provider", "auto"]
    monkeypatch.setattr("cldm_runtime.engines.choose._fastest", lambda *_: ("cpu", "for a reason"))
    code, _, err = cli(*flags)
    assert code == 0 and "provider auto: cpu, for a reason" in err.splitlines()
    with open_dataset(folder / "samples.h5") as dataset:
        found = dataset.metadata
        assert (found["provider_requested"], found["provider_obtained"], found["precision"]) == ("auto", "cpu", "fp32")
    parts = generate.parts_folder(folder / "samples.h5")
    parts.mkdir()
    (parts / "plan.json").write_text(str(found["plan"]))
    monkeypatch.setattr("cldm_runtime.engines.choose._fastest", lambda *_: ("openvino", "it is faster now"))
    (folder / "samples.h5").unlink()
    for _ in range(2):  # the unfinished run, then the finished file
        code, _, err = cli(*flags, "--resume")
        assert code == 0 and "provider auto: cpu, as in the run that is resumed" in err


@pytest.mark.parametrize(("flags", "said"), [
    (("--precision", "bf16"), "precision bf16 was requested, but provider cpu offers: fp32"),
    (("--precision", "bf16", "--provider", "auto"), "--provider openvino --precision bf16"),
])
def test_a_precision_that_is_not_to_be_had_exits_with_5(cli: Cli, folder: Path, flags: Sequence[str],
                                                        said: str) -> None:
    code, _, err = cli("--n", 1, "--masks", "masks.npy", *flags)
    assert code == 5 and said in err and untouched(folder)


def test_a_run_in_shards(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--n", 64, "--attributes", "grid.csv", "--batch-size", 2, "--workers", 1, "--out")  # 4 parts
    assert cli(*arguments, "one.h5")[0] == 0
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert cli(*arguments, "shared.h5", "--shards", 4)[0] == 0
    assert "--array=0,2-3" in cli(*arguments, "shared.h5", "--shards", 4, "--status")[1]
    assert cli(*arguments, "shared.h5", "--merge")[0] == 4
    for number in (0, 2, 3):
        assert cli(*arguments, "shared.h5", "--shard", f"{number}/4")[0] == 0
    assert cli(*arguments, "shared.h5", "--merge")[0] == 0
    assert digest(folder / "shared.h5") == digest(folder / "one.h5")
    assert "all 4 parts are there" in cli(*arguments, "shared.h5", "--status")[1]


def test_damage_is_found_named_and_repaired(cli: Cli, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--n", 64, "--attributes", "grid.csv", "--batch-size", 2, "--workers", 1, "--out", "a.h5")
    assert cli(*arguments)[0] == 0 and run(cldm, ["verify", "a.h5"]) == 0
    assert "64 samples, each there once and as it was written" in capsys.readouterr().out
    before = digest(folder / "a.h5")
    with h5py.File("a.h5", "r+") as file:
        file["masks"][17, 3, 3] ^= 1
    assert run(cldm, ["verify", "a.h5"]) == 4
    assert "1 of 64 samples are not as they were written (parts 1;" in (error := capsys.readouterr().err)
    assert "damaged: 17" in error
    assert cli(*arguments, "--repair")[0] == 0 and digest(folder / "a.h5") == before


@pytest.mark.parametrize(("policy", "rows"), [("skip", [1, 1, 1]), ("nearest", [0, 1, 0])])
def test_rows_that_no_anatomy_meets_are_left_out_or_moved(cli: Cli, folder: Path, policy: str,
                                                          rows: list[int]) -> None:
    (folder / "grid.csv").write_text("infarct_size,transmurality\n0.4,0.1\n0.1,0.5\n")
    assert cli("--n", 3, "--attributes", "grid.csv")[0] == 2
    code, _, err = cli("--n", 3, "--attributes", "grid.csv", "--infeasible", policy)
    assert code == 0 and "note: grid.csv, line 2 is" in err
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.grid_row.tolist() == rows
        assert json.loads(str(dataset.metadata["plan"]))["requests"]["infeasible"] == policy
        assert policy == "skip" or dataset.requested[0, :2].tolist() == pytest.approx([0.4, 0.4])


def test_infeasible_rows_are_only_those_of_drawn_label_maps(cli: Cli, folder: Path) -> None:
    code, _, err = cli("--n", 3, "--masks", "masks.npy", "--infeasible", "skip")
    assert code == 2 and "--infeasible skip is for a grid whose label maps are drawn" in err and untouched(folder)
