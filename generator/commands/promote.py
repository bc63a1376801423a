"""`penstock promote`: take the next step of an experiment's rollout, or bring it into the next environment."""

from __future__ import annotations

import time

import click

from generator import repository
from generator.commands.selection import (
    committing,
    complete_environment,
    complete_experiment,
    deployed_option,
    override_option,
    repository_option,
)
from generator.publishing import checkout
from generator.steering import course, steering


@click.command()
@click.argument("name", shell_complete=complete_experiment)
@click.option("-e", "--environment", default="", shell_complete=complete_environment, help="Environment it runs in.")
@click.option("--from", "source", default="", metavar="ENV", help="Environment in which it was proved, for --into.")
@click.option("--into", default="", metavar="ENV", help="Environment in which its rollout is to begin.")
@repository_option
@click.option("--to", type=click.IntRange(0, 100), metavar="N", help="The step at which candidates get N percent.")
@override_option
@deployed_option
@committing
def command(
    name: str,
    environment: str,
    source: str,
    into: str,
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

    With --from and --into, brings the candidates and metrics that were proved in one environment into another, where
    all traffic stays with control until the rollout begins.
    """
    if bool(environment) == bool(source or into) or bool(source) != bool(into) or (into and to is not None):
        raise click.UsageError("name either an environment with -e, or two with --from and --into")
    root = repository.find(directory)
    place = environment or into
    course.refuse_changes(root, place, name)
    here, now, examine = checkout.find(root).branch, int(time.time()), course.examining(root)
    known = course.circumstances(root, place, branch, here, examine, now)
    if into:
        proved = course.circumstances(root, source, branch, "", examine, now)
        revise = steering.crossing(proved, known, name, reason, text)
    else:
        revise = steering.promotion(known, name, to, reason, text)
    done = course.steer(root, place, name, revise, begins=bool(into), push=push, dry_run=dry_run)
    click.echo(course.sentences(root, place, done, now))
