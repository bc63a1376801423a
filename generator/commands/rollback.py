"""`penstock rollback`: give control the traffic back."""

from __future__ import annotations

import time

import click

from generator import repository
from generator.commands.selection import committing, target
from generator.steering import course, steering


@click.command()
@target
@click.option("--to", default=0, type=click.IntRange(0, 99), metavar="N", help="Go back to the step at N percent.")
@click.option("--reason", default="", metavar="TEXT", help="Why; goes into the commit.")
@click.option("--branch", default="", metavar="BRANCH", help="Commit on this branch; the current one if left out.")
@committing
def command(
    name: str,
    environment: str,
    directory: str,
    to: int,
    reason: str,
    branch: str,
    *,
    push: bool,
    text: str,
    dry_run: bool,
) -> None:
    """Give control the traffic back.

    No gate is asked, no history read and no Prometheus queried: it works within a freeze, and when the experiment has
    expired. It is a new commit that changes weights of the route and no model, whatever the backend.
    """
    root = repository.find(directory)
    revise = steering.rollback(environment, name, to, reason, text)
    done = course.steer(root, environment, name, revise, branch=branch, expired=True, push=push, dry_run=dry_run)
    click.echo(course.sentences(root, environment, done, int(time.time())))
