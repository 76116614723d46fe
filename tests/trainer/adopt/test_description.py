"""A description's faults are named, all at once."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_trainer.adopt.description import read_description
from import_fixtures import HEAD, SEEN, UNET, condition, section, write

NET = section("unet", "unet.pt", UNET)


@pytest.mark.parametrize(("parts", "message"), [
    ([], "found none of unet, diffusers, nnunet, expected one"),
    ([NET, '[nnunet]\nfolder = "x"\n'], "found unet and nnunet of"),
    (['[nnunet]\nfolder = "x"\n', condition()], "expected neither beside nnunet"),
    ([NET, condition(labels={"infarct": 1})], "found infarct, expected a number for each of background, lv_cavity"),
    ([NET, condition(labels=SEEN | {"mvo": 7}, more="channels = 3")], "whole numbers from 0 to 2"),
    ([NET, condition(more="divide_by = 0")], "condition.divide_by: found 0"),
    ([NET, condition("controlnet")], "controlnet: expected together with condition.kind"),
    ([NET, condition("tokens", {}, 'attributes = ["size"]')], "found size, expected some of infarct_size"),
    ([NET, condition("tokens", {}, 'attributes = ["infarct_size"]\nstd = [1, 2]')], "found 2 numbers, expected 1"),
    ([NET, section("mask_autoencoder", "m.pt", {})], "mask_autoencoder: found, expected only beside autoencoder"),
    ([NET, "[unet2]\n"], "unet2: unknown key"),
])
def test_a_fault_is_named(tmp_path: Path, parts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)networks.toml: describes no networks.*{message}"):
        read_description(write(tmp_path, *parts))


def test_a_schedule_and_axes_are_needed(tmp_path: Path) -> None:
    head = HEAD.replace("[schedule]\ntimesteps = 20\n", "").replace("[32, 32]", "[4, 32, 32]")
    with pytest.raises(InputError, match=r"(?s)schedule: missing.*expected 2 numbers each: the domain lge"):
        read_description(write(tmp_path, NET, head=head))
