"""Mistakes hide each other as little as can be, and none is reported that only follows from another."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import places
from repositories import holding
from strategies import cases

WRONG: tuple[object, ...] = (None, True, -1, "", "A b", [], {}, [[]])  # no mapping with a key: it would lack others


@pytest.mark.parametrize("kind", ["environment", "experiment"])
@given(data=st.data())
def test_a_mistake_that_a_schema_sees_makes_up_no_other(kind: str, data: st.DataObject) -> None:
    """The rest was right, so that all there is to say is what the schema says."""
    case = data.draw(cases())
    file, document = next(
        (path, copy.deepcopy(one)) for path, one in zip(case.paths, case, strict=True) if one["kind"].lower() == kind
    )
    node, key = data.draw(st.sampled_from([*places(document["spec"])]))
    change = data.draw(st.sampled_from(("drop", "replace", "misspell", "insert")))
    if change == "replace":
        node[key] = data.draw(st.sampled_from(WRONG))
    elif change == "insert" and isinstance(node, dict):
        node["nonsense"] = 1
    else:
        value = node.pop(key)
        if change == "misspell" and isinstance(node, dict):
            node[f"{key}x"] = value
    with holding(case) as repository:
        warned = [one["message"] for one in repository.problems("validate")]
        repository.write(file, document)
        found = repository.problems("validate")
        if any(one["code"].startswith("PS2") for one in found):
            others = [one for one in found if not one["code"].startswith("PS2") and one["message"] not in warned]
            assert others == []
