"""How a command chooses environments and experiments, and what it makes of problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from generator import repository
from generator.problems import PenstockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.repository import Inventory

FORMATS = ("text", "json", "github", "sarif", "junit")


def repository_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say where to work: every command takes it."""
    return click.option("-C", "directory", default=".", metavar="DIR", help="Work on the repository of DIR.")(command)


def deployed_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say which branch history is read from."""
    text = "Branch that is deployed, if neither environment nor remote says."
    return click.option("--branch", default="", metavar="BRANCH", help=text)(command)


def override_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say why closed gates are passed."""
    text = "Pass closed gates, where policy allows it."
    return click.option("--override", "reason", default="", metavar="REASON", help=text)(command)


def committing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of a command that makes a commit."""
    for decorate in (
        click.option("--push", is_flag=True, help="Push the branch."),
        click.option("-m", "--message", "text", default="", metavar="TEXT", help="Subject and body of the commit."),
        click.option("--dry-run", is_flag=True, help="Change nothing; say what would be committed."),
    ):
        command = decorate(command)
    return command


def _environments(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-e",
        "--environment",
        "environments",
        multiple=True,
        shell_complete=complete_environment,
        help="Only this environment; may be repeated.",
    )(command)


def choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of a command that concerns any number of experiments."""
    for decorate in (
        click.argument("experiments", nargs=-1, shell_complete=complete_experiment),
        _environments,
        repository_option,
    ):
        command = decorate(command)
    return command


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments by which validate and render choose what they work on."""
    for decorate in (
        choice,
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


def target(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of a command that concerns one experiment of one environment."""
    for decorate in (
        click.argument("name", shell_complete=complete_experiment),
        click.option(
            "-e", "--environment", required=True, shell_complete=complete_environment, help="Environment it runs in."
        ),
        repository_option,
    ):
        command = decorate(command)
    return command


def between(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of a command that compares two revisions."""
    for decorate in (
        click.option(
            "--base",
            default="",
            metavar="REV",
            help="Revision to compare with; if left out, where HEAD left the branch that is deployed.",
        ),
        click.option(
            "--head",
            default="",
            metavar="REV",
            help="Revision to compare; the working tree if left out.",
        ),
        _environments,
        repository_option,
    ):
        command = decorate(command)
    return command


def chosen(
    directory: str, environments: tuple[str, ...], experiments: tuple[str, ...]
) -> tuple[Inventory, dict[str, tuple[str, ...]]]:
    """Resolve the selection; an unknown or empty one is a mistake, for nobody means to check nothing."""
    inventory = repository.take(repository.find(directory))
    for name in environments:
        if name not in inventory.environments:
            raise click.UsageError(repository.unknown("environment", name, inventory.environments))
    within = {name: inventory.environments[name] for name in environments or inventory.environments}
    if not within:
        raise click.UsageError(f"no environment has an environment.yaml below {inventory.root}/environments")
    declared = {name for names in within.values() for name in names}
    for name in experiments:
        if name not in declared:
            raise click.UsageError(repository.unknown("experiment", name, declared))
    if not experiments:
        return inventory, within
    picked = {one: tuple(n for n in names if n in experiments) for one, names in within.items()}
    return inventory, {one: names for one, names in picked.items() if names}


def complete_environment(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an environment."""
    inventory = _inventory_or_none(ctx)
    return [name for name in (inventory.environments if inventory else ()) if name.startswith(incomplete)]


def complete_experiment(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an experiment of the environments chosen so far."""
    inventory = _inventory_or_none(ctx)
    named = ctx.params.get("environment")
    within = ctx.params.get("environments") or ([named] if named else inventory.environments if inventory else ())
    names = {name for one in within for name in (inventory.environments.get(one, ()) if inventory else ())}
    return sorted(name for name in names if name.startswith(incomplete))


def _inventory_or_none(ctx: click.Context) -> Inventory | None:
    try:
        return repository.take(repository.find(ctx.params.get("directory") or "."))
    except (PenstockError, OSError):
        return None
