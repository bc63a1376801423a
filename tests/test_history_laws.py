"""Random histories, by the real git, against an oracle that looks at every deployed tree by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from gitrepos import git
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import scratch

from generator.versions import history

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from generator.versions.lives import Life

pytestmark = pytest.mark.needs("git")

NOW = 1000
PLACES = ("production", "staging")
NAMES = ("one", "two")
KEYS = [(place, name) for place in PLACES for name in NAMES]
Tree = dict[str, str]


class Deployment(NamedTuple):
    """A commit of the deployed line; `aside` are trees on the branch that it merges, if it is a merge."""

    tree: Tree
    date: int
    aside: tuple[Tree, ...]


def experiment(name: str, percent: int) -> str:
    variants = f"{{v1: {{storageUri: gs://{name}/1}}, v2: {{storageUri: gs://{name}/2}}}}"
    return f"spec: {{control: v1, variants: {variants}, traffic: {{v1: {100 - percent}, v2: {percent}}}}}\n"


def patch(percent: int) -> str:
    return f"spec:\n  traffic:\n    v1: {100 - percent}\n    v2: {percent}\n"


SHARES = st.sampled_from((0, 20, 50))
FILES = (
    *(f"environments/{place}/environment.yaml" for place in PLACES),
    *(f"environments/{place}/experiments/{name}.yaml" for place in ("base", *PLACES) for name in NAMES),
    "README.md",
)


@st.composite
def contents(draw: st.DrawFn, path: str) -> str | None:
    """Draw what becomes of a file: gone, unreadable, without a word on traffic, a patch, or a whole experiment."""
    if path.endswith("environment.yaml"):
        return draw(st.sampled_from((None, "spec: {", "spec: {}\n", "spec: {defaults: {control: v2}}\n")))
    name = path.rpartition("/")[2].removesuffix(".yaml")
    percent = draw(SHARES)
    return draw(st.sampled_from((None, "spec: [", "spec: {}\n", patch(percent), *[experiment(name, percent)] * 3)))


@st.composite
def changed(draw: st.DrawFn, tree: Tree) -> Tree:
    """Draw a tree that differs from another one in some files."""
    new = dict(tree)
    for path in draw(st.lists(st.sampled_from(FILES), max_size=3, unique=True)):
        text = draw(contents(path))
        new.pop(path, None)
        if text is not None:
            new[path] = text
    return new


@st.composite
def histories(draw: st.DrawFn) -> list[Deployment]:
    """Draw commits, merges (also such as change something themselves) and reverts, by clocks that go as they like."""
    whole = {path: "spec: {}\n" for path in FILES if path.endswith("environment.yaml")}
    whole |= {f"environments/production/experiments/{name}.yaml": experiment(name, 20) for name in NAMES}
    found = [Deployment(whole, 10, ())]
    date = 10
    for _ in range(draw(st.integers(0, 12))):
        date = max(0, date + draw(st.sampled_from((5, 50, 50, 0, -30, 2000))))
        kind = draw(st.sampled_from(("commit", "commit", "merge", "revert")))
        if kind == "revert":
            found.append(Deployment(draw(st.sampled_from(found)).tree, date, ()))
            continue
        aside = []
        if kind == "merge":
            aside = [draw(changed(found[-1].tree)) for _ in range(draw(st.integers(1, 2)))]
        found.append(Deployment(draw(changed(aside[-1] if aside else found[-1].tree)), date, tuple(aside)))
        date = 10 if date > NOW else date
    return found


def imported(root: Path, deployments: Sequence[Deployment]) -> list[str]:
    """Make the history by git-fast-import(1); return the names of the deployed commits."""
    marks: list[int] = []
    stream: list[bytes] = []

    def commit(tree: Tree, date: int, *parents: int) -> int:
        mark = len(stream) + 1
        text = f"commit refs/heads/main\nmark :{mark}\ncommitter A <a@example.com> {date} +0000\ndata 0\n"
        text += "".join(f"{'merge' if place else 'from'} :{parent}\n" for place, parent in enumerate(parents))
        text += "deleteall\n"
        text += "".join(f"M 100644 inline {path}\ndata {len(body)}\n{body}\n" for path, body in tree.items())
        stream.append(text.encode())
        return mark

    for one in deployments:
        side = marks[-1:]
        for tree in one.aside:
            side = [commit(tree, 3, *side)]
        parents = [*marks[-1:], *(side if one.aside else ())]
        if not marks:
            parents = []
        marks.append(commit(one.tree, one.date, *parents))
    # The branch was moved to side branches in between; the last commit is the deployed one.
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "fast-import", "--quiet", "--force", "--export-marks=marks", data=b"".join(stream))
    names = dict(line.split() for line in (root / "marks").read_text().splitlines())
    return [names[f":{mark}"] for mark in marks]


def overlay(below: Any, above: Any) -> Any:
    if not isinstance(above, dict):
        return above
    below = below if isinstance(below, dict) else {}
    return below | {key: overlay(below.get(key), value) for key, value in above.items()}


class Told(NamedTuple):
    """What the oracle says of a life: when and by which commit each period began, when the last one ended."""

    periods: list[tuple[dict[str, int], str, int, str]]
    end: int | None
    attempts: int


def read(text: str, before: Any) -> Any:
    """Return the spec of a file, or what it was before if the text is cut off."""
    return before if text in {"spec: {", "spec: ["} else yaml.safe_load(text)["spec"]


def oracle(key: tuple[str, str], deployments: Sequence[Deployment], names: Sequence[str]) -> Told | None:
    """Look at each tree alone; only what could be read last of each file is remembered."""
    place, name = key
    paths = (
        f"environments/{place}/environment.yaml",
        f"environments/base/experiments/{name}.yaml",
        f"environments/{place}/experiments/{name}.yaml",
    )
    seen: dict[str, Any] = {}
    told: Told | None = None
    before: Any = None
    for number, one in enumerate(deployments):
        seen = {path: read(one.tree[path], seen.get(path)) for path in paths if path in one.tree}
        seen = {path: spec for path, spec in seen.items() if spec is not None}
        time = moment(deployments, number)
        if paths[0] not in seen or paths[2] not in seen:
            if told and told.end is None:
                told = told._replace(end=time)
            continue
        spec: Any = seen[paths[0]].get("defaults", {})
        for path in paths[1:]:
            spec = overlay(spec, seen.get(path, {}))
        if not {"control", "variants", "traffic"} <= spec.keys():
            continue
        state = (spec["traffic"], spec["control"], spec["variants"])
        if told is None or told.end is not None:
            told, before = Told([], None, told.attempts + 1 if told else 1), None
        if state != before:
            told.periods.append((spec["traffic"], spec["control"], time, names[number]))
            before = state
    return told


def moment(deployments: Sequence[Deployment], number: int) -> int:
    def possible(place: int) -> int:
        return next((one.date for one in deployments[place:] if one.date <= NOW), NOW)

    return max(possible(place) for place in range(number + 1))


def retold(life: Life) -> Told:
    periods = [(dict(one.traffic), one.traffic[0][0], one.start, one.commit) for one in life.periods]
    for one, following in zip(life.periods, life.periods[1:], strict=False):
        assert one.end == following.start
        assert one.start <= following.start <= NOW
    return Told(periods, life.periods[-1].end, life.attempts)


@settings(max_examples=60)
@given(histories())
def test_lives_are_what_a_look_at_every_deployed_tree_tells(deployments: list[Deployment]) -> None:
    with scratch() as root:
        names = imported(root, deployments)
        found = history.lives(str(root), "refs/heads/main", KEYS, NOW)
        for key in KEYS:
            told = oracle(key, deployments, names)
            assert (retold(found[key]) if key in found else None) == told
            assert history.lives(str(root), "refs/heads/main", [key], NOW).get(key) == found.get(key)
