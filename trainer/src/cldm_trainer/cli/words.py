"""`cldm-train words`: a reader of prompts beyond the grammar."""

from importlib import import_module
from pathlib import Path

import click

from cldm_runtime.cli.progress import BusyLines


@click.command()
@click.option("--phrases", "phrases_file", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="TOML file of ways to say each word, such as trainer/configs/words/lge-words.toml.")
@click.option("--encoder", "encoder_folder", default=None, type=click.Path(path_type=Path), metavar="DIR",
              help="Local folder of a Hugging Face text encoder: model.onnx and tokenizer.json. Nothing is fetched. "
                   "[default: a small encoder is trained on the phrases]")
@click.option("--out", "target", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of words to write, for cldm-gen --words.")
@click.option("--force", is_flag=True, help="Replace that folder.")
def words(phrases_file: Path, encoder_folder: Path | None, target: Path, force: bool) -> None:
    """Make a folder that reads prompts beyond the grammar by likeness, and measure it on other wordings.

    \b
    Examples:
      cldm-train words --phrases trainer/configs/words/lge-words.toml --out exported/lge-words
      cldm-train words --phrases trainer/configs/words/lge-words.toml --encoder ~/MiniLM --out out/lge-words
    """
    with BusyLines("words", aloud=True) as say:
        quality = import_module("cldm_trainer.words.run").run(phrases_file, target, encoder_folder, force=force,
                                                              say=say)
    click.echo(f"{'test sentences':30}{'read by':24}{'right':>8}{'false':>8}{'whole':>8}{'silent':>8}")
    for name, readers in quality.items():
        for who, values in readers.items():
            click.echo(f"{name:30}{who:24}" + "".join(f"{values[key]:8.3f}" for key in values))
    click.echo(f"{target}: written")
