"""Merge patches and their composition, by the laws that the rest of Penstock builds on."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from generator.documents.overlay import compose, merge

_KEYS = st.sampled_from("abc")
_VALUES = st.sampled_from((0, "", "x", [], [None]))


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(_KEYS, st.recursive(leaves, lambda inner: st.dictionaries(_KEYS, inner), max_leaves=8))


targets, patches = trees(_VALUES), trees(_VALUES | st.none())


@given(targets, patches)
def test_a_patch_applied_twice_is_a_patch_applied_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(target, patch)
    assert merge(once, patch) == once


@given(targets, patches, patches)
def test_a_composed_patch_does_what_both_do(
    target: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    assume(not revived(first, second))
    assert merge(target, compose(first, second)) == merge(merge(target, first), second)


@given(patches, patches)
def test_files_laid_over_each_other_are_composed_patches_of_nothing(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert merge({}, compose(first, second)) == merge(merge({}, first), second)


def revived(first: Any, second: Any) -> bool:
    """Tell whether the first patch takes away what the second then makes a map of, which no single patch can say."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return isinstance(second, dict)
    return any(revived(first[key], second[key]) for key in first.keys() & second.keys())
