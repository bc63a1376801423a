"""`penstock promote`: take the next step of an experiment's rollout."""

from __future__ import annotations

import time

import click

from generator import checkout, course, repository, steering
from generator.commands.selection import target


@click.command()
@target
@click.option("--to", type=click.IntRange(0, 100), metavar="N", help="The step at which candidates get N percent.")
@click.option("--override", "reason", default="", metavar="REASON", help="Pass closed gates, where policy allows it.")
@click.option("--branch", default="", metavar="BRANCH", help="The branch that is deployed, if nothing else names it.")
@click.option("--push", is_flag=True, help="Push the branch.")
@click.option("-m", "--message", "text", default="", metavar="TEXT", help="Subject, and further lines, of the commit.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be committed.")
def command(
    name: str,
    environment: str,
    directory: str,
    to: int | None,
    reason: str,
    branch: str,
    *,
    push: bool,
    text: str,
    dry_run: bool,
) -> None:
    """Take the next step of an experiment's rollout.

    Changes the traffic in the experiment's file, renders, and commits both on the current branch. All gates must be
    open: plan, soak, evidence, freeze, policy. Exits with 1 and says why if one is closed.
    """
    root = repository.find(directory)
    course.refuse_changes(root, environment, name)
    here, now = checkout.find(root).branch, int(time.time())
    known = course.circumstances(root, environment, branch, here, course.examining(root), now)
    revise = steering.promotion(known, name, to, reason, text)
    done = course.steer(root, environment, name, revise, push=push, dry_run=dry_run)
    click.echo(course.sentences(root, environment, done, now))
