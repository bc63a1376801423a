"""A review as text, JSON or workflow commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator import report

if TYPE_CHECKING:
    from generator.reviews.review import Report, Review, Words


def document(found: Report, form: str) -> str:
    """Write a whole review as `text`, `json` or `github`."""
    return {"text": _text, "json": _json, "github": _github}[form](found)


def _text(found: Report) -> str:
    lines = [line for review in found.reviews for line in _lines(review)]
    lines += [f"could not be found out: {report.printable(one)}" for one in found.unknown]
    lines += [f"note: {report.printable(one)}" for one in found.notes]
    said = "".join(f"{line}\n" for line in lines) or f"{found.silence}\n"
    return said + report.problems(found.problems, "text")


def _lines(review: Review) -> list[str]:
    lines = [f"{report.printable(review.title)}: {_plain(review.sentence)}"]
    for row in review.rows:
        for number, cell in enumerate(row.cells):
            lines.append(f"    {'' if number else row.label:<11}{_plain(cell)}")
    return lines


def _plain(words: Words) -> str:
    return "".join(one if isinstance(one, str) else report.printable(" → ".join(one)) for one in words)


def _json(found: Report) -> str:
    import json  # noqa: PLC0415 (start-up time)

    data: dict[str, Any] = {
        "base": found.base,
        "head": found.head,
        "reviews": [
            {
                "title": one.title,
                "sentence": _plain(one.sentence),
                "details": {row.label.lower(): [_plain(cell) for cell in row.cells] for row in one.rows},
                "traffic": [share._asdict() for share in one.picture],
            }
            for one in found.reviews
        ],
        "unknown": [*found.unknown],
        "notes": [*found.notes],
        "problems": json.loads(report.problems(found.problems, "json"))["problems"],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _github(found: Report) -> str:
    notices = "".join(
        report.notice(review.file, f"{review.title}: {_plain(review.sentence)}") for review in found.reviews
    )
    return notices + report.problems(found.problems, "github")
