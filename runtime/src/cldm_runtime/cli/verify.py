"""`cldm verify`: does a bundle compute here what it computed where it was made; is a dataset as it was written?"""

import json
import sys
from pathlib import Path

import click

from ..bundle.bundle import REQUIRE_SIGNATURE, Bundle
from ..engines.choose import choose_provider
from ..errors import BundleError, InputError, ProviderError, list_faults
from ..segmentation.segmenter import Segmenter
from ..verification.compare import EngineReport, Yardstick
from ..verification.text import as_json, as_table, as_text
from .numbers import WholeNumber
from .progress import BusyLines, show_progress
from .provider import precision_option, provider_option, say_choice
from .verify_dataset import verify_dataset


@click.command()
@click.argument("bundle", metavar="BUNDLE|FILE", type=click.Path(path_type=Path))
@provider_option
@precision_option
@click.option("--all-providers", is_flag=True,
              help="Check every provider and precision that is available here and print a table. What is not available "
                   "is listed with the reason; that is no failure.")
@click.option("--segmenter", metavar="DIR", type=click.Path(path_type=Path),
              help="Also compare the labels and attributes that this segmenter bundle finds in a generator's images. "
                   "It runs on the CPU in fp32.")
@click.option("--samples", type=WholeNumber(min=0), default=0, show_default=True, metavar="N",
              help="Also generate N samples here and compare them with those of provider cpu in fp32.")
@click.option("--against", metavar="DIR", type=click.Path(path_type=Path),
              help="Bundle whose samples are expected, for example the fp32 version of an int8 BUNDLE.  "
                   "[default: BUNDLE]")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator. [default: all cores]")
@click.option("--require-signature", "public_key", metavar="PEM", envvar=REQUIRE_SIGNATURE, show_envvar=True,
              type=click.Path(path_type=Path),
              help="Refuse BUNDLE unless it is signed with this public key (see cldm sign). The variable requires it "
                   "of every bundle that any command opens.")
@click.option("--json", "as_json_text", is_flag=True, help="Print everything as JSON.")
def verify(bundle: Path, provider: str, precision: str, all_providers: bool, segmenter: Path | None, samples: int,
           against: Path | None, threads: int | None, public_key: Path | None, as_json_text: bool) -> None:
    """Check that a bundle computes here what it computed where it was made, or that a dataset is as it was written.

    Of a BUNDLE: checks the hashes, and the signature if one is required. Then replays the reference: every graph, the
    noise and a whole sampling run. Exits with 3 if an output differs from the reference by more than the manifest's
    tolerance (lower precisions: 32 of their roundings), or if an attribute that the segmenter measures on an image
    differs by more than 0.01 of its range.

    Of a dataset FILE: checks that every sample is there once and unchanged. Exits with 4 otherwise.

    \b
    Examples:
      cldm verify exported/lge
      cldm verify exported/lge --provider cuda --segmenter exported/lge-segmenter --samples 64
      cldm verify exported/lge --all-providers --segmenter exported/lge-segmenter --samples 64
      cldm verify exported/lge-int8 --against exported/lge --samples 64
      cldm verify exported/lge --require-signature public.pem
      cldm verify out/samples.h5
    """
    if bundle.is_file():
        verify_dataset(bundle, as_json_text)
        return
    if all_providers and (provider, precision) != ("cpu", "fp32"):
        raise InputError("--all-providers already takes every provider and precision. Leave --provider and --precision "
                         "out.")
    opened = Bundle.load(bundle, require_signature=public_key)
    if opened.manifest.kind == "generator" and segmenter is None:
        click.echo("note: pass --segmenter DIR to also count changed labels and the drift of attributes.", err=True)
    yardstick = Yardstick(opened, None if segmenter is None else Segmenter.load(segmenter, threads=threads), samples,
                          None if against is None else Bundle.load(against), threads,
                          lambda label: show_progress(label, samples, sys.stderr, brief=True))
    if all_providers:
        with show_progress("comparing engines", 0, sys.stderr) as progress:
            reports = list(yardstick.reports(progress))
        click.echo(json.dumps({"engines": [as_json(report) for report in reports]}, indent=1) if as_json_text
                   else as_table(reports))
    else:
        choice = say_choice(choose_provider(opened, provider, threads, precision))
        with BusyLines(f"verify {bundle.name}") as say:
            say(f"comparing with the reference on {choice.provider}")
            reports = [yardstick.report(choice)]
        click.echo(json.dumps(as_json(reports[0]), indent=1) if as_json_text else as_text(reports[0]))
    _raise_failures(bundle, reports)


def _raise_failures(bundle: Path, reports: list[EngineReport]) -> None:
    """Raises BundleError for what is beyond its tolerance, ProviderError where nothing was measured."""
    if all(report.missing for report in reports):
        raise ProviderError(list_faults(f"bundle {bundle}: no provider runs it here.",
                                        [f"{report.provider}: {report.missing}" for report in reports]))
    failed = [f"{', '.join(report.failed)} on provider {report.provider} ({report.precision})"
              for report in reports if report.failed]
    if failed:
        raise BundleError(list_faults(f"bundle {bundle} differs from the expected output by more than the tolerance. "
                                      "Try --precision fp32 or another --provider, or update the provider's "
                                      "package.", failed))
