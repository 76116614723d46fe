"""`cldm verify`: does a bundle compute here what it computed where it was made?"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import click

from ..bundle import Bundle
from ..engines.choose import Choice, choose_provider
from ..errors import BundleError
from ..verify import Check, verify_bundle
from .provider import precision_option, provider_option, say_choice


@click.command()
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@provider_option
@precision_option
@click.option("--threads", type=click.IntRange(min=1), metavar="N",
              help="Threads of one operator. [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def verify(bundle: Path, provider: str, precision: str, threads: int | None, as_json: bool) -> None:
    """Check the hashes of BUNDLE, then replay its reference: every graph, the noise and a whole sampling run.

    Exits with 3 when an output is further from the reference than the manifest's tolerance.

    \b
    Examples:
      cldm verify exported/lge
      cldm verify exported/lge --provider cuda
    """
    opened = Bundle.load(bundle)
    choice = say_choice(choose_provider(opened, provider, threads, precision))
    checks = verify_bundle(opened, choice, threads)
    click.echo(as_json_text(checks, choice) if as_json else as_table(checks))
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise BundleError(f"bundle {bundle}: {', '.join(failed)} differ from the reference on provider "
                          f"{choice.provider} ({choice.precision}) by more than the tolerance. Do not use it here: "
                          "update the provider's package, or try another --provider or --precision fp32.")


def as_table(checks: Sequence[Check]) -> str:
    """One line a check: name, largest absolute error, tolerance, verdict."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"{check.name:{width}}  max abs error {check.max_abs:9.2e}  tolerance {check.tolerance:8.1e}  "
                     f"{'ok' if check.passed else 'FAILED'}" for check in checks)


def as_json_text(checks: Sequence[Check], choice: Choice) -> str:
    """An object with provider and precision, the verdict and the checks; an error that is not a number is null."""
    listed = [{"name": check.name, "max_abs": check.max_abs if math.isfinite(check.max_abs) else None,
               "tolerance": check.tolerance, "passed": check.passed} for check in checks]
    passed = all(check.passed for check in checks)
    return json.dumps({"provider": choice.provider, "precision": choice.precision, "passed": passed,
                       "checks": listed}, indent=1)
