"""`penstock review`: what a pull request does to users, in words."""

from __future__ import annotations

import sys
import time

import click

from generator import repository
from generator.commands.selection import between
from generator.problems import WARNING
from generator.reviews import reviewing


@click.command()
@between
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "markdown", "json", "github"]),
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
    report = reviewing.report(repository.find(directory), base, head, environments, int(time.time()))
    if output == "markdown":
        from generator.reviews import markdown  # noqa: PLC0415 (start-up time: one form is needed)

        click.echo(markdown.document(report, limit or markdown.LIMIT), nl=False)
    else:
        from generator.reviews import printed  # noqa: PLC0415 (start-up time)

        click.echo(printed.document(report, output), nl=False)
    wrong = any(problem.severity != WARNING for problem in report.problems)
    sys.exit(1 if wrong else 3 if report.unknown else 0)
