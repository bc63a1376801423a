"""Git is run in the repository of a folder, whatever a hook or a user's word for a revision says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from generator.versions import git

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit on main and a bare origin that has it."""
    root = tmp_path / "clone"
    root.mkdir()
    git.run(str(root), "init", "--quiet", "--initial-branch=main")
    (root / "file").write_text("one\n")
    git.run(str(root), "add", "file")
    git.run(str(root), "commit", "--quiet", "--message=one")
    git.run(str(tmp_path), "clone", "--quiet", "--bare", "--", str(root), "origin")
    git.run(str(root), "remote", "add", "origin", str(tmp_path / "origin"))
    git.run(str(root), "fetch", "--quiet", "origin")
    return root


def test_a_revision_is_a_commit_by_any_of_its_names(clone: Path) -> None:
    head = git.line(str(clone), "rev-parse", "HEAD")
    assert {git.resolve(str(clone), name) for name in ("HEAD", "main", "origin/main", head[:8], "@")} == {head}
    assert git.short(head) == head[:12]


@pytest.mark.parametrize("revision", ["nowhere", "--help", "-n1", "--all", "HEAD:file", "HEAD..HEAD", "^HEAD", ""])
def test_what_names_no_commit_is_refused(clone: Path, revision: str) -> None:
    with pytest.raises(git.GitError) as caught:
        git.resolve(str(clone), revision)
    assert str(caught.value) == (
        f"there is no commit `{revision}` in {clone}; fetch it first (in CI: `fetch-depth: 0`), or check its spelling"
    )
    assert caught.value.exit_code == 3


def test_a_word_for_a_revision_reaches_no_terminal_as_it_is(clone: Path) -> None:
    with pytest.raises(git.GitError, match=r"no commit `\\x1b\[31m\\n` in"):
        git.resolve(str(clone), "\x1b[31m\n")
    with pytest.raises(git.GitError, match="null byte; mend that"):
        git.resolve(str(clone), "a\0b")


def test_a_hook_that_set_another_repository_changes_nothing(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git.resolve(str(clone), "HEAD")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    assert git.resolve(str(clone), "HEAD") == head
    assert git.run(str(clone), "ls-files", "--", "f*") == b"file\n"


def test_configuration_by_environment_is_the_users_will(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COUNT", "1"), ("KEY_0", "penstock.test"), ("VALUE_0", "yes")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert git.line(str(clone), "config", "penstock.test") == "yes"


def test_a_run_may_be_waited_for_later(clone: Path) -> None:
    first = git.later(str(clone), "cat-file", "--batch-check", data=b"HEAD:file\n")
    second = git.later(str(clone), "grep", "nowhere", answers=(0, 1))
    assert (second(), first().split()[1:]) == (b"", [b"blob", b"4"])
    with pytest.raises(git.GitError, match=r"^git cat-file in .*: fatal: .*; mend that, then run the command again$"):
        git.later(str(clone), "cat-file", "-p", "HEAD:missing")()


def test_input_and_a_variable_reach_git(clone: Path, tmp_path: Path) -> None:
    blob = git.run(str(clone), "hash-object", "-w", "--stdin", data=b"two\n").decode().strip()
    index = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    git.run(str(clone), "update-index", "--add", "--cacheinfo", f"100644,{blob},new", extra=index)
    assert git.run(str(clone), "ls-files", extra=index) == b"new\n"
    assert git.attempt(str(clone), "diff", "--cached", "--quiet").status == 0


def test_blobs_are_read_but_for_large_ones(clone: Path) -> None:
    root = str(clone)
    texts = [b"", b"\n", b"one\n\0two", b"x" * 100]
    names = [git.run(root, "hash-object", "-w", "--stdin", data=text).decode().strip() for text in texts]
    many = [git.run(root, "hash-object", "-w", "--stdin", data=b"%d" % one).decode().strip() for one in range(60)]
    with git.Objects(root) as objects:
        assert objects.blobs([*names, *names], 100) == dict(zip(names, texts, strict=True))
        assert objects.blobs(names, 99) == dict(zip(names[:3], texts[:3], strict=True))
        assert objects.blobs([]) == {}
        assert objects.blobs(many) == {name: b"%d" % one for one, name in enumerate(many)}
    for wrong in (git.resolve(root, "HEAD"), "0" * 40):
        lacks = f"lacks the blob {wrong}; run `git fsck` there, or clone it anew"
        with git.Objects(root) as objects, pytest.raises(git.GitError, match=lacks):
            objects.blobs([*names, wrong], 100)


def test_the_deployed_branch_is_the_remotes_where_there_is_one(clone: Path) -> None:
    root = str(clone)
    assert git.deployed(root) == "HEAD"
    git.run(root, "remote", "set-head", "origin", "main")
    git.run(root, "branch", "local")
    assert git.deployed(root) == "refs/remotes/origin/main"
    assert git.deployed(root, "main") == "refs/remotes/origin/main"
    assert git.deployed(root, "local") == "refs/heads/local"
    with pytest.raises(git.GitError, match=r"there is no branch `--all` in .* nor at its origin; fetch it"):
        git.deployed(root, "--all")


def test_what_git_refuses_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(git.GitError) as caught:
        git.run(str(tmp_path), "log", "-1")
    assert str(caught.value) == (
        f"git log in {tmp_path}: fatal: not a git repository (or any of the parent directories): .git; run `git init` "
        "there, or name another folder with -C"
    )
    with pytest.raises(git.GitError, match="not a git repository"):
        git.resolve(str(tmp_path), "HEAD")
    with pytest.raises(git.GitError, match=r"cannot be run in .*missing: .*No such file or directory"):
        git.run(str(tmp_path / "missing"), "log")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(git.GitError, match="there is no program git on the PATH; install it: `apt-get install git`"):
        git.run(str(tmp_path), "log")


def test_a_shallow_clone_is_told_how_to_deepen(clone: Path, tmp_path: Path) -> None:
    git.run(str(clone), "commit", "--quiet", "--allow-empty", "--message=two")
    git.run(str(tmp_path), "clone", "--quiet", "--depth=1", "--", f"file://{clone}", "shallow")
    with pytest.raises(git.GitError, match="fetch-depth: 0"):
        git.resolve(str(tmp_path / "shallow"), "HEAD~1")
    shutil.rmtree(tmp_path / "shallow")


def test_a_repository_without_commits_is_told_so(tmp_path: Path) -> None:
    git.line(str(tmp_path), "init", "--quiet")
    with pytest.raises(git.GitError) as caught:
        git.resolve(str(tmp_path), "HEAD")
    assert str(caught.value) == f"{tmp_path} has no commit yet; commit what is there first"
