"""Configuration files: every fault in one message, presets that load."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.diffusion import noise_schedule

PRESETS = sorted((Path(__file__).parents[2] / "trainer" / "configs").glob("*.toml"))
CPU = next(path for path in PRESETS if path.stem == "phantom-cpu")


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_load(path: Path) -> None:
    assert load_config(path).run.name == path.stem


def test_every_fault_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[run]\nnmae = "a"\nseed = "one"\n[cohort]\nfolder = "x"\n')
    with pytest.raises(InputError) as error:
        load_config(path)
    for part in ("run.nmae: unknown key", "run.name: missing", "run.seed: found 'one', expected an integer"):
        assert part in str(error.value)
    assert "image_codec: missing. Expected a table." in str(error.value)


def test_a_boolean_is_not_a_number(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(CPU.read_text().replace("batch_size = 16", "batch_size = true"))
    with pytest.raises(InputError, match="batch_size: found True, expected an integer"):
        load_config(path)


def test_rules_beyond_types(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    text = CPU.read_text().replace('objective = "v"', 'objective = "w"')
    path.write_text(text.replace("norm_groups = 16", "norm_groups = 3"))
    with pytest.raises(InputError) as error:
        load_config(path)
    assert "diffusion.objective: found 'w'" in str(error.value)
    assert "diffusion.channels" in str(error.value)


def test_a_segmenter_of_two_stages_would_learn_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "child.toml").write_text(f'extends = "{CPU}"\n[segmenter]\nplanned = false\nfeatures = [4, 8]\n')
    with pytest.raises(InputError, match=r"segmenter\.features: found \[4, 8\], expected at least 3"):
        load_config(tmp_path / "child.toml")


@pytest.mark.parametrize(("text", "fault"), [
    ("[segmenter]\nwithout_lesion = 1.0", r"without_lesion: found 1, expected a share"),
    ('[validity]\nscored_against = "both"', r"scored_against: found 'both', expected one of truth, reader"),
])
def test_values_that_nothing_can_be_done_with(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "child.toml").write_text(f'extends = "{CPU}"\n{text}\n')
    with pytest.raises(InputError, match=fault):
        load_config(tmp_path / "child.toml")


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_resolved_holds_defaults_as_plain_types(small: Config) -> None:
    resolved = small.resolved()
    assert resolved["image_codec"]["channels"] == [8, 8]
    assert resolved["diffusion"]["optimiser"]["gradient_clip"] == 1.0
    assert resolved["export"]["sampler"] == "ddim"


def test_a_file_states_only_what_differs_from_the_one_that_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "child.toml"
    path.write_text(f'extends = "{CPU}"\n[run]\nname = "child"\ncodecs = "parent"\n'
                    "[diffusion]\nchannels = [16]\nattention = [true]\n[diffusion.optimiser]\nsteps = 3\n")
    child, parent = load_config(path), load_config(CPU)
    assert child.diffusion.channels == (16,) and child.diffusion.optimiser.steps == 3
    assert child.diffusion.optimiser.learning_rate == parent.diffusion.optimiser.learning_rate
    assert (child.image_codec, child.cohort) == (parent.image_codec, parent.cohort)
    assert child.codecs_folder.name == "parent" and parent.codecs_folder == parent.run_folder


def test_files_do_not_extend_each_other_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"')
    (tmp_path / "b.toml").write_text('extends = "./a.toml"')
    with pytest.raises(InputError, match=r"in a circle: .*a\.toml -> .*b\.toml -> .*a\.toml"):
        load_config(tmp_path / "a.toml")


@pytest.mark.parametrize(("line", "message"), [
    ('extends = "none.toml"', r"none\.toml: cannot be read .*child\.toml extends it"),
    ("extends = 3", "found 3, expected the path of a TOML file"),
])
def test_what_cannot_be_extended_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "child.toml").write_text(line)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "child.toml")


@pytest.mark.parametrize(("changes", "message"), [
    ('condition = "text"', "diffusion.condition: found 'text', expected one of none, mask"),
    ('condition = "none"', "diffusion.condition_dropout: found 0.1, expected 0"),
    ('condition = "control"', "control.base: empty"),
    ('condition = "control"\n[control]\nbase = "b"\nchannels = [8, 8]', "halve to 1 / 2, the image codec to 1 / 4"),
])
def test_a_condition_agrees_with_the_rest(tmp_path: Path, changes: str, message: str) -> None:
    (tmp_path / "child.toml").write_text(f'extends = "{CPU}"\n[diffusion]\n{changes}\n')
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "child.toml")


@pytest.mark.parametrize(("changes", "message"), [
    ('objective = "flow"', "diffusion.schedule: found 'cosine', expected 'flow'"),
    ('objective = "epsilon"\nschedule = "flow"', "diffusion.objective: found 'epsilon', which tells nothing"),
    ('objective = "epsilon"\nzero_terminal_snr = true', "Use v or sample"),
    ('schedule = "flow"\nzero_terminal_snr = true', "diffusion.zero_terminal_snr: found True, expected False"),
    ('[export]\nsampler = "euler"\nspacing = "even"', r"(?s)export\.sampler.*export\.spacing: .*log-snr, karras"),
])
def test_what_is_predicted_agrees_with_the_schedule(tmp_path: Path, changes: str, message: str) -> None:
    (tmp_path / "child.toml").write_text(f'extends = "{CPU}"\n[diffusion]\n{changes}\n')
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "child.toml")


@pytest.mark.parametrize("changes", ['objective = "flow"\nschedule = "flow"', "zero_terminal_snr = true"])
def test_a_schedule_may_end_in_pure_noise(tmp_path: Path, changes: str) -> None:
    (tmp_path / "child.toml").write_text(f'extends = "{CPU}"\n[diffusion]\n{changes}\n')
    schedule = noise_schedule(load_config(tmp_path / "child.toml").diffusion)
    assert schedule.alphas_cumprod[-1] == 0.0 < schedule.alphas_cumprod[-2]
