"""Who changed what of an experiment, commit by commit.

The author of a commit is what whoever made it says; policy that must hold needs signed commits or CODEOWNERS.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from generator.documents import load
from generator.problems import ProblemsError
from generator.repository import BASE, experiment_file
from generator.reviews.differences import aspect, leaves
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.reviews.differences import Aspect


class Edit(NamedTuple):
    """What a commit changed of an experiment's file, in an environment or in the base; `author` is an address.

    `commit` is "" for what is not committed yet: its author is whoever would commit it.
    """

    commit: str
    author: str
    aspects: frozenset[Aspect]


def edits(root: str, base: str, head: str, files: Iterable[str]) -> dict[str, tuple[Edit, ...]]:
    """Return the edits of every experiment file that commits from `base` to `head` touched, oldest first.

    With `head` "" those to HEAD, and those of `files` that are not committed yet. A merge counts with what it changed
    against all of its parents: that is what its author wrote.
    """
    out = git.run(
        root,
        *(*git.LOG, "--reverse", "-c", "--no-renames", "--relative", "--name-only", "-z", "--format=%x01%H%x00%ae"),
        f"{base}..{head or 'HEAD'}",
        *("--", f":(glob){experiment_file('*', '*')}"),
    )
    found: dict[str, list[Edit]] = {}
    with git.Objects(root) as objects:
        for part in out.split(b"\x01")[1:]:
            commit, author, *paths = (os.fsdecode(one).strip("\n") for one in part.split(b"\0"))
            for path in filter(None, paths):
                touched = _aspects(*(objects.text(f"{one}:./{path}") for one in (f"{commit}^1", commit)))
                if touched:
                    found.setdefault(path, []).append(Edit(commit, author, touched))
        for path in () if head else files:
            touched = _aspects(objects.text(f"HEAD:./{path}"), _on_disk(root, path))
            if touched:
                found.setdefault(path, []).append(Edit("", git.author(root), touched))
    return {path: tuple(edits) for path, edits in found.items()}


def files(environment: str, name: str) -> tuple[str, ...]:
    """Return the files whose edits concern an experiment: its own, and the base's."""
    return experiment_file(environment, name), experiment_file(BASE, name)


def _on_disk(root: str, path: str) -> bytes | None:
    """Return a file's bytes; None if there is no such file, and none if it cannot be read."""
    with suppress(ProblemsError):
        return load.read(root, path) if os.path.lexists(f"{root}/{path}") else None
    return b""


def _aspects(before: bytes | None, after: bytes | None) -> frozenset[Aspect]:
    """Compare a file before and after; what cannot be read counts as a change of everything."""
    old, new = _spec(before), _spec(after)
    if old is None or new is None:
        return frozenset(("traffic", "model", "metrics"))
    return frozenset(aspect(keys) for keys, _, _ in leaves(old, new, ()) if keys)


def _spec(raw: bytes | None) -> dict[str, object] | None:
    """Return the spec of a file; empty where there is none, None where it cannot be read."""
    data, problems = load.parse(raw, "") if raw is not None else ({}, ())
    if problems or not isinstance(data, dict):
        return None
    spec = data.get("spec", {})
    return spec if isinstance(spec, dict) else None
