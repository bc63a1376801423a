"""Strategies that break what was valid, in data and in text."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from vocabulary import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy
    from repositories import Document

_values: SearchStrategy[Any] = (
    st.sampled_from((None, True, 0, -1, 10**30, 0.5, "", "x", [], {}, [[]], {"x": {}})) | texts
)
_keys = st.sampled_from(("x", "spec", "", "on", "a b", "__class__", "name")) | texts
_syntax = st.sampled_from(
    ("", "\t", "\n", "---\n", "&a [*a]", "*a", "!!python/name:os.abort ", "\0", ": ", "- ", "{" * 60, "\ufeff")
)


@st.composite
def broken(draw: DrawFn, document: Document) -> Document:
    """Drop, replace, rename, insert or copy in one to three places; with luck the document stays valid."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = [*places(document)]
        if found:
            node, key = draw(st.sampled_from(found))
            (_damage_list if isinstance(node, list) else _damage_map)(draw, node, key, found)
    return document


def _damage_map(draw: DrawFn, node: Document, key: str, places: list[tuple[Any, Any]]) -> None:
    change = draw(st.sampled_from(("drop", "replace", "rename", "insert", "copy")))
    if change in ("drop", "rename"):
        value = node.pop(key)
        node |= {draw(_keys): value} if change == "rename" else {}
    elif change == "copy":
        other, elsewhere = draw(st.sampled_from(places))
        node[key] = copy.deepcopy(other[elsewhere])
    else:
        node[key if change == "replace" else draw(_keys)] = draw(_values)


def _damage_list(draw: DrawFn, node: list[Any], index: int, _: list[tuple[Any, Any]]) -> None:
    change = draw(st.sampled_from(("drop", "replace", "insert")))
    node[index : index + (change != "insert")] = [] if change == "drop" else [draw(_values)]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each map or list with each of its keys or indices."""
    for key in range(len(node)) if isinstance(node, list) else [*node]:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


@st.composite
def garbled(draw: DrawFn, text: str) -> bytes:
    """Cut, repeat, or put in what YAML takes for syntax, or bytes that are no text."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(start + 40, len(text))))
    middle = draw(_syntax | texts | st.just(text[start:end] * 2)).encode()
    return text[:start].encode() + middle + draw(st.sampled_from((b"", b"\xff", b"\xc3"))) + text[end:].encode()
