"""`penstock schema`: print the JSON Schema of a kind of file."""

from __future__ import annotations

import click

from generator.documents import editors


@click.command()
@click.argument("kind", type=click.Choice(["experiment", "environment"]))
@click.option("--whole", is_flag=True, help="What all layers together come to, where required fields are required.")
def command(kind: str, whole: bool) -> None:
    """Print the JSON Schema of a kind of file, for editors: a file is one layer, and may leave out anything."""
    click.echo(editors.merged(kind) if whole else editors.text(kind), nl=False)
