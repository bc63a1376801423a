"""Command lines that are read without click mean what click would make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from generator import plain, repository
from generator.cli import cli
from generator.reviews import reviewing

if TYPE_CHECKING:
    from repositories import Repository

WORDS = [
    *("--base", "--head", "--output", "-o", "-C", "-e", "--help", "-h", "--limit", "--", "-", "", "main", "HEAD~1"),
    *("--base=main", "--base=", "--head=working tree", "--head=-x", "--output=json", "--output=yaml", "-o=json"),
    *("-ojson", "-Cdir", "--bas=main", "--base=a=b", "json", "markdown", "github", "text"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=6))
@example([])
@example(["-o=json"])
@example(["--base", "--head", "-C", "-o"])
@example(["--base=main", "--output", "markdown", "--head", "--"])
def test_a_review_that_is_asked_for_plainly_is_the_one_that_click_would_ask_for(words: list[str]) -> None:
    asked: list[Any] = []

    def show(*arguments: Any) -> int:
        asked.append(arguments)
        return 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reviewing, "show", show)
        patch.setattr(repository, "find", lambda directory: directory)
        status = plain.run(["review", *words])
        if status is None:
            assert asked == []
            return
        result = CliRunner().invoke(cli, ["review", *words])
    assert (status, result.exit_code) == (3, 3)
    read, parsed = asked
    assert [*read, 0][:6] == [*parsed]


@pytest.mark.parametrize("words", [["render"], ["render", "-C", "."], ["review"], ["review", "--base=a", "-o", "json"]])
def test_the_usual_lines_are_plain(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.plain._render", lambda **_: 0)
    monkeypatch.setattr(reviewing, "show", lambda *_: 0)
    monkeypatch.setattr(repository, "find", lambda directory: directory)
    assert plain.run(words) == 0


@pytest.mark.parametrize(
    "line", ["", "--help", "render x", "render --check", "validate", "review --bas=a", "review -e x"]
)
def test_all_others_are_left_to_click(line: str) -> None:
    assert plain.run(line.split()) is None


def test_to_render_plainly_is_to_render(repository: Repository) -> None:
    for _ in ("all is new", "nothing is"):
        before = repository.files()
        plainly = repository.penstock("render")
        rendered = repository.files()
        for path in rendered.keys() - before.keys():
            (repository.root / path).unlink()
        parsed = repository.invoke("render")
        assert (plainly.returncode, plainly.stdout, rendered) == (parsed.exit_code, parsed.stdout, repository.files())
