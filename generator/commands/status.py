"""`penstock status`: say how every experiment stands."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Any

import click

from generator.commands.selection import choice, chosen, deployed_option
from generator.overview import board, status

_STYLES: dict[str, dict[str, Any]] = {"head": {"bold": True}, "wrong": {"fg": "yellow"}, "faint": {"dim": True}}


@click.command()
@choice
@deployed_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the report.")
def command(
    experiments: tuple[str, ...], environments: tuple[str, ...], directory: str, branch: str, output: str
) -> None:
    """Say how every experiment stands.

    Its traffic, the stage of its rollout and for how long, by the commits of the branch that is deployed: the one that
    the environment's spec.gitops.branch names, else the default branch of the remote origin, else the current one.
    EXPERIMENTS are names; all if left out. Exits with 0 whatever it finds, and with 3 if Git cannot tell.
    """
    inventory, picked = chosen(directory, environments, experiments)
    now = int(time.time())
    rows = status.survey(inventory, picked, branch, now)
    if output == "json":
        click.echo(board.document(rows, now), nl=False)
        return
    terminal = sys.stdout.isatty()
    # A file or a log has no edge: nothing is cut there.
    width = max(board.WIDTH, shutil.get_terminal_size().columns) if terminal else sys.maxsize
    click.echo(
        board.table(rows, now, _paint if terminal and not os.environ.get("NO_COLOR") else _plain, width), nl=False
    )


def _paint(text: str, style: str) -> str:
    return click.style(text, **_STYLES[style])


def _plain(text: str, _style: str) -> str:
    return text
