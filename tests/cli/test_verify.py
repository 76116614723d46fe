"""cldm verify."""

import json
import shutil

from cldm_runtime.cli.main import cldm, run


def spoil_tolerance(folder):
    value = json.loads((folder / "manifest.json").read_text())
    value["graphs"]["decoder"], value["reference"]["tolerances"]["loop/image"] = value["graphs"]["decoder"], 0.0
    (folder / "manifest.json").write_text(json.dumps(value))


def test_a_sound_bundle(tiny_generator, capsys):
    assert run(cldm, ["verify", str(tiny_generator)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.endswith("ok") for line in lines)


def test_json(tiny_segmenter, capsys):
    assert run(cldm, ["verify", "--json", "--threads", "1", str(tiny_segmenter)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["provider"], report["passed"]) == ("cpu", True)
    assert sorted(report) == ["checks", "failed", "flips", "passed", "precision", "provider", "reference", "samples"]
    assert [sorted(check) for check in report["checks"]] == [["max_abs", "name", "passed", "psnr_db", "tolerance"]] * 2
    assert report["flips"]["flipped"] == 0


def test_json_of_a_generator_holds_flips_and_drifts(tiny_generator, tiny_segmenter, capsys):
    options = ["--json", "--samples", "2", "--segmenter", str(tiny_segmenter)]
    assert run(cldm, ["verify", *options, str(tiny_generator)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sorted(report["samples"]) == ["drifts", "flips", "max_abs", "psnr_db", "samples"]
    assert (report["samples"]["max_abs"], report["samples"]["psnr_db"]) == (0.0, None)  # the same: no finite number
    assert report["samples"]["flips"]["lesion"]["flipped"] == 0
    assert sorted(report["reference"]["drifts"][0]) == [
        "attribute", "compared", "largest", "mean", "median", "one_sided", "passed", "percentile_95", "tolerance"]


def test_what_the_segmenter_sees_stands_below_the_checks(tiny_generator, tiny_segmenter, capsys):
    assert run(cldm, ["verify", str(tiny_generator), "--segmenter", str(tiny_segmenter), "--samples", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[7].startswith("samples/image ") and " the same " in lines[7]
    assert "2 samples generated here: 0 of 32768 pixels have another label, 0 of " in lines[15]
    assert all(line.endswith("ok") for line in lines[17:]) and len(lines) == 20


def test_without_a_segmenter_a_line_says_what_needs_it(tiny_generator, tiny_segmenter, capsys):
    run(cldm, ["verify", str(tiny_generator)])
    assert capsys.readouterr().err == ("note: pass --segmenter DIR to also count changed labels and the drift of "
                                       "attributes.\n")
    run(cldm, ["verify", str(tiny_segmenter)])
    assert capsys.readouterr().err == ""


def test_all_providers_make_a_table_and_what_is_missing_is_no_failure(tiny_generator, monkeypatch, capsys):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("cldm_runtime.verification.compare.OFFERED", {"cpu": ("fp32",), "cuda": ("fp32",)})
    assert run(cldm, ["verify", str(tiny_generator), "--all-providers", "--samples", "2"]) == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert cells[0] == ["engine", "precision", "reference, max abs error", "samples, max abs error", "PSNR, dB",
                        "verdict"]
    assert cells[2][:2] == ["cpu", "fp32"] and cells[2][-3:] == ["0.0e+00", "the same", "ok"]
    assert cells[3][-2] == "–" and cells[3][-1].startswith("not measured here: provider cuda was requested, but")


def test_all_providers_as_json(tiny_segmenter, monkeypatch, capsys):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("cldm_runtime.verification.compare.OFFERED", {"cpu": ("fp32",), "cuda": ("fp32",)})
    assert run(cldm, ["verify", str(tiny_segmenter), "--all-providers", "--json"]) == 0
    cpu, cuda = json.loads(capsys.readouterr().out)["engines"]
    assert cpu["passed"] is True and sorted(cuda) == ["missing", "precision", "provider"]


def test_all_providers_fail_where_one_is_off_or_none_is_there(tiny_generator, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(tiny_generator, tmp_path / "bundle")
    spoil_tolerance(folder)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("cldm_runtime.verification.compare.OFFERED", {"cpu": ("fp32",), "cuda": ("fp32",)})
    assert run(cldm, ["verify", str(folder), "--all-providers"]) == 3
    assert "loop/image on provider cpu (fp32)" in capsys.readouterr().err
    monkeypatch.setattr("cldm_runtime.verification.compare.OFFERED", {"cuda": ("fp32",)})
    assert run(cldm, ["verify", str(folder), "--all-providers"]) == 5
    assert run(cldm, ["verify", str(folder), "--all-providers", "--precision", "bf16"]) == 2


def test_a_failed_check_is_named_and_exits_with_3(tiny_generator, tmp_path, capsys):
    folder = shutil.copytree(tiny_generator, tmp_path / "bundle")
    spoil_tolerance(folder)
    assert run(cldm, ["verify", str(folder)]) == 3
    captured = capsys.readouterr()
    assert "loop/image" in captured.err
    assert captured.out.splitlines()[-1].endswith("FAILED")


def test_an_unknown_provider_is_a_usage_error(tiny_generator, capsys):
    assert run(cldm, ["verify", "--provider", "tpu", str(tiny_generator)]) == 2
    assert "'tpu' is not one of 'cpu', 'cuda'" in capsys.readouterr().err


def test_a_provider_that_is_not_installed_exits_with_5(tiny_generator, monkeypatch, capsys):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert run(cldm, ["verify", "--provider", "cuda", str(tiny_generator)]) == 5
    assert "pip install 'cldm-runtime[gpu]'" in capsys.readouterr().err
