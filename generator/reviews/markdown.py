"""A review as Markdown for a comment on GitHub or GitLab.

Whatever others wrote stands in code spans: no mention, link, image, HTML or emoji begins in one (CommonMark 0.31, 6.1),
and nothing ends one but a backtick, or in a table a pipe. `code` is the only way into the text, and leaves neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.documents.wording import visible
from generator.problems import ERROR
from generator.report import count
from generator.reviews.review import Quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.problems import Problem
    from generator.reviews.review import Report, Review, Share, Versus, Words

LIMIT = 60_000
"""Most bytes that are written. A comment on GitHub has at most 65,536 characters, and CI adds what it has to say."""
_LONGEST = 300
_LONGEST_VALUE = 100
_AROUND = 40  # characters kept on each side of where something begins or ends
_NOTICE = 400  # bytes kept free for the sentence that says what was cut


def document(report: Report, limit: int = LIMIT) -> str:
    """Write a whole review of at most `limit` bytes: what does not fit is left out, the least important first.

    Pictures go before tables, and tables before sentences; of each, those of changes that are in order go first.
    """
    graver = [*sorted(report.reviews, key=lambda one: (one.gravest != ERROR, not one.gravest))]
    pictures = {one.title: _picture(one.picture) for one in graver if one.picture}
    tables = {one.title: _table(one) for one in graver if one.rows}
    sentences = {one.title: f"- **{code(one.title)}**: {words(one.sentence)}\n" for one in graver}
    found = [*sorted(report.problems, key=lambda one: one.severity != ERROR)]
    problems = {str(number): _problem(one) for number, one in enumerate(found)}
    unknown = "".join(f"- could not be found out: {code(one)}\n" for one in report.unknown)
    unknown += "".join(f"- note: {code(one)}\n" for one in report.notes)
    room = limit - _NOTICE - len(_page(report, sentences, problems, unknown, tables, pictures, "").encode())
    cut = []
    for noun, parts in (("picture", pictures), ("table", tables), ("sentence", sentences), ("problem", problems)):
        number = 0
        while room < 0 and parts:
            name, text = parts.popitem()
            room += len(text.encode())
            if noun in {"picture", "table"} and name not in tables and name not in pictures:
                room += len(_folded(name, "").encode())
            number += 1
        if number:
            cut.append(f"{number} {noun}{'s' if number > 1 else ''}")
    notice = (
        f"\n**Cut to fit {limit:,} characters.** Left out: {', '.join(cut)}. `penstock review -o text` prints all.\n"
        if cut
        else ""
    )
    return _page(report, sentences, problems, unknown, tables, pictures, notice)


def _page(
    report: Report,
    sentences: dict[str, str],
    problems: dict[str, str],
    unknown: str,
    tables: dict[str, str],
    pictures: dict[str, str],
    notice: str,
) -> str:
    number = count(report.problems)
    head = f"### Penstock: {title(report)}\n\n"
    ends = f"\nFrom {code(report.base)} to {code(report.head)}.\n"
    listed = "".join(problems.values()) + unknown
    if listed or number:
        listed = (f"\n**{number}**\n\n" if number else "\n") + listed
    folded = "".join(
        _folded(one.title, tables.get(one.title, "") + pictures.get(one.title, ""))
        for one in report.reviews
        if one.title in tables or one.title in pictures
    )
    said = "".join(sentences.get(one.title, "") for one in report.reviews)
    return f"{head}{said}{listed}{notice}{folded}{ends}"


def _folded(name: str, text: str) -> str:
    return f"\n<details><summary><code>{_html(name)}</code></summary>\n\n{text}\n</details>\n"


def title(report: Report) -> str:
    """Say in a few words what the review found."""
    if not report.reviews:
        return report.silence
    number = len(report.reviews)
    return f"{number} change{'s' if number > 1 else ''}"


def code(text: str) -> str:
    """Quote what somebody else wrote; what is too long is cut, and said to be."""
    shown = _quotable(text[:_LONGEST])
    cut = f"… ({len(text)} characters)" if len(text) > _LONGEST else ""
    return f"`{shown}{cut}`" if text.strip() else '`""`'


def _quotable(text: str) -> str:
    return visible(text).replace("|", "\\u007c")


def words(said: Words) -> str:
    """Write a sentence."""
    return "".join(
        one if isinstance(one, str) else code(one.text) if isinstance(one, Quote) else _versus(one) for one in said
    )


def _versus(values: Versus) -> str:
    """Quote both sides of a change, so that what differs can be seen in both."""
    before, after = values
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    return " → ".join(f"`{_quotable(_cut(one, start, len(one) - end))}`" for one in values)


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their start."""
    differing = (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _cut(text: str, start: int, end: int) -> str:
    """Keep the ends of a long value, and those of the part of it that differs."""
    if len(text) <= _LONGEST_VALUE:
        return text
    kept, upto = "", 0
    for place in (0, start, end, len(text)):
        begins = max(place - _AROUND, 0)
        kept += ("…" if begins > upto else "") + text[max(begins, upto) : place + _AROUND]
        upto = max(upto, place + _AROUND)
    return text if kept == text else f"{kept} ({len(text)} characters)"


def _html(text: str) -> str:
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _problem(problem: Problem) -> str:
    message = f"{problem.message}; {problem.fix}".replace("`", "'")
    return f"- **{problem.severity} {problem.code}** {code(str(problem.place))}: {code(message)}\n"


def _table(review: Review) -> str:
    return "| | |\n|---|---|\n" + "".join(
        f"| {row.label} | {'<br>'.join(words(one) for one in row.cells)} |\n" for row in review.rows
    )


def _picture(shares: Iterable[Share]) -> str:
    """Draw where requests go, by Mermaid; names of variants are letters, digits and hyphens."""
    lines = ["flowchart LR", '  requests(["requests"])']
    for number, one in enumerate(shares):
        role = " (control)" if one.control else ""
        lines.append(f'  requests -->|"{_percent(one)}"| v{number}["{one.variant}{role}"]')
    return "\n```mermaid\n" + "\n".join(lines) + "\n```\n"


def _percent(share: Share) -> str:
    if share.before is None or share.after is None:
        return f"{share.after} % (new)" if share.before is None else f"gone (was {share.before} %)"
    return f"{share.after} %" if share.before == share.after else f"{share.after} % (was {share.before} %)"
