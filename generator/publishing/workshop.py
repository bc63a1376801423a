"""A tree of our own to render and commit in, so that nobody's work tree, index or HEAD is touched before all is well.

For the same repository it is a detached work tree, where the user's configuration, identity, signing and hooks hold;
for another one, a clone. It lies in the system's folder for temporary files, since tools that hooks run pass by what is
below `.git`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from generator.problems import PenstockError
from generator.publishing import checkout, remote
from generator.report import printable
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.publishing.checkout import Checkout

# Files as the repository has them: what is rendered is sealed with line feeds, and no daemon is to watch this folder.
_AS_STORED = ("core.autocrlf=false", "core.eol=lf", "core.sparseCheckout=false", "core.fsmonitor=false")
# What is added follows the user's rules for line ends, but warns of none; no clean-up starts behind our back.
_AS_CONFIGURED = ("core.safecrlf=false", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false")
_WHO = "tell git who you are: `git config user.name NAME` and `git config user.email ADDRESS`"
_UNSIGNED = "signing is configured (commit.gpgsign), but fails: mend the key that git names"
_NOBODY = ("empty ident name", "tell me who you are", "auto-detect email")


class CommitError(PenstockError):
    """Git, a hook or the signing program does not make the commit; shows what they said."""

    exit_code = 1


class Workshop(NamedTuple):
    """`settings` are options of git that make hooks and identity those of the user's own repository."""

    top: str
    settings: tuple[str, ...]

    def stand_on(self, tip: str) -> None:
        """Make it a clean tree of a commit; an empty one for ""."""
        quick = {"GIT_LFS_SKIP_SMUDGE": "1"}
        if tip:
            git.run(self.top, *_options(_AS_STORED), "read-tree", "--reset", "-u", tip, extra=quick)
            git.run(self.top, "update-ref", "--no-deref", "HEAD", tip)
        else:
            git.run(self.top, "symbolic-ref", "HEAD", "refs/heads/penstock")

    def stage(self, paths: Sequence[str], tip: str) -> tuple[str, ...]:
        """Take paths from the top into the index as they are on disk; return those that differ from `tip`, sorted."""
        data = os.fsencode("".join(f"{path}\0" for path in paths))
        command = ("update-index", "--add", "--remove", "-z", "--stdin")
        git.run(self.top, *_options(_AS_CONFIGURED), *command, data=data)
        against = tip or git.run(self.top, "hash-object", "-t", "tree", "--stdin").decode().strip()
        differing = ("diff-index", "--cached", "--name-only", "--no-renames", "-z", against, "--")
        return tuple(sorted(os.fsdecode(git.run(self.top, *differing)).split("\0")[:-1]))

    def rehearse(self, message: str, tip: str) -> str:
        """Return a commit of what is staged that no branch will have: no hook runs, and git forgets it in time."""
        nobody = {"GIT_AUTHOR_NAME": "penstock", "GIT_AUTHOR_EMAIL": "penstock@invalid"}
        nobody |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in nobody.items()}
        tree = git.line(self.top, "write-tree")
        command = ("commit-tree", "--no-gpg-sign", "-p", tip, "-F", "-", tree)
        return git.run(self.top, *command, data=message.encode(), extra=nobody).decode().strip()

    def commit(self, message: str, ref: str, tip: str) -> str:
        """Commit what is staged upon `tip`, with the user's hooks, identity and signing; CommitError if they refuse.

        They see a HEAD that stands on the branch `ref`, as in `git commit`, for they may ask which one it is, and so
        may conditions of the configuration. But the branch is not moved yet.
        """
        wanted = git.line(self.top, "write-tree")
        git.run(self.top, "symbolic-ref", "HEAD", ref)
        file = git.line(self.top, "rev-parse", "--path-format=absolute", "--git-path", "COMMIT_EDITMSG")
        with open(file, "w", encoding="utf-8") as text:
            text.write(message)
        for hook in (("pre-commit",), ("prepare-commit-msg", file, "message"), ("commit-msg", file)):
            _heard(self._hook(*hook), "mend that, or ask who wrote the hook")
        tree = git.line(self.top, "write-tree")
        if tree != wanted:
            changed = git.line(self.top, "diff", "--name-only", "--no-renames", wanted, tree, "--").split("\n")
            raise CommitError(
                f"a hook changed what was to be committed ({printable(', '.join(changed))}), so it is no longer what "
                "was rendered; nothing was published: let that hook leave `environments` alone"
            )
        with open(file, "rb") as written:
            data = git.run(self.top, "stripspace", data=written.read())
        if not data:
            raise CommitError("a hook left no message to commit with, and nothing was changed; ask who wrote the hook")
        options = ("-c", "i18n.commitEncoding=UTF-8", *self.settings)
        signed = git.attempt(self.top, "config", "--type=bool", "--get", "commit.gpgsign").out == b"true\n"
        upon = (*(("-S",) if signed else ()), *(("-p", tip) if tip else ()))
        done = git.attempt(self.top, *options, "commit-tree", *upon, "-F", "-", wanted, data=data)
        nobody = any(sign in done.err for sign in _NOBODY)
        _heard(done, _WHO if nobody else _UNSIGNED if signed else "mend that")
        commit = done.out.decode().strip()
        git.run(self.top, "update-ref", "--no-deref", "HEAD", commit)
        self._hook("post-commit")
        return commit

    def _hook(self, name: str, *arguments: str) -> git.Finished:
        # As git-commit(1) has it, with nobody there to edit.
        index = git.line(self.top, "rev-parse", "--path-format=absolute", "--git-path", "index")
        extra = {"GIT_INDEX_FILE": index, "GIT_EDITOR": ":"}
        return git.hook(self.top, (*_options(_AS_CONFIGURED), *self.settings), name, *arguments, extra=extra)


def _heard(done: git.Finished, remedy: str) -> None:
    if done.status:
        said = [line.rstrip() for line in [*done.err.splitlines(), *done.out.decode(errors="replace").splitlines()]]
        lines = "\n".join(f"    {printable(line)}" for line in said if line)
        raise CommitError(f"the commit was refused, and nothing was changed; {remedy}:\n{lines}")


@contextmanager
def beside(place: Checkout, own: str) -> Iterator[Workshop]:
    """Make a work tree of the same repository for the duration."""
    with _folder(own) as folder:
        administration = f"{place.common}/worktrees/{os.path.basename(folder)}"
        checkout.note(own, administration)
        try:
            if os.path.isdir(f"{place.common}/reftable"):  # where a HEAD is more than a file
                git.run(place.top, "worktree", "add", "--quiet", "--detach", "--no-checkout", folder, place.head)
                _configure(f"{administration}/config.worktree", place)
            else:
                _administer(administration, folder, own, place)
            yield Workshop(folder, _hooks(place.top))
        finally:
            shutil.rmtree(administration, ignore_errors=True)


@contextmanager
def cloned(place: Checkout, own: str, address: str) -> Iterator[Workshop]:
    """Clone another repository for the duration; identity and signing are those configured in the user's own."""
    with _folder(own) as folder:
        options = ("--quiet", "--no-checkout", "--depth=1", "--no-tags", "--origin=origin")
        git.run(place.top, "clone", *options, "--", address, folder, extra=remote.unasked(place.top))
        yield Workshop(folder, _identity(place.top))


@contextmanager
def _folder(own: str) -> Iterator[str]:
    folder = f"{os.path.realpath(tempfile.gettempdir())}/penstock-{secrets.token_hex(8)}"
    checkout.note(own, folder)
    os.mkdir(folder, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _administer(administration: str, folder: str, own: str, place: Checkout) -> None:
    """Make what `git worktree add --detach --no-checkout` makes (gitrepository-layout(5), "worktrees"), but at once.

    Git itself begins with a HEAD that names no commit; killed then, it leaves what `git fsck` calls an error.
    """
    draft = f"{own}/worktree"
    os.mkdir(draft)
    for name, text in (("gitdir", f"{folder}/.git"), ("commondir", "../.."), ("HEAD", place.head)):
        with open(f"{draft}/{name}", "wb") as file:
            file.write(os.fsencode(f"{text}\n"))
    _configure(f"{draft}/config.worktree", place)
    with open(f"{folder}/.git", "wb") as file:
        file.write(os.fsencode(f"gitdir: {administration}\n"))
    os.makedirs(os.path.dirname(administration), exist_ok=True)
    os.rename(draft, administration)


def _configure(file: str, place: Checkout) -> None:
    """Take over what is configured for the user's work tree only (git-worktree(1)), less its place and shape."""
    with suppress(FileNotFoundError):
        shutil.copyfile(f"{place.folder}/config.worktree", file)
        for key in ("core.bare", "core.worktree", "core.sparseCheckout", "core.sparseCheckoutCone", "index.sparse"):
            git.attempt(place.top, "config", "--file", file, "--unset-all", key)


def _hooks(top: str) -> tuple[str, ...]:
    """Return where hooks are if that is said relative to the user's work tree: what they need lies there, too.

    In no other case, for git hands its options down to every git that a hook runs, in whatever repository.
    """
    path = os.fsdecode(git.attempt(top, "config", "--type=path", "--get", "core.hooksPath").out).rstrip("\n")
    return () if not path or os.path.isabs(path) else ("-c", f"core.hooksPath={top}/{path}")


def _identity(top: str) -> tuple[str, ...]:
    """Return who commits and how that is signed, which may stand in the user's repository only."""
    done = git.attempt(top, "config", "-z", "--get-regexp", r"^(user|author|committer|gpg)\.|^commit\.gpgsign$")
    pairs = (pair.partition("\n") for pair in os.fsdecode(done.out).split("\0")[:-1])
    return _options(f"{key}={value}" if separator else key for key, separator, value in pairs)


def _options(settings: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("-c", setting))
