"""`penstock init`: scaffold a GitOps repository."""

from __future__ import annotations

import click

from generator import scaffold


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@click.option("--experiment", default="", help="Name of the experiment to begin with.")
@click.option("--namespace", default="ml-serving", help="Namespace of the models.")
@click.option("--domain", default="example.com", help="Domain of the experiments' hostnames.")
@click.option("--argocd", "tool", flag_value="argocd", help="Let Argo CD apply the environments.")
@click.option("--flux", "tool", flag_value="flux", help="Let Flux apply the environments.")
@click.option("--repository", default="", metavar="URL", help="Address that Argo CD or Flux fetches from.")
@click.option("--branch", default="main", help="Branch that Argo CD or Flux deploys.")
def command(
    directory: str, experiment: str, namespace: str, domain: str, tool: str | None, repository: str, branch: str
) -> None:
    """Scaffold a GitOps repository.

    Works in an existing one too: files that exist are kept as they are, and environments or an example experiment are
    only added where there are none. What a kept file lacks, or says otherwise, is printed.
    """
    if bool(tool) != bool(repository):
        raise click.UsageError("--argocd and --flux go together with --repository, the address to fetch from")
    applied = scaffold.delivery(directory, tool, repository, branch) if tool else None
    for step in scaffold.write(directory, experiment, namespace, domain, applied):
        click.echo(f"{step.action:8}{step.path}")
        if step.lacks:
            click.echo("        it lacks, for you to add:")
        for line in step.lacks:
            click.echo(f"          {line}")
        if step.differs:
            click.echo("        it says otherwise, which stays until you change it:")
        for line in step.differs:
            click.echo(f"          {line}")
