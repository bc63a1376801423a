"""The message of a commit that publishes experiments: words for people, trailers for programs.

Whatever an experiment or a caller says ends up in one line of its own: nothing can add a trailer or hide those that
are here. Git reads trailers from the last paragraph only (git-interpret-trailers(1)), and it is always written here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from generator.names import RECORDED, TRAILER_ACTION, TRAILER_EXPERIMENT, TRAILER_VERDICT
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

Traffic = tuple[tuple[str, int], ...]
Trailers = tuple[tuple[str, str], ...]

EVIDENCE = "evidence"
"""What a move says of an experiment of which nothing but evidence changes."""

_RESERVED = ("penstock-", "argocd-reference-")
_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): *(\S.*)")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_SPECIAL = re.compile(r'[][()<>@,:;."\\]')
_SCP = re.compile(r"(?:[^@/:\s]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):([^/:\s][^:\s]*)")
_SCHEMES = {"http", "https", "ssh", "git"}


class Message(NamedTuple):
    """What a caller says: `text`, whose first line is the subject ("": words are found), and trailers of its own."""

    text: str = ""
    trailers: Trailers = ()


class Move(NamedTuple):
    """What a publication does to an experiment: percent by variant, control first, before and after.

    None where the experiment does not exist, () where it is not valid. `changed` says in a word what changed.
    `verdict` is what evidence in the publication comes to, "" without any.
    """

    name: str
    before: Traffic | None
    after: Traffic | None
    changed: str = ""
    verdict: str = ""


class Reference(NamedTuple):
    """The commit that a publication to another repository comes from; `date` as of `git log --format=%aI`."""

    commit: str
    author: str
    email: str
    date: str
    subject: str
    body: str
    url: str


def compose(environment: str, moves: tuple[Move, ...], message: Message, reference: Reference | None = None) -> str:
    """Write the whole message, in lines that end with a line feed."""
    words = [sentence(environment, move) for move in moves]
    subject, _, body = message.text.strip().partition("\n")
    if not subject.strip():
        subject = words[0] if len(words) == 1 else f"{environment}: publish {len(words)} experiments"
        words = words if len(words) > 1 else []
    words = [one for one in words if one != subject]
    body, own = _parted(body)
    trailers = [*_trailers(environment, moves), *message.trailers, *(_references(reference) if reference else ()), *own]
    paragraphs = [
        _line(subject),
        "\n".join(words),
        "\n".join(map(_body_line, body.strip().splitlines())),
        "\n".join(f"{_key(key)}: {_line(value)}" for key, value in trailers),
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _parted(body: str) -> tuple[str, list[tuple[str, str]]]:
    """Part the trailers that end a text from it; a paragraph with one that only Penstock may write is text."""
    rest, _, last = f"\n\n{body.strip()}".rpartition("\n\n")
    found = [_TRAILER.fullmatch(line) for line in last.splitlines()]
    own = [(match[1], match[2]) for match in found if match and not match[1].lower().startswith(_RESERVED)]
    return (rest, own) if own and len(own) == len(found) else (body, [])


def sentence(environment: str, move: Move) -> str:
    """Say in one line what happens to an experiment: `production/search: v2 20 → 40 %`."""
    place = f"{environment}/{move.name}"
    if move.after is None:
        return f"{place}: removed"
    if move.before is None:
        return f"{place}: new, {shares(move.after)}"
    if not move.before:
        return f"{place}: {shares(move.after)}"
    if move.before == move.after:
        return f"{place}: {move.changed or 'manifests'}, traffic unchanged"
    before, after = dict(move.before), dict(move.after)
    moved = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told = [name for name in moved if name != move.after[0][0]] or moved
    return f"{place}: " + ", ".join(
        f"{name} {before.get(name, 0)} → {after[name]} %" if name in after else f"{name} removed" for name in told
    )


def shares(traffic: Traffic | None) -> str:
    """Write traffic for people: `v1 80 %, v2 20 %`."""
    return "none" if traffic is None else ", ".join(f"{name} {percent} %" for name, percent in traffic)


def _trailers(environment: str, moves: tuple[Move, ...]) -> Iterator[tuple[str, str]]:
    """Yield each experiment, in order, and after it what is about it."""
    for move in moves:
        yield TRAILER_EXPERIMENT, f"{environment}/{move.name}"
        for when, traffic in (("Before", move.before), ("After", move.after)):
            told = ",".join(f"{name}={percent}" for name, percent in traffic) if traffic else "none"
            yield f"Penstock-Traffic-{when}", told
        if move.changed == EVIDENCE:
            yield TRAILER_ACTION, RECORDED
        if move.verdict:
            yield TRAILER_VERDICT, move.verdict


def _references(reference: Reference) -> Iterator[tuple[str, str]]:
    """Yield what Argo CD's UI shows as the origin of a deployed commit.

    Source: argo-cd, docs/user-guide/source-hydrator.md, "Commit Tracing": the author as in RFC 5322, the commit as 5 to
    40 hexadecimal digits, the body as a JSON string, the date as in ISO 8601; only URLs with a scheme are accepted.
    """
    yield "Argocd-reference-commit-author", _address(_line(reference.author), reference.email)
    yield "Argocd-reference-commit-sha", reference.commit[:40]
    yield "Argocd-reference-commit-subject", reference.subject
    if reference.body.strip():
        yield "Argocd-reference-commit-body", json.dumps(reference.body.strip())
    if url := public_url(reference.url):
        yield "Argocd-reference-commit-repourl", url
    yield "Argocd-reference-commit-date", reference.date


def public_url(url: str) -> str:
    """Return the address of a repository without what it may hold of secrets, or "" if it is a path."""
    if match := _SCP.fullmatch(url):
        return f"ssh://{match[1]}/{match[2]}"
    try:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            return ""
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{parts.path}"


def _address(name: str, email: str) -> str:
    """Write an address as RFC 5322 has it; a name with what has a meaning there is put into quotes."""
    if _SPECIAL.search(name):
        name = '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
    return f"{name} <{email}>"


def _key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be the key of a trailer")
    return key


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _body_line(line: str) -> str:
    """Keep a line of free text from ending the message where git looks for a patch below it."""
    line = printable(line.replace("\t", "    ").rstrip())
    return f" {line}" if line.startswith("---") else line
