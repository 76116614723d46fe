"""Keys are read from PEM files that only their owner can read."""

from pathlib import Path

import pytest

from cldm_runtime.bundle.signing_keys import make_key_pair, read_private_key, read_public_key
from cldm_runtime.errors import InputError

serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "private.pem", tmp_path / "public.pem"
    make_key_pair(*files, password="open sesame")
    return files


def test_an_encrypted_key_asks_for_its_password(pair: tuple[Path, Path]) -> None:
    key = read_private_key(pair[0], lambda: "open sesame")
    assert key.public.fingerprint == read_public_key(pair[1]).fingerprint
    assert read_public_key(pair[1]).verifies(key.sign(b"text"), b"text")
    assert not read_public_key(pair[1]).verifies(key.sign(b"text"), b"Text")
    assert b"ENCRYPTED" in pair[0].read_bytes()


@pytest.mark.parametrize("password", ["", "sesame"])
def test_a_wrong_password_is_one_message(pair: tuple[Path, Path], password: str) -> None:
    with pytest.raises(InputError, match="or the password is wrong"):
        read_private_key(pair[0], lambda: password)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_or_write_is_refused(pair: tuple[Path, Path], mode: int) -> None:
    assert pair[0].stat().st_mode & 0o777 == 0o600
    pair[0].chmod(mode)
    with pytest.raises(InputError, match=f"mode {mode:o}\\), expected 600. Run: chmod 600"):
        read_private_key(pair[0], lambda: "open sesame")


def test_keys_are_never_replaced(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = [file.read_bytes() for file in pair]
    with pytest.raises(InputError, match="keys are not replaced"):
        make_key_pair(pair[0], tmp_path / "new.pem")
    with pytest.raises(InputError, match="keys are not replaced"):
        make_key_pair(tmp_path / "new.pem", pair[1])
    assert [file.read_bytes() for file in pair] == before and len(list(tmp_path.iterdir())) == 2


def test_what_is_no_key_is_one_message(pair: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content, said in ((b"none", "is not an Ed25519 public key"), (bytes(2**17), "more than 65536 bytes"),
                          (pair[0].read_bytes(), "is not an Ed25519 public key")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_public_key(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_public_key(tmp_path / "missing")
    pair[1].chmod(0o600)
    with pytest.raises(InputError, match="is not an Ed25519 private key"):
        read_private_key(pair[1], lambda: "")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    x25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")
    key = x25519.X25519PrivateKey.generate()
    (tmp_path / "public.pem").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="a key of another kind, expected an Ed25519 public key"):
        read_public_key(tmp_path / "public.pem")
