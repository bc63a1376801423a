"""Small strategies: texts and names that hurt if anything takes them for more than they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy
    from repositories import Document

HOSTILE = (
    "{% raw %}", "{# note #}", "{ {", "}}", "---\nkind: Secret", "...", 'it\'s "both"', '"\'PenstockSlot0',
    "PenstockSlot1", "'PenstockSlot2", "PenstockSlot3\n", "]}}}}}#", "${datasource}", "$(HOSTNAME)",
    "$__all", "[[x]]", "::error::x", "`id`", "<script>", "| tee", "# note", "x # y", "key: value", "- item",
    "? x", "null", "~", "on", "NO", "y", "1e3", "0x1f", "0o7", "010", "1_000", "12:30:45", "2027-01-01",
    "-.inf", "=", "<<", "&a", "*a", "!!str", "%TAG", "@", " ", " lead", "trail ", "\ttab", "two\nlines\n",
    "\n", "a\r\nb", "  in\n    dented", "back\\slash\\", "\\n", "'", '"', "''", "é", "日本", "\U0001f600",
    "\xa0", "\u3000", "a,b", "[]", "{}", "{a: b}", ">", "|", ":", "", "*", "5*", ".*|x", "x" * 200,
)  # fmt: skip
_NAMES = (
    "null",
    "on",
    "no",
    "y",
    "true",
    "nan",
    "e1",
    "x",
    "a--b",
    "off",
    "inf",
    "v1",
    "v2",
    "o",
    "experiment",
)

_visible = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"))

texts = st.sampled_from(HOSTILE) | st.text(_visible, max_size=20)
filled_texts = texts.map(lambda text: text or "x")
plain_texts = texts.map(lambda text: text.replace("{{", "{"))
"""Without what KServe would run as a Go template."""

label_keys = st.sampled_from(("team", "on", "example.com/team", "A_b.c", "null", "1"))
label_values = st.sampled_from(("", "a", "on", "null", "1", "1e3", "0x1f", "A-b_c.d", "2027-01-01", "z" * 63))
annotation_keys = st.sampled_from(("note", "sidecar.istio.io/inject", "y", "example.com/n"))
object_names = st.sampled_from(("models", "null", "a.b-c", "0", "1e3"))
often = st.sampled_from((True, True, True, False))
durations = st.sampled_from(("1s", "90s", "5m", "1h", "99999s", "30h", "99999m", "99999h"))


def names(most: int) -> SearchStrategy[str]:
    """Names of experiments, variants and metrics, of at most so many characters (2 or more)."""
    form = rf"[a-z][-a-z0-9]{{0,{most - 2}}}[a-z0-9]"
    longest = st.sampled_from("az").map(lambda letter: letter * most)
    odd = st.sampled_from([name for name in _NAMES if len(name) <= most])
    return odd | st.from_regex(form, fullmatch=True) | longest


def maps(keys: SearchStrategy[str], values: SearchStrategy[Any], *, least: int = 0) -> SearchStrategy[dict[str, Any]]:
    """Small mappings."""
    return st.dictionaries(keys, values, min_size=least, max_size=3)


def some(draw: DrawFn, **offers: SearchStrategy[Any]) -> Document:
    """Draw some of the keys, each from its own strategy."""
    return {name: draw(offer) for name, offer in offers.items() if draw(st.booleans())}
