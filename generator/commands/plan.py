"""`penstock plan`: say how long an experiment takes, and whether it can finish."""

from __future__ import annotations

import sys
import time

import click

from generator import rules
from generator.analysis import planning, timetable
from generator.analysis.design import expiry
from generator.commands.selection import chosen, target
from generator.domain import interpret
from generator.evidence import subject
from generator.runs import run

_EXIT = {"yes": 0, "no": 1, "unknown": 3}


@click.command()
@target
@click.option("--rps", type=click.FloatRange(min=0, min_open=True), help="Requests per second of the whole experiment.")
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="METRIC=VALUE",
    help="What control shows of a metric, as a fraction; may be repeated.",
)
@click.option("-o", "--output", type=click.Choice(timetable.FORMATS), default="text", help="Form of the plan.")
def command(
    name: str, environment: str, directory: str, rps: float | None, rates: tuple[str, ...], output: str
) -> None:
    """Say how long an experiment takes.

    For each stage of its rollout: how many requests, and how long until the declared effects and margins can be shown,
    if it began now. What neither options nor the file say is asked of the environment's Prometheus, if it has one.
    Exits with 0 if all of it fits, with 1 if not, and with 3 if a number is missing.
    """
    inventory, _ = chosen(directory, (environment,), (name,))
    asked = subject.read(inventory, environment, name)
    experiment = asked.experiment
    interpret.refuse(rules.check(asked.document, experiment, asked.environment, run.today()))
    basis = planning.declared(experiment)
    deciding = [metric.name for metric in experiment.metrics if metric.kind != "mean"]
    given = {metric: planning.Number(value, "--rate") for metric, value in (_rate(one, deciding) for one in rates)}
    basis = basis._replace(rates={**basis.rates, **given})
    if rps is not None:
        basis = basis._replace(rps=planning.Number(rps, "--rps"))
    if asked.environment.prometheus and (basis.rps is None or not basis.rates.keys() >= {*deciding}):
        basis = _asked(basis, asked)
    found = planning.plan(experiment, basis, (expiry(experiment.expires) or 0) - int(time.time()))
    click.echo(timetable.write(f"{environment}/{name}", found, basis, output), nl=False)
    sys.exit(_EXIT[found.answer])


def _asked(basis: planning.Basis, asked: subject.Subject) -> planning.Basis:
    """Ask Prometheus for what is missing; it is never required."""
    from generator.evidence import observed, prometheus  # noqa: PLC0415 (start-up time)

    try:
        client = subject.client(asked.environment, asked.root, "give --rps and --rate")
        return observed.filled(basis, client, asked.experiment, asked.environment, int(time.time()))
    except prometheus.PrometheusError as error:
        click.echo(f"penstock: warning: {error}", err=True)
        return basis


def _rate(written: str, known: list[str]) -> tuple[str, float]:
    name, _, value = written.partition("=")
    if name not in known:
        raise click.UsageError(f"--rate {written}: {name!r} is no metric that decides; {', '.join(known) or 'none'} is")
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1:
        raise click.UsageError(f"--rate {written}: write a fraction of at least 0 and below 1, such as {name}=0.05")
    return name, rate
