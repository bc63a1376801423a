"""`penstock schema`: print the JSON Schema of a kind of file."""

from __future__ import annotations

import click

from generator.documents import editors


@click.command()
@click.argument("kind", type=click.Choice(["experiment", "environment"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a kind of file."""
    click.echo(editors.text(kind), nl=False)
