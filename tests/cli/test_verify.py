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
    assert [sorted(check) for check in report["checks"]] == [["max_abs", "name", "passed", "tolerance"]] * 2


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
