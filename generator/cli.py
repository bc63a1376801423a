"""The command line: parse, call, print, exit. Exit codes: 0 yes, 1 no, 2 usage, 3 could not find out."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from generator.commands import COMMANDS
from generator.problems import PenstockError, ProblemsError

if TYPE_CHECKING:
    from typing import NoReturn


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="penstock", prog_name="penstock")
def cli() -> None:
    """Git-native A/B tests for models served by KServe: one experiment file becomes verified manifests."""


def main() -> NoReturn:
    """Run, with every error that a user can cause as a sentence, and only our own mistakes as a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what waits to be written is removed
    try:
        status = cli(prog_name="penstock", standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ProblemsError as error:
        from generator import report  # noqa: PLC0415 (start-up time)

        click.echo(report.problems(error.problems, "text"), nl=False, err=True)
        status = error.exit_code
    except PenstockError as error:
        click.echo(f"penstock: {error}", err=True)
        status = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception:  # noqa: BLE001 (a mistake of ours must not read as "no": Python would exit with 1)
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        click.echo("penstock: this is a bug; please report it with the lines above", err=True)
        status = 3
    sys.exit(status if isinstance(status, int) else 0)
