"""Configuration files: every fault in one message, presets that load."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_trainer.config import Config, load_config

PRESETS = sorted((Path(__file__).parents[2] / "trainer" / "configs").glob("*.toml"))


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
    path.write_text(PRESETS[0].read_text().replace("batch_size = 16", "batch_size = true"))
    with pytest.raises(InputError, match="batch_size: found True, expected an integer"):
        load_config(path)


def test_rules_beyond_types(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    text = PRESETS[0].read_text().replace('objective = "v"', 'objective = "w"')
    path.write_text(text.replace("norm_groups = 16", "norm_groups = 3"))
    with pytest.raises(InputError) as error:
        load_config(path)
    assert "diffusion.objective: found 'w'" in str(error.value)
    assert "diffusion.channels" in str(error.value)


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_resolved_holds_defaults_as_plain_types(small: Config) -> None:
    resolved = small.resolved()
    assert resolved["image_codec"]["channels"] == [8, 8]
    assert resolved["diffusion"]["optimiser"]["gradient_clip"] == 1.0
    assert resolved["export"]["sampler"] == "ddim"
