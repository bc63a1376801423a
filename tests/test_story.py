"""The report of an experiment: what it tells, that nothing in it can break out, and how a real browser shows it."""

from __future__ import annotations

import math
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import browser
from evidence import BEGIN, RATES, Truth, count, ramp, three
from histories import HOUR, START, History
from repositories import EXPERIMENT

from generator import repository
from generator.evidence import distributions, examine, subject
from generator.reports import charts, page, readout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser import Browser

GOLDEN = Path(__file__).parent / "reports"
BETTER = Truth(RATES, {"v2": {"click-through": 1.12}})
WORSE = Truth(RATES, {"v2": {"errors": 2.0}})
SAME = Truth(RATES, {})
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><svg/onload=alert(1)>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "--><!--",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "@everyone ` | </details> | `` <b>",
    "&lt;script&gt; \u202e gpj.exe",
)
BOTH = Truth(RATES, {"larger-model": {"click-through": 1.1, "slow": 1.5}, "smaller-model": {"slow": 0.8}})
LONG = pytest.mark.needs("PENSTOCK_TEST_LONG")
STORIES = {"three": (BOTH, 30), "better": (BETTER, 36), "worse": (WORSE, 10), "early": (SAME, 2)}


def told(history: History, *options: str) -> str:
    done = history.invoke("report", EXPERIMENT, "-e", "production", *options)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], History]:
    """Return a story by its name, made when it is first asked for; tests read it, and change nothing of it."""

    @cache
    def story(name: str) -> History:
        truth, hours = STORIES[name]
        root = tmp_path_factory.mktemp(name)
        made = three(root) if name == "three" else ramp(root)
        count(made, truth, hours)
        return made

    return story


@pytest.mark.needs("git")
@pytest.mark.parametrize("name", STORIES)
def test_the_digest_is_as_committed(
    name: str, stories: Callable[[str], History], request: pytest.FixtureRequest
) -> None:
    found = told(stories(name), "-o", "markdown")
    found = re.sub(r"`[0-9a-f]{12}`", "`<commit>`", found)
    file = GOLDEN / f"{name}.md"
    if request.config.getoption("--update"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text()


class Page(HTMLParser):
    """A page as data: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.mark.needs("git")
@pytest.mark.parametrize("name", STORIES)
def test_the_page_is_whole_alone_and_the_same_each_time(name: str, stories: Callable[[str], History]) -> None:
    history = stories(name)
    text = told(history)
    assert told(history) == text
    read = Page(text)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "iframe", "object", "embed", "img", "base", "form", "audio", "video"}
    for tag, attributes in read.elements:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on"), (tag, attribute)
            if attribute in {"href", "src", "xlink:href", "action", "srcset"}:
                assert value == "data:,"
    assert "url(" not in text
    assert "@import" not in text
    for tag, attributes in read.elements:
        assert attributes.get("role") != "img" or attributes.get("aria-label"), tag
    for part in ("Hypothesis", "At a glance", "How the evidence grew", "Traffic", "What happened", "Stage by stage"):
        assert part in read.text


@pytest.mark.needs("git")
def test_the_page_tells_the_verdict_its_numbers_and_its_history(stories: Callable[[str], History]) -> None:
    text = Page(told(stories("better"))).text
    assert "Promote v2 v2 may take over: click-through is better: " in text
    assert "Try v2" in text
    assert "v2 gets 50 %" in text
    assert re.search(r"click-through of v2: \+1\d\.?\d* % against control, at all looks between \+\d", text)
    assert "evidence in environments/production/evidence/recommendation-model/attempt-1.jsonl" in text


@pytest.mark.needs("git")
@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_nothing_that_others_wrote_breaks_out(attack: str, harmless: Callable[[], set[str]], tmp_path: Path) -> None:
    history = ramp(tmp_path / "repository", steps=((0, 20),), hypothesis=attack.replace("\u202e", ""))
    with history.experiment() as document:
        document["spec"]["traffic"] = {"v1": 70, "v2": 30}
    history.clock = BEGIN + 2 * HOUR
    history.commit(f"x {attack}")
    count(history, SAME, 6, looks=2)
    read = Page(told(history))
    assert {tag for tag, _ in read.elements} == harmless()
    markdown = told(history, "-o", "markdown")
    outside = re.sub(r"`[^`\n]*`", "", markdown)
    assert not re.search(r"<(?!/?(details|summary|sub)>)", outside)
    assert "@" not in outside
    assert "](" not in outside


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], set[str]]:
    """Return the elements of a page in which nobody wrote anything odd."""

    @cache
    def elements() -> set[str]:
        history = ramp(tmp_path_factory.mktemp("plain"), steps=((0, 20), (3, 30)))
        count(history, SAME, 6, looks=2)
        return {tag for tag, _ in Page(told(history)).elements}

    return elements


@pytest.mark.needs("git")
def test_an_experiment_without_evidence_has_a_page_too(tmp_path: Path) -> None:
    text = Page(told(ramp(tmp_path / "repository", steps=((0, 20),)))).text
    assert "Continue" in text
    assert "nothing has been counted yet" in text


@pytest.mark.needs("git")
def test_what_cannot_be_told(tmp_path: Path) -> None:
    history = ramp(tmp_path / "repository", steps=((0, 20),))
    done = history.penstock("report", EXPERIMENT, "-e", "production", "--prometheus")
    assert done.returncode == 3
    assert done.stderr == (
        "penstock: environments/production/environment.yaml: no Prometheus is declared; add spec.prometheus.url, or "
        "leave --prometheus out to report what is recorded\n"
    )
    done = history.penstock("report", EXPERIMENT, "-e", "production", "--file", "missing/report.html")
    assert done.returncode == 3
    assert done.stderr == (
        "penstock: missing/report.html: the report cannot be written (No such file or directory); name a file in a "
        "folder that exists\n"
    )
    done = history.penstock("report", EXPERIMENT, "-e", "production", "--file", "report.html")
    assert (done.returncode, done.stdout) == (0, "")
    assert (history.root / "report.html").read_text().startswith("<!DOCTYPE html>")


# In a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.mark.needs("git", "chromium or google-chrome")
@pytest.mark.parametrize("name", ["three", *(pytest.param(one, marks=LONG) for one in STORIES if one != "three")])
def test_a_browser_shows_it_on_any_screen(
    name: str, stories: Callable[[str], History], chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(told(stories(name)))
    pictures = {}
    for width in (320, 390, 768, 1100, 1600):
        for scheme in ("light", "dark"):
            shown = chromium.show(file, width, scheme)
            assert shown.requests == []
            assert shown.console == []
            pictures[width, scheme] = shown.picture
            assert chromium.evaluate("document.documentElement.scrollWidth") == width
            assert chromium.evaluate(OUTSIDE) == []
            assert chromium.evaluate(PALE) == []
    assert pictures[390, "light"] != pictures[390, "dark"]


@pytest.mark.needs("git", "chromium or google-chrome")
def test_histograms_of_many_buckets_fit_a_phone(
    stories: Callable[[str], History], chromium: Browser, tmp_path: Path
) -> None:
    bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)
    upto = {name: {bound: number**2 * pace for number, bound in enumerate(bounds)} for name, pace in PACES.items()}
    seen = tuple(distributions.describe("slow", "seconds", ["v1", "v2"], [upto, upto]))
    asked = subject.read(repository.take(str(stories("early").root)), "production", EXPERIMENT)
    life = subject.life(asked.root, asked.environment, EXPERIMENT, "", BEGIN + 2 * HOUR)
    assert life is not None
    examined = examine.examine(asked.root, asked.experiment, asked.environment, life, BEGIN + 2 * HOUR, None)
    file = tmp_path / "report.html"
    file.write_text(page.html(readout.read_out(examined, life, seen)))
    for width in (320, 1100):
        chromium.show(file, width)
        assert chromium.evaluate(OUTSIDE) == []
        assert chromium.evaluate(PALE) == []
        assert chromium.evaluate(CROWDED) == []


PACES = {"v1": 100, "v2": 40}

# Labels of buckets that touch the one before.
CROWDED = """(() => {
  const labels = [...document.querySelectorAll('.bucket span')].filter(one => one.textContent).map(one => {
    const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect();
  });
  return labels.filter((one, place) => place && one.left < labels[place - 1].right + 2).map(one => one.left);
})()"""


@pytest.mark.needs("git", "chromium or google-chrome")
@pytest.mark.parametrize("name", ["better", "three"])
def test_print_shows_what_is_folded_and_cuts_nothing_off(
    name: str, stories: Callable[[str], History], chromium: Browser, tmp_path: Path
) -> None:
    """But for the tables of each interval by time, which would take pages."""
    file = tmp_path / "report.html"
    file.write_text(told(stories(name)))
    folded = "[...document.querySelectorAll('details:not(.long) table')].filter(one => one.checkVisibility()).length"
    chromium.show(file, 718)
    assert chromium.evaluate(folded) == 0
    chromium.show(file, 718, media="print")  # A4 between usual margins
    assert chromium.evaluate(folded) == 2
    assert chromium.evaluate("document.documentElement.scrollWidth") == 718
    assert chromium.evaluate(OUTSIDE.replace("!one.closest('.scroll') && ", "")) == []


# Elements that stick out of the window, but for those in a frame that scrolls.
OUTSIDE = """[...document.body.querySelectorAll('*')]
  .filter(one => !one.closest('.scroll') && !one.closest('svg') && one.checkVisibility())
  .filter(one => one.getBoundingClientRect().right > innerWidth + .5 || one.getBoundingClientRect().left < -.5)
  .map(one => one.outerHTML.slice(0, 80))"""

# Texts whose contrast with what lies behind them is below 4.5 (WCAG 2.2, 1.4.3).
PALE = """(() => {
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = text => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = text; context.fillRect(0, 0, 1, 1);
    const data = context.getImageData(0, 0, 1, 1).data;
    return [data[0], data[1], data[2], data[3] / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = one => {
    const sheets = [];
    for (let node = one; node; node = node.parentElement) sheets.unshift(rgba(getComputedStyle(node).backgroundColor));
    return sheets.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const linear = one => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4;
  const light = colour => {
    const [r, g, b] = colour.map(one => linear(one / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  return [...document.body.querySelectorAll('*')]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && one.checkVisibility())
    .map(one => {
      const paper = behind(one);
      const pair = [light(over(rgba(getComputedStyle(one).color), paper)), light(paper)].sort((a, b) => b - a);
      return [(pair[0] + .05) / (pair[1] + .05), one.outerHTML.slice(0, 90)];
    })
    .filter(([contrast]) => contrast < 4.5);
})()"""


# Numbers and axes


@pytest.mark.parametrize(
    ("ratio", "written"),
    [
        (None, "-"),
        (1.0, "0 %"),
        (1.00001, "0 %"),
        (1.042, "+4.2 %"),
        (0.9, "\u221210 %"),
        (1.0005, "+0.05 %"),
        (2.02, "+102 %"),
        (3.14159, "\u00d7 3.14"),
        (1200.0, "\u00d7 1.2e+03"),
        (0.0, "\u2212100 %"),
    ],
)
def test_ratios_are_written_as_changes(ratio: float | None, written: str) -> None:
    assert charts.change(ratio) == written


@pytest.mark.parametrize("hours", [0.02, 0.4, 1, 5, 23, 30, 100, 400, 2000, 20000])
def test_an_axis_of_time_has_few_round_ticks(hours: float) -> None:
    scale = charts.times(START, START + int(hours * HOUR))
    ticks = charts.time_ticks(scale)
    assert len(ticks) <= 6
    assert all(0 <= tick.at <= 100 for tick in ticks)


def test_what_lies_beyond_an_axis_is_drawn_at_its_edge() -> None:
    scale = charts.ratios([0.1], [5.0, 0.15])
    assert scale.high == -scale.low == 0.15
    assert (scale.at(7), scale.at(-7), scale.at(0)) == (100, 0, 50)
