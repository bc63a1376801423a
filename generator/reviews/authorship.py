"""Who changed what of an experiment, commit by commit.

The author of a commit is what whoever made it says; policy that must hold needs signed commits or CODEOWNERS.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from generator.documents import load
from generator.repository import BASE, experiment_file
from generator.reviews.differences import aspect, leaves
from generator.versions import git

if TYPE_CHECKING:
    from generator.reviews.differences import Aspect


class Edit(NamedTuple):
    """What a commit changed of an experiment's file, in an environment or in the base; `author` is an address."""

    commit: str
    author: str
    aspects: frozenset[Aspect]


def edits(root: str, base: str, head: str) -> dict[str, tuple[Edit, ...]]:
    """Return the edits of every experiment file that commits from `base` to `head` touched, oldest first.

    A merge counts with what it changed against all of its parents: that is what its author wrote.
    """
    out = git.run(
        root,
        *("log", "--reverse", "-c", "--no-renames", "--no-ext-diff", "--no-show-signature", "--no-color", "--relative"),
        *("--no-mailmap", "--encoding=UTF-8", "--name-only", "-z", "--format=%x01%H%x00%ae", f"{base}..{head}"),
        *("--", f":(glob){experiment_file('*', '*')}"),
    )
    found: dict[str, list[Edit]] = {}
    with git.Objects(root) as objects:
        for part in out.split(b"\x01")[1:]:
            commit, author, *paths = (os.fsdecode(one).strip("\n") for one in part.split(b"\0"))
            for path in filter(None, paths):
                touched = _aspects(objects, commit, path)
                if touched:
                    found.setdefault(path, []).append(Edit(commit, author, touched))
    return {path: tuple(edits) for path, edits in found.items()}


def of(edits: dict[str, tuple[Edit, ...]], environment: str, name: str) -> tuple[Edit, ...]:
    """Return the edits that concern an experiment: of its own file, and of the base's."""
    return (*edits.get(experiment_file(environment, name), ()), *edits.get(experiment_file(BASE, name), ()))


def _aspects(objects: git.Objects, commit: str, path: str) -> frozenset[Aspect]:
    """Compare a file of a commit with its first parent's; what cannot be read counts as a change of everything."""
    old, new = (_spec(objects, f"{one}:./{path}") for one in (f"{commit}^1", commit))
    if old is None or new is None:
        return frozenset(("traffic", "model", "metrics"))
    return frozenset(aspect(keys) for keys, _, _ in leaves(old, new, ()) if keys)


def _spec(objects: git.Objects, name: str) -> dict[str, object] | None:
    """Return the spec of a file; empty where there is none, None where it cannot be read."""
    raw = objects.text(name)
    data, problems = load.parse(raw, name) if raw is not None else ({}, ())
    if problems or not isinstance(data, dict):
        return None
    spec = data.get("spec", {})
    return spec if isinstance(spec, dict) else None
