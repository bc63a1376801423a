"""Strategies that break what was valid, in data and in text."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from repositories import Case
from vocabulary import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn
    from repositories import Document

_odd_values = (
    st.sampled_from((None, True, 0, -1, 10**30, 0.5, "", "x", [], {}, [[]], {"x": {}}, "2027-01-01")) | texts
)
_odd_keys = st.sampled_from(("x", "spec", "", "on", "a b", "__class__", "${x}")) | texts


@st.composite
def broken(draw: DrawFn, case: Case) -> Case:
    """Damage one of the documents in one to three places; it may be lucky and stay valid."""
    case = copy.deepcopy(case)
    document = draw(st.sampled_from(case))
    for _ in range(draw(st.integers(1, 3))):
        _damage(draw, document)
    return case


def _damage(draw: DrawFn, document: Document) -> None:
    """Drop, replace, rename, insert or repeat; names of file and folder stay as they are."""
    nodes = [(node, key) for node, key in _entries(document) if node is not document["metadata"]]
    node, key = draw(st.sampled_from(nodes))
    if isinstance(node, list):
        change = draw(st.sampled_from(("drop", "replace", "insert")))
        place = slice(key, key + (change != "insert"))
        node[place] = [] if change == "drop" else [draw(_odd_values)]
        return
    change = draw(st.sampled_from(("drop", "replace", "rename", "insert", "move")))
    if change == "replace":
        node[key] = draw(_odd_values)
    elif change == "rename":
        node[draw(_odd_keys)] = node.pop(key)
    elif change == "insert":
        node[draw(_odd_keys)] = draw(_odd_values)
    elif change == "move":
        other, elsewhere = draw(st.sampled_from(nodes))
        node[key] = copy.deepcopy(other[elsewhere])
    elif node is not document or key != "metadata":
        del node[key]


def _entries(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every map or list with each of its keys or indices."""
    for key in range(len(node)) if isinstance(node, list) else [*node]:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _entries(node[key])


@st.composite
def garbled(draw: DrawFn, text: str) -> bytes:
    """Damage the bytes of a text: cut, repeat, or put in what YAML takes for syntax."""
    raw = text.encode()
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(start + 40, len(raw))))
    syntax = (
        b"",
        b"\t",
        b"\n",
        b"---\n",
        b"&a [*a]",
        b"*a",
        b"!!python/name:os.abort ",
        b"\xff",
        b"\0",
        b": ",
        b"{" * 60,
    )
    middle = draw(st.sampled_from(syntax) | texts.map(str.encode) | st.just(raw[start:end] * 2))
    return raw[:start] + middle + raw[end:]
