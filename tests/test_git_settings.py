"""However a user's git is set up, and whatever a repository is made of, every command comes to the same."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from gitrepos import commit, git
from repositories import ENVIRONMENT, EXPERIMENT, Repository, production, recommendation

from generator.repository import environment_file, evidence_folder, experiment_file

pytestmark = pytest.mark.needs("git")

GIT = subprocess.check_output(["git", "version"], text=True) if shutil.which("git") else ""
ATTRIBUTES = Path(__file__).parents[1] / "templates/scaffold/gitattributes.j2"
START = 1_900_000_000
PLACE = "deploy"
OTHER = "search"
STRANGE = "Übersicht “1”.txt"

# Settings of a user, each alone: what would change the outcome if it were believed.
SETTINGS = {
    "clone.defaultRemoteName": "upstream",
    "core.abbrev": "4",
    "core.autocrlf": "true",
    "core.commentChar": "p",
    "core.eol": "crlf",
    "core.fsmonitor": "true",
    "core.ignoreCase": "true",
    "core.quotePath": "false",
    "core.safecrlf": "true",
    "core.splitIndex": "true",
    "core.untrackedCache": "true",
    "color.ui": "always",
    "commit.cleanup": "scissors",
    "commit.verbose": "true",
    "diff.external": "false",
    "diff.ignoreSubmodules": "all",
    "diff.mnemonicPrefix": "true",
    "diff.noprefix": "true",
    "diff.orderFile": "/dev/null",
    "diff.relative": "true",
    "diff.renames": "copies",
    "fetch.prune": "true",
    "format.pretty": "fuller",
    "grep.column": "true",
    "grep.fullName": "true",
    "grep.lineNumber": "true",
    "grep.patternType": "perl",
    "i18n.commitEncoding": "ISO-8859-1",
    "i18n.logOutputEncoding": "ISO-8859-1",
    "index.version": "4",
    "log.abbrevCommit": "true",
    "log.date": "relative",
    "log.decorate": "full",
    "log.diffMerges": "off",
    "log.follow": "true",
    "log.mailmap": "true",
    "log.showRoot": "false",
    "log.showSignature": "true",
    "merge.renames": "false",
    "push.default": "nothing",
    "push.followTags": "true",
    "push.gpgSign": "if-asked",
    "push.recurseSubmodules": "check",
    "remote.pushDefault": "elsewhere",
    "status.branch": "true",
    "status.relativePaths": "false",
    "status.renames": "copies",
    "status.short": "true",
    "status.showStash": "true",
    "status.showUntrackedFiles": "no",
    "status.submoduleSummary": "true",
    "submodule.recurse": "true",
    "tag.gpgSign": "true",
    "trailer.separators": "=",
    "user.useConfigOnly": "true",
}
# How a clone may be made, and what is done to it.
CLONES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "without-blobs": (("--filter=blob:none",), ()),
    "without-trees": (("--filter=tree:0",), ()),
    "sparse": ((), (("sparse-checkout", "set", PLACE),)),
    "sparse-index": ((), (("sparse-checkout", "set", "--sparse-index", PLACE),)),
    "line-ends": (("-c", "core.autocrlf=true"), ()),
    "split-index": ((), (("update-index", "--split-index"),)),
    "index-4": ((), (("update-index", "--index-version", "4"),)),
    "packed": ((), (("gc", "--quiet"), ("pack-refs", "--all"), ("commit-graph", "write", "--reachable"))),
    "linked": ((), (("config", "extensions.worktreeConfig", "true"), ("config", "--worktree", "core.bare", "false"))),
}


if tuple(map(int, re.findall(r"\d+", GIT)[:2])) >= (2, 45):
    CLONES["reftable"] = (("--ref-format=reftable",), ())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, f"{START} +0000")
    monkeypatch.setattr("time.time", lambda: START + 7200.0)


def remote(folder: Path, form: str = "sha1") -> Path:
    """Make a bare remote, deep in which two experiments share a model; the first step of one came by a merge."""
    top = folder / "first"
    first = production(top / PLACE)
    with first.environment() as document:
        document["spec"]["policy"] |= {"overrides": True, "authors": {"metrics": ["*@example.com"]}}
    with first.experiment() as document:
        document["spec"] |= {"traffic": {"v1": 100, "v2": 0}, "rollout": {"steps": [20, 50], "soak": "1h"}}
    other = recommendation().experiment
    other["metadata"]["name"] = OTHER
    first.write(experiment_file(ENVIRONMENT, OTHER), other)
    (top / STRANGE).write_text("a\nb\n")
    (top / "main.py").write_text("")
    (top / ".gitattributes").write_text("* text=auto eol=crlf\n")
    shutil.copy(ATTRIBUTES, top / PLACE / ".gitattributes")
    assert first.invoke("render").exit_code == 0
    git(top, "init", "--quiet", "--initial-branch=main", f"--object-format={form}")
    commit(top, "Begin", at="2030-03-17T17:46:40Z")
    git(top, "switch", "--quiet", "--create", "step")
    with first.experiment() as document:
        document["spec"]["traffic"] = {"v1": 80, "v2": 20}
    assert first.invoke("render").exit_code == 0
    commit(top, "Für v2", at="2030-03-17T17:46:40Z")
    git(top, "switch", "--quiet", "main")
    git(top, "merge", "--quiet", "--no-ff", "--no-edit", "step")
    for name in ("remote.git", "other.git"):
        git(folder, "clone", "--quiet", "--bare", "--branch=main", "first", name)
        git(folder / name, "config", "uploadpack.allowFilter", "true")
        git(folder / name, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder / "remote.git"


def clone(bare: Path, *options: str) -> Path:
    git(bare.parent, "clone", "--quiet", *options, f"file://{bare}", "mine")
    return bare.parent / "mine"


def outcome(top: Path, patch: pytest.MonkeyPatch, **settings: str) -> dict[str, object]:
    """Move an experiment on and back by every command that asks git, and return all that comes of it."""
    mine, bare, user = Repository(top / PLACE), top.parent / "remote.git", top.parent / "gitconfig"
    for name, value in settings.items():
        git(top, "config", "--file", str(user), name, value)
    said: dict[str, object] = {}

    def run(name: str, *arguments: str) -> None:
        with patch.context() as patched:
            patched.setenv("GIT_CONFIG_GLOBAL", str(user))
            done = mine.invoke(*arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), (name, done.exception)
        text = re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{12})\b", "<commit>", done.output)
        said[name] = (done.exit_code, text.replace(str(top.parent), "<folder>"))

    with mine.environment() as document:
        document["spec"]["policy"]["largestStep"] = 90
    run("status of what is not committed", "status", "-o", "json")
    git(mine.root, "checkout", "--quiet", environment_file(ENVIRONMENT))
    with mine.experiment() as document:
        document["spec"] |= {"traffic": {"v1": 50, "v2": 50}, "hypothesis": "größer"}
    run("diff", "diff", "-o", "json")
    run("review", "review")
    on = (EXPERIMENT, "-e", ENVIRONMENT)
    run("dry run", "publish", *on, "--dry-run")
    run("publish", "publish", *on, "--push", "-m", "Für v2")
    run("again", "publish", *on, "--push")
    run("diff of commits", "diff", "--base", "HEAD~1", "--head", "HEAD", "-o", "yaml")
    run("review of commits", "review", "--base", "HEAD~1", "--head", "HEAD", "-o", "markdown")
    run("status", "status", "-o", "json")
    run("rollback", "rollback", *on, "--push")
    run("promote", "promote", *on, "--push", "--override", "the fair is tömorrow")
    run("review of an override", "review", "--base", "HEAD~1", "--head", "HEAD", "-o", "markdown")
    run("publish elsewhere", "publish", *on, "--repo", f"file://{top.parent}/other.git", "--path", PLACE)
    run("publish nothing", "publish", *on)
    logs = [git(top.parent / one, "log", "-5", "--format=%an <%ae>%n%B", "main") for one in ("remote.git", "other.git")]
    said["files"] = {
        path: hashlib.sha256(git(bare, "show", f"main:{path}").encode()).hexdigest()
        for path in git(bare, "ls-tree", "-r", "-z", "--name-only", "main").split("\0")[:-1]
    }
    said["sealed"] = mine.invoke("render", "--check").exit_code
    said["left"] = git(top, "status", "--porcelain", "-z", "--untracked-files=all", GIT_CONFIG_GLOBAL=str(user))
    said["heads"] = git(top, "rev-parse", "HEAD") == git(bare, "rev-parse", "main")
    said["messages"] = re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{40})\b", "<commit>", "\n".join(logs))
    return said


_plain: dict[str, object] = {}


@pytest.fixture
def plain(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    clock: None,  # noqa: ARG001 (dates)
) -> dict[str, object]:
    """What comes of it with git as it is; found out by the first test that asks."""
    if not _plain:
        _plain.update(outcome(clone(remote(tmp_path_factory.mktemp("plain"))), monkeypatch))
        codes = [said[0] for said in _plain.values() if isinstance(said, tuple)]
        assert codes == [0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        assert (_plain["left"], _plain["sealed"], _plain["heads"]) == ("", 0, True)
    return _plain


def same(found: dict[str, object], plain: dict[str, object]) -> None:
    for name, said in plain.items():
        assert found[name] == said, name


def test_no_setting_changes_what_comes_of_it(
    tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    same(outcome(clone(remote(tmp_path)), monkeypatch, **SETTINGS), plain)


@pytest.mark.needs("PENSTOCK_TEST_LONG")
@pytest.mark.parametrize("name", SETTINGS)
def test_nor_does_any_alone(
    name: str, tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    same(outcome(clone(remote(tmp_path)), monkeypatch, **{name: SETTINGS[name]}), plain)


@pytest.mark.parametrize("name", CLONES)
def test_no_kind_of_clone_does(
    name: str, tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, commands = CLONES[name]
    top = clone(remote(tmp_path), *options)
    for command in commands:
        git(top, *command)
    same(outcome(top, monkeypatch), plain)


def test_objects_named_by_sha_256_do_not(
    tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    same(outcome(clone(remote(tmp_path, "sha256")), monkeypatch), plain)


@pytest.mark.needs("ssh-keygen")
def test_signatures_that_are_shown_do_not(
    tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, signers = tmp_path / "key", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers.write_text(f"author@example.com {(tmp_path / 'key.pub').read_text()}")
    signing = {"commit.gpgSign": "true", "gpg.format": "ssh", "user.signingKey": f"{key}.pub"}
    signing |= {"gpg.ssh.allowedSignersFile": str(signers), "log.showSignature": "true"}
    top = clone(remote(tmp_path))
    same(outcome(top, monkeypatch, **signing), plain)
    assert (
        git(top, "log", "-3", "--no-show-signature", "--format=%G?", GIT_CONFIG_GLOBAL=str(tmp_path / "gitconfig"))
        == "G\nG\nG"
    )


def test_what_filters_make_of_files_is_committed_as_git_would(tmp_path: Path, clock: None) -> None:  # noqa: ARG001
    top, store = clone(remote(tmp_path)), tmp_path / "store"
    store.mkdir()
    clean = f"cat >{store}/new; name=$(git hash-object {store}/new); mv {store}/new {store}/$name; echo kept $name"
    for name, value in (
        ("filter.kept.clean", clean),
        ("filter.kept.smudge", f"read _ name; cat {store}/$name"),
        ("filter.kept.required", "true"),
        ("filter.bare.clean", "sed 's/ *$//'"),
    ):
        git(top, "config", name, value)
    (top / ".gitattributes").write_text("*.jsonl filter=kept\n**/experiments/*.yaml filter=bare\n")
    git(top, "add", "--renormalize", ".")
    git(top, "commit", "--quiet", "--all", "--message=Filter")
    mine = Repository(top / PLACE)
    file = experiment_file(ENVIRONMENT, EXPERIMENT)
    ledger = f"{evidence_folder(ENVIRONMENT, EXPERIMENT)}/attempt-1.jsonl"
    (mine.root / ledger).parent.mkdir(parents=True)
    (mine.root / ledger).write_text("{}\n")
    (mine.root / file).write_text((mine.root / file).read_text().replace("\n", "  \n"))
    wanted = [git(mine.root, "hash-object", f"--path={PLACE}/{one}", one) for one in (file, ledger)]
    done = mine.invoke("publish", EXPERIMENT, "-e", ENVIRONMENT)
    assert done.exit_code == 0
    assert [git(mine.root, "rev-parse", f"HEAD:./{one}") for one in (file, ledger)] == wanted
    assert git(mine.root, "show", f"HEAD:./{ledger}").startswith("kept ")
    assert (mine.root / ledger).read_text() == "{}\n"
    assert git(top, "status", "--porcelain") == ""
    assert mine.invoke("publish", EXPERIMENT, "-e", ENVIRONMENT).stdout == "nothing to publish: main has it all\n"
