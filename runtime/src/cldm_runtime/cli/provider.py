"""The options --provider and --precision, which several commands have."""

import click

from ..engines.choose import Choice
from ..engines.engine import AUTO, PRECISIONS, PROVIDERS

provider_option = click.option(
    "--provider", type=click.Choice([*PROVIDERS, AUTO]), default="cpu", show_default=True,
    help="What runs the networks. If it is not available, the command fails; it never uses another one. auto: cuda "
         "if it starts, else openvino if it is installed and faster in a short measurement, else cpu.")
precision_option = click.option(
    "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
    help="Precision of the networks. bf16: openvino and torchscript, on a CPU with bf16; tf32, fp16: on a GPU.")


def say_choice(choice: Choice) -> Choice:
    """Tell on stderr what auto chose and why."""
    if choice.reason:
        click.echo(choice.reason, err=True)
    return choice
