"""The command line: parse and call."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from generator.commands import COMMANDS
from generator.endings import BROKEN_PIPE

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _piped() -> Iterator[None]:
    """Exit as a shell has it when nobody reads any more; click would exit with 1, which means "no"."""
    try:
        yield
    except BrokenPipeError:
        sys.exit(BROKEN_PIPE)


class _Commands(click.Group):
    """Commands by name, each loaded when it is called: what one of them needs costs the others nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"generator.commands.{cmd_name}").command
        command.name = cmd_name
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _piped():  # here it prints help
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _piped():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="penstock", prog_name="penstock")
def cli() -> None:
    """Git-native A/B tests for models served by KServe: one experiment file becomes verified manifests."""


def main() -> int:
    """Run the command line; return the exit code."""
    try:
        status = cli(prog_name="penstock", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status if isinstance(status, int) else 0
