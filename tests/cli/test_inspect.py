"""cldm inspect."""

import pytest

from cldm_runtime.cli.main import cldm, run


def test_the_summary_names_what_matters(tiny_generator, capsys):
    assert run(cldm, ["inspect", str(tiny_generator)]) == 0
    text = capsys.readouterr().out
    for part in ("tiny-generator 1 (generator, domain lge)", "1 x 128 x 128, 1 x 1 mm", "3 infarct",
                 "infarct_size (", "denoiser (fp32): x [N, 16, 32, 32]", "ddim, 4 steps, trailing spacing"):
        assert part in text


def test_guidance_is_shown(tiny_guided, tiny_generator, capsys):
    run(cldm, ["inspect", str(tiny_guided)])
    text = capsys.readouterr().out
    assert "weight 2 from 0 to 1 of the training timesteps" in text and "with a null for guidance" in text
    run(cldm, ["inspect", str(tiny_generator)])
    assert "no null, so no guidance" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "needs"), [
    ("generator", "masks (drawn for"), ("shares", "masks (drawn"), ("both", "masks (drawn"),
    ("attributes", "attributes (requested"), ("free", "nothing (you cannot")])
def test_what_a_bundle_needs_is_said(kind, needs, _bundles, capsys):
    assert run(cldm, ["inspect", str(_bundles / kind)]) == 0
    text = capsys.readouterr().out
    assert f"needs         {needs}" in text
    assert ("attributes (vector, from attributes; with a null" in text) == (kind in ("attributes", "both"))


def test_a_segmenter_has_no_schedule(tiny_segmenter, capsys):
    assert run(cldm, ["inspect", str(tiny_segmenter)]) == 0
    assert "schedule" not in capsys.readouterr().out


def test_json_is_the_manifest_itself(tiny_generator, capsys):
    assert run(cldm, ["inspect", "--json", str(tiny_generator)]) == 0
    assert capsys.readouterr().out == (tiny_generator / "manifest.json").read_text()


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_missing_bundle_is_one_line_and_exit_3(command, tmp_path, capsys):
    assert run(cldm, [command, str(tmp_path / "absent")]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: bundle ")
    assert captured.err.count("\n") == 1
