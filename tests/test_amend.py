"""Edits of an experiment's own file, whatever it inherits: the whole then says what was asked for, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from repositories import as_yaml, recommendation

from generator.documents import edit, load
from generator.documents.document import Document, Layer
from generator.domain.model import Shadow
from generator.steering import amend

NAMES = ("v1", "v2", "v3")


def document(layers: list[dict[str, Any]]) -> Document:
    """Make a document of specs, the last of which is the experiment's own file."""
    made = []
    for number, spec in enumerate(layers):
        raw = as_yaml({"kind": "Experiment", "spec": spec}).encode()
        data, problems = load.parse(raw, f"{number}.yaml")
        assert not problems
        made.append(Layer(f"{number}.yaml", raw, data))
    return Document(tuple(made))


def edited(before: Document, edits: Any) -> Document:
    """Return the document with its own file edited."""
    *below, own = before.layers
    raw = edit.apply(own.raw, edits, own.file)
    data, problems = load.parse(raw, own.file)
    assert not problems
    return Document((*below, Layer(own.file, raw, data)))


def spec(traffic: dict[str, int]) -> dict[str, Any]:
    """Return the spec of an experiment with three variants."""
    made: dict[str, Any] = copy.deepcopy(recommendation().experiment["spec"])
    made["variants"] = {name: {"storageUri": f"gs://my-bucket/models/{name}"} for name in NAMES}
    return made | {"traffic": traffic, "rollout": {"preset": "canary"}, "shadow": {"variant": "v3"}}


@st.composite
def spread(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Spread a spec over files: each entry stands in one or more of them, the last one right."""
    layers: list[dict[str, Any]] = [{}, {}, {}]
    whole = spec({"v1": 90, "v2": 10, "v3": 0})
    for key, value in whole.items():
        parts = list(value.items()) if key in ("traffic", "variants") else [(None, value)]
        for name, item in parts:
            for number in draw(st.sets(st.integers(0, 2), min_size=1)):
                if name is None:
                    layers[number][key] = item
                else:
                    layers[number].setdefault(key, {})[name] = item
    layers[2].setdefault("owner", "recsys")
    return layers


@given(spread(), st.integers(0, 100), st.sampled_from([None, Shadow("v2", 30)]))
def test_traffic_is_what_was_asked_for(layers: list[dict[str, Any]], percent: int, shadow: Shadow | None) -> None:
    before = document(layers)
    shares = {"v1": 100 - percent, "v2": percent, "v3": 0}
    after = edited(before, amend.traffic(before, shares, shadow))
    wanted = {**before.spec, "traffic": shares}
    wanted.pop("shadow")
    if shadow:
        wanted["shadow"] = {"variant": "v2", "percent": 30}
    assert after.spec == wanted
    assert amend.own(after)["traffic"].keys() >= shares.keys()


@given(spread(), st.sampled_from(NAMES))
def test_an_end_leaves_the_winner_and_what_measures_it(layers: list[dict[str, Any]], winner: str) -> None:
    before = document(layers)
    after = edited(before, amend.conclusion(before, winner))
    wanted = {**before.spec, "control": winner, "traffic": {winner: 100}}
    wanted["variants"] = {winner: before.spec["variants"][winner]}
    for gone in ("rollout", "shadow"):
        wanted.pop(gone)
    assert after.spec == wanted


def test_a_file_that_holds_only_traffic_says_no_more_than_it_must() -> None:
    before = document([{}, spec({"v1": 90, "v2": 10, "v3": 0}), {"traffic": {"v1": 80, "v2": 20, "v3": 0}}])
    after = edited(before, amend.conclusion(before, "v2"))
    assert yaml.safe_load(after.layers[-1].raw)["spec"] == {
        "traffic": {"v1": None, "v2": 100, "v3": None},
        "control": "v2",
        "variants": {"v1": None, "v3": None},
        "rollout": None,
        "shadow": None,
    }
