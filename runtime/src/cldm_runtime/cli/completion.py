"""`cldm completion`: what makes a shell complete commands and options."""

from collections.abc import Mapping

import click
from click.shell_completion import get_completion_class

# program -> the variable in which click looks for what a shell wants to know
PROGRAMS: Mapping[str, str] = {"cldm": "_CLDM_COMPLETE", "cldm-gen": "_CLDM_GEN_COMPLETE",
                               "cldm-train": "_CLDM_TRAIN_COMPLETE"}
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete the commands and options of cldm, cldm-gen and cldm-train.

    \b
    Once, for every new shell:
      cldm completion bash >> ~/.bashrc
      cldm completion zsh >> ~/.zshrc
      cldm completion fish > ~/.config/fish/completions/cldm.fish
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None  # click knows all of SHELLS
    for program, variable in PROGRAMS.items():
        click.echo(of_shell(click.Command(program), {}, program, variable).source())
