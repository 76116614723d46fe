"""`cldm words`: what texts mean; and the option --words of `cldm gen`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import click

from ..bundle.bundle import Bundle
from ..domains.domain import Domain
from ..domains.registry import get_domain
from ..errors import InputError
from ..requests.prompts import PROMPT, read_prompt, told
from ..words import with_words
from .option_group import option_group

NONE = "none"
_OPTIONS = {"words_folder": click.option(
    "--words", "words_folder", metavar="DIR|none", envvar="CLDM_WORDS", show_envvar=True,
    help="Folder that reads what the grammar of prompts does not know, by likeness. none: the grammar alone.  "
         "[default: <domain>-words next to the generator bundle, if it is there]")}
WORDS_NAMES = tuple(_OPTIONS)


@dataclass(frozen=True)
class WordsOption:
    """The value of --words."""

    words_folder: str | None

    def added_to(self, domain: Domain, bundle: Bundle) -> Domain:
        """The domain with these words. Raises InputError for a folder that is not there."""
        beside = Path(os.path.normpath(bundle.path / os.pardir / f"{bundle.manifest.domain}-words"))
        return _added(domain, self.words_folder, beside)


words_options = option_group("words", WordsOption, _OPTIONS)
"""Gives a command the option, and its value as `words`."""


def _added(domain: Domain, given: str | None, otherwise: Path) -> Domain:
    if given == NONE or (given is None and not otherwise.is_dir()):
        return domain
    if given is not None and not Path(given).is_dir():
        raise InputError(f"--words {given}: no such folder. Pass a folder that `cldm-train words` wrote, or none.")
    return with_words(domain, Path(given) if given is not None else otherwise)


@click.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--domain", "name", default="lge", show_default=True, metavar="NAME", help="Whose grammar reads them.")
@_OPTIONS["words_folder"]
@click.option("--edit", is_flag=True, help="As a request for an edit of a given slice, which has a direction and a "
              "layer too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def words(texts: tuple[str, ...], name: str, words_folder: str | None, edit: bool, as_json: bool) -> None:
    """What each TEXT asks for, as cldm-gen --prompt reads it. Nothing is generated.

    \b
    Examples:
      cldm words "small subendocardial scar, basal level"
      cldm words --words exported/lge-words --edit "a little scar hugging the cavity, on the diaphragm side"
    """
    domain = _added(get_domain(name), words_folder, Path("exported") / f"{name}-words")
    editing = domain.edit if edit else None
    columns = (*domain.attribute_names, *([each.name for each in editing.attributes] + list(editing.words)
                                          if editing else []))
    wrong: list[str] = []
    for text in texts:
        faults: list[str] = []
        read = read_prompt(text, domain, columns, {}, faults)
        wrong += faults
        if as_json:
            click.echo(json.dumps({"text": text, "numbers": dict(read.numbers), "words": dict(read.words),
                                   "taken": read.taken, "unmet": read.unmet, "unknown": read.unknown,
                                   "faults": faults}))
        else:
            click.echo("\n".join([f"{text!r}", *(f"  {line}" for line in (*told(read), *faults))]))
    if wrong:
        raise InputError(f"{PROMPT}: {len(wrong)} fault(s), see above." if len(texts) > 1 else wrong[0])
