"""`penstock diff`: what differs between two revisions, by meaning."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from generator import repository
from generator.commands.selection import between
from generator.versions import revisions

if TYPE_CHECKING:
    from generator.reviews.meaning import Meaning
    from generator.versions.revisions import Comparison

_COLOURS = {"+": "green", "-": "red", "~": "yellow", ">": "yellow", "!": "red"}


@click.command()
@between
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    help="Form of the report; yaml prints the rendered objects that differ, as they are after.",
)
def command(base: str, head: str, environments: tuple[str, ...], directory: str, output: str) -> None:
    """Say what differs between two revisions.

    Experiments are compared by what they mean, not by line. Exits with 1 if anything differs, and with 3 if a side
    cannot be read.
    """
    root = repository.find(directory)
    comparing = revisions.compared if base else revisions.since_fork
    comparison = comparing(root, base, head, environments)
    from generator.reviews import diff, meaning  # noqa: PLC0415 (start-up time: Git works meanwhile)

    with comparison as found:
        read = meaning.of(found)
        differs = any(one.kind != "same" for one in read.environments) or any(
            one.kind != "same" for one in read.experiments
        )
        wrong = [*read.wrong_before, *read.wrong_after]
        if output == "text":
            click.echo(diff.text(read, _paint), nl=False)
        elif output == "json":
            import json  # noqa: PLC0415 (start-up time)

            click.echo(json.dumps(diff.plain(read), indent=2, ensure_ascii=False))
        elif not wrong:
            differs = _print_objects(found, read)
    if wrong:
        from generator import report  # noqa: PLC0415 (start-up time)

        click.echo(report.problems(wrong, "text"), nl=False, err=True)
    sys.exit(3 if wrong else int(differs))


def _paint(sign: str, line: str) -> str:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return click.style(line, fg=_COLOURS[sign]) if coloured else line


def _print_objects(found: Comparison, read: Meaning) -> bool:
    """Print the objects that differ, each under a comment with its path; of one that goes, the comment alone."""
    from generator.reviews import builds  # noqa: PLC0415 (start-up time: the other forms need no manifest)
    from generator.runs import run  # noqa: PLC0415 (start-up time: the other forms need no manifest)

    options = run.Options(run.today())
    before, after = builds.Builds(found.before, options), builds.Builds(found.after, options)
    differs = False
    for change in read.experiments:
        old, new = (
            {one.planned.path: one for one in built.build(environment, name).manifests} if side else {}
            for built, environment, name, side in (
                (before, change.origin, change.former or change.name, change.before),
                (after, change.environment, change.name, change.after),
            )
        )
        for path in sorted(old.keys() | new.keys()):
            if path not in new:
                click.echo(f"---\n# gone: {old[path].planned.id} ({path})")
            elif path not in old or old[path].text != new[path].text:
                click.echo(f"---\n# {'changed' if path in old else 'new'}: {path}\n{new[path].text}", nl=False)
            else:
                continue
            differs = True
    return differs
