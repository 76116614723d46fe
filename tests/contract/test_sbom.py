"""docs/sbom: what each distribution is made of, as its pyproject.toml and the committed bundles say today."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {"cldm-runtime": "runtime", "cldm-trainer": "trainer"}
WRITE_AGAIN = "python docs/sbom/write_sbom.py"
BOTH = pytest.mark.parametrize("name", NAMES)


def bill(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "sbom" / f"{name}.cdx.json").read_text())
    return found


def plain(requirement: str) -> str:
    """The package's name as PyPI writes it: "Onnx_Runtime[gpu]>=1" -> onnx-runtime."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ]", requirement)[0]).lower()


@BOTH
def test_the_file_is_cyclonedx(name: str) -> None:
    found = bill(name)
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    every = [found["metadata"]["component"], *found["components"]]
    assert all({"type", "name", "bom-ref"} <= component.keys() for component in every)
    refs = [component["bom-ref"] for component in every]
    assert len(refs) == len(set(refs))
    assert {ref for entry in found["dependencies"] for ref in (entry["ref"], *entry["dependsOn"])} <= set(refs)


@BOTH
def test_it_names_what_pyproject_requires(name: str) -> None:
    project = tomllib.loads((ROOT / NAMES[name] / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    packages = {component["name"] for component in bill(name)["components"] if component["type"] == "library"}
    assert {plain(line) for line in lines} <= packages, WRITE_AGAIN
    assert bill(name)["metadata"]["component"]["version"] == project["version"], WRITE_AGAIN
    (root,) = [entry for entry in bill(name)["dependencies"] if entry["ref"].startswith(f"pkg:pypi/{name}@")]
    direct = {ref.removeprefix("pkg:pypi/").partition("@")[0] for ref in root["dependsOn"] if ref.startswith("pkg:")}
    assert {plain(line) for line in lines} <= direct, WRITE_AGAIN


@BOTH
def test_packages_have_versions_licences_and_purls(name: str) -> None:
    packages = [component for component in bill(name)["components"] if component["type"] == "library"]
    needed = [component for component in packages if component.get("scope") != "optional"]
    assert [component["name"] for component in needed if "version" not in component] in ([], ["argparse"])
    for component in packages:
        if "version" in component:
            assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version'].replace('+', '%2B')}"
    assert sum("licenses" in component for component in needed) >= 0.95 * len(needed)


def test_the_versions_are_those_of_the_container() -> None:
    pinned = (ROOT / "examples" / "container" / "requirements.txt").read_text().splitlines()
    found = {f"{component['name']}=={component.get('version')}" for component in bill("cldm-runtime")["components"]
             if component.get("scope") == "required"}
    assert found == {line for line in pinned if not line.startswith("#")}, WRITE_AGAIN


def test_every_committed_bundle_is_a_component_with_the_hash_of_its_manifest() -> None:
    models = {component["bom-ref"]: component["hashes"] for component in bill("cldm-runtime")["components"]
              if component["type"] == "machine-learning-model"}
    assert models == {
        f"bundle:{file.parent.name}": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}]
        for file in (ROOT / "exported").glob("[!.]*/manifest.json")}, WRITE_AGAIN


@BOTH
def test_nothing_of_the_machine_is_in_it(name: str) -> None:
    text = json.dumps(bill(name))
    assert set(re.findall(r"\w+://[^/\"]+", text)) == {"http://cyclonedx.org"}
    assert not re.search(r'(?<![\w:])/(home|root|tmp|usr|opt|work|Users)/|[A-Z]:\\\\', text)
