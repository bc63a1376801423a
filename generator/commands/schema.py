"""`penstock schema`: print the JSON Schema of a kind of file."""

from __future__ import annotations

import click

from generator import resources


@click.command()
@click.argument("kind", type=click.Choice(["experiment", "environment"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a kind of file."""
    with open(f"{resources.directory('schemas')}/{kind}.json", encoding="utf-8") as file:
        click.echo(file.read(), nl=False)
