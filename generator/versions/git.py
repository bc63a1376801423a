"""The git program: the only place that runs it, always in the repository of a folder and never by its surroundings.

A hook sets GIT_DIR, GIT_INDEX_FILE and others for its own repository; they are taken out, and so is what changes the
meaning of arguments. What configures (GIT_CONFIG_*, identity, SSH) is the user's will and stays. Nothing here asks at
a terminal. Values of users go behind `--end-of-options` or `--`, or through `resolve`, which returns an object's name.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import IO, Final, NamedTuple, Self, TypeAlias

from generator.problems import PenstockError

# What `git rev-parse --local-env-vars` lists, less configuration, and what gives arguments or output another meaning
# (git(1), "Environment Variables").
_FOREIGN = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}
# Messages in English, for `_REMEDIES`; no question at a terminal; no lock of the index just to read it faster later.
_ALWAYS = {"LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
_REMEDIES = (
    ("does not appear to be a git repository", "see whether you may read it, and check the address: `git remote -v`"),
    ("no answer within", "see whether the remote can be reached, then run the command again"),
    ("not a git repository", "run `git init` there, or name another folder with -C"),
    ("dubious ownership", "run `git config --global --add safe.directory` with the folder that git names"),
    (".lock'", "another git works there: let it finish, or remove the lock that a killed one left"),
    ("could not read Username", "give git credentials for the remote, for example through a credential helper"),
    ("Permission denied", "give this user access to it"),
    ("shallow", "fetch the whole history: `git fetch --unshallow`, or `fetch-depth: 0` in CI"),
)
_ABBREVIATED = 12

LOG: Final = (
    *("-c", "log.showRoot=true", "-c", "log.diffMerges=separate", "-c", "trailer.separators=:"),
    *("log", "--no-show-signature", "--no-color", "--no-mailmap", "--no-follow", "--no-ext-diff", "--encoding=UTF-8"),
)
"""`git log` as it is documented, in UTF-8, whatever a user has configured."""
_CHUNK = 1 << 20
_QUESTIONS = 50  # as many names as fit into the smallest pipe, so that nobody waits for a reader


class GitError(PenstockError):
    """Git could not answer: says what was asked, what git said and what helps."""


class Finished(NamedTuple):
    """What a run of git came to, whatever its exit status; `err` is its standard error, stripped."""

    status: int
    out: bytes
    err: str


Entry: TypeAlias = tuple[bytes, bytes]
"""What a folder of a commit holds under a name: Git's mode in octal digits, and the object's name in bytes.

Without names of its own, since to make thousands that have some takes half of the time of comparing two commits.
"""


class Objects:
    """Objects of the repository of `root`, all by one git process, for as long as the context lasts."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folders: dict[bytes, dict[str, Entry]] = {}
        self._texts: dict[str, bytes] = {}  # the last ones asked for: two states of an experiment share most
        self._process = _started(root, ("cat-file", "--batch"), {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def commit(self, revision: str) -> str:
        """Return the full name of the commit that a user's word for it means; GitError if there is none."""
        found = self._get(f"{revision}^{{commit}}") if revision.isprintable() and revision else None
        if found is None or found[1] != "commit":
            raise _no_commit(self._root, revision)
        return found[0]

    def top(self, commit: str) -> dict[str, Entry]:
        """Return what lies in the folder `root` of a commit, by name; empty if it has no such folder."""
        return _rows(self._get(f"{commit}:./"))

    def folder(self, entry: Entry) -> dict[str, Entry]:
        """Return what lies in a folder, by name; one that two commits share is read once."""
        (found,) = self.folders([entry])
        return found

    def folders(self, entries: Iterable[Entry]) -> list[dict[str, Entry]]:
        """Return what lies in each of some folders, as `folder` does."""
        wanted = [name for _, name in entries]
        for name in self._each([one.hex() for one in wanted if one not in self._folders]):
            self._folders[bytes.fromhex(name)] = _rows(self._next())
        return [self._folders[one] for one in wanted]

    def blobs(self, names: Iterable[str], largest: int = sys.maxsize) -> dict[str, bytes]:
        """Return the bytes of blobs by their full names; those above `largest` bytes are left out.

        GitError if one is not there, or is no blob.
        """
        wanted = sorted(set(names))
        known = self._texts
        texts = {name: known[name] for name in wanted if name in known and len(known[name]) <= largest}
        for name in self._each([one for one in wanted if one not in known]):
            head = self._head()
            if head is None or head[1] != "blob":
                raise GitError(
                    f"the repository in {self._root} lacks the blob {name}; run `git fsck` there, or clone it anew"
                )
            if head[2] <= largest:
                texts[name] = self._body(head[2])
            else:
                self._skip(head[2])
        self._texts = texts
        return texts

    def text(self, name: str) -> bytes | None:
        """Return the bytes of a file, such as `<commit>:./<path>`; None if there is no such file."""
        found = self._get(name) if "\n" not in name else None
        return found[2] if found and found[1] == "blob" else None

    def _get(self, name: str) -> tuple[str, str, bytes] | None:
        """Return an object's full name, kind and bytes."""
        self._ask([name])
        return self._next()

    def _next(self) -> tuple[str, str, bytes] | None:
        head = self._head()
        return (*head[:2], self._body(head[2])) if head else None

    def _each(self, names: Sequence[str]) -> Iterator[str]:
        """Ask for objects, and yield the name of each when its answer is the next to be read."""
        for start in range(0, len(names), _QUESTIONS):
            some = names[start : start + _QUESTIONS]
            self._ask(some)
            yield from some

    def _ask(self, names: Iterable[str]) -> None:
        into = self._process.stdin
        assert into is not None  # noqa: S101 (it is a pipe)
        with suppress(BrokenPipeError):  # it has ended, and says why
            into.write(b"".join(os.fsencode(name) + b"\n" for name in names))
            into.flush()

    def _head(self) -> tuple[str, str, int] | None:
        """Read the full name, the kind and the size of the next object; None if there is no such object."""
        head = self._out.readline().split()
        if not head:
            err = self._process.communicate()[1].decode(errors="replace").strip()
            raise failure(self._root, ("cat-file",), Finished(self._process.returncode, b"", err))
        if len(head) != 3 or not head[2].isdigit():
            return None
        return head[0].decode(), head[1].decode(), int(head[2])

    def _body(self, size: int) -> bytes:
        return self._out.read(size + 1)[:-1]

    def _skip(self, size: int) -> None:
        for start in range(0, size + 1, _CHUNK):
            self._out.read(min(_CHUNK, size + 1 - start))

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 (it is a pipe)
        return self._process.stdout


def _rows(found: tuple[str, str, bytes] | None) -> dict[str, Entry]:
    """Read the full name, kind and bytes of a tree: a row of modes, names, and names of objects (git: tree-walk.c)."""
    if found is None or found[1] != "tree":
        return {}
    row = rb"(?s)([0-7]+) ([^\0]+)\0(.{%d})" % (len(found[0]) // 2)  # 20 bytes, or 32 of SHA-256
    return {file.decode("utf-8", "surrogateescape"): (mode, name) for mode, file, name in re.findall(row, found[2])}


def run(root: str, *arguments: str, data: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
    """Return what `git <arguments>` in the folder `root` prints; GitError unless its status is 0.

    `data` is its standard input, `extra` is laid over its environment.
    """
    done = attempt(root, *arguments, data=data, extra=extra)
    if done.status:
        raise failure(root, arguments, done)
    return done.out


def line(root: str, *arguments: str) -> str:
    """Return what `run` does as text, without the line end: for what prints a name."""
    return os.fsdecode(run(root, *arguments)).rstrip("\n")


def attempt(
    root: str,
    *arguments: str,
    data: bytes = b"",
    extra: Mapping[str, str] | None = None,
    patience: float | None = None,
) -> Finished:
    """Run git for callers to whom its exit status is an answer; GitError only if git cannot be run at all.

    Or if it has not ended after `patience` seconds.
    """
    return _finished(_started(root, arguments, extra or {}), data, patience)


def hook(root: str, options: Sequence[str], name: str, *arguments: str, extra: Mapping[str, str]) -> Finished:
    """Run a hook of the user's, if there is one, as git itself would (githooks(5)); `options` are those of git(1).

    Git before 2.36 has no command for it. What it then runs is a file, with a shell if that names no interpreter.
    """
    done = attempt(root, *options, "hook", "run", "--ignore-missing", name, "--", *arguments, extra=extra)
    if "'hook' is not a git command" not in done.err:
        return done
    path = line(root, *options, "rev-parse", "--path-format=absolute", "--git-path", f"hooks/{name}")
    if not os.access(path, os.X_OK):
        return Finished(0, b"", "")
    import shlex  # noqa: PLC0415 (start-up time: few have an older git)

    words = shlex.join((path, *arguments))
    return attempt(root, *options, "-c", f"alias.hook=!{words} #", "hook", extra=extra)


def later(root: str, *arguments: str, data: bytes = b"", answers: Collection[int] = (0,)) -> Callable[[], bytes]:
    """Start a command that only reads; return what waits for it, and returns what it prints.

    GitError then, if its status is none of `answers`. `data` is its standard input.
    """
    finished = attempting(root, *arguments, data=data)

    def wait() -> bytes:
        done = finished()
        if done.status not in answers:
            raise failure(root, arguments, done)
        return done.out

    return wait


def attempting(root: str, *arguments: str, data: bytes = b"") -> Callable[[], Finished]:
    """Start what `attempt` runs, if it only reads; return what waits for it."""
    running = _started(root, arguments, {})
    if running.stdin:
        with suppress(BrokenPipeError):  # it has ended, and says why
            running.stdin.write(data)
            running.stdin.close()
        running.stdin = None
    return lambda: _finished(running, b"")


def failure(root: str, arguments: Iterable[str], done: Finished) -> GitError:
    """Make the error of a run that should not have failed."""
    said = " ".join(done.err.split()) or f"exit status {done.status}"
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in done.err), "mend that, then run the command again")
    command = next((one for before, one in pairwise(("-", *arguments)) if before != "-c" and one[:1] != "-"), "")
    return GitError(f"git {command} in {root}: {_printable(said)}; {remedy}")


def resolve(root: str, revision: str) -> str:
    """Return the full name of the commit that a user's word for it means; GitError if there is none."""
    done = attempt(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.status > 1:
        raise failure(root, ("rev-parse",), done)
    commit = done.out.decode().strip()
    if done.status or not commit.isalnum():  # `^HEAD` is answered too: with what it leaves out
        raise _no_commit(root, revision)
    return commit


def _no_commit(root: str, revision: str) -> GitError:
    if revision == "HEAD":
        return GitError(f"{root} has no commit yet; commit what is there first")
    return GitError(
        f"there is no commit `{_printable(revision)}` in {root}; fetch it first (in CI: `fetch-depth: 0`), or check "
        "its spelling"
    )


def author(root: str) -> str:
    """Return the address of whoever would commit here; "" if git does not know."""
    done = attempt(root, "var", "GIT_AUTHOR_IDENT")
    return done.out.decode(errors="replace").partition("<")[2].partition(">")[0]


def deployed(root: str, named: str = "") -> str:
    """Return the full name of the ref that is deployed, "HEAD" if the repository does not say.

    That is the branch `named`, as the remote `origin` has it or, where it does not, as it is here; without a name, the
    branch that the remote's HEAD names. GitError if there is no such branch.
    """
    if not named:
        found = attempt(root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
        return os.fsdecode(found.out).strip() or "HEAD"
    candidates = [f"refs/remotes/origin/{named}", f"refs/heads/{named}"]
    there = os.fsdecode(run(root, "for-each-ref", "--format=%(refname)", "--", *candidates)).split()
    for one in candidates:
        if one in there:
            return one
    raise GitError(f"there is no branch `{_printable(named)}` in {root} nor at its origin; fetch it, or name another")


def short(commit: str) -> str:
    """Abbreviate a commit's name for people: always alike, whatever other objects a clone has."""
    return commit[:_ABBREVIATED]


def _started(root: str, arguments: Iterable[str], extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        return subprocess.Popen(
            ["git", *arguments],
            cwd=root,
            env={**kept, **_ALWAYS, **extra},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte among the arguments
        if isinstance(error, FileNotFoundError) and error.filename == "git":
            raise GitError("there is no program git on the PATH; install it: `apt-get install git`") from None
        raise GitError(f"git cannot be run in {root}: {error}; mend that, then run the command again") from None


def _finished(process: subprocess.Popen[bytes], data: bytes, patience: float | None = None) -> Finished:
    with process:
        try:
            out, err = process.communicate(data, patience)
        except subprocess.TimeoutExpired:
            process.kill()  # what it has started may still hold the pipes, so nothing more is read
            said = f"no answer within {patience:g} seconds"
            return Finished(-1, b"", said)
    return Finished(process.returncode, out, err.decode(errors="replace").strip())


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
