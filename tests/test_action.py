"""The GitHub Action: its own scripts on a real repository, before a stand-in for the forge's API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from repositories import Repository, production

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
ACTION = ROOT / ".github/action"
BOT = "github-actions[bot]"
MARK = "<!-- penstock review: . -->"
MOST = 65_536

pytestmark = pytest.mark.needs("git")


class Forge:
    """Comments of one pull request, behind as much of GitHub's REST API as the Action uses."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.answers: list[int | bytes] = []  # of the next calls: a status, raw bytes, or 0 to do what is asked
        self.headers: dict[str, str] = {}  # of answers with a status
        self.tokens: set[str] = set()

    def has(self, login: str, body: str) -> None:
        self.comments.append({"id": len(self.comments) + 1, "user": {"login": login}, "body": body})

    def answer(self, method: str, path: str, data: Any) -> tuple[int, Any]:
        failing = self.answers.pop(0) if self.answers else 0
        if isinstance(failing, bytes):
            return 0, failing
        if failing > 0:
            return failing, {"message": "no"}
        where, _, query = path.partition("?")
        if method == "GET" and where == "/repos/shop/models/issues/7/comments":
            size, page = map(int, re.findall(r"\d+", query))
            return 200, self.comments[(page - 1) * size : page * size]
        if len(data["body"]) > MOST:
            return 422, {"message": "body is too long"}
        if method == "POST" and where == "/repos/shop/models/issues/7/comments":
            self.has(BOT, data["body"])
            return (201, self.comments[-1]) if not failing else (-failing, {"message": "created, but"})
        found = re.fullmatch(r"/repos/shop/models/issues/comments/(\d+)", where)
        assert method == "PATCH"
        assert found, where
        self.comments[int(found[1]) - 1]["body"] = data["body"]
        return 200, {}


class Done(NamedTuple):
    status: int
    out: str
    summary: str


@pytest.fixture
def forge() -> Iterator[tuple[Forge, str]]:
    state = Forge()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(length)) if length else None
            state.tokens.add(self.headers["Authorization"])
            state.calls.append(self.command)
            status, answer = state.answer(self.command, self.path, data)
            if not status:
                self.wfile.write(answer)
                return
            text = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = handle_one  # noqa: N815 (names that http.server calls)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def requested(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A pull request that changes traffic, checked out as the runner does it: as its merge into main."""

    @cache
    def made() -> Path:
        repository = production(tmp_path_factory.mktemp("requested"))
        repository.penstock("render")
        git(repository, "init", "-q", "-b", "main")
        commit(repository, "before")
        git(repository, "switch", "-qc", "change")
        with repository.experiment() as document:
            document["spec"]["traffic"] = {"v1": 50, "v2": 50}
        repository.penstock("render")
        commit(repository, "change")
        git(repository, "switch", "-q", "main")
        (repository.root / "README").write_text("main went on\n")
        commit(repository, "main went on")
        git(repository, "switch", "-q", "--detach")
        git(repository, "merge", "-q", "--no-ff", "-m", "merge", "change")
        return repository.root

    return made


@pytest.fixture
def request_(requested: Callable[[], Path], tmp_path: Path) -> Repository:
    """The pull request, to be changed."""
    says(tmp_path, "More requests reach v2.\n", 0)
    return Repository(shutil.copytree(requested(), tmp_path / "repository", symlinks=True))


def git(repository: Repository, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=repository.root, check=True, capture_output=True, encoding="utf-8").stdout


def commit(repository: Repository, message: str) -> None:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", message)


def says(tmp_path: Path, review: str, status: int, commands: str = "") -> None:
    """Let `penstock review` say this, and note how it was asked; all else is Penstock itself."""
    (tmp_path / "review.md").write_text(review)
    (tmp_path / "review.github").write_text(commands)
    program = tmp_path / "penstock"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" != review ]; then exec {sys.executable} -P -m generator "$@"; fi\n'
        f'case "$*" in *github) cat {tmp_path}/review.github; exit {status};; esac\n'
        f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/review.md; exit {status}\n'
    )
    program.chmod(0o755)


def act(repository: Repository, tmp_path: Path, api: str, **environment: str) -> Done:
    event = {"pull_request": {"number": 7, "base": {"sha": git(repository, "rev-parse", "main~1").strip()}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    variables = {
        "GITHUB_API_URL": api,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_REPOSITORY": "shop/models",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "PENSTOCK_AUTHOR": BOT,
        "PENSTOCK_PAUSE": "0",
        "PENSTOCK_TOKEN": "secret",
    }
    done = subprocess.run(
        [sys.executable, "-I", ACTION / "review.py", tmp_path / "penstock"],
        cwd=repository.root,
        env={**os.environ, **variables, **environment},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert not done.stderr
    assert f"status={done.returncode}" in (tmp_path / "output").read_text()
    return Done(done.returncode, done.stdout, (tmp_path / "summary").read_text())


def test_one_comment_is_created_and_then_updated(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    state, api = forge
    body = f"{MARK}\nMore requests reach v2.\n"
    assert act(request_, tmp_path, api) == Done(0, "", body)
    assert [(one["user"]["login"], one["body"]) for one in state.comments] == [(BOT, body)]
    act(request_, tmp_path, api)
    assert state.calls == ["GET", "POST", "GET"]  # nothing to say anew
    says(tmp_path, "Fewer requests reach v2.\n", 1)
    assert act(request_, tmp_path, api).status == 1
    assert [one["body"] for one in state.comments] == [f"{MARK}\nFewer requests reach v2.\n"]
    assert state.tokens == {"Bearer secret"}


def test_the_comment_is_found_over_pages_and_by_its_author(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    state, api = forge
    for number in range(250):
        state.has("somebody", f"{MARK}\nnot from us" if number % 7 == 0 else "hello")
    state.has(BOT, "of another action")
    state.has(BOT, f"{MARK}\nold")
    before = [one["body"] for one in state.comments[:-1]]
    act(request_, tmp_path, api)
    assert state.calls == ["GET", "GET", "GET", "PATCH"]
    assert [one["body"] for one in state.comments] == [*before, f"{MARK}\nMore requests reach v2.\n"]


def test_it_compares_with_what_the_request_merges_into(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    main, older = git(request_, "rev-parse", "main", "main~1").split()
    for environment, base in (
        ({}, main),
        ({"PENSTOCK_BASE": "v1.0"}, "v1.0"),
        ({"GITHUB_REF": "refs/heads/change"}, older),
    ):
        act(request_, tmp_path, forge[1], **environment)
        assert (tmp_path / "asked").read_text() == f"review --base={base} --head=HEAD -o markdown --limit=800000\n"


@pytest.mark.parametrize("refusal", [401, 403, 404, 422])
def test_without_permission_the_summary_has_it(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str], refusal: int
) -> None:
    """As for a pull request from a fork, whose token may only read."""
    state, api = forge
    state.answers = [0, refusal]
    done = act(request_, tmp_path, api)
    assert done.status == 0
    assert done.out == (
        f"::warning::No comment: POST /repos/shop/models/issues/7/comments answers {refusal}. "
        "The summary of this run has the review.\n"
    )
    assert "More requests reach v2." in done.summary
    assert state.comments == []


def test_a_passing_fault_is_outlasted_and_a_lasting_one_fails_nothing(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    state, api = forge
    state.answers = [502, 0, 503, 429]
    assert act(request_, tmp_path, api).out == ""
    assert len(state.comments) == 1
    state.comments.clear()
    state.answers = [0, -500]  # created, though it says otherwise
    assert act(request_, tmp_path, api).out == ""
    assert len(state.comments) == 1
    state.answers = [500] * 9
    done = act(request_, tmp_path, api)
    assert (done.status, "answers 500" in done.out) == (0, True)
    assert (act(request_, tmp_path, "http://127.0.0.1:1")).status == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n[{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\nnull",
        b"HTTP/1.0 200 OK\r\n\r\n<html>",
        b"garbage\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_makes_no_sense_fails_nothing(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str], answer: bytes
) -> None:
    state, api = forge
    state.answers = [answer] * 4
    done = act(request_, tmp_path, api)
    assert done.status == 0
    assert re.fullmatch(
        r"::warning::No comment: GET /repos\S+.*\. The summary of this run has the review\.\n", done.out
    )


def test_comments_of_deleted_accounts_are_passed_by(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    state, api = forge
    state.comments += [{"id": 1, "user": None, "body": MARK}, {"id": 2, "user": {"login": BOT}, "body": None}]
    assert act(request_, tmp_path, api).out == ""
    assert [one["body"] for one in state.comments[2:]] == [f"{MARK}\nMore requests reach v2.\n"]


@pytest.mark.parametrize(("seconds", "written"), [("0", 1), ("61", 0)])
def test_a_limit_of_rate_is_waited_for_if_it_is_short(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str], seconds: str, written: int
) -> None:
    state, api = forge
    state.answers, state.headers = [403], {"Retry-After": seconds}
    assert act(request_, tmp_path, api).status == 0
    assert len(state.comments) == written


@pytest.mark.parametrize("status", [0, 1, 3])
def test_what_a_review_finds_is_marked_beside_mistakes(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str], status: int
) -> None:
    with request_.experiment() as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 49}
    says(tmp_path, "More requests reach v2.\n", status, "::warning file=a.yaml::PS709\n")
    done = act(request_, tmp_path, forge[1])
    assert "PS303" in done.out
    assert ("PS709" in done.out) == (status != 3)


@pytest.mark.parametrize("opening", ["", "```text\n", "<details><summary>all</summary>\n\n````\n"])
def test_a_long_review_is_cut_for_the_comment_and_whole_in_the_summary(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str], opening: str
) -> None:
    review = opening + "".join(f"line {number} ünïcödé\n" for number in range(6_000))
    says(tmp_path, review, 0)
    done = act(request_, tmp_path, forge[1])
    (comment,) = forge[0].comments
    assert MOST - 600 < len(comment["body"]) <= MOST
    assert "Cut here" in comment["body"]
    assert comment["body"].count("<details") == comment["body"].count("</details>")
    fences = [line for line in comment["body"].splitlines() if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert review in done.summary
    assert (tmp_path / "asked").read_text().endswith("-o markdown --limit=60000\n")


def test_mistakes_are_marked_on_their_lines_and_fenced(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    with request_.experiment() as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 49}
        document["spec"]["owner"] = "```\n@everyone\n::error::forged"
    done = act(request_, tmp_path, forge[1])
    assert done.status == 1
    assert "::error file=environments/production/experiments/recommendation-model.yaml,line=" in done.out
    assert "\n::error::forged" not in done.out
    (comment,) = forge[0].comments
    assert "**Something is wrong with the experiments:**" in comment["body"]


def test_stale_files_are_an_error(request_: Repository, tmp_path: Path, forge: tuple[Forge, str]) -> None:
    with request_.experiment() as document:
        document["spec"]["traffic"] = {"v1": 80, "v2": 20}
    done = act(request_, tmp_path, forge[1])
    assert done.status == 1
    folder = "environments/production/manifests/traffic/recommendation-model"
    route = f"{folder}/httproute-recommendation-model-experiment.yaml"
    assert f"::error file={route},title=Penstock PS606::is not what is declared; run `penstock render`\n" in done.out
    assert "update  environments/production/manifests/traffic" in forge[0].comments[0]["body"]


def test_what_penstock_complains_of_is_no_command(
    request_: Repository, tmp_path: Path, forge: tuple[Forge, str]
) -> None:
    program = tmp_path / "penstock"
    program.write_text("#!/bin/sh\nprintf 'no\\n::error::forged\\n' >&2\nexit 3\n")
    done = act(request_, tmp_path, forge[1])
    assert done.status == 3
    for silence, said, end in re.findall(r"::stop-commands::(\w+)\n(.*?)\n::(\w+)::\n", done.out, flags=re.DOTALL):
        assert (said, end) == ("no\n::error::forged", silence)
    assert re.sub(r"::stop-commands::(\w+)\n.*?\n::\1::\n", "", done.out, flags=re.DOTALL) == ""
    assert "could not be made" in forge[0].comments[0]["body"]


def test_with_the_real_review(request_: Repository, tmp_path: Path, forge: tuple[Forge, str]) -> None:
    program = tmp_path / "penstock"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m generator "$@"\n')
    done = act(request_, tmp_path, forge[1])
    (comment,) = forge[0].comments
    assert comment["body"].startswith(MARK)
    assert "recommendation-model" in comment["body"]
    assert "20 → 50 %" in comment["body"], comment["body"]
    assert (done.status, " PS707::the stage has lasted" in done.out) == (1, True)  # the soak is not over


def test_the_shell_installs_its_own_penstock_and_nothing_of_the_request(request_: Repository, tmp_path: Path) -> None:
    """Python and pip start in an empty folder: modules and settings in the pull request's are never seen."""
    for name in ("pip.py", "json.py", "venv.py", "pip.conf", "pyproject.toml"):
        (request_.root / name).write_text("raise SystemExit('the pull request was executed')\n")
    log, stand_in = tmp_path / "log", tmp_path / "python"
    stand_in.write_text(
        f'#!/bin/sh\necho "$(ls | wc -l) $@" >> {log}\n'
        f'mkdir -p "$4/bin"; ln -s {tmp_path}/penstock "$4/bin/penstock"\n'
        f'printf "#!/bin/sh\\necho \\"\\$(ls | wc -l) \\$*\\" >> {log}\\n'
        f'case \\"\\$*\\" in *pip*) exit 0;; esac\\nexec {sys.executable} \\"\\$@\\"\\n" > "$4/bin/python"\n'
        'chmod +x "$4/bin/python"\n'
    )
    stand_in.chmod(0o755)
    environment = {
        "GITHUB_WORKSPACE": str(request_.root),
        "PENSTOCK_PYTHON": str(stand_in),
        "RUNNER_TEMP": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", ACTION / "review.sh"],
        cwd=request_.root,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    made, installed, ran = log.read_text().splitlines()
    assert re.fullmatch(r"0 -I -m venv \S+/venv", made)
    assert installed == f"1 -I -m pip install --quiet --disable-pip-version-check {ACTION}/../.."
    assert re.fullmatch(rf"\d+ -I {ACTION}/review.py \S+/venv/bin/penstock", ran)
    assert not list(tmp_path.glob("penstock.*"))


WORKFLOWS = [ROOT / "action.yml", *sorted((ROOT / ".github/workflows").glob("*.yml"))]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_scripts_take_values_from_their_environment_and_actions_are_pinned(file: Path) -> None:
    text = file.read_text()
    steps = list(mappings(yaml.safe_load(text)))
    assert not [step["run"] for step in steps if "${{" in str(step.get("run", ""))]
    foreign = [step["uses"] for step in steps if "uses" in step and not step["uses"].startswith("./")]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one) for one in foreign), foreign
    assert "pull_request_target" not in text
    if file.name == "action.yml":
        assert not foreign


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for one in node if isinstance(node, list) else ():
        yield from mappings(one)
