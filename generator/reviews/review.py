"""What a review says: values, made of our own text and of quotations of what users wrote.

Only who knows the form of the output may write a quotation: `markdown` and `printed` do, each by its own rules.
"""

from collections.abc import Iterable
from typing import NamedTuple

from generator.problems import Problem
from generator.reviews.departures import Departure
from generator.reviews.restarts import Pods
from generator.reviews.reversal import Reversal
from generator.reviews.transitions import Evidence
from generator.versions.stages import Standing


class Quote(NamedTuple):
    """Text that somebody else wrote."""

    text: str


class Versus(NamedTuple):
    """What somebody else wrote, before and after a change."""

    before: str
    after: str


Words = tuple[str | Quote | Versus, ...]


class Row(NamedTuple):
    """A line of the table: what it is about, and what is to be said, each on a line of its own."""

    label: str
    cells: tuple[Words, ...]


class Share(NamedTuple):
    """What a variant gets, for the picture: percent before and after, None where it is not declared."""

    variant: str
    control: bool
    before: int | None
    after: int | None


class Facts(NamedTuple):
    """What was found out about a change.

    `pods` is None where manifests cannot be made, or could not before. `objects` are the manifests that differ, by
    path; `stale` how those committed depart from them. `standing` is None where no candidate gets
    more. `soak_known` is False where history is cut off. `models` are other experiments that serve one of its models,
    `hosts` those that take its hostname. `verdict` and `override` are what commits of the change say last, "" if they
    say nothing. `evidence` is what becomes of that of an experiment with another name.
    """

    pods: tuple[Pods, ...] | None
    objects: tuple[str, ...]
    reversal: Reversal | None
    standing: Standing | None
    soak_known: bool
    stale: tuple[Departure, ...]
    models: tuple[str, ...]
    hosts: tuple[str, ...]
    verdict: str = ""
    override: str = ""
    evidence: Evidence = "none"


class Review(NamedTuple):
    """All that is said about one experiment, or about an environment's own file.

    `gravest` is the severity of the gravest problem that the change makes, "" if it makes none.
    """

    title: str
    file: str
    sentence: Words
    rows: tuple[Row, ...] = ()
    picture: tuple[Share, ...] = ()
    gravest: str = ""


class Report(NamedTuple):
    """A whole review; `base` and `head` are how people call the revisions.

    `unknown` is what could not be found out though it decides, `notes` what should be known beside.
    """

    base: str
    head: str
    reviews: tuple[Review, ...]
    problems: tuple[Problem, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def silence(self) -> str:
        """What to say where there is no review."""
        return "no experiment changes" if self.problems else "nothing changes"


def joined(parts: Iterable[Words], separator: str) -> Words:
    """Join words to one text."""
    words: list[str | Quote | Versus] = []
    for part in parts:
        words += [separator, *part] if words else part
    return tuple(words)
