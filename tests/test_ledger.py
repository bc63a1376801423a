"""The evidence in Git: the same bytes for the same looks, and no ledger that contradicts itself or Git."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.analysis.counts import Stage, Window
from generator.evidence import ledger
from generator.evidence.ledger import Ledger, LedgerError, Look
from generator.problems import PenstockError

if TYPE_CHECKING:
    from pathlib import Path

FILE = ledger.file_of("production", "shop", 1)
STAGES = (Stage(0, 100, 900, {"v1": 80, "v2": 20}), Stage(1, 900, None, {"v1": 50, "v2": 50}))
METRICS = {"clicks": "ratio:0123", "time": "mean:4567"}


def window(start: int, end: int, stage: int = 0, x: float = 3, n: int = 20) -> Window:
    events = {"clicks": {"v1": (8, 80), "v2": (x, n)}, "time": {"v1": (8.25, 80), "v2": (90.5, 20)}}
    return Window(stage, start, end, {"v1": 80, "v2": n}, events)


LOOK = Look(
    until=700,
    stages=STAGES[:1],
    windows=(window(200, 300), window(300, 400)),
    metrics=METRICS,
    due=3,
    uncovered={"v2": 1},
    resets={"v1": 1},
    gateway=(0, 0),
    carried={("clicks", "v2", ""): 2.0},
    warnings=("odd",),
)


def written(root: Path, *looks: Look) -> None:
    (root / FILE).unlink(missing_ok=True)
    known = Ledger(FILE, (), "", FILE)
    for look in looks:
        ledger.append(str(root), known, look)
        digest = json.loads((root / FILE).read_text(encoding="utf-8").splitlines()[-1])["digest"]
        known = known._replace(digest=digest)


def read(root: Path, stages: tuple[Stage, ...] = STAGES, metrics: dict[str, str] | None = None) -> Ledger:
    return ledger.read(str(root), FILE, stages, METRICS if metrics is None else metrics)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    second = LOOK._replace(
        until=1500, stages=STAGES[1:], windows=(window(1000, 1100, 1)._replace(buckets={"clicks": {"v1": ((1, 2),)}}),)
    )
    written(tmp_path, LOOK, second)
    found = read(tmp_path)
    assert found.looks == (LOOK, second)
    assert found.windows == (*LOOK.windows, *second.windows)
    assert (tmp_path / FILE).read_text(encoding="utf-8").count("\n") == 2


def test_there_may_be_none_yet(tmp_path: Path) -> None:
    assert read(tmp_path) == Ledger(FILE, (), "", FILE)


def test_what_a_former_name_has_goes_on_under_the_new_one(tmp_path: Path) -> None:
    second = LOOK._replace(until=1500, stages=STAGES[1:], windows=(window(1000, 1100, 1),))
    written(tmp_path, LOOK)
    before = (tmp_path / FILE).read_bytes()
    renamed, former = ledger.file_of("production", "store", 2), ledger.file_of("production", "nobody", 1)
    for _ in range(2):
        found = ledger.read(str(tmp_path), renamed, STAGES, METRICS, (former, FILE))
        assert (found.looks, found.source) == ((LOOK,), FILE)
    ledger.append(str(tmp_path), found, second)
    found = ledger.read(str(tmp_path), renamed, STAGES, METRICS, (former, FILE))
    assert (found.looks, found.source) == ((LOOK, second), renamed)
    assert (tmp_path / FILE).read_bytes() == before
    (tmp_path / FILE).write_bytes(before[:-4])
    (tmp_path / renamed).unlink()
    with pytest.raises(LedgerError, match=f"{FILE}:1: this line of evidence is not what was written"):
        ledger.read(str(tmp_path), renamed, STAGES, METRICS, (FILE,))


@given(st.permutations(["v1", "v2"]))
def test_the_same_look_gives_the_same_bytes(order: list[str]) -> None:
    counts = {"v1": 80, "v2": 20}
    same = LOOK._replace(
        windows=tuple(one._replace(requests={name: counts[name] for name in order}) for one in LOOK.windows)
    )
    assert ledger.line(Ledger(FILE, (), "", FILE), same) == ledger.line(Ledger(FILE, (), "", FILE), LOOK)


WRONG = {
    "an overlap": (window(350, 450), "the window from 350 overlaps another one"),
    "no length": (window(400, 400), "the window from 400 overlaps another one"),
    "before its stage": (window(50, 90), "the window from 50 is outside its stage"),
    "after its stage": (window(850, 950), "the window from 850 is outside its stage"),
    "an unknown stage": (window(450, 500, stage=7), "the window from 450 is outside its stage"),
    "too many events": (window(450, 500, x=21), "the window from 450 has more events of clicks than chances"),
    "half an event": (window(450, 500, x=0.5), "the window from 450 has more events of clicks than chances"),
    "an unknown metric": (
        window(450, 500)._replace(events={"sales": {"v1": (1, 2)}}),
        "the window from 450 counts what is not declared",
    ),
    "an unknown variant": (
        window(450, 500)._replace(requests={"v9": 1}),
        "the window from 450 counts for what is no variant",
    ),
    "a negative count": (window(450, 500)._replace(requests={"v1": -1}), "it is not in the form of evidence"),
    "no whole count": (window(450, 500)._replace(requests={"v1": True}), "it is not in the form of evidence"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_ledger_that_contradicts_itself_is_refused_though_its_digest_is_right(case: str, tmp_path: Path) -> None:
    wrong, message = WRONG[case]
    written(tmp_path, LOOK, LOOK._replace(windows=(wrong,)))
    with pytest.raises(LedgerError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{FILE}:2: the evidence is inconsistent: {message}; restore the file from Git"


def test_git_and_the_ledger_must_agree_on_stages(tmp_path: Path) -> None:
    written(tmp_path, LOOK)
    for other in (STAGES[0]._replace(start=101), STAGES[0]._replace(traffic={"v1": 50, "v2": 50})):
        with pytest.raises(LedgerError, match=r":1: .* stage 0 is not the one that Git's history knows"):
            read(tmp_path, (other, STAGES[1]))


def test_a_metric_must_not_change_on_the_way(tmp_path: Path) -> None:
    written(tmp_path, LOOK)
    with pytest.raises(LedgerError, match=r":1: metric `clicks` is not what was counted here"):
        read(tmp_path, metrics=METRICS | {"clicks": "ratio:9999"})
    assert read(tmp_path, metrics={"time": "mean:4567", "sales": "ratio:1"}).looks == (LOOK,)


@pytest.mark.parametrize("where", ["file", "folder", "pipe"])
def test_no_link_is_followed_and_no_pipe_waited_for(where: str, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    folder = (root / FILE).parent
    folder.parent.mkdir(parents=True)
    if where == "folder":
        folder.symlink_to(outside)
    else:
        folder.mkdir()
        if where == "file":
            (root / FILE).symlink_to(outside / "stolen")
        else:
            os.mkfifo(root / FILE)
    for act in (lambda: ledger.append(str(root), Ledger(FILE, (), "", FILE), LOOK), lambda: read(root)):
        with pytest.raises(PenstockError) as caught:
            act()
        assert str(caught.value).startswith(FILE if where != "folder" else FILE.rpartition("/")[0])
    assert [*outside.iterdir()] == []
