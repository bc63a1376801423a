from __future__ import annotations

import pytest

from generator.documents.wording import dotted, flow, inside, kind, listed, nearest, quoted, shown, state, subject


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("a`b", "a\\u0060b"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u200bb\ufeffc\u00add", "a\\u200bb\\ufeffc\\u00add"),
        ("a\ufe0fb\u3164c", "a\\ufe0fb\\u3164c"),
        ("a\U000e0041b", "a\\U000e0041b"),
        ("a\ud800b", "a\\ud800b"),
        ("größe 日本", "größe 日本"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("\n" * 61, "\\n" * 29 + "…"),
    ],
)
def test_a_text_is_shortened_and_made_visible(text: str, visible: str) -> None:
    assert shown(text) == visible
    assert quoted(text) == f"`{visible}`"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "variants", "v2", "storageUri"), "spec.variants.v2.storageUri"),
        (("spec", "steps", 0), "spec.steps[0]"),
        ((0, "a"), "[0].a"),
        (("spec", "metrics", "a.b", "x"), 'spec.metrics["a.b"].x'),
        (("a.b",), '["a.b"]'),
        (("traffic", "80"), 'traffic["80"]'),
        (("a", ""), 'a[""]'),
        (("a", 'b"c\\d'), 'a["b\\"c\\\\d"]'),
        (("a", "b\n`"), 'a["b\\n\\u0060"]'),
        (("a", "x" * 70), f'a["{"x" * 59}…"]'),
    ],
)
def test_a_path_is_written_as_a_user_writes_it(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


def test_a_path_in_a_sentence_cannot_be_mistaken_for_its_words() -> None:
    assert subject(()) == "the document"
    assert subject(("a", "b c")) == '`a["b c"]`'
    assert inside(()) == "this document"
    assert inside(("a", 0)) == "a[0]"
    assert inside(("a", "b c")) == '`a["b c"]`'


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("gs://bucket/v1", "gs://bucket/v1"),
        ("lift by 5 % at least", "lift by 5 % at least"),
        ("1h", "1h"),
        ("2Gi", "2Gi"),
        ("8", '"8"'),
        ("2026-12-31", '"2026-12-31"'),
        ("On", '"On"'),
        ("1e3", '"1e3"'),
        ("a: b", '"a: b"'),
        ("a,b", '"a,b"'),
        ("", '""'),
        (True, "true"),
        (None, "null"),
        (0.5, "0.5"),
        ({"v1": 80, "a.b": [1, "x"]}, "{v1: 80, a.b: [1, x]}"),
    ],
)
def test_a_value_is_written_as_yaml(value: object, line: str) -> None:
    assert flow(value) == line


@pytest.mark.parametrize(
    ("value", "is_now", "of_kind"),
    [
        (None, "empty", "empty"),
        ("", "empty", "an empty text"),
        ("a", "`a`", "a text (`a`)"),
        (8, "`8`", "a number (8)"),
        (0.5, "`0.5`", "a number (0.5)"),
        (False, "`false`", "`false`"),
        ([1], "a list", "a list"),
        ({}, "a mapping", "a mapping"),
    ],
)
def test_a_value_is_described(value: object, is_now: str, of_kind: str) -> None:
    assert (state(value), kind(value)) == (is_now, of_kind)


def test_a_long_list_of_names_ends_in_a_number_but_never_for_one_name_more() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcdefghijklm") == "a, b, c, d, e, f, g, h, i, j, k, l, m"
    assert listed("abcdefghijklmn") == "a, b, c, d, e, f, g, h, i, j, k, l and 2 more"


def test_a_guess_ignores_case_and_is_no_guess_at_all_if_nothing_is_near() -> None:
    assert nearest("REQUEST", ["request", "response"]) == "request"
    assert nearest("x", ["request", "response"]) == ""


@pytest.mark.parametrize(
    "code", [0x60, 0x34F, 0x115F, 0x180B, 0x180F, 0x2800, 0x3164, 0xFE00, 0xFE0F, 0xFFA0, 0xE0100, 0xE01EF]
)
def test_what_no_eye_can_see_is_written_as_an_escape(code: int) -> None:
    assert shown(chr(code)) == (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
