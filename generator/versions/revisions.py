"""Two states of a repository and what changed between them, without a checkout.

A state is a commit or the working tree. Of a commit only what differs is read, by one git process. Trees with equal
names are equal, so that a thousand experiments of which ten changed cost ten.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import NamedTuple, TypeVar

from generator import repository
from generator.problems import ProblemsError
from generator.repository import (
    AREAS,
    BASE,
    DELIVERY,
    ENVIRONMENTS,
    LISTING,
    environment_file,
    evidence_folder,
    experiment_file,
    folders,
    is_experiment,
)
from generator.versions import git
from generator.versions.git import Entry

WORKING_TREE = ""
"""The name of the working tree among revisions: no commit is called so."""
_ITS_NAMES = ("working tree", "working-tree")  # a branch of that name is `refs/heads/working-tree`

_Key = TypeVar("_Key")
_TEMPLATES = "templates"
_FILES = (b"100644", b"100755")
_NO_FILES = {b"120000": "a link", b"160000": "a submodule", b"40000": "a folder"}  # git-fast-import(1)
_FOLDER = (b"40000", b"")
_NO_AREAS: tuple[dict[str, Entry], ...] = ({},) * (len(AREAS) + 1)  # of manifests, and what delivers them
_DISK = (b"", b"")  # equal to nothing that a commit holds


class State(NamedTuple):
    """What a repository holds at one time: files and folders, of which equal entries mean equal bytes.

    `commit` is "" for the working tree. `files` is where to read what the affected experiments are made of, `root` the
    folder of its own templates, if it has some, which for the working tree is all of it. `manifests` are the folders of
    an experiment, `evidence` tells which have some, `templates` is None where there are none.
    """

    root: str
    files: str | Mapping[str, bytes]
    commit: str
    environments: dict[str, Entry]
    base: dict[str, Entry]
    experiments: dict[tuple[str, str], Entry]
    manifests: dict[str, tuple[dict[str, Entry], ...]]
    evidence: frozenset[tuple[str, str]]
    templates: Entry | None

    def declares(self, environment: str, name: str) -> bool:
        """Tell whether there is such an experiment."""
        return (environment, name) in self.experiments and environment in self.environments

    def instead(self, file: str) -> str:
        """Say what a commit has in the place of an experiment's or environment's file; "" for a file."""
        entries = {environment_file(name): one for name, one in self.environments.items()}
        entries |= {experiment_file(BASE, name): one for name, one in self.base.items()}
        entries |= {experiment_file(*place): one for place, one in self.experiments.items()}
        mode, _ = entries.get(file, _DISK)
        return _NO_FILES.get(mode, "")


class Comparison(NamedTuple):
    """Two states, and the experiments (environment, name) that may differ, in order.

    `environments` are those whose own file differs, or that one of the states lacks. `left` have manifests after, but
    are not declared there; they were declared before, or had not these manifests. `manifests` reads what a state has of
    an experiment's manifests, by path; `objects` reads the repository, while the comparison lasts.
    """

    before: State
    after: State
    affected: tuple[tuple[str, str], ...]
    environments: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    manifests: Callable[[State, str, str], dict[str, bytes]]
    objects: git.Objects


def compared(
    root: str, base: str, head: str = WORKING_TREE, only: Iterable[str] = ()
) -> AbstractContextManager[Comparison]:
    """Compare two revisions for as long as the context lasts; GitError if there is no such revision.

    `head` may also be `working tree`, in words. `only` names environments, all if left out; UnknownEnvironmentError for
    one that neither side has. Git is at work from the call on, so that modules can be loaded before the context is
    entered.
    """
    return _started(root, lambda: base, _named(head), only)


def since_fork(
    root: str, base: str, head: str = WORKING_TREE, only: Iterable[str] = ()
) -> AbstractContextManager[Comparison]:
    """Compare as `compared` does, with the commit at which `head` left `base`, or the branch that is deployed.

    GitError, too, if they share none.
    """
    head = _named(head)
    return _started(root, _fork(root, base, head), head, only)


def _named(head: str) -> str:
    return WORKING_TREE if head in _ITS_NAMES else head


def _started(root: str, base: Callable[[], str], head: str, only: Iterable[str]) -> AbstractContextManager[Comparison]:
    with ExitStack() as stack:
        objects = stack.enter_context(git.Objects(root))
        commits = objects.commit(base()), objects.commit(head or "HEAD")
        changed = None if head else _changed(root, commits[0])
        before, committed = (_state(objects, commit) for commit in commits)

        def after() -> State:
            return _working_tree(root, before, committed, changed()) if changed else committed

        return _compared(stack.pop_all(), objects, before, after, frozenset(only))


@contextmanager
def _compared(
    stack: ExitStack, objects: git.Objects, before: State, after: Callable[[], State], only: frozenset[str]
) -> Iterator[Comparison]:
    with stack:
        states = before, after()
        _refuse_unknown(only, states[0].environments.keys() | states[1].environments.keys())
        affected, environments = _differing(*states, only)
        left = _left(*states, only)
        first, second = (_readable(objects, one, affected, environments, stack) for one in states)
        yield Comparison(first, second, affected, environments, left, lambda *of: _manifests(objects, *of), objects)


def is_checked_out(root: str, state: State, environment: str, name: str, manifests: dict[str, bytes]) -> bool:
    """Tell whether the working tree has all that a state's experiment is made of, and `manifests`, those of the state.

    With templates of one's own it is never told to have it.
    """
    sources = environment_file(environment), experiment_file(environment, name), experiment_file(BASE, name)
    return (
        not (state.templates or os.path.isdir(f"{root}/{_TEMPLATES}"))
        and all(_bytes(root, file) == _bytes(state.files, file) for file in sources)
        and _rendered_on_disk(root, environment, name) == manifests
    )


def _fork(root: str, base: str, head: str) -> Callable[[], str]:
    """Start to ask for the commit at which `head` left `base`; return what waits for the answer."""
    revisions = (head or "HEAD", base or git.deployed(root))
    asked = git.attempting(root, "merge-base", "--end-of-options", *(f"{one}^{{commit}}" for one in revisions))

    def wait() -> str:
        done = asked()
        if done.status:
            ours, theirs = (git.short(git.resolve(root, one)) for one in revisions)  # which tells if one is not there
            if done.status > 1:
                raise git.failure(root, ("merge-base",), done)
            raise git.GitError(
                f"{ours} and {theirs} have no common commit in {root}; fetch the whole history (in CI: `fetch-depth: "
                "0`), or name a commit with --base"
            )
        return done.out.decode().strip()

    return wait


@contextmanager
def laid(root: str, revision: str, environment: str) -> Iterator[str]:
    """Lay what people and `analyze` wrote for an environment into a private folder, as long as the context lasts."""
    import tempfile  # noqa: PLC0415 (start-up time: others use this module's types only)

    with git.Objects(root) as objects, tempfile.TemporaryDirectory(prefix="penstock-") as private:
        top = objects.top(objects.commit(revision))
        there = _inside(objects, top, ENVIRONMENTS)
        for name in (BASE, environment):
            for inner, entry in _inside(objects, there, name).items():
                if inner not in ("manifests", DELIVERY):
                    _write(objects, private, {f"{ENVIRONMENTS}/{name}/{inner}": entry})
        yield private


def _refuse_unknown(only: Iterable[str], known: Collection[str]) -> None:
    """Nobody means to compare nothing: what neither side has is misspelt."""
    for name in only:
        if name not in known:
            raise repository.UnknownEnvironmentError(repository.unknown("environment", name, known))


def _state(objects: git.Objects, commit: str) -> State:
    top = objects.top(commit)
    environments: dict[str, Entry] = {}
    base: dict[str, Entry] = {}
    experiments: dict[tuple[str, str], Entry] = {}
    manifests: dict[str, tuple[dict[str, Entry], ...]] = {}
    evidence: set[tuple[str, str]] = set()
    for name, entry in _inside(objects, top, ENVIRONMENTS).items():
        inner = objects.folder(entry) if _is_folder(entry) and not name.startswith(".") else {}
        files = {file[:-5]: one for file, one in _inside(objects, inner, "experiments").items() if is_experiment(file)}
        if name == BASE:
            base = files
            continue
        experiments |= {(name, file): one for file, one in files.items()}
        if "environment.yaml" in inner:
            environments[name] = inner["environment.yaml"]
        rendered = _inside(objects, inner, "manifests")
        delivered = _inside(objects, inner, DELIVERY)
        areas = [_inside(objects, rendered, area) for area in AREAS]
        manifests[name] = (*areas, delivered if LISTING in delivered else {})
        evidence |= {(name, one) for one in _inside(objects, inner, "evidence")}
    return State("", {}, commit, environments, base, experiments, manifests, frozenset(evidence), top.get(_TEMPLATES))


def _inside(objects: git.Objects, parent: dict[str, Entry], name: str) -> dict[str, Entry]:
    return objects.folder(parent[name]) if name in parent and _is_folder(parent[name]) else {}


def _is_folder(entry: Entry) -> bool:
    return entry[0] == b"40000"


def _changed(root: str, commit: str) -> Callable[[], frozenset[str]]:
    """Start to ask which sources differ on disk from a commit; return what waits for the answer."""
    places = ("experiments/*.yaml", "environment.yaml")
    wait = git.later(
        root,
        *("diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--relative", "--name-only", "-z", commit, "--"),
        f":(glob){_TEMPLATES}/**",
        *(f":(glob){ENVIRONMENTS}/*/{place}" for place in places),
    )
    return lambda: frozenset(map(os.fsdecode, wait().split(b"\0")))


def _working_tree(root: str, before: State, committed: State, changed: frozenset[str]) -> State:
    """Return what is on disk. Where it differs from the commit `before`, the entry is one that no commit holds.

    Manifests count as `committed`: whether those on disk are up to date is what rendering tells.
    """
    here = repository.take(root)
    environments = {name: before.environments.get(name, _DISK) for name in here.environments}
    base = {name: before.base.get(name, _DISK) for name in here.base}
    declared = [(place, name) for place, names in here.environments.items() for name in names]
    experiments = {key: before.experiments.get(key, _DISK) for key in declared}
    templates = (before.templates or _DISK) if os.path.isdir(f"{root}/{_TEMPLATES}") else None
    for path in changed:
        match path.split("/"):
            case ["templates", *_] if templates:
                templates = _DISK
            case [_, place, "environment.yaml"] if place in environments:
                environments[place] = _DISK
            case [_, "base", _, file] if file[:-5] in base:
                base[file[:-5]] = _DISK
            case [_, place, _, file] if (place, file[:-5]) in experiments:
                experiments[place, file[:-5]] = _DISK
    evidence = frozenset((place, name) for place in environments for name in _with_evidence(root, place))
    return State(root, root, WORKING_TREE, environments, base, experiments, committed.manifests, evidence, templates)


def _with_evidence(root: str, environment: str) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(f"{root}/{evidence_folder(environment, '')}")
    return []


def _differing(
    before: State, after: State, only: frozenset[str]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the experiments that may differ, and the environments of which the own file does."""
    environments = _unequal(before.environments, after.environments)
    base = _unequal(before.base, after.base)
    everything = before.experiments.keys() | after.experiments.keys()
    affected = _unequal(before.experiments, after.experiments)
    if before.templates != after.templates:
        affected = everything
    elif environments or base:
        affected = affected | {key for key in everything if key[0] in environments or key[1] in base}
    affected = affected | _rendered(before, after)
    return (
        tuple(
            sorted(
                key
                for key in affected
                if (before.declares(*key) or after.declares(*key)) and (not only or key[0] in only)
            )
        ),
        tuple(sorted(name for name in environments if not only or name in only)),
    )


def _unequal(one: dict[_Key, Entry], other: dict[_Key, Entry]) -> set[_Key]:
    return {key for key, _ in one.items() ^ other.items()} if one is not other else set()


def _rendered(before: State, after: State) -> set[tuple[str, str]]:
    """Return the experiments that both states declare, and whose manifests differ."""
    return {
        (place, name)
        for place in before.manifests.keys() | after.manifests.keys()
        for one, other in zip(
            before.manifests.get(place, _NO_AREAS), after.manifests.get(place, _NO_AREAS), strict=True
        )
        for name in _unequal(one, other)
        if after.declares(place, name)
    }


def _left(before: State, after: State, only: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return what has manifests after and is not declared there, less what was just so before."""
    declared = defaultdict[str, set[str]](set)
    for place, name in after.experiments:
        if place in after.environments:
            declared[place].add(name)
    found = set()
    for place, areas in (after.manifests if after.commit else _folders_on_disk(after.root, before)).items():
        for area, old in zip(areas, before.manifests.get(place, _NO_AREAS), strict=True):
            for name in area.keys() - declared[place] if not only or place in only else ():
                if _is_folder(area[name]) and (area[name] != old.get(name) or before.declares(place, name)):
                    found.add((place, name))
    return tuple(sorted(found))


def _folders_on_disk(root: str, before: State) -> dict[str, tuple[dict[str, Entry], ...]]:
    """Return the folders of manifests that there are, by environment: as `before` has them, or new."""
    found = {}
    for place in os.scandir(f"{root}/{ENVIRONMENTS}"):
        areas: list[dict[str, Entry]] = [{} for _ in _NO_AREAS]
        paths = folders(place.name, "")
        kept = paths if repository.delivered(root, place.name) else paths[:-1]
        for area, path, old in zip(areas, kept, before.manifests.get(place.name, _NO_AREAS), strict=False):
            with suppress(FileNotFoundError, NotADirectoryError):
                names = (one.name for one in os.scandir(f"{root}/{path}") if one.is_dir())
                area |= {name: old[name] if _is_folder(old.get(name, _DISK)) else _FOLDER for name in names}
        found[place.name] = (*areas,)
    return found


def _manifests(objects: git.Objects, state: State, environment: str, name: str) -> dict[str, bytes]:
    """Return regular files in the folders of an experiment's manifests, by path."""
    if state.commit == WORKING_TREE:
        return _rendered_on_disk(state.root, environment, name)
    areas = zip(folders(environment, name), state.manifests.get(environment, ()), strict=False)
    there = {place: area[name] for place, area in areas if name in area and _is_folder(area[name])}
    files: dict[str, str] = {}
    for place, inner in zip(there, objects.folders(there.values()), strict=True):
        files |= {f"{place}/{file}": blob.hex() for file, (mode, blob) in inner.items() if mode in _FILES}
    texts = objects.blobs(files.values())
    return {path: texts[one] for path, one in files.items()}


def _rendered_on_disk(root: str, environment: str, name: str) -> dict[str, bytes]:
    places = folders(environment, name)
    kept = places if repository.delivered(root, environment) else places[:-1]
    return {path: text for place in kept for path, text in _on_disk(root, place)}


def _bytes(files: str | Mapping[str, bytes], path: str) -> bytes | None:
    from generator.documents import load  # noqa: PLC0415 (start-up time: it is loaded while Git works)

    with suppress(ProblemsError):
        return load.read(files, path)
    return None


def _on_disk(root: str, place: str) -> Iterator[tuple[str, bytes]]:
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(f"{root}/{place}"):
            if entry.is_file(follow_symlinks=False):
                with open(entry.path, "rb") as file:
                    yield f"{place}/{entry.name}", file.read()


def _readable(
    objects: git.Objects,
    state: State,
    affected: Iterable[tuple[str, str]],
    environments: Iterable[str],
    stack: ExitStack,
) -> State:
    """Return a state with what affected experiments are made of, its own templates in a folder for the stack's time."""
    if state.commit == WORKING_TREE:
        return state
    sources = {environment_file(one): state.environments.get(one) for one in environments}
    for place, name in affected:
        sources[environment_file(place)] = state.environments.get(place)
        sources[experiment_file(place, name)] = state.experiments.get((place, name))
        sources[experiment_file(BASE, name)] = state.base.get(name)
    files = {path: one for place, entry in sources.items() for path, one in _files(objects, place, entry)}
    texts = objects.blobs(files.values())
    root = ""
    if state.templates:
        import tempfile  # noqa: PLC0415 (start-up time: few repositories have templates)

        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-"))
        _write(objects, root, {_TEMPLATES: state.templates})
    return state._replace(root=root, files={path: texts[one] for path, one in files.items()})


def _write(objects: git.Objects, root: str, entries: dict[str, Entry | None]) -> None:
    """Write files, and folders with all that is in them, by path."""
    files = {path: one for place, entry in entries.items() for path, one in _files(objects, place, entry)}
    texts = objects.blobs(files.values())
    for place in {os.path.dirname(path) for path in files}:
        os.makedirs(f"{root}/{place}", exist_ok=True)
    for path, one in files.items():
        with open(f"{root}/{path}", "xb") as file:
            file.write(texts[one])


def _files(objects: git.Objects, path: str, entry: Entry | None) -> Iterator[tuple[str, str]]:
    """Yield the paths and the names of blobs of a file, or of all files in a folder.

    A link is left out: what it leads to is not part of the commit. So is a name that would lead out of the folder; Git
    itself makes no such tree, but whoever pushes one can.
    """
    if entry is None or {"", ".", ".."} & {*path.split("/")}:
        return
    if _is_folder(entry):
        for name, one in objects.folder(entry).items():
            yield from _files(objects, f"{path}/{name}", one)
        return
    mode, blob = entry
    if mode in _FILES:
        yield path, blob.hex()
