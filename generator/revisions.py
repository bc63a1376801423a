"""Two states of a repository and what changed between them, without a checkout.

A state is a commit or the working tree. Of a commit only what differs is read, by one git process, and laid into a
private folder in which the pipeline works as in any repository. Trees with equal names are equal, so that a thousand
experiments of which ten changed cost ten.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from generator import git, repository
from generator.git import Entry
from generator.repository import (
    AREAS,
    BASE,
    DELIVERY,
    ENVIRONMENTS,
    LISTING,
    environment_file,
    experiment_file,
    folders,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORKING_TREE = ""
"""The name of the working tree among revisions: no commit is called so."""

_TEMPLATES = "templates"
_FILES = ("100644", "100755")
_DISK = Entry("", "")  # equal to nothing that a commit holds


class State(NamedTuple):
    """What a repository holds at one time: files and folders, of which equal entries mean equal bytes.

    `commit` is "" for the working tree. `root` is the folder to read it from; of a commit it holds only what a
    comparison needs. `manifests` are the folders of an experiment, `templates` is None where there are none.
    """

    root: str
    commit: str
    environments: dict[str, Entry]
    base: dict[str, Entry]
    experiments: dict[tuple[str, str], Entry]
    manifests: dict[tuple[str, str], tuple[Entry | None, ...]]
    templates: Entry | None

    def sources(self, environment: str, name: str) -> tuple[Entry | None, ...]:
        """Return what the experiment is made of; empty if it is not declared."""
        own = self.experiments.get((environment, name))
        if own is None or environment not in self.environments:
            return ()
        return own, self.base.get(name), self.environments[environment], self.templates


class Comparison(NamedTuple):
    """Two states, and the experiments (environment, name) that may differ, in order.

    `environments` are those whose own file differs, or that one of the states lacks.
    """

    before: State
    after: State
    affected: tuple[tuple[str, str], ...]
    environments: tuple[str, ...]


@contextmanager
def compared(root: str, base: str, head: str = WORKING_TREE, only: Iterable[str] = ()) -> Iterator[Comparison]:
    """Compare two revisions for as long as the context lasts; GitError if there is no such revision.

    `only` names environments; all if left out.
    """
    import tempfile  # noqa: PLC0415 (start-up time: others use this module's types only)

    with git.Objects(root) as objects, tempfile.TemporaryDirectory(prefix="penstock-") as private:
        before = _state(objects, objects.commit(base), f"{private}/before")
        if head == WORKING_TREE:
            after = _working_tree(root, before, _state(objects, objects.commit("HEAD"), root))
        else:
            after = _state(objects, objects.commit(head), f"{private}/after")
        found = _comparison(before, after, frozenset(only))
        for state in (before, after):
            if state.commit:
                _lay_out(objects, state, found)
        yield found


def fork(root: str, head: str = WORKING_TREE, base: str = "") -> str:
    """Return the commit at which `head` left `base`, or the branch that is deployed; GitError if they share none."""
    ours, theirs = git.resolve(root, head or "HEAD"), git.resolve(root, base or git.deployed(root))
    done = git.attempt(root, "merge-base", ours, theirs)
    if done.status > 1:
        raise git.failure(root, ("merge-base",), done)
    if done.status:
        raise git.GitError(
            f"{git.short(ours)} and {git.short(theirs)} have no common commit in {root}; fetch the whole history (in "
            "CI: `fetch-depth: 0`), or name a commit with --base"
        )
    return done.out.decode().strip()


def _state(objects: git.Objects, commit: str, root: str) -> State:
    top = objects.folder(f"{commit}:./")
    environments: dict[str, Entry] = {}
    base: dict[str, Entry] = {}
    experiments: dict[tuple[str, str], Entry] = {}
    manifests: dict[tuple[str, str], tuple[Entry | None, ...]] = {}
    for name, entry in _inside(objects, top, ENVIRONMENTS).items():
        inner = objects.folder(entry.id) if _is_folder(entry) and not name.startswith(".") else {}
        files = {file[:-5]: one for file, one in _inside(objects, inner, "experiments").items() if _declares(file)}
        if name == BASE:
            base = files
            continue
        experiments |= {(name, file): one for file, one in files.items()}
        if "environment.yaml" in inner:
            environments[name] = inner["environment.yaml"]
        rendered = _inside(objects, inner, "manifests")
        areas = [_inside(objects, rendered, area) for area in AREAS]
        delivered = _inside(objects, inner, DELIVERY)
        areas.append(delivered if LISTING in delivered else {})
        manifests |= {
            (name, one): tuple(area.get(one) for area in areas) for one in {one for area in areas for one in area}
        }
    return State(root, commit, environments, base, experiments, manifests, top.get(_TEMPLATES))


def _inside(objects: git.Objects, parent: dict[str, Entry], name: str) -> dict[str, Entry]:
    return objects.folder(parent[name].id) if name in parent and _is_folder(parent[name]) else {}


def _is_folder(entry: Entry) -> bool:
    return entry.mode == "40000"


def _declares(file: str) -> bool:
    return file.endswith(".yaml") and not file.startswith(".")


def _working_tree(root: str, before: State, committed: State) -> State:
    """Return what is on disk. Where it differs from the commit `before`, the entry is one that no commit holds.

    Manifests count as `committed`: whether those on disk are up to date is what rendering tells.
    """
    places = ("experiments/*.yaml", "environment.yaml")
    done = git.run(
        root,
        *("diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--relative", "--name-only", "-z", before.commit),
        *("--", f":(glob){_TEMPLATES}/**", *(f":(glob){ENVIRONMENTS}/*/{place}" for place in places)),
    )
    changed = {*map(os.fsdecode, done.split(b"\0"))}
    own = any(path.startswith(f"{_TEMPLATES}/") for path in changed)
    here = repository.take(root)
    return State(
        root,
        WORKING_TREE,
        {
            name: _on_disk(before.environments.get(name), environment_file(name) in changed)
            for name in here.environments
        },
        {name: _on_disk(before.base.get(name), experiment_file(BASE, name) in changed) for name in here.base},
        {
            (place, name): _on_disk(before.experiments.get((place, name)), experiment_file(place, name) in changed)
            for place, names in here.environments.items()
            for name in names
        },
        committed.manifests,
        _on_disk(before.templates, own) if os.path.isdir(f"{root}/{_TEMPLATES}") else None,
    )


def _on_disk(entry: Entry | None, changed: bool) -> Entry:
    return _DISK if changed or entry is None else entry


def _comparison(before: State, after: State, only: frozenset[str]) -> Comparison:
    affected = {
        place
        for place in before.experiments.keys() | after.experiments.keys()
        if before.sources(*place) != after.sources(*place)
        or (after.sources(*place) and before.manifests.get(place) != after.manifests.get(place))
    }
    environments = {
        name
        for name in before.environments.keys() | after.environments.keys()
        if before.environments.get(name) != after.environments.get(name)
    }
    return Comparison(
        before,
        after,
        tuple(sorted(place for place in affected if not only or place[0] in only)),
        tuple(sorted(name for name in environments if not only or name in only)),
    )


def _lay_out(objects: git.Objects, state: State, found: Comparison) -> None:
    """Write what the affected experiments are made of, and their manifests, into the state's private folder."""
    os.makedirs(state.root, mode=0o700)
    for environment in sorted({place[0] for place in found.affected} | {*found.environments}):
        _write(objects, state.root, environment_file(environment), state.environments.get(environment))
    for environment, name in found.affected:
        _write(objects, state.root, experiment_file(environment, name), state.experiments.get((environment, name)))
        for place, entry in zip(folders(environment, name), state.manifests.get((environment, name), ()), strict=False):
            _write(objects, state.root, place, entry)
    for name in sorted({place[1] for place in found.affected}):
        _write(objects, state.root, experiment_file(BASE, name), state.base.get(name))
    _write(objects, state.root, _TEMPLATES, state.templates)


def _write(objects: git.Objects, root: str, path: str, entry: Entry | None) -> None:
    """Write a file, or a folder with all that is in it.

    A link is left out: what it leads to is not part of the commit. So is a name that would lead out of the folder; Git
    itself makes no such tree, but whoever pushes one can.
    """
    if entry is None or {"", ".", ".."} & {*path.split("/")}:
        return
    if _is_folder(entry):
        for name, one in objects.folder(entry.id).items():
            _write(objects, root, f"{path}/{name}", one)
    elif entry.mode in _FILES:
        os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
        with open(f"{root}/{path}", "xb") as file:
            file.write(objects.blob(entry.id))
