"""`penstock publish`: commit experiments and what is rendered from them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import click

from generator import repository
from generator.commands.selection import committing, complete_environment, complete_experiment, repository_option
from generator.publishing.message import Message
from generator.publishing.publish import Published, publish

if TYPE_CHECKING:
    from generator.domain.model import Environment, Experiment


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_experiment)
@click.option(
    "-e", "--environment", required=True, shell_complete=complete_environment, help="Environment they run in."
)
@repository_option
@click.option("--branch", default="", metavar="BRANCH", help="Commit on this branch; the current one if left out.")
@click.option("--repo", "address", default="", metavar="URL", help="Commit in, and push to, another repository.")
@click.option("--path", default="", metavar="DIR", help="Folder of the other repository; its top if left out.")
@committing
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
def command(
    names: tuple[str, ...],
    environment: str,
    directory: str,
    branch: str,
    address: str,
    path: str,
    *,
    push: bool,
    text: str,
    dry_run: bool,
    output: str,
) -> None:
    """Commit experiments and what is rendered from them.

    Takes the files of the experiments named, and nothing else: their own, their evidence and their manifests. What is
    staged or edited beside them stays as it is. If the branch has moved on the remote, they are rendered anew on top.
    A commit with new evidence says what verdict that comes to, for `penstock status`.
    """
    if path and not address:
        raise click.UsageError("--path is a folder of the repository that --repo names")
    if os.path.isdir(address):
        address = os.path.abspath(address)
    root = repository.find(directory)

    def judged(tree: str, place: Environment, experiment: Experiment) -> str:
        from generator.evidence import examine  # noqa: PLC0415 (start-up time: few publications hold evidence)

        return examine.recorded(root, tree, experiment, place, int(time.time()))

    done = publish(
        root,
        environment,
        names,
        Message(text),
        branch=branch,
        repository=address,
        path=path,
        push=push,
        dry_run=dry_run,
        judge=judged,
    )
    click.echo(_document(done) if output == "json" else _sentences(done, dry_run=dry_run))


def _document(done: Published) -> str:
    return json.dumps({name: value for name, value in done._asdict().items() if name != "draft"}, indent=2)


def _sentences(done: Published, *, dry_run: bool) -> str:
    lines = list(done.files)
    if not done.files:
        lines.append(f"nothing to publish: {done.branch} has it all")
    elif dry_run:
        lines.append(f"would be committed to {done.branch}: {done.subject}")
    else:
        lines.append(f"{done.commit[:12]} on {done.branch}: {done.subject}")
    if done.pushed:
        lines.append(f"pushed {done.branch}")
    return "\n".join([*lines, *done.notes])
