"""`penstock advance`: take the steps that are due, of all experiments that advance by themselves."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from generator import repository
from generator.commands.selection import complete_environment, complete_experiment, deployed_option, repository_option
from generator.reviews.markdown import code
from generator.steering import advance, course
from generator.steering.gates import moment, opening

if TYPE_CHECKING:
    from generator.steering.advance import Advanced


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_experiment)
@click.option(
    "-e", "--environment", required=True, shell_complete=complete_environment, help="Environment they run in."
)
@repository_option
@deployed_option
@click.option("--push", is_flag=True, help="Push: steps to the deployed branch, proposals to branches of their own.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "markdown"]), default="text", help="Form of the summary."
)
@click.option("--summary", default="", metavar="FILE", help="Add the summary, as Markdown, to the end of FILE.")
def command(
    names: tuple[str, ...], environment: str, directory: str, branch: str, *, push: bool, output: str, summary: str
) -> None:
    """Take the steps that are due, of all experiments that advance by themselves.

    Analyzes every experiment with `rollout.mode` auto or propose, and promotes it, rolls it back, concludes it, or does
    nothing. In mode propose the commit is on a branch of its own, to be merged. For a scheduled job: it may be started
    at any time, twice at once, and again after it was killed. NAMES are experiments; all if left out.
    """
    root = repository.find(directory)
    now = int(time.time())
    run = advance.begin(root, environment, branch, course.examining(root), now, push=push)
    done = []
    for one in advance.advance(run, names):
        done.append(one)
        if output == "text":
            click.echo(_line(environment, one))
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(f"{_table(environment, done)}\n")
    if output == "json":
        click.echo(json.dumps([_plain(one) for one in done], indent=2))
    elif output == "markdown":
        click.echo(_table(environment, done))
    elif not done:
        click.echo(f"no experiment of {environment} advances by itself: rollout.mode is auto or propose nowhere")
    sys.exit(max((one.status for one in done), default=0))


def _line(environment: str, one: Advanced) -> str:
    waits = [
        f"  {gate.name}: {gate.reason}" + (f" (opens {moment(gate.opens_at)})" if gate.opens_at else "")
        for gate in one.closed
    ]
    return "\n".join([f"{environment}/{one.name}: {advance.summary(one)}", *waits])


def _plain(one: Advanced) -> dict[str, object]:
    closed = [gate._asdict() for gate in one.closed]
    return {**one._asdict(), "closed": closed, "opens_at": opening(one.closed)}


def _table(environment: str, done: list[Advanced]) -> str:
    rows = [
        f"| {code(f'{environment}/{one.name}')} | {one.action} | "
        f"{code(advance.summary(one))}{''.join(f'<br>{gate.name}: {code(gate.reason)}' for gate in one.closed)} |"
        for one in done
    ]
    return "\n".join(["| experiment | action | what happened |", "|---|---|---|", *rows])
