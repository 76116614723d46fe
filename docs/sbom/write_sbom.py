"""Writes the bills of materials (CycloneDX 1.6, JSON) of cldm-runtime and cldm-trainer beside this file.

    python docs/sbom/write_sbom.py

Versions and licences are those of the packages installed where this runs; the requirements are those of the two
pyproject.toml. Packages of extras are optional; one that is not installed has no version (argparse, which an old
package still asks for, is a part of Python). The committed bundles are components of cldm-runtime, with the SHA-256 of
their manifests. Nothing in the files depends on the day or the folder.
"""

import hashlib
import json
import platform
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECTS = {"cldm-runtime": (ROOT / "runtime", ("cpu",)), "cldm-trainer": (ROOT / "trainer", ())}
LONGEST_LICENCE = 80  # characters; some packages put the whole text into this field


def write_all(folder: Path) -> None:
    """<name>.cdx.json of both distributions."""
    for name in PROJECTS:
        (folder / f"{name}.cdx.json").write_text(json.dumps(bill_of(name), indent=1) + "\n", encoding="utf-8")


def bill_of(name: str) -> dict[str, Any]:
    """The whole file of one distribution."""
    required, optional = requirements(name)
    found = closure(required)
    extra = {key: requirement for key, requirement in optional.items() if key not in found}
    ours = list(bundles()) if name == "cldm-runtime" else [{**own("cldm-runtime"), "type": "library"}]
    components = [*(package(key, installed(key), "required") for key in sorted(found)),
                  *(package(key, installed(key), "optional", str(extra[key].specifier)) for key in sorted(extra)),
                  *ours]
    refs = {component["name"]: component["bom-ref"] for component in components if component["type"] == "library"}
    project = own(name)
    dependencies = [{"ref": project["bom-ref"],
                     "dependsOn": sorted([refs[key] for key in {*required, *extra} & refs.keys()] +
                                         [each["bom-ref"] for each in ours])}]
    dependencies += [{"ref": refs[key], "dependsOn": sorted(refs[each] for each in needed)}
                     for key, needed in sorted(found.items())]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": project, "properties": [
            {"name": "cldm:python", "value": platform.python_version()},
            {"name": "cldm:platform", "value": f"{platform.system()} {platform.machine()}"}]},
        "components": components, "dependencies": dependencies}


def requirements(name: str, extras_of_all: Iterable[str] = ()) -> tuple[dict[str, Requirement], dict[str, Requirement]]:
    """What a distribution of ours needs, with the extras that everybody installs, and what its other extras need; for
    the trainer those of the runtime are among them."""
    folder, always = PROJECTS[name][0], {*PROJECTS[name][1], *extras_of_all}
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    needed = [Requirement(line) for line in project["dependencies"]]
    needed += [Requirement(line) for extra in sorted(always) for line in extras[extra]]
    maybe = [Requirement(line) for extra in extras if extra not in always for line in extras[extra]]
    required, optional = ({str(canonicalize_name(each.name)): each for each in some} for some in (needed, maybe))
    if "cldm-runtime" in required:
        runtime = required.pop("cldm-runtime")
        required = requirements("cldm-runtime", runtime.extras)[0] | required
    return required, {key: each for key, each in optional.items() if key not in required}


def closure(required: dict[str, Requirement]) -> dict[str, set[str]]:
    """Every package that is needed -> those that it needs itself, in this environment."""
    found: dict[str, set[str]] = {}
    pending = list(required.values())
    while pending:
        requirement = pending.pop()
        key = str(canonicalize_name(requirement.name))
        known, there = found.get(key), installed(key)
        if there is None and key in required:
            raise SystemExit(f"{key} is required and not installed here. Run this where make test has installed it.")
        needed = [each for each in map(Requirement, (there.requires if there else None) or ())
                  if each.marker is None or any(each.marker.evaluate({"extra": extra})
                                                for extra in ("", *requirement.extras))]
        names = {str(canonicalize_name(each.name)) for each in needed}
        if known is None or not names <= known:
            found[key] = names | (known or set())
            pending += needed
    return found


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def own(name: str) -> dict[str, Any]:
    project = tomllib.loads((PROJECTS[name][0] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    purl = f"pkg:pypi/{name}@{project['version']}"
    return {"type": "application", "bom-ref": purl, "name": name, "version": project["version"], "purl": purl,
            "description": project["description"], "licenses": [{"expression": project["license"]}]}


def package(name: str, there: Distribution | None, scope: str, wanted: str = "") -> dict[str, Any]:
    """A component that is a Python package."""
    purl = f"pkg:pypi/{name}" + (f"@{quote(there.version)}" if there else "")
    described: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "scope": scope, "purl": purl}
    if there:
        described |= {"version": there.version, **licences(there)}
    if wanted:
        described["properties"] = [{"name": "cldm:requirement", "value": wanted}]
    return described


def licences(there: Distribution) -> dict[str, Any]:
    """The licence as the package states it: an SPDX expression, else a short name, else its classifiers."""
    stated = there.metadata.json
    if expression := stated.get("license_expression"):
        return {"licenses": [{"expression": expression}]}
    classified = [line.rpartition(" :: ")[2] for line in stated.get("classifier", ()) if line.startswith("License ::")]
    name = str(stated.get("license", "")).strip()
    names: Iterable[str] = [name] if name and "\n" not in name and len(name) <= LONGEST_LICENCE else classified
    found = [{"license": {"name": each}} for each in names]
    return {"licenses": found} if found else {}


def bundles() -> Iterable[dict[str, Any]]:
    """The committed bundles as components."""
    for file in sorted((ROOT / "exported").glob("[!.]*/manifest.json")):
        manifest = json.loads(file.read_text(encoding="utf-8"))
        yield {"type": "machine-learning-model", "name": manifest["name"], "version": manifest["bundle_version"],
               "bom-ref": f"bundle:{file.parent.name}", "description": manifest["description"],
               "licenses": [{"expression": manifest["licence"]}],
               "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
               "properties": [{"name": "cldm:hashed", "value": file.relative_to(ROOT).as_posix()},
                              {"name": "cldm:kind", "value": manifest["kind"]}]}


if __name__ == "__main__":
    write_all(Path(__file__).parent)
