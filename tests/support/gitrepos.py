"""Git repositories for tests, by the git program itself."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def git(root: Path, *arguments: str, data: bytes = b"", **environment: str) -> str:
    """Run git in a folder; return what it prints, without the line end."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, input=data, env={**os.environ, **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().rstrip("\n")


def start(root: Path) -> str:
    """Make a repository of a folder, and commit all that is in it; return the commit."""
    git(root, "init", "--quiet", "--initial-branch=main")
    return commit(root, "Begin")


def commit(root: Path, message: str = "Change", email: str = "author@example.com", at: str = "") -> str:
    """Commit all that differs, by an author and at a time such as `2030-01-01T12:00:00Z`; return the commit."""
    at = at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    git(root, "add", "--all", "--force")
    git(
        *(root, "commit", "--quiet", "--allow-empty", f"--message={message}"),
        GIT_AUTHOR_EMAIL=email,
        GIT_AUTHOR_DATE=at,
        GIT_COMMITTER_DATE=at,
    )
    return git(root, "rev-parse", "HEAD")
