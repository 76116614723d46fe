"""cldm keygen, cldm sign, cldm verify --require-signature."""

import shutil
from pathlib import Path

import pytest

from cldm_runtime.cli.main import cldm, run

pytest.importorskip("cryptography")


@pytest.fixture
def folder(tiny_segmenter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny_segmenter, tmp_path / "bundle")
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "password").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_three_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["keygen", "private.pem", "public.pem", "--password-file", "password"]) == 0
    fingerprint = capsys.readouterr().out.split()[-1].rstrip(".")
    assert run(cldm, ["sign", "bundle", "--key", "private.pem", "--password-file", "password"]) == 0
    assert capsys.readouterr().out.startswith("bundle/signature.json: tiny-segmenter") and len(fingerprint) == 64
    assert run(cldm, ["verify", "bundle", "--require-signature", "public.pem"]) == 0
    (folder / "bundle" / "NOTE.md").write_text("Added.")
    assert run(cldm, ["verify", "bundle"]) == 0
    assert run(cldm, ["verify", "bundle", "--require-signature", "public.pem"]) == 3
    assert "- NOTE.md: was added" in capsys.readouterr().err


def test_the_variable_requires_it_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(cldm, ["keygen", "private.pem", "public.pem", "--no-password"]) == 0
    monkeypatch.setenv("CLDM_REQUIRE_SIGNATURE", "public.pem")
    assert run(cldm, ["inspect", "bundle"]) == 3
    assert run(cldm, ["sign", "bundle", "--key", "private.pem"]) == 0
    assert run(cldm, ["inspect", "bundle"]) == run(cldm, ["verify", "bundle"]) == 0


def test_a_password_is_asked_for_on_the_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(cldm, ["keygen", "private.pem", "public.pem", "--password-file", "password"])
    monkeypatch.setattr("click.prompt", lambda text, **options: "open sesame" if options["hide_input"] else "")
    assert run(cldm, ["sign", "bundle", "--key", "private.pem"]) == 0


def test_a_password_file_for_no_password_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["keygen", "a", "b", "--password-file", "password", "--no-password"]) == 2
    (folder / "password").write_text("\n")
    assert run(cldm, ["keygen", "a", "b", "--password-file", "password"]) == 2
    (folder / "password").chmod(0o644)
    assert run(cldm, ["keygen", "a", "b", "--password-file", "password"]) == 2
    assert "others may read it (mode 644)" in capsys.readouterr().err and not (folder / "a").exists()
