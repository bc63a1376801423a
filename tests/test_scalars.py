"""The law on which `readback` stands: what `scalar` writes reads back as its own text, in any place of a document."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.documents import load
from generator.documents.scalars import scalar, value_of
from generator.manifests.readback import MARK, Reader
from generator.manifests.render import block

# What `load` lets in: no control characters but tab and line ends, nothing bidirectional or invisible.
texts = st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs")), max_size=30)
words = st.sampled_from(
    ["null", "~", "on", "No", "1e3", "0x1f", "010", ".5", "-", "?", ":", "a: b", "a #b", "<<", "=", ""]
)
data = st.recursive(
    texts | words | st.integers(-(2**40), 2**40) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | words, inner, max_size=3),
    max_leaves=12,
)


@given(texts | words | st.text("ab\n\t\"'\\{}[]:#-|> ", max_size=20))
@example("2026-01-02")
@example('it\'s "quoted" \\ twice')
def test_a_scalar_reads_back_as_its_own_text_everywhere(text: str) -> None:
    written = scalar(text)
    assert "\n" not in written
    assert value_of(written) == text
    for form, expected in (
        (f"a: {written}\n", {"a": text}),
        (f"- {written}\n", [text]),
        (f"{written}: 1\n", {text: 1}),
        (f"a: [{written}, {{{written}: {written}}}]\n", {"a": [text, {text: text}]}),
        (f"a:\n  - b: {written} # c\n", {"a": [{"b": text}]}),
    ):
        assert yaml.load(form, yaml.CSafeLoader) == expected
        assert load.parse(form.encode(), "")[0] == expected


@given(st.dictionaries(texts | words, data, min_size=1, max_size=4))
def test_blocks_read_back(value: dict[str, object]) -> None:
    assert load.parse(block(value, 0).lstrip("\n").encode(), "")[0] == value


SHAPES = [
    "a: {}\nb: [{}, {}]\n",
    "{}:\n  {}: {}\n",
    "a: '{}'\n",  # in quotes, where a value's own quotes would end them
    'a: "{}"\n',
    "a: x{}\n",
    "a: {}x\n",
    "a: {} # {}\n",
    "a: {} {}\n",
    "# {}\na: {}\n",
    "a: |\n  {}\n",
    "a: >-\n  {}\n",
    "a: &{} b\n",
    "a: !{} b\n",
    "a: b\n{}: c\n",
    "{}: 1\n{}: 2\n",
    "a: {}\n  b: {}\n",
    "a: {{{}: 1}}\n",
    "a: PenstockSlot0\nb: {}\n",
    "- {}\n-{}\n",
]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=30)
@given(values=st.lists(texts | words, min_size=3, max_size=3), again=st.lists(texts | words, min_size=3, max_size=3))
def test_a_shape_reads_like_a_full_parse(shape: str, values: list[str], again: list[str]) -> None:
    """Also for a text of a shape that was learned, which is filled and not parsed."""
    reader = Reader()
    for some in (values, values, again, values, again, values):
        slots = shape.replace("{{", "{ {").replace("}}", "} }").count("{}")
        written = [f"{MARK}{scalar(text)}{MARK}" for text in some[:slots]]
        marked = shape.format(*written)
        text, found, problems = reader.read(marked, "f")
        assert text == marked.replace(MARK, "")
        assert (found, problems) == load.parse(text.encode(), "f")


@pytest.mark.parametrize("frame", ["a: 1\nb:\n{}c: [d]\n", "{}", "a:\n  b:\n{}", "a:\n{}b: 'null'\n"])
@pytest.mark.parametrize("line", ["- {}\n", "- - {}\n", "- a{}\n", "- b: {}\n"])
def test_a_long_list_reads_like_a_full_parse(frame: str, line: str) -> None:
    written = [scalar(text) for text in ("on", "x", "12", *(f"name-{number}" for number in range(1_200)))]
    marked = frame.format("".join(line.format(f"{MARK}{one}{MARK}") for one in written))
    text, data, problems = Reader().read(marked, "kustomization.yaml")
    assert (data, problems) == load.parse(text.encode(), "kustomization.yaml")
