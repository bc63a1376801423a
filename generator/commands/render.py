"""`penstock render`: write the manifests of experiments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from generator import problems
from generator.commands.selection import FORMATS, chosen, selection
from generator.runs import changes, run

if TYPE_CHECKING:
    from typing import NoReturn

    from generator.problems import Problem
    from generator.repository import Inventory
    from generator.runs.run import Options


@click.command()
@selection
@click.option(
    "-o",
    "--output",
    type=click.Choice([*FORMATS, "-"]),
    default="text",
    help="Form of the report; - prints the manifests and writes nothing.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if any file is out of date.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--force", is_flag=True, help="Give up hand edits of rendered files.")
def command(
    experiments: tuple[str, ...],
    environments: tuple[str, ...],
    directory: str,
    output: str,
    *,
    fail_on_warn: bool,
    crds: str | None,
    jobs: int,
    no_cache: bool,
    check: bool,
    dry_run: bool,
    force: bool,
) -> None:
    """Write the manifests of experiments.

    They are validated and verified first. EXPERIMENTS are names; all if left out. Nothing is written if anything is
    wrong, and nothing that is up to date is touched.
    """
    inventory, picked = chosen(directory, environments, experiments)
    options = run.Options(
        run.today(),
        write=not (check or dry_run or output == "-"),
        force=force,
        use_cache=not no_cache and output != "-",
        workers=jobs,
        crds=crds or "",
    )
    if output == "-":
        _print_manifests(inventory, picked, options)
    result = run.run(inventory, picked, options)
    found = [*inventory.problems, *result.problems]
    stale = changes.show(result, found, output, dry=not options.write, check=check, fail_on_warn=fail_on_warn)
    sys.exit(problems.status(found, fail_on_warn=fail_on_warn) or int(check and stale))


def _print_manifests(inventory: Inventory, picked: dict[str, tuple[str, ...]], options: Options) -> NoReturn:
    from generator import report  # noqa: PLC0415 (start-up time)
    from generator.runs import batch  # noqa: PLC0415 (start-up time)

    found: list[Problem] = []
    for text in batch.manifests(run.prepare(inventory, picked, options), found):
        click.echo(f"---\n{text}", nl=False)
    click.echo(report.problems(found, "text"), nl=False, err=True)
    sys.exit(problems.status(found))
