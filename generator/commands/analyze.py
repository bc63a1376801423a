"""`penstock analyze`: say what an experiment shows."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import click

from generator.commands.selection import chosen, deployed_option, target


@click.command()
@target
@deployed_option
@click.option("--evidence", is_flag=True, help="Compute the verdict from the recorded evidence; ask no Prometheus.")
@click.option("--record/--no-record", default=False, help="Add what was counted to the evidence in the repository.")
@click.option(
    "--until", default="", metavar="TIME", help="As of this time, like 2026-11-21T12:00:00Z; now if left out."
)
@click.option("-o", "--output", type=click.Choice(("text", "json", "markdown")), default="text", help="Form.")
def command(
    name: str,
    environment: str,
    directory: str,
    branch: str,
    until: str,
    output: str,
    *,
    evidence: bool,
    record: bool,
) -> None:
    """Say what an experiment shows.

    Counts what Prometheus has scraped since the evidence that is recorded already, and judges all of it. The exit code
    is the verdict: 0 promote, 1 rollback, 4 continue, 5 inconclusive, 6 invalid; 2 and 3 are errors of usage and of
    what could not be found out.
    """
    if evidence and record:
        raise click.UsageError("--evidence asks no Prometheus, so there is nothing to --record")
    from generator.evidence import examine, ledger, subject, verdicts  # noqa: PLC0415 (start-up time)

    at = _time(until)
    inventory, _ = chosen(directory, (environment,), (name,))
    asked = subject.read(inventory, environment, name)
    life = subject.life(asked.root, asked.environment, name, branch, int(time.time()))
    client = None
    if not evidence:
        client = subject.client(asked.environment, asked.root, "use --evidence with what is recorded")
    examined = examine.examine(asked.root, asked.experiment, asked.environment, life, at, client)
    click.echo(verdicts.written(examined, output), nl=False)
    if record and examined.look and examined.sound:
        ledger.append(asked.root, examined.ledger, examined.look)
        click.echo(f"recorded {len(examined.look.windows)} windows in {examined.ledger.file}", err=True)
    elif record:
        why = "nothing new is complete" if examined.sound else "counts that cannot be trusted are no evidence"
        click.echo(f"recorded nothing: {why}", err=True)
    sys.exit(verdicts.EXIT_CODES[examined.verdict.decision])


def _time(text: str) -> int:
    now = int(time.time())
    if not text:
        return now
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time like 2026-11-21T12:00:00Z", param_hint="--until") from None
    at = int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    if at > now:
        raise click.BadParameter(f"{text!r} is still to come, so nothing can be known as of it", param_hint="--until")
    return at
