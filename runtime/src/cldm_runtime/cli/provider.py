"""The options --provider and --precision, which several commands have."""

import click

from ..engines.choose import Choice
from ..engines.engine import AUTO, PRECISIONS, PROVIDERS

provider_option = click.option(
    "--provider", type=click.Choice([*PROVIDERS, AUTO]), default="cpu", show_default=True,
    help="What runs the networks; never replaced by another. auto: cuda if it starts, else openvino if it is installed "
         "and a short measurement says that it is faster, else cpu.")
precision_option = click.option(
    "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
    help="Of the networks' arithmetic. bf16: openvino and torchscript, on a CPU that has it; tf32, fp16: on a GPU.")


def say_choice(choice: Choice) -> Choice:
    """Tell on stderr what auto chose and why."""
    if choice.reason:
        click.echo(choice.reason, err=True)
    return choice
