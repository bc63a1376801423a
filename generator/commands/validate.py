"""`penstock validate`: check everything, write nothing."""

from __future__ import annotations

import sys

import click

from generator import problems, report
from generator.commands.selection import FORMATS, chosen, selection
from generator.runs import run


@click.command()
@selection
@click.option("-o", "--output", type=click.Choice(FORMATS), default="text", help="Form of the report.")
def command(
    experiments: tuple[str, ...],
    environments: tuple[str, ...],
    directory: str,
    output: str,
    *,
    fail_on_warn: bool,
    crds: str | None,
    jobs: int,
    no_cache: bool,
) -> None:
    """Check everything, write nothing.

    Checks experiments and all that would be rendered from them. EXPERIMENTS are names; all if left out. Exits with 1 if
    anything is wrong.
    """
    inventory, picked = chosen(directory, environments, experiments)
    options = run.Options(run.today(), compare=False, use_cache=not no_cache, workers=jobs, crds=crds or "")
    found = [*inventory.problems, *run.run(inventory, picked, options).problems]
    click.echo(report.problems(found, output, fail_on_warn=fail_on_warn), nl=False)
    if output == "text":
        number = sum(map(len, picked.values()))
        click.echo(
            report.count(found) or f"{number} experiments are valid"
            if number != 1
            else report.count(found) or "1 experiment is valid"
        )
    sys.exit(problems.status(found, fail_on_warn=fail_on_warn))
