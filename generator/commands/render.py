"""`penstock render`: write the manifests of experiments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from generator import run
from generator.commands.selection import FORMATS, chosen, selection, status
from generator.problems import WARNING, Problem

if TYPE_CHECKING:
    from typing import NoReturn

    from generator.repository import Inventory
    from generator.run import Options, Result


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
    stale = _print_changes(result, found, output, dry=not options.write)
    sys.exit(status(found, fail_on_warn=fail_on_warn) or int(check and stale))


def _print_manifests(inventory: Inventory, picked: dict[str, tuple[str, ...]], options: Options) -> NoReturn:
    from generator import batch, report  # noqa: PLC0415 (start-up time)

    found: list[Problem] = []
    for text in batch.manifests(run.prepare(inventory, picked, options), found):
        click.echo(f"---\n{text}", nl=False)
    click.echo(report.problems(found, "text"), nl=False, err=True)
    sys.exit(status(found, fail_on_warn=False))


def _print_changes(result: Result, found: list[Problem], output: str, *, dry: bool) -> bool:
    """Print what happened, or would; return whether anything did."""
    counts = {"create": 0, "update": 0, "delete": 0, "same": result.fresh}
    lines, changes = [], []
    for outcome in result:
        for change in outcome.changes:
            counts[change.action] += 1
            if change.action != "same" and output == "text":
                lines.append(f"{change.action:8}{change.path}\n")
            if change.action != "same" and output == "json":
                changes.append(change)
        if len(lines) > 1000:
            click.echo("".join(lines), nl=False)
            lines.clear()
    changed = any(counts[action] for action in ("create", "update", "delete"))
    failed = any(problem.severity != WARNING for problem in found)
    if output != "text" or found:
        from generator import report  # noqa: PLC0415 (start-up time)

        text = report.document(found, changes, counts["same"]) if output == "json" else report.problems(found, output)
        click.echo("".join(lines if not failed else ()) + text, nl=False)
        lines.clear()
    if output == "text":
        end = " (nothing was written)" if failed or (dry and changed) else ""
        click.echo("".join(lines) + f"{run.summary(counts)}{end}")
    return changed
