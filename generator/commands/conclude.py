"""`penstock conclude`: end an experiment with a winner."""

from __future__ import annotations

import time

import click

from generator import repository
from generator.commands.selection import committing, deployed_option, override_option, target
from generator.publishing import checkout
from generator.steering import course, steering


@click.command()
@target
@click.option("--winner", required=True, metavar="VARIANT", help="The variant that stays, and becomes control.")
@override_option
@deployed_option
@committing
def command(
    name: str,
    environment: str,
    directory: str,
    winner: str,
    reason: str,
    branch: str,
    *,
    push: bool,
    text: str,
    dry_run: bool,
) -> None:
    """End an experiment with a winner.

    Traffic first, models later, by two commits: one gives the winner all traffic, if it does not have it yet; a later
    run, when that has been deployed for long enough, removes the others, makes the winner control and writes the record
    of the decision. Each run makes the one that is due, or says what it waits for.
    """
    root = repository.find(directory)
    course.refuse_changes(root, environment, name)
    here, now = checkout.find(root).branch, int(time.time())
    known = course.circumstances(root, environment, branch, here, course.examining(root), now)
    revise = steering.conclusion(known, name, winner, reason, text)
    done = course.steer(root, environment, name, revise, expired=True, push=push, dry_run=dry_run)
    click.echo(course.sentences(root, environment, done, now))
