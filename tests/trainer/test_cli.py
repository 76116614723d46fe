"""`cldm-train`: subcommands, messages and exit codes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cldm_trainer.cli import commands as cli
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.needed import is_needed

CONFIGS = Path(__file__).parents[2] / "trainer" / "configs"


def exit_code(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["cldm-train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(str(stopped.value.code))


def test_help_lists_every_stage() -> None:
    text = CliRunner().invoke(cli.cli, ["--help"]).output
    assert all(name in text for name in (*cli.STAGES, "all", "export", "verify", "results"))


def test_show_prints_the_resolved_configuration() -> None:
    text = CliRunner().invoke(cli.cli, ["show", "--config", str(CONFIGS / "phantom-tiny.toml")]).output
    assert '"gradient_clip": 1.0' in text


def test_a_missing_configuration_is_exit_code_2(monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["image-codec", "--config", "none.toml"], monkeypatch) == 2
    assert "none.toml: cannot be read" in capsys.readouterr().err


def test_a_missing_cohort_is_exit_code_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(["image-codec", "--config", str(CONFIGS / "phantom-tiny.toml")], monkeypatch) == 4
    assert "no such cohort" in capsys.readouterr().err


def test_an_unknown_option_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(["diffusion", "--konfig", "x"], monkeypatch) == 2


def test_distilling_needs_a_bundle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["distil", "--config", str(CONFIGS / "phantom-tiny.toml")], monkeypatch) == 2
    assert "distil.bundle: empty" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "needed"), [
    ("phantom-cpu", ["image-codec", "mask-codec", "texture", "latents", "diffusion", "segmenter"]),
    ("phantom-cpu-few-steps", ["trajectories", "distil", "finish", "small-mask-encoder"]),
    ("phantom-cpu-attributes", ["image-codec", "mask-codec", "texture", "latents", "diffusion"]),
])
def test_a_configuration_runs_the_stages_that_it_needs(name: str, needed: list[str]) -> None:
    config = load_config(CONFIGS / f"{name}.toml")
    stages = [stage for stage in cli.STAGES if stage not in ("phantom", "prepare")]
    assert [stage for stage in stages if is_needed(stage, config)] == needed


def test_a_cohort_is_compared_with_the_dataset_of_any_layout_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "cohort.h5").touch()
    (tmp_path / "run.toml").write_text(f'extends = "{CONFIGS / "phantom-tiny.toml"}"\n[prepare]\nraw = "'
                                       f'{tmp_path / "raw"}"\n[cohort]\nfolder = "{tmp_path / "cohort"}"\n')
    config = load_config(tmp_path / "run.toml")
    assert not is_needed("prepare", config)
    (tmp_path / "raw").mkdir()
    assert is_needed("prepare", config) and not is_needed("phantom", config)


def test_verify_replays_the_bundles_of_a_configuration(tmp_path: Path, tiny_generator: Path,
                                                       tiny_segmenter: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(f'extends = "{CONFIGS / "phantom-tiny.toml"}"\n[export]\nanatomy = ""\n'
                      f'generator = "{tiny_generator}"\nsegmenter = "{tiny_segmenter}"\n')
    result = CliRunner().invoke(cli.cli, ["verify", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert "loop/image" in result.output and "segmenter/logits" in result.output
