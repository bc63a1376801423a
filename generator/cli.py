"""The command line: parse, call, print, exit. Exit codes: 0 yes, 1 no, 2 usage, 3 could not find out."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from generator import repository
from generator.problems import WARNING, PenstockError, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from generator.repository import Inventory
    from generator.run import Options, Result

_FORMATS = ("text", "json", "github", "sarif", "junit")


def _complete_environment(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    inventory = _inventory_or_none(ctx)
    return [name for name in (inventory.environments if inventory else ()) if name.startswith(incomplete)]


def _complete_experiment(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    inventory = _inventory_or_none(ctx)
    chosen = ctx.params.get("environments") or (inventory.environments if inventory else ())
    names = {name for one in chosen for name in (inventory.environments.get(one, ()) if inventory else ())}
    return sorted(name for name in names if name.startswith(incomplete))


def _inventory_or_none(ctx: click.Context) -> Inventory | None:
    try:
        return repository.take(repository.find(ctx.params.get("directory") or "."))
    except (PenstockError, OSError):
        return None


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments by which validate and render choose what they work on."""
    for decorate in (
        click.argument("experiments", nargs=-1, shell_complete=_complete_experiment),
        click.option(
            "-e",
            "--environment",
            "environments",
            multiple=True,
            shell_complete=_complete_environment,
            help="Only this environment; may be repeated.",
        ),
        click.option("-C", "directory", default=".", metavar="DIR", help="Work on the repository of DIR."),
        click.option("--fail-on-warn", is_flag=True, help="Exit with 1 on warnings too."),
        click.option(
            "--crds",
            default=None,
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Check rendered objects against the CustomResourceDefinitions in DIR.",
        ),
        click.option(
            "--jobs",
            default=0,
            type=click.IntRange(min=0),
            metavar="N",
            help="Processes to use; all cores if left out.",
        ),
        click.option("--no-cache", is_flag=True, help="Look at everything, whatever earlier runs found."),
    ):
        command = decorate(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="penstock", prog_name="penstock")
def cli() -> None:
    """Git-native A/B tests for models served by KServe: one experiment file becomes verified manifests."""


@cli.command()
@_selection
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="text", help="Form of the report.")
def validate(
    experiments: tuple[str, ...],
    environments: tuple[str, ...],
    directory: str,
    output: str,
    *,
    fail_on_warn: bool,
    crds: str | None,
    jobs: int,
    no_cache: bool,
) -> None:
    """Check everything, write nothing.

    Checks experiments and all that would be rendered from them. EXPERIMENTS are names; all if left out. Exits with 1 if
    anything is wrong.
    """
    from generator import report, run  # noqa: PLC0415 (start-up time)

    inventory, chosen = _chosen(directory, environments, experiments)
    options = run.Options(run.today(), compare=False, use_cache=not no_cache, workers=jobs, crds=crds or "")
    found = [*inventory.problems, *run.run(inventory, chosen, options).problems]
    click.echo(report.problems(found, output), nl=False)
    if output == "text":
        number = sum(map(len, chosen.values()))
        click.echo(
            report.count(found) or f"{number} experiments are valid"
            if number != 1
            else report.count(found) or "1 experiment is valid"
        )
    sys.exit(_verdict(found, fail_on_warn=fail_on_warn))


@cli.command()
@_selection
@click.option(
    "-o",
    "--output",
    type=click.Choice([*_FORMATS, "-"]),
    default="text",
    help="Form of the report; - prints the manifests and writes nothing.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if any file is out of date.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--force", is_flag=True, help="Give up hand edits of rendered files.")
def render(
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
    from generator import run  # noqa: PLC0415 (start-up time)

    inventory, chosen = _chosen(directory, environments, experiments)
    options = run.Options(
        run.today(),
        write=not (check or dry_run or output == "-"),
        force=force,
        use_cache=not no_cache and output != "-",
        workers=jobs,
        crds=crds or "",
    )
    if output == "-":
        _print_manifests(inventory, chosen, options)
    result = run.run(inventory, chosen, options)
    found = [*inventory.problems, *result.problems]
    stale = _print_changes(result, found, output, dry=not options.write)
    sys.exit(_verdict(found, fail_on_warn=fail_on_warn) or int(check and stale))


@cli.command()
@click.argument("kind", type=click.Choice(["experiment", "environment"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of a kind of file."""
    from generator import resources  # noqa: PLC0415 (start-up time)

    with open(f"{resources.directory('schemas')}/{kind}.json", encoding="utf-8") as file:
        click.echo(file.read(), nl=False)


@cli.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@click.option("--experiment", default="", help="Name of the experiment to begin with.")
@click.option("--namespace", default="ml-serving", help="Namespace of the models.")
@click.option("--domain", default="example.com", help="Domain of the experiments' hostnames.")
def init(directory: str, experiment: str, namespace: str, domain: str) -> None:
    """Scaffold a GitOps repository.

    Works in an existing one too: files that exist are kept as they are, and environments or an example experiment are
    only added where there are none.
    """
    from generator import scaffold  # noqa: PLC0415 (start-up time)

    for action, path in scaffold.write(directory, experiment, namespace, domain):
        click.echo(f"{action:8}{path}")


def _chosen(
    directory: str, environments: tuple[str, ...], experiments: tuple[str, ...]
) -> tuple[Inventory, dict[str, tuple[str, ...]]]:
    """Resolve the selection; an unknown or empty one is a mistake, for nobody means to check nothing."""
    inventory = repository.take(repository.find(directory))
    for name in environments:
        if name not in inventory.environments:
            raise click.UsageError(_unknown("environment", name, inventory.environments))
    within = {name: inventory.environments[name] for name in environments or inventory.environments}
    if not within:
        raise click.UsageError(f"no environment has an environment.yaml below {inventory.root}/environments")
    declared = {name for names in within.values() for name in names}
    for name in experiments:
        if name not in declared:
            raise click.UsageError(_unknown("experiment", name, declared))
    if not experiments:
        return inventory, within
    picked = {one: tuple(n for n in names if n in experiments) for one, names in within.items()}
    return inventory, {one: names for one, names in picked.items() if names}


def _unknown(noun: str, name: str, known: Any) -> str:
    import difflib  # noqa: PLC0415 (start-up time)

    close = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known)) or 'none'}"
    return f"there is no {noun} {name!r}; {hint}"


def _print_manifests(inventory: Inventory, chosen: dict[str, tuple[str, ...]], options: Options) -> NoReturn:
    from generator import batch, report, run  # noqa: PLC0415 (start-up time)

    found: list[Problem] = []
    for text in batch.manifests(run.prepare(inventory, chosen, options), found):
        click.echo(f"---\n{text}", nl=False)
    click.echo(report.problems(found, "text"), nl=False, err=True)
    sys.exit(_verdict(found, fail_on_warn=False))


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
        from generator.run import summary  # noqa: PLC0415 (start-up time)

        end = " (nothing was written)" if failed or (dry and changed) else ""
        click.echo("".join(lines) + f"{summary(counts)}{end}")
    return changed


def _verdict(found: list[Problem], *, fail_on_warn: bool) -> int:
    return int(any(fail_on_warn or problem.severity != WARNING for problem in found))


def main() -> NoReturn:
    """Run, with every error that a user can cause as a sentence, and only our own mistakes as a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what waits to be written is removed
    try:
        status = cli(prog_name="penstock", standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ProblemsError as error:
        from generator import report  # noqa: PLC0415 (start-up time)

        click.echo(report.problems(error.problems, "text"), nl=False, err=True)
        status = error.exit_code
    except PenstockError as error:
        click.echo(f"penstock: {error}", err=True)
        status = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception:  # noqa: BLE001 (a mistake of ours must not read as "no": Python would exit with 1)
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        click.echo("penstock: this is a bug; please report it with the lines above", err=True)
        status = 3
    sys.exit(status if isinstance(status, int) else 0)
