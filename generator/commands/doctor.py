"""`penstock doctor`: ask Prometheus what it really sees."""

from __future__ import annotations

import math
import sys
import time

import click

from generator.commands.selection import choice, chosen


@click.command()
@choice
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the findings.")
def command(experiments: tuple[str, ...], environments: tuple[str, ...], directory: str, output: str) -> None:
    """Ask Prometheus what it really sees.

    Targets, series by variant, bucket bounds, rules, weights, copies, clock and retention; and for what is missing, the
    step that is. EXPERIMENTS are names; all if left out. Exits with 0 if all is well, with 1 if something is missing,
    and with 3 if Prometheus does not say.
    """
    from generator.domain import interpret  # noqa: PLC0415 (start-up time)
    from generator.evidence import checkup, diagnosis, subject  # noqa: PLC0415 (start-up time)

    inventory, picked = chosen(directory, environments, experiments)
    found: dict[str, tuple[diagnosis.Finding, ...]] = {}
    for environment, names in picked.items():
        place = interpret.environment(inventory.root, environment)
        client = subject.client(place.environment, inventory.root, "choose an environment that has one with -e")
        theirs, ours = diagnosis.clock(client), time.time()
        now = math.ceil(ours if theirs is None else theirs)  # so that it sees what was scraped a moment ago
        found[environment] = diagnosis.of_server(client, theirs, ours)
        for name in names:
            asked = subject.read(inventory, environment, name)
            found[f"{environment}/{name}"] = diagnosis.of_experiment(client, asked.environment, asked.experiment, now)
    click.echo(checkup.document(found) if output == "json" else checkup.text(found), nl=False)
    sys.exit(int(checkup.lacking(found) > 0))
