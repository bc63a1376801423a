from __future__ import annotations

import copy
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import chdir
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.problems import WARNING
from generator.runs import tree
from generator.runs.seal import EDITED, FOREIGN, OURS, ownership, seal
from generator.runs.tree import CREATE, DELETE, SAME, UPDATE, BusyError, Change, Staging, WriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from generator.problems import Problem

SOURCE = "environments/prod/experiments/rec.yaml"
MODELS = "environments/prod/manifests/models/rec"
TRAFFIC = "environments/prod/manifests/traffic/rec"
OWNED = (MODELS, TRAFFIC)


def sealed(body: str, *paths: str) -> dict[str, str]:
    return {path: seal(SOURCE, f"{body}: {path}\n") for path in paths}


OLD = sealed("old", f"{MODELS}/a.yaml", f"{MODELS}/b.yaml", f"{TRAFFIC}/c.yaml")
A, B, C = OLD
Findings = tuple[list[Change], list["Problem"]]


def render(manifests: Mapping[str, str], owned: tuple[str, ...] = OWNED, *, force: bool = False) -> Findings:
    """Do what `penstock render` does, except that a problem stops only its own file."""
    with tree.lock("."), Staging.open(".", "environments") as staging:
        tree.recover(".", ["environments"])
        changes, problems = tree.compare(".", owned, manifests, force=force)
        for action, path in changes:
            if action in {CREATE, UPDATE}:
                staging.stage(path, manifests[path])
            elif action == DELETE:
                staging.delete(path)
        staging.commit()
    return changes, problems


def put(files: Mapping[str, str]) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(text.encode())


def disk(folder: str = ".") -> dict[str, str]:
    return {str(path): path.read_bytes().decode() for path in Path(folder).rglob("*") if path.is_file()}


def codes(findings: Findings) -> list[tuple[str, str]]:
    return [(problem.code, problem.place.file) for problem in findings[1]]


def start(work: Callable[[], object]) -> int:
    """Fork: a child may die without harm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, which no child uses
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def finish(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def unprivileged(work: Callable[[], object]) -> None:
    """Run *work* where permissions bind, which they do not for root."""
    for path in (Path(), *Path().rglob("*")):
        os.chown(path, 65534 if os.geteuid() == 0 else -1, -1)

    def child() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        work()

    assert finish(start(child)) == 0


@pytest.fixture(autouse=True)
def _root(tmp_path: Path) -> Iterator[None]:
    with chdir(tmp_path):
        Path("environments").mkdir()
        yield


def test_new_files_are_created() -> None:
    assert render(OLD) == ([Change(CREATE, path) for path in OLD], [])
    assert disk() == OLD


def test_a_changed_file_is_updated_and_the_others_keep_their_mtime() -> None:
    render(OLD)
    before = [Path(path).stat().st_mtime_ns for path in (A, C)]
    new = OLD | sealed("new", B)
    assert render(new) == ([Change(SAME, A), Change(UPDATE, B), Change(SAME, C)], [])
    assert disk() == new
    assert [Path(path).stat().st_mtime_ns for path in (A, C)] == before


def test_a_run_that_changes_nothing_touches_not_even_a_folder() -> None:
    render(OLD)
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert render(OLD) == ([Change(SAME, path) for path in OLD], [])
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_a_file_no_longer_declared_is_deleted_with_the_folders_it_leaves_empty() -> None:
    other = {"environments/prod/environment.yaml": "kind: Environment\n"}
    put(OLD | other)
    assert render({A: OLD[A], B: OLD[B]})[0] == [Change(SAME, A), Change(SAME, B), Change(DELETE, C)]
    assert not Path("environments/prod/manifests/traffic").exists()
    assert render({})[0] == [Change(DELETE, A), Change(DELETE, B)]
    assert disk() == other


@pytest.mark.parametrize(
    ("found", "manifests", "code"),
    [
        ({A: OLD[A] + "# mine\n"}, OLD, "PS601"),
        ({A: "kind: Mine\n"}, OLD, "PS602"),
        ({A: OLD[A] + "# mine\n"}, {B: OLD[B], C: OLD[C]}, "PS603"),
    ],
    ids=["edited", "foreign", "edited orphan"],
)
def test_what_is_not_ours_survives_until_forced(found: dict[str, str], manifests: dict[str, str], code: str) -> None:
    put(found)
    findings = render(manifests)
    assert codes(findings) == [(code, A)]
    assert "--force" in findings[1][0].fix
    assert disk() == manifests | found
    assert render(manifests, force=True)[1] == []
    assert disk() == manifests


def test_an_edit_that_equals_the_new_manifest_is_no_edit() -> None:
    new = sealed("new", *OLD)
    put(new)
    assert render(new) == ([Change(SAME, path) for path in OLD], [])


def test_foreign_things_in_an_owned_folder_are_a_warning_and_never_deleted() -> None:
    foreign = {f"{MODELS}/README.md": "mine\n", f"{MODELS}/sub/a.yaml": OLD[A]}
    put(OLD | foreign)
    Path(f"{MODELS}/link.yaml").symlink_to("a.yaml")
    for force in (False, True):
        findings = render(OLD, force=force)
        assert codes(findings) == [("PS604", f"{MODELS}/{name}") for name in ("README.md", "link.yaml", "sub")]
        assert {problem.severity for problem in findings[1]} == {WARNING}
    assert disk() == OLD | foreign | {f"{MODELS}/link.yaml": OLD[A]}


def test_a_manifest_may_lie_below_a_sub_folder_of_an_owned_one() -> None:
    (path,) = nested = sealed("old", f"{MODELS}/sub/deep/x.yaml")
    assert render(nested) == ([Change(CREATE, path)], [])
    assert render(nested) == ([Change(SAME, path)], [])


@pytest.mark.parametrize("link", ["environments/prod", "environments/prod/manifests", MODELS])
def test_nothing_is_written_through_a_linked_folder(link: str) -> None:
    put({f"outside/{A.removeprefix(f'{link}/')}": OLD[A]})
    Path(link).parent.mkdir(parents=True, exist_ok=True)
    Path(link).symlink_to(Path("outside").absolute())
    before = disk("outside")
    for manifests in ({}, sealed("new", A)):
        assert codes(render(manifests, (MODELS,), force=True)) == [("PS605", link)]
    assert disk("outside") == before


def test_a_linked_folder_that_appears_after_the_comparison_is_not_followed() -> None:
    Path("outside").mkdir()
    with Staging.open(".", "environments") as staging:
        staging.stage(A, OLD[A])
        Path("environments/prod").symlink_to("../outside")
        with pytest.raises(WriteError, match=r"^environments/prod: a file or link stands .* may be new already"):
            staging.commit()
    assert disk() == {}


def test_a_linked_file_is_refused() -> None:
    put({"outside.yaml": OLD[A], B: OLD[B]})
    Path(A).symlink_to(Path("outside.yaml").absolute())
    assert codes(render(sealed("new", A), force=True)) == [("PS605", A)]
    assert Path(A).is_symlink()
    assert Path("outside.yaml").read_text() == OLD[A]


@pytest.mark.parametrize("path", ["environments/../../x.yaml", "../x.yaml", "environments/./x.yaml"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    changes, problems = render({path: "x"}, force=True)
    assert (changes, [problem.code for problem in problems]) == ([], ["PS605"])


def test_a_folder_a_file_or_a_pipe_in_the_wrong_place_is_reported() -> None:
    put({f"{A}/x": "", TRAFFIC: ""})
    os.mkfifo(B)
    assert codes(render(OLD)) == [("PS602", A), ("PS602", B), ("PS602", TRAFFIC)]
    assert codes(render(OLD, force=True)) == [("PS602", A), ("PS602", TRAFFIC)]
    assert disk() == {f"{A}/x": "", B: OLD[B], TRAFFIC: ""}


def test_names_may_hold_spaces_and_any_script() -> None:
    folder = "environments/prüf stand/manifests/模型 1"
    new = sealed("new", f"{folder}/ein wert.yaml", f"{folder}/名.yaml")
    render(new, (folder,))
    assert disk() == new
    render({}, (folder,))
    assert disk() == {}


def test_an_update_keeps_the_mode_and_a_new_file_follows_the_umask() -> None:
    render(OLD)
    Path(A).chmod(0o600)
    new = sealed("new", A, B, f"{MODELS}/d.yaml")
    assert finish(start(lambda: (os.umask(0o027), render(new)))) == 0
    assert [Path(path).stat().st_mode & 0o777 for path in new] == [0o600, 0o644, 0o640]


# What may go wrong while writing

TWO = "environments/prod/manifests/models/two"
GONE = "environments/prod/manifests/models/gone"
NEW = {A: seal(SOURCE, "new\n" * 5000), C: OLD[C]}
NEW |= sealed("new", f"{MODELS}/d.yaml", f"{TRAFFIC}/e.yaml", f"{TWO}/f.yaml", f"{TWO}/g.yaml")
STEPS = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir"}


def die_at(step: int) -> None:
    steps = count(1)

    def hook(event: str, _: object) -> None:
        if event in STEPS and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def assert_each_file_is_old_or_new(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for area in Path("environments").glob(".penstock-staging-*"):  # Git must not see it, as long as it holds a file
        assert disk(str(area)) == {} or (area / ".gitignore").exists()
    visible = {path: text for path, text in disk().items() if ".penstock-staging-" not in path}
    assert visible.keys() <= old.keys() | new.keys()
    for path in old.keys() | new.keys():
        assert visible.get(path) in {old.get(path), new.get(path)}


def test_a_run_killed_at_any_step_leaves_old_or_new_files_and_the_next_one_repairs(tmp_path: Path) -> None:
    old, owned = OLD | sealed("old", f"{GONE}/h.yaml"), (*OWNED, TWO, GONE)

    def work(step: int) -> None:
        die_at(step)
        render(NEW, owned)

    for step in count(1):
        (tmp_path / f"{step}/environments").mkdir(parents=True)
        with chdir(tmp_path / str(step)):
            put(old)
            code = finish(start(partial(work, step)))
            assert_each_file_is_old_or_new(old, NEW)
            assert render(NEW, owned)[1] == []
            assert disk() == NEW
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert step > 60


def test_a_run_killed_at_a_random_moment_leaves_old_or_new_files() -> None:
    versions = [sealed(word, *(f"{folder}/{n}.yaml" for folder in OWNED for n in range(20))) for word in "ab"]
    render(versions[0])
    for turn in range(1, 61):
        child = start(partial(render, versions[turn % 2]))
        time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
        os.kill(child, signal.SIGKILL)
        finish(child)
        assert_each_file_is_old_or_new(*versions)
        render(versions[turn % 2])
        assert disk() == versions[turn % 2]


def test_git_does_not_see_what_a_killed_run_left() -> None:
    Staging.open(".", "environments").stage(A, OLD[A])
    assert len(disk()) == 2
    subprocess.run(["git", "init", "-q"], check=True)
    assert subprocess.run(["git", "status", "-s"], check=True, capture_output=True).stdout == b""


def test_what_a_killed_run_left_in_an_owned_folder_is_not_foreign() -> None:
    render(OLD)
    Staging.open(".", MODELS).stage(A, OLD[A])
    assert tree.compare(".", OWNED, OLD)[1] == []
    Path("environments/link").symlink_to("prod/manifests/models/rec")
    tree.recover(".", ["environments/link", "environments/none"])
    assert disk() != OLD
    tree.recover(".", [MODELS])
    assert disk() == OLD


def test_an_interrupted_run_leaves_nothing() -> None:
    def work() -> None:
        with Staging.open(".", "environments") as staging:
            staging.stage(A, "new")
            staging.delete(B)
            raise KeyboardInterrupt

    render(OLD)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert disk() == OLD


def test_a_terminated_run_leaves_nothing() -> None:
    reader, writer = os.pipe()

    def work() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        with Staging.open(".", "environments") as staging:
            staging.stage(A, "new")
            os.write(writer, b"x")
            time.sleep(60)

    child = start(work)
    os.read(reader, 1)
    os.kill(child, signal.SIGTERM)
    finish(child)
    assert disk() == {}


def test_two_writers_take_turns() -> None:
    versions = [sealed(word, *(f"{folder}/{n}.yaml" for folder in OWNED for n in range(30))) for word in "ab"]

    def work(manifests: Mapping[str, str]) -> None:
        for _ in range(10):
            assert {change.action for change in render(manifests)[0]} in ({CREATE}, {UPDATE}, {SAME})

    children = [start(partial(work, manifests)) for manifests in versions]
    assert [finish(child) for child in children] == [0, 0]
    assert disk() in versions


def test_a_second_writer_waits_and_gives_up_after_its_time() -> None:
    with (
        tree.lock("."),
        pytest.raises(BusyError, match="Another penstock") as busy,
        tree.lock(".", wait=0.05),
    ):
        pass
    assert busy.value.exit_code == 3
    with tree.lock(".", wait=0) as alone:
        assert alone
    assert os.listdir() == ["environments"]  # noqa: PTH208 - with what begins with a dot


def test_a_lock_says_when_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError(errno.EBADF, "as NFS says of a folder")))
    with tree.lock(".") as alone:
        assert not alone
    monkeypatch.setattr(tree, "fcntl", None)
    with tree.lock(".") as alone:
        assert not alone


def test_workers_fill_what_their_parent_commits(tmp_path: Path) -> None:
    render(OLD)
    staging = Staging.open(str(tmp_path), "environments")
    jobs = [partial(staging.stage, A, NEW[A]), partial(staging.delete, B)]
    assert [finish(start(job)) for job in jobs] == [0, 0]
    assert disk().items() >= OLD.items()
    staging.commit()
    assert disk() == {A: NEW[A], C: OLD[C]}


def test_a_full_disk_shows_before_anything_changed() -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))  # what fills a disk without privileges
        with pytest.raises(WriteError, match=f"^{A}: the file is larger than .* No file was changed"):
            render({B: OLD[B] + "x"} | NEW)

    render(OLD)
    assert finish(start(work)) == 0
    assert disk() == OLD


@pytest.mark.parametrize(
    ("call", "number", "sentence"),
    [
        ("write", errno.ENOSPC, "the disk is full. Free some space, then"),
        ("write", errno.EDQUOT, "the disk quota is used up. Free some space"),
        ("write", errno.EBUSY, "Device or resource busy. Mend that"),
        ("read", errno.EIO, "the disk reports an input/output error. Check the disk"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int, sentence: str
) -> None:
    render(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, Mock(side_effect=OSError(number, os.strerror(number))))
        with pytest.raises(WriteError, match=r"No file was changed\.$") as refusal:
            render(NEW)
    assert str(copy.copy(refusal.value)).startswith(f"{A}: {sentence}")  # a copy, as it comes from a worker
    assert refusal.value.exit_code == 3
    assert disk() == OLD


def test_a_target_on_another_file_system_shows_before_anything_changed(tmp_path: Path) -> None:
    with Staging("/dev", str(tmp_path / "area")) as staging:
        staging.stage("penstock/x", "x")
        with pytest.raises(WriteError, match=r"another file system\. .* No file was changed"):
            staging.commit()


@pytest.mark.parametrize(
    ("closed", "manifests", "named"),
    [("environments", NEW, A), (TRAFFIC, NEW, TRAFFIC), (TRAFFIC, {A: NEW[A]}, TRAFFIC)],
    ids=["staging", "writing", "deleting"],
)
def test_a_read_only_folder_shows_before_anything_changed(closed: str, manifests: dict[str, str], named: str) -> None:
    def work() -> None:
        with pytest.raises(WriteError, match=f"^{named}: permission denied. .* No file was changed"):
            render(manifests)

    render(OLD)
    Path(closed).chmod(0o555)
    unprivileged(work)
    assert disk() == OLD


def test_a_read_only_checkout_will_do_when_nothing_changed() -> None:
    render(OLD)
    for folder in (Path(), *filter(Path.is_dir, Path().rglob("*"))):
        folder.chmod(0o555)
    unprivileged(lambda: render(OLD))


def test_an_unreadable_file_and_a_name_too_long_are_told_in_a_sentence() -> None:
    def work() -> None:
        with pytest.raises(WriteError, match=rf"^{A}: permission denied\. Give this user"):
            render(OLD)

    render(OLD)
    Path(A).chmod(0)
    unprivileged(work)
    with pytest.raises(WriteError, match="x: the name is too long for this file system"):
        render({f"{MODELS}/{'x' * 300}": "x"}, ())


# The seal


def test_a_seal_names_the_source_and_the_command() -> None:
    digest = sha256(f"{SOURCE}\nkind: X\n".encode()).hexdigest()
    assert seal(SOURCE, "kind: X\n") == (
        f"# Rendered by Penstock from {SOURCE}. Edit that file and run: penstock render\n"
        f"# penstock sha256:{digest}\nkind: X\n"
    )


@given(st.text(), st.text())
def test_a_sealed_text_is_ours_whatever_it_holds(source: str, body: str) -> None:
    text = seal(source, body)
    assert ownership(text.encode()) == OURS
    assert text.splitlines()[2:] == body.splitlines()


@given(st.integers(0, len(OLD[A]) - 1), st.integers(1, 255))
def test_a_sealed_text_with_any_byte_changed_is_not_ours(at: int, flip: int) -> None:
    text = bytearray(OLD[A].encode())
    text[at] ^= flip
    assert ownership(bytes(text)) == EDITED


@pytest.mark.parametrize(
    ("text", "owner", "message"),
    [
        (OLD[A].replace("\n", "\r\n"), EDITED, "had its line ends converted to CRLF"),
        (
            f"<<<<<<< HEAD\n{OLD[A]}=======\n{OLD[B]}>>>>>>> x\n",
            EDITED,
            "holds the conflict markers of a merge",
        ),
        (f"\ufeff{OLD[A]}", EDITED, "was edited by hand since it was rendered"),
        (OLD[A].partition("\n")[2], EDITED, "was edited by hand since it was rendered"),
        (OLD[A].split("\n", 2)[2], FOREIGN, "is not from Penstock, but stands where a manifest belongs"),
        ("", FOREIGN, "is not from Penstock, but stands where a manifest belongs"),
    ],
    ids=["CRLF", "conflict", "byte order mark", "half a header", "no header", "empty"],
)
def test_what_happened_to_a_file_is_told(text: str, owner: str, message: str) -> None:
    put({A: text})
    assert ownership(text.encode()) == owner
    assert [problem.message for problem in render(OLD)[1]] == [message]


# The law

STATES = st.sampled_from(["absent", "ours", "edited", "foreign", "same"])
TEXTS = {"ours": OLD[A], "edited": OLD[A] + "x", "foreign": "x", "same": NEW[A]}


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(STATES, st.booleans())), st.booleans())
def test_afterwards_the_disk_holds_the_manifests_and_what_is_not_ours(
    plan: dict[str, tuple[str, bool]], force: bool
) -> None:
    paths = {f"{folder}/{name}": drawn for folder in OWNED for name, drawn in plan.items()}
    new = {path: NEW[A] for path, (_, declared) in paths.items() if declared}
    kept = set() if force else {"edited", "foreign"}
    expected = {path: TEXTS[state] for path, (state, _) in paths.items() if state in kept | {"foreign"}}
    expected |= {path: text for path, text in new.items() if paths[path][0] not in kept}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        put({path: TEXTS[state] for path, (state, _) in paths.items() if state != "absent"})
        findings = render(new, force=force)
        assert disk() == expected
        again = render(new, force=force)
    assert codes(again) == codes(findings)
    assert {change.action for change in again[0]} <= {SAME}
