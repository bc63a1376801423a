"""Credentials in addresses appear in no message, whatever form it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gitrepos
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import ENVIRONMENT, EXPERIMENT

from generator.credentials import concealed
from generator.documents.wording import shown
from generator.report import FORMATS

if TYPE_CHECKING:
    from repositories import Repository


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://user:secret@prometheus:9090", "http://***@prometheus:9090"),
        ("https://ghp_secret@github.com/a/b.git", "https://***@github.com/a/b.git"),
        ("https://secret:@github.com/a/b.git", "https://***@github.com/a/b.git"),
        ("https://user:se/cr@et@host/a, or wait", "https://***@host/a, or wait"),
        ("user:secret@prometheus:9090", "***@prometheus:9090"),
        ("`spec.a` is `user:secret@host`, not `x`", "`spec.a` is `***@host`, not `x`"),
        ("'a://u:p@h' and 'b://u:p@h'", "'a://***@h' and 'b://***@h'"),
    ],
)
def test_user_and_password_are_concealed(text: str, told: str) -> None:
    assert concealed(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@github.com/a/b.git",
        "git@github.com:a/b.git",
        "me@example.com",
        "owner:@example.com",
        "http://host:80/a",
        "gs://bucket/model@2",
        "oci://registry:5000/model@sha256:abcd",
        "`http://host:80` is not allowed; ask `me@example.com`",
    ],
)
def test_what_holds_no_credentials_is_left_alone(text: str) -> None:
    assert concealed(text) == text


@given(
    user=st.from_regex(r"[a-z]{0,8}", fullmatch=True),
    password=st.from_regex(r"[A-Z0-9/:@%+]{4,80}", fullmatch=True),
    host=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
)
def test_nothing_of_a_password_is_shown_even_where_it_is_cut_short(user: str, password: str, host: str) -> None:
    told = shown(f"http://{user}:{password}@{host}")
    assert told == f"http://***@{host}"


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_of_a_report_shows_them(repository: Repository, form: str) -> None:
    with repository.environment() as document:
        document["spec"]["prometheus"] = {"url": "http://user:hunter2@prometheus:9090", "bearerToken": "hunter2"}
    with repository.experiment() as document:
        document["spec"]["variants"]["v2"]["storageUri"] = "https://user:hunter2@models.example.com/v2"
    for command in ("validate", "render"):
        done = repository.penstock(command, "-o", form)
        assert done.returncode == 1
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.needs("git")
def test_the_address_of_a_remote_is_shown_without_them(repository: Repository) -> None:
    address = "https://user:hunter2@127.0.0.1:1/models.git"
    assert repository.penstock("render").returncode == 0
    gitrepos.start(repository.root)
    gitrepos.git(repository.root, "remote", "add", "origin", address)
    for options in (("--push",), ("--repo", address)):
        done = repository.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT, *options, GIT_ALLOW_PROTOCOL="https")
        assert done.returncode == 3
        assert "127.0.0.1:1/models.git" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    done = repository.penstock("init", ".", "--argocd", "--repository", address)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'https://***@127.0.0.1:1/models.git' cannot be the repository" in done.stderr
