"""`penstock init`: scaffold a GitOps repository."""

from __future__ import annotations

import click

from generator import scaffold


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@click.option("--experiment", default="", help="Name of the experiment to begin with.")
@click.option("--namespace", default="ml-serving", help="Namespace of the models.")
@click.option("--domain", default="example.com", help="Domain of the experiments' hostnames.")
def command(directory: str, experiment: str, namespace: str, domain: str) -> None:
    """Scaffold a GitOps repository.

    Works in an existing one too: files that exist are kept as they are, and environments or an example experiment are
    only added where there are none.
    """
    for action, path in scaffold.write(directory, experiment, namespace, domain):
        click.echo(f"{action:8}{path}")
