"""`penstock report`: tell the story of an experiment on one page."""

from __future__ import annotations

import time

import click

from generator.commands.selection import chosen, deployed_option, target
from generator.problems import PenstockError

_WITHOUT = "leave --prometheus out to report what is recorded"


@click.command()
@target
@deployed_option
@click.option("--prometheus", is_flag=True, help="Count what Prometheus has beyond the recorded evidence, too.")
@click.option("-o", "--output", type=click.Choice(("html", "markdown")), default="html", help="Form of the report.")
@click.option("--file", default="", metavar="FILE", help="Write to FILE; to the terminal if left out.")
def command(
    name: str, environment: str, directory: str, branch: str, output: str, file: str, *, prometheus: bool
) -> None:
    """Tell the story of an experiment on one page.

    The page needs nothing else: no network, no script. It is made from the recorded evidence as of its last look, so
    the same repository gives the same bytes; with --prometheus, as of now.
    """
    from generator.evidence import distributions, examine, subject  # noqa: PLC0415 (start-up time)
    from generator.reports import digest, page, readout  # noqa: PLC0415 (start-up time)

    now = int(time.time())
    inventory, _ = chosen(directory, (environment,), (name,))
    asked = subject.read(inventory, environment, name)
    life = subject.life(asked.root, asked.environment, name, branch, now)
    client = subject.client(asked.environment, asked.root, _WITHOUT) if prometheus else None
    examined = examine.examine(asked.root, asked.experiment, asked.environment, life, now, client)
    if client is None and examined.ledger.looks:
        last = examined.ledger.looks[-1].until
        examined = examine.examine(asked.root, asked.experiment, asked.environment, life, last, None)
    assert life is not None  # noqa: S101 (else there is nothing to examine)
    seen = distributions.read(client, asked.experiment, asked.environment, examined.windows) if client else ()
    found = readout.read_out(examined, life, seen)
    text = digest.markdown(found) if output == "markdown" else page.html(found)
    if not file:
        click.echo(text, nl=False)
        return
    try:
        with open(file, "w", encoding="utf-8", newline="\n") as written:
            written.write(text)
    except OSError as error:
        raise PenstockError(
            f"{file}: the report cannot be written ({error.strerror}); name a file in a folder that exists"
        ) from None
