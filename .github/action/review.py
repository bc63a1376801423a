"""Check and review a pull request, and say so in one comment, or in the summary of the step where it may not comment.

Run by `review.sh` with the path of `penstock`, in the folder that holds `environments`. Nothing of the pull request is
executed. Whatever happens to the comment, the exit status is that of the checks.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

MOST = 65_536  # characters of a comment on GitHub
MOST_COMMENT = 60_000  # bytes of it for the review
# A step's summary may have 1 MiB: these many bytes of the review, and these many characters, of four bytes at most, of
# what the checks say.
MOST_SUMMARY, MOST_CHECKS = 800_000, 50_000
PAGE = 100
TRIES = 4
PATIENCE = 60  # seconds that the forge may ask for
CUT = "\n\n*Cut here: it is longer than a comment may be. The summary of the workflow's run has more of it.*\n"
CUT_CHECKS = "\n\n*Cut here: `penstock validate` and `penstock render --check` print all.*\n"


class ForgeError(Exception):
    """The forge refused, or could not be reached; `passing` if it may do better, not before `wait` seconds."""

    def __init__(self, reason: str, *, passing: bool, wait: int = 0) -> None:
        super().__init__(reason)
        self.passing = passing
        self.wait = wait


class Run(NamedTuple):
    """What a command came to."""

    status: int
    out: str


def main(program: str) -> int:
    """Do the checks and report them; return 0, 1, 2 or 3 as `penstock` does."""
    event = _event()
    checks, status = _checks(program)
    between = (f"--base={_base(event)}", "--head=HEAD")
    review = _penstock(program, "review", *between, "-o", "markdown", f"--limit={MOST_SUMMARY}")
    if review.status in (0, 1):
        _say(_penstock(program, "review", *between, "-o", "github").out.rstrip("\n"))
    status = max(status, review.status)
    told = review.out or "The review could not be made; the log of the workflow's run says why.\n"
    _append("GITHUB_STEP_SUMMARY", f"{marker()}\n{told}{cut(checks, MOST_CHECKS, CUT_CHECKS)}")
    _append("GITHUB_OUTPUT", f"status={status}\n")
    number = event.get("pull_request", {}).get("number")
    if number and os.environ.get("PENSTOCK_COMMENT", "true") == "true":
        if len(told) > MOST_COMMENT:  # once more: only Penstock knows what matters least
            told = _penstock(program, "review", *between, "-o", "markdown", f"--limit={MOST_COMMENT}").out
        try:
            comment(int(number), cut(f"{marker()}\n{told}{checks}", MOST))
        except ForgeError as error:
            _say(f"::warning::No comment: {_escaped(str(error))}. The summary of this run has the review.")
    return status


def marker() -> str:
    """Return what a comment of ours begins with, in a repository with several folders a different one for each."""
    directory = os.environ.get("PENSTOCK_DIRECTORY", ".").replace("--", "- -").replace(">", "")
    return f"<!-- penstock review: {' '.join(directory.split())} -->"


def cut(text: str, most: int, note: str = CUT) -> str:
    """Shorten Markdown to a number of characters, at a line's end, and close what is open there."""
    if len(text) <= most:
        return text
    kept = text[: most - len(note) - 200]
    kept = kept[: kept.rfind("\n") + 1] or kept
    fence = ""
    for line in kept.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence and line.strip() == fence:
            fence = ""
        elif not fence and len(ticks) >= 3:
            fence = ticks
    closing = f"\n{fence}\n" if fence else ""
    depth = min(kept.count("<details") - kept.count("</details>"), 10)
    return f"{kept}{closing}{chr(10) + '</details>' * depth if depth > 0 else ''}{note}"


def comment(number: int, body: str) -> None:
    """Create our comment on a pull request, or make the one that is there say this.

    After a passing fault it is looked for again, for the forge may have created it all the same.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _write(number, body)
        except ForgeError as error:
            if not error.passing or attempt == TRIES or error.wait > PATIENCE:
                raise
            wait = error.wait
        time.sleep(max(wait, float(os.environ.get("PENSTOCK_PAUSE", "2")) * 2 ** (attempt - 1)))
    return None


def _write(number: int, body: str) -> None:
    issues = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    present = _ours(f"{issues}/{number}/comments")
    if present is None:
        _call("POST", f"{issues}/{number}/comments", {"body": body})
    elif present["body"] != body:
        _call("PATCH", f"{issues}/comments/{int(present['id'])}", {"body": body})


def _ours(path: str) -> dict[str, Any] | None:
    """Find our comment over all pages: by its author too, for anybody can write the marker."""
    page = 1
    while True:
        found = _call("GET", f"{path}?per_page={PAGE}&page={page}")
        if not isinstance(found, list):
            raise ForgeError(f"GET {path} answers no list", passing=False)
        for one in found:
            author = (one["user"] or {}).get("login")  # nobody's, where the account is deleted
            if author == os.environ.get("PENSTOCK_AUTHOR") and (one["body"] or "").startswith(marker()):
                return dict(one)
        if len(found) < PAGE:
            return None
        page += 1


def _call(method: str, path: str, data: dict[str, str] | None = None) -> Any:
    """Ask the forge once."""
    request = urllib.request.Request(  # noqa: S310 (the address is the runner's own)
        os.environ.get("GITHUB_API_URL", "https://api.github.com") + path,
        method=method,
        data=json.dumps(data).encode() if data else None,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ.get('PENSTOCK_TOKEN', '')}",
            "Content-Type": "application/json",
            "User-Agent": "penstock",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    what = f"{method} {path.partition('?')[0]}"
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        # Limits of rate say when to come back (docs.github.com, "Rate limits for the REST API").
        wait = error.headers.get("Retry-After", "")
        passing = error.code >= 500 or error.code == 429 or (error.code == 403 and wait.isdecimal())
        later = int(wait) if wait.isdecimal() else 0
        raise ForgeError(f"{what} answers {error.code}", passing=passing, wait=later) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ForgeError(f"{what}: {error}", passing=True) from error


def _checks(program: str) -> tuple[str, int]:
    """Validate and, where that is well, compare what is rendered; return a report in Markdown and the worst status."""
    marked = _penstock(program, "validate", "-o", "github")
    _say(marked.out.rstrip("\n"))
    if marked.status:
        text = _penstock(program, "validate").out
        return f"\n**Something is wrong with the experiments:**\n\n{_fenced(text)}", marked.status
    fresh = _penstock(program, "render", "--check")
    if fresh.status == 0:
        return "", 0
    if fresh.status == 1:
        said = marked.out.splitlines()
        stale = _penstock(program, "render", "--check", "-o", "github").out.splitlines()
        _say("\n".join(line for line in stale if line not in said))
    return f"\n**Rendered files are out of date:** run `penstock render`.\n\n{_fenced(fresh.out)}", fresh.status


def _penstock(program: str, *arguments: str) -> Run:
    done = subprocess.run([program, *arguments], capture_output=True, check=False, encoding="utf-8", errors="replace")
    if done.stderr:
        silence = secrets.token_hex(16)  # what a pull request makes it say must be no command to the runner
        _say(f"::stop-commands::{silence}\n{done.stderr.rstrip()}\n::{silence}::")
    return Run(done.returncode, done.stdout)


def _base(event: dict[str, Any]) -> str:
    """Return what to compare with: for the merge that the runner checked out, its first parent."""
    given = os.environ.get("PENSTOCK_BASE", "")
    if given:
        return given
    if os.environ.get("GITHUB_REF", "").endswith("/merge") and _git("rev-parse", "-q", "--verify", "HEAD^2"):
        return _git("rev-parse", "HEAD^1")
    request, before = event.get("pull_request"), str(event.get("before") or "0")
    if request:
        return str(request["base"]["sha"])
    return before if before.strip("0") else "HEAD^1"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, check=False, encoding="utf-8").stdout.strip()


def _event() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError), Path(os.environ.get("GITHUB_EVENT_PATH", "")).open("rb") as file:
        return dict(json.load(file))
    return {}


def _fenced(text: str) -> str:
    """Return a code block that nothing in the text can end."""
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}text\n{text.rstrip()}\n{ticks}\n"


def _append(variable: str, text: str) -> None:
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _say(text: str) -> None:
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
