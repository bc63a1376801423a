"""What users write cannot leave its quotation in a comment, and a comment fits."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from generator.problems import Place, Problem
from generator.reviews import markdown, printed
from generator.reviews.review import Quote, Report, Review, Row, Share, Versus

SIGNS = ["`", "``", "|", "\\", "<", ">", "-->", "</details>", "<script>", "@team", "[a](b)", "::error::", "#1"]
SIGNS += ["\u2028", "\n", "\r\n", " "]
HOSTILE = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(SIGNS), max_size=30).map("".join))


def report(text: str, number: int = 1) -> Report:
    """Make a review in which every word of others is `text`."""
    reviews = [
        Review(
            f"{text}{one}",
            text,
            ("is ", Quote(text)),
            (Row("Owner", ((Quote(text),), ("and ", Quote(text)))),),
            (Share("v1", True, 80, 60), Share("v2", False, 20, 40)),
        )
        for one in range(number)
    ]
    problem = Problem("PS701", Place(text, 1, 1), text, text, text)
    return Report("base", "head", tuple(reviews), (problem,) * bool(number), (text,), (text,))


@given(HOSTILE)
def test_a_quotation_is_one_code_span_of_one_line(text: str) -> None:
    quoted = markdown.code(text)
    assert quoted[0] == quoted[-1] == "`"
    assert len(quoted) > 2
    assert not re.search(r"[`|\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", quoted[1:-1])


@given(HOSTILE)
def test_outside_of_quotations_stands_the_same_whatever_users_write(text: str) -> None:
    def frame(written: str) -> str:
        return re.sub(r"`[^`\n]*`|<code>[^<\n]*</code>", "Q", written)

    assert frame(markdown.document(report(text))) == frame(markdown.document(report("plain")))


@given(HOSTILE)
def test_the_other_forms_keep_each_word_in_its_place(text: str) -> None:
    found = report(text)
    assert len(printed.document(found, "text").splitlines()) == len(
        printed.document(report("plain"), "text").splitlines()
    )
    commands = printed.document(found, "github").splitlines()
    assert len(commands) == 2
    assert all(line.startswith(("::notice file=", "::error file=")) for line in commands)
    assert len(json.loads(printed.document(found, "json"))["reviews"]) == 1


ENDS = st.builds(str.__mul__, st.sampled_from(["a", "ab", "ba "]), st.integers(0, 200))


@given(ENDS, ENDS, ENDS, ENDS)
def test_values_that_differ_look_different(begin: str, before: str, after: str, end: str) -> None:
    said = markdown.words((Versus(f'"{begin}{before}{end}"', f'"{begin}{after}{end}"'),))
    old, new = said.split(" → ")
    assert (old == new) == (before == after)
    assert len(said) < 600


def test_other_forms_than_markdown_print_values_whole() -> None:
    values = Versus("a" * 5000 + "1", "a" * 5000 + "2")
    found = Report("base", "head", (Review("x", "x", ("x",), (Row("Fields", ((values,),)),)),), (), (), ())
    for form in ("text", "json"):
        assert f"{values.before} → {values.after}" in printed.document(found, form)


def test_what_does_not_fit_is_cut_least_important_first_and_said() -> None:
    found = report("x" * 250, 300)
    whole = markdown.document(found, 10**9)
    for limit in (300_000, 250_000, 150_000, markdown.LIMIT, 20_000, 3_000):
        cut = markdown.document(found, limit)
        assert len(cut.encode()) <= limit
        assert f"**Cut to fit {limit:,} characters.** Left out: " in cut
        assert "error PS701" in cut
        assert cut.count("<details>") == cut.count("</details>")
        left = {
            name: cut.count(sign)
            for name, sign in (("pictures", "```mermaid"), ("tables", "| Owner |"), ("sentences", "**: is"))
        }
        assert left["pictures"] <= left["tables"] <= left["sentences"]
    assert "Cut to fit" not in whole
    assert "300 pictures, 300 tables" in markdown.document(found, 20_000)


def test_changes_with_errors_keep_their_tables_longest_and_stand_in_their_order() -> None:
    found = report("x" * 250, 30)
    graded = [one._replace(gravest=("", "warning", "error")[number % 3]) for number, one in enumerate(found.reviews)]
    for limit in (38_000, 32_000, 24_000):
        cut = markdown.document(found._replace(reviews=tuple(graded)), limit)
        kept = [next(one for one in graded if f"<code>{one.title}</code>" in fold) for fold in folds(cut)]
        assert kept == sorted(kept, key=graded.index)
        grades = [("error", "warning", "").index(one.gravest) for one in kept]
        assert all(grades.count(grade) == 10 for grade in range(max(grades)))
    assert len(kept) < 10


def folds(written: str) -> list[str]:
    return written.split("<details>")[1:]


def test_nothing_is_said_of_nothing() -> None:
    assert (
        markdown.document(Report("a", "b", (), (), (), ())) == "### Penstock: nothing changes\n\n\nFrom `a` to `b`.\n"
    )
    assert printed.document(Report("a", "b", (), (), (), ()), "text") == "nothing changes\n"
