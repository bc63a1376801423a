"""`penstock review`: what a pull request does to users, in words."""

from __future__ import annotations

import sys

import click

from generator import repository
from generator.commands.selection import between
from generator.reviews import reviewing


@click.command()
@between
@click.option(
    "-o",
    "--output",
    type=click.Choice(reviewing.FORMS),
    default="text",
    help="Form of the review; markdown is for a comment, github for annotations.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=2000),
    help="Most bytes of markdown; 60000 if left out, which a comment on GitHub takes. The least important is left out.",
)
def command(
    base: str, head: str, environments: tuple[str, ...], directory: str, output: str, limit: int | None
) -> None:
    """Say what a change does to users.

    Compares with the commit at which the change left its base. Exits with 1 if a policy is broken or a manifest is out
    of date, and with 3 if something could not be found out.
    """
    if limit and output != "markdown":
        raise click.UsageError("--limit is of -o markdown only: the other forms are whole")
    sys.exit(reviewing.show(repository.find(directory), base, head, environments, output, limit or 0))
