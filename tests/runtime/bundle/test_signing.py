"""Signed bundles: what is altered, added, removed, swapped or signed by another is refused."""

import base64
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cldm_runtime.bundle.bundle import Bundle, sign_bundle
from cldm_runtime.bundle.signing import SIGNATURE_FILE, files_of, signed_text
from cldm_runtime.bundle.signing_keys import make_key_pair, read_private_key, read_public_key
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.files.digest import sha256_of

pytest.importorskip("cryptography")


def no_password() -> str:
    raise AssertionError("asked for a password")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with private.pem and public.pem, and those of a stranger."""
    for name in ("", "other-"):
        make_key_pair(tmp_path / f"{name}private.pem", tmp_path / f"{name}public.pem")
    return tmp_path


@pytest.fixture
def signed(tiny_generator: Path, keys: Path) -> Path:
    """A signed copy of a bundle with a model card."""
    folder = shutil.copytree(tiny_generator, keys / "bundle")
    (folder / "MODEL_CARD.md").write_text("For research.")
    sign_bundle(Bundle.load(folder), read_private_key(keys / "private.pem", no_password))
    return folder


def edit(folder: Path, **changes: object) -> None:
    found = json.loads((folder / SIGNATURE_FILE).read_text())
    (folder / SIGNATURE_FILE).write_text(json.dumps({**found, **changes}))


def refusal(folder: Path, key: str = "public.pem") -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder, require_signature=folder.parent / key)
    return str(caught.value)


def test_a_signed_bundle_opens_here_and_in_another_process(signed: Path, keys: Path) -> None:
    bundle = Bundle.load(signed, require_signature=keys / "public.pem")
    assert open_graph(bundle, "decoder").provider == "cpu"
    assert pickle.loads(pickle.dumps(bundle)).signed_with == str(keys / "public.pem")
    (signed / "MODEL_CARD.md").write_text("For treatment.")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md: was altered"):
        pickle.loads(pickle.dumps(bundle))


def test_openssl_makes_the_same_signature(signed: Path, keys: Path, tmp_path: Path) -> None:
    """An independent implementation, on a text that the shell makes."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    script = ("cd bundle && { echo 'cldm bundle signature 1'; ls | grep -v signature.json | LC_ALL=C sort | "
              "xargs sha256sum; } > ../text && cd .. && "
              "openssl pkeyutl -sign -inkey private.pem -rawin -in text | base64 -w 0")
    made = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert made == json.loads((signed / SIGNATURE_FILE).read_text())["signature"]
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", keys / "public.pem", "-outform", "der", "-out",
                          tmp_path / "der"], check=False)
    assert der.returncode == 0
    assert read_public_key(keys / "public.pem").fingerprint == sha256_of(tmp_path / "der")


@pytest.mark.parametrize("name", ["manifest.json", "decoder.onnx", "reference.npz", "MODEL_CARD.md"])
def test_an_altered_file_is_named(signed: Path, name: str) -> None:
    data = bytearray((signed / name).read_bytes())
    data[-2] ^= 1
    (signed / name).write_bytes(data)
    assert f"- {name}: was altered" in refusal(signed)


def test_a_graph_altered_with_its_hash_in_the_manifest_is_refused(signed: Path) -> None:
    """Which the hashes alone cannot tell."""
    before = sha256_of(signed / "decoder.onnx")
    (signed / "decoder.onnx").write_bytes((signed / "denoiser.onnx").read_bytes())
    text = (signed / "manifest.json").read_text().replace(before, sha256_of(signed / "decoder.onnx"))
    (signed / "manifest.json").write_text(text)
    Bundle.load(signed)
    assert refusal(signed).count("was altered") == 2


def test_files_added_or_removed_are_named(signed: Path) -> None:
    (signed / "MODEL_CARD.md").rename(signed / "README.md")
    message = refusal(signed)
    assert "- MODEL_CARD.md: is missing" in message and "- README.md: was added" in message


def test_links_folders_and_hidden_files_are_refused(signed: Path) -> None:
    (signed / "link").symlink_to(signed / "decoder.onnx")
    (signed / "folder").mkdir()
    (signed / ".hidden").write_text("")
    message = refusal(signed)
    assert all(f"- {name!r}: expected a file with a plain name" in message for name in ("link", "folder", ".hidden"))


def test_the_signature_of_another_bundle_is_refused(signed: Path, tiny_segmenter: Path, keys: Path) -> None:
    other = shutil.copytree(tiny_segmenter, keys / "other")
    sign_bundle(Bundle.load(other), read_private_key(keys / "private.pem", no_password))
    shutil.copy(other / SIGNATURE_FILE, signed)
    assert "is not what was signed" in refusal(signed)
    edit(signed, files=files_of(signed))
    assert "forged or damaged" in refusal(signed)


def test_the_key_of_another_is_refused(signed: Path, keys: Path) -> None:
    assert "is signed with the key" in refusal(signed, "other-public.pem")
    edit(signed, key_sha256=read_public_key(keys / "other-public.pem").fingerprint)
    assert "forged or damaged" in refusal(signed, "other-public.pem")


def test_a_signature_of_the_same_text_for_another_purpose_is_none(signed: Path, keys: Path) -> None:
    text = signed_text(files_of(signed))
    assert text.startswith(b"cldm bundle signature 1\n")
    bare = read_private_key(keys / "private.pem", no_password).sign(text.partition(b"\n")[2])
    edit(signed, signature=base64.b64encode(bare).decode())
    assert "forged or damaged" in refusal(signed)


@pytest.mark.parametrize(("content", "said"), [
    (b"", "cannot be read as JSON"), (b"[" * 100_000, "cannot be read as JSON"), (b"[]", "expected an object"),
    (b"{}", "missing"), (b"\xff\xfe\x00", "cannot be read as JSON"), (b" " * 2**21, "more than 1048576 bytes"),
    (b'{"format_version": 2}', "newer than the newest"), (b'{"format_version": 0}', "expected one of: 1")])
def test_a_hostile_signature_file_is_one_message(signed: Path, content: bytes, said: str) -> None:
    (signed / SIGNATURE_FILE).write_bytes(content)
    assert said in refusal(signed)


@pytest.mark.parametrize(("changes", "said"), [
    ({"signature": "!"}, "forged or damaged"), ({"signature": "é"}, "forged or damaged"),
    ({"signature": "AAAA"}, "forged or damaged"), ({"algorithm": "none"}, "expected one of: ed25519"),
    ({"key_sha256": "\x1b[2J"}, "expected a SHA-256"), ({"files": {"../a": "0" * 64}}, "expected a plain file name"),
    ({"files": {"\ud800": "0" * 64}}, "expected a plain file name"), ({"files": {}}, "forged or damaged"),
    ({"files": {"a": 1}}, "expected a string"), ({"more": 1}, "unknown key")])
def test_a_hostile_field_is_one_message(signed: Path, changes: dict[str, object], said: str) -> None:
    edit(signed, **changes)
    assert said in refusal(signed) and "\x1b" not in refusal(signed)


def test_a_truncated_signature_and_a_link_are_refused(signed: Path) -> None:
    file = signed / SIGNATURE_FILE
    file.write_bytes(file.read_bytes()[:-20])
    assert "cannot be read as JSON" in refusal(signed)
    shutil.move(file, signed.parent / "elsewhere")
    file.symlink_to(signed.parent / "elsewhere")
    assert "has no signature" in refusal(signed)


def test_an_unsigned_bundle_is_refused_only_where_a_signature_is_required(
        tiny_generator: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Bundle.load(tiny_generator)
    monkeypatch.setenv("CLDM_REQUIRE_SIGNATURE", str(keys / "public.pem"))
    assert run(cldm, ["gen", "--n", "1", "--bundle", str(tiny_generator), "--out", str(keys / "a.h5")]) == 3
    assert "has no signature (signature.json), and one is required" in capsys.readouterr().err
    Bundle.load(tiny_generator, require_signature="")


def test_a_damaged_bundle_is_not_signed(signed: Path, keys: Path) -> None:
    key = read_private_key(keys / "private.pem", no_password)
    bundle = Bundle.load(signed)
    with pytest.raises(InputError, match="cldm sign --overwrite` signs again"):
        sign_bundle(bundle, key)
    sign_bundle(bundle, key, overwrite=True)
    (signed / "decoder.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="altered or truncated"):
        sign_bundle(bundle, key, overwrite=True)


def test_without_the_package_the_message_has_the_pip_line(signed: Path) -> None:
    script = ("import sys; sys.modules['cryptography'] = None\n"
              "from cldm_runtime.cli.main import cldm, run; sys.exit(run(cldm, sys.argv[1:]))")
    for words in (["verify", signed, "--require-signature", signed.parent / "public.pem"],
                  ["sign", signed, "--key", signed.parent / "private.pem"], ["keygen", "a", "b", "--no-password"]):
        done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2 and "pip install 'cldm-runtime[sign]'" in done.stderr
