"""A remote repository: where its branch stands, fetching that, and moving it on.

Nothing here changes a local ref, so a run that is killed here leaves no lock of one behind.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from generator.problems import PenstockError
from generator.report import printable
from generator.versions import git

if TYPE_CHECKING:
    from generator.versions.git import Finished

Landing = Literal["landed", "moved"]

# What a server says of access; "! [remote rejected]" with its own words is shown as it comes.
_LOG_IN = "give git credentials that may push there, or ask who owns it"
_PROPOSE = "where a branch takes no push, publish to one of your own with --branch, and open a pull request"
_PATIENCE = 60.0  # seconds that a remote may take to say where a branch stands
# Nobody is there to answer; and a connection that has died is noticed after three minutes.
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=60"


class PushRefusedError(PenstockError):
    """The remote does not take the commit, and no repetition will help."""

    exit_code = 1


def of(root: str, branch: str) -> str:
    """Return the remote that a branch is pushed to: its own, else `origin`, else the only one."""
    names = os.fsdecode(git.run(root, "remote")).split("\n")[:-1]
    own = os.fsdecode(git.attempt(root, "config", "--get", f"branch.{branch}.remote").out).strip()
    for name in (own, "origin", names[0] if len(names) == 1 else ""):
        if name and name in names:
            return name
    raise PenstockError(
        f"the branch {branch} in {root} has no remote to push to; add one: `git remote add origin <URL>`"
    )


def unasked(root: str) -> dict[str, str]:
    """Return what keeps SSH from asking at a terminal, unless the user has said how it is to be run."""
    own = {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys()
    return {} if own or git.attempt(root, "config", "--get", "core.sshCommand").out else {"GIT_SSH_COMMAND": _SSH}


def tip(root: str, remote: str, ref: str) -> str:
    """Return the commit that the remote has at a full ref name, "" if it has none, and see that it is here, too."""
    asked = ("ls-remote", "--", remote, ref)
    done = git.attempt(root, *asked, extra=unasked(root), patience=_PATIENCE)
    if done.status:
        raise git.failure(root, asked, done)
    rows = done.out.decode(errors="replace").splitlines()
    found = dict(line.split("\t", 1)[::-1] for line in rows if "\t" in line)
    commit = found.get(ref, "")
    if commit and git.attempt(root, "cat-file", "-e", f"{commit}^{{commit}}").status:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-recurse-submodules")
        fetch = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", *options, "--", remote, ref)
        git.run(root, *fetch, extra=unasked(root))
        if git.attempt(root, "cat-file", "-e", f"{commit}^{{commit}}").status:
            return tip(root, remote, ref)  # it moved between the question and the answer
    return commit


def push(root: str, remote: str, commit: str, ref: str, seen: str) -> Landing:
    """Move a ref of the remote on to a commit that was built upon `seen`; tell whether somebody else was faster.

    PushRefusedError with the words of the remote, or of a hook here, for all else.
    """
    command = ("push", "--porcelain", "--no-follow-tags", "--", remote, f"{commit}:{ref}")
    done = git.attempt(root, *command, extra=unasked(root))
    if not done.status:
        return "landed"
    try:
        now = tip(root, remote, ref)
    except git.GitError:
        now = seen  # the remote cannot be asked either: what it said to the push is the better answer
    if now == commit:
        return "landed"  # the answer got lost, the commit did not
    if now != seen:
        return "moved"
    raise PushRefusedError(f"{remote} does not take {git.short(commit)} for {ref}:\n{_said(done)}")


def _said(done: Finished) -> str:
    """Return what hooks and the remote said, line by line."""
    words = [line.rstrip() for line in [*done.err.splitlines(), *done.out.decode(errors="replace").splitlines()]]
    kept = [line for line in words if line and not line.startswith(("To ", "Done", "hint:"))]
    lines = [f"    {printable(line)}" for line in kept]
    if "denied" in done.err or "unable to create temporary" in done.err or "could not read" in done.err.lower():
        lines.append(f"    {_LOG_IN}")
    if "[remote rejected]" in "".join(words):
        lines.append(f"    {_PROPOSE}")
    return "\n".join(lines)
