"""The lives of experiments on the branch that is deployed, from Git: read once for all of them.

What counts as deployed is what is committed on the branch: each commit of its first-parent line is one deployment, so
that a merge, a squash merge, a rebase and a revert all count from when they arrived. `lives` says what is made of them.

Git does not record when a branch was pushed: commits made long before they are pushed, without a merge, count from when
they were made.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from generator.documents import load
from generator.names import TRAILER_ACTION, TRAILER_EXPERIMENT, TRAILER_OVERRIDE, TRAILER_VERDICT
from generator.problems import PenstockError
from generator.repository import BASE, ENVIRONMENTS, environment_file, is_experiment
from generator.versions import git
from generator.versions.lives import Change, Commit, Decision, Line, dated, followed, part

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from generator.documents.load import Data
    from generator.versions.lives import Key, Life, Part

_HEADER = b"\x01"
_FIELDS = ("%H", "%ct", "%an", "%s")
_GONE = b"000000"
_REGULAR = (b"100644", b"100755")


class ShallowError(PenstockError):
    """History is cut off, so how long anything has lasted cannot be known."""


class DetachedError(PenstockError):
    """Nothing says which branch is deployed."""


def lives(root: str, ref: str, wanted: Collection[Key], now: int) -> dict[Key, Life]:
    """Return the latest life of each wanted experiment, by environment and name; those never deployed are left out.

    `ref` is what is deployed, as `git.deployed` names it. ShallowError, DetachedError or GitError where history does
    not say.
    """
    whole(root)()
    tip = _tip(root, ref)
    if not tip:
        return {}
    with git.Objects(root) as objects:
        return lived(root, objects, tip, wanted, now, decisions(root, tip))()


def whole(root: str) -> Callable[[], None]:
    """Start to ask whether history is all there; return what waits for the answer: ShallowError if it is cut off."""
    answer = git.later(root, "rev-parse", "--is-shallow-repository")

    def wait() -> None:
        if answer().strip() == b"true":
            raise ShallowError(
                f"the history in {root} is cut off, and how long a stage has lasted is read from it; run `git fetch "
                "--unshallow`, or set `fetch-depth: 0` for the checkout in CI"
            )

    return wait


def lived(
    root: str,
    objects: git.Objects,
    tip: str,
    wanted: Collection[Key],
    now: int,
    told: Callable[[], dict[Key, list[Decision]]] = dict,
    parsed: Mapping[bytes, Data] | None = None,
) -> Callable[[], dict[Key, Life]]:
    """Start to read the lives up to a commit; return what waits for them, as `lives` returns them.

    `objects` are those of the repository; `told` waits for the decisions, of which the lives have none without it.
    `parsed` is what is known of files already, by their bytes.
    """
    deployed = _commits(root, tip, {environment for environment, _ in wanted}, now)

    def wait() -> dict[Key, Life]:
        commits, said = deployed(), told()
        keys = followed(commits, wanted)
        parts = _parts(objects, commits, keys, parsed or {})
        line = Line(keys)
        for commit in commits:
            line.deploy(commit, parts)
        return {key: line.life(key, said) for key in wanted if key in line.lives}

    return wait


def _tip(root: str, ref: str) -> str:
    """Return the commit that is deployed; "" if nothing is committed yet."""
    if ref == "HEAD":
        if git.attempt(root, "symbolic-ref", "--quiet", "HEAD").status:
            raise DetachedError(
                f"HEAD is detached in {root}, so nothing says which branch is deployed; name it with --branch, or as "
                "spec.gitops.branch of the environment"
            )
        if git.attempt(root, "rev-parse", "--verify", "--quiet", "HEAD").status:
            return ""
    return git.resolve(root, ref)


def _commits(root: str, tip: str, environments: Collection[str], now: int) -> Callable[[], list[Commit]]:
    """Start to read the first-parent line; return what waits for it, oldest first.

    All of it is read, since a commit elsewhere bounds the dates of those here.
    """
    places = [f"{ENVIRONMENTS}/{one}/experiments" for one in sorted({BASE, *environments})]
    log = git.later(
        root,
        *("--no-replace-objects", "--literal-pathspecs", *git.LOG, "--first-parent", "-m", "--sparse", "--relative"),
        *("--raw", "-z", "--no-abbrev", "--no-renames", f"--format=%x01{'%x00'.join(_FIELDS)}"),
        *("--end-of-options", tip, "--", *map(environment_file, sorted(environments)), *places),
    )

    def wait() -> list[Commit]:
        found = list(_read(iter(log().split(b"\0"))))[::-1]
        times = dated([commit.time for commit in found], now)
        return [commit._replace(time=time) for commit, time in zip(found, times, strict=True)]

    return wait


def _read(tokens: Iterator[bytes]) -> Iterator[Commit]:
    """Read what `git log --raw -z` prints: the fields of a header, then modes, blobs and path of each change."""
    commit = None
    for token in tokens:
        if token.startswith(_HEADER):
            if commit:
                yield commit
            time, author, subject = (next(tokens) for _ in _FIELDS[1:])
            commit = Commit(token[1:].decode(), int(time), _text(author), _text(subject), [])
        elif commit and (entry := token.lstrip(b"\n")):
            before, after, _, blob, _ = entry.removeprefix(b":").split(b" ")
            key = _key(os.fsdecode(next(tokens)))
            if key:
                regular = blob.decode() if after in _REGULAR else ""
                commit.changes.append(Change(key, before == _GONE, None if after == _GONE else regular))
    if commit:
        yield commit


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _key(path: str) -> Key | None:
    """Tell whose file it is, as `repository.take` does; None of what it passes by."""
    match path.split("/"):
        case [top, environment, "environment.yaml"] if top == ENVIRONMENTS:
            return environment, ""
        case [top, environment, "experiments", file] if top == ENVIRONMENTS and is_experiment(file):
            return environment, file[:-5]
    return None


def _parts(
    objects: git.Objects, commits: Iterable[Commit], keys: Collection[Key], parsed: Mapping[bytes, Data]
) -> dict[tuple[str, bool], Part]:
    """Read what counts of every file, by its blob and whether it is an environment's; without those unreadable."""
    names = {name for _, name in keys}
    needed = {
        (change.blob, not change.key[1])
        for commit in commits
        for change in commit.changes
        if change.blob and (not change.key[1] or change.key in keys or _in_base(change.key, names))
    }
    raws = objects.blobs({blob for blob, _ in needed}, load.MAX_BYTES)
    found = {}
    for blob, defaults in needed:
        raw = raws.get(blob, b"")
        data = parsed[raw] if raw in parsed else load.parse(raw, "")[0]
        read = part(data, defaults=defaults)
        if read is not None:
            found[blob, defaults] = read
    return found


def _in_base(key: Key, names: Collection[str]) -> bool:
    return key[0] == BASE and key[1] in names


def decisions(root: str, revisions: str) -> Callable[[], dict[Key, list[Decision]]]:
    """Start to read what Penstock's commits say of themselves, also those behind merges; return what waits for it.

    `revisions` is the name of a commit, for it and all before it, or two such names as `<from>..<to>`. Parents come
    first.
    """
    log = git.later(
        root,
        *("--no-replace-objects", *git.LOG, "--topo-order", "--reverse", "-z"),
        *("--basic-regexp", f"--grep=^{TRAILER_EXPERIMENT}: "),
        *("--format=%H%x00%ct%x00%(trailers:only,unfold)", "--end-of-options", revisions),
    )
    return lambda: _decided(log())


def _decided(out: bytes) -> dict[Key, list[Decision]]:
    fields = iter(out.split(b"\0")[:-1])
    found: dict[Key, list[Decision]] = defaultdict(list)
    for commit, time, raw in zip(fields, fields, fields, strict=True):
        for key, said in _about(_text(raw)).items():
            texts = (said.get(name, "") for name in (TRAILER_ACTION, TRAILER_VERDICT, TRAILER_OVERRIDE))
            found[key].append(Decision(commit.decode(), int(time), *texts))
    return found


def _about(trailers: str) -> dict[Key, dict[str, str]]:
    """Read trailers by the experiment that each is about: the one that was named last before it."""
    found: dict[Key, dict[str, str]] = {}
    said: dict[str, str] = {}
    for line in trailers.splitlines():
        trailer, _, value = line.partition(": ")
        if trailer == TRAILER_EXPERIMENT:
            environment, _, name = value.strip().partition("/")
            said = found.setdefault((environment, name), {})
        else:
            said.setdefault(trailer, value.strip())
    return found
