"""Input from somebody who means harm: refused clearly or rendered harmless, and nothing written outside."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from repositories import Repository

FILE = "environments/production/experiments/recommendation-model.yaml"
HOSTILE = (
    "{{ 7 * 7 }} {% for x in y %} ${HOME} $(id) `id`",
    "a\n---\nkind: Namespace\n...\n",
    'it\'s "quoted" {and} [braced] }) or vector(1) #',
    "::error file=x::y\n::stop-commands::z",
    "</script><img src=x onerror=alert(1)> @team [x](javascript:1)",
    "*alias &anchor !tag |block > folded % @ ` ? - :",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_free_text_is_rendered_as_text(repository: Repository, text: str) -> None:
    with repository.experiment() as document:
        document["spec"]["hypothesis"] = text
        document["spec"]["model"]["podAnnotations"] = {"note": text}
        document["spec"]["model"]["env"] = {"NOTE": text.replace("{{", "{")}
    done = repository.penstock("render")
    assert done.returncode == 0, done.stdout + done.stderr
    services = [repository.read(path) for path in repository.manifests() if "inferenceservice-" in path]
    for service in services:
        assert service["spec"]["predictor"]["annotations"]["note"] == text
        assert service["spec"]["predictor"]["model"]["env"] == [{"name": "NOTE", "value": text.replace("{{", "{")}]


def test_labels_of_series_cannot_leave_their_quotes(repository: Repository) -> None:
    value = 'x"} or vector(1) or m{a="\\'
    with repository.experiment() as document:
        document["spec"]["metrics"] = {
            "clicks": {
                "role": "success",
                "kind": "ratio",
                "direction": "higher",
                "mde": 0.1,
                "events": {"metric": "clicks_total", "labels": {"a": value, "b": ["(x+)+$", "5*"]}},
            }
        }
    assert repository.penstock("render").returncode == 0
    rules = next(text.decode() for path, text in repository.manifests().items() if "prometheusrule-" in path)
    assert 'a="x\\"} or vector(1) or m{a=\\"\\\\"' in rules
    assert 'b=~"\\\\(x\\\\+\\\\)\\\\+\\\\$|5.*"' in rules


def _huge(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(100 << 20)


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def prepare(file: Path) -> None:
        file.unlink()
        make(file)

    return prepare


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file of 100 MB": (_huge, "PS102"),
    "a link to a secret": (_instead(lambda file: file.symlink_to("/etc/hostname")), "PS103"),
    "a link in a circle": (_instead(lambda file: file.symlink_to(file)), "PS101"),
    "a pipe": (_instead(os.mkfifo), "PS101"),
    "a folder": (_instead(lambda file: file.mkdir()), "PS101"),
    "depth 10,000": (lambda file: file.write_text("a: " + "[" * 10_000), "PS109"),
    "block depth": (lambda file: file.write_text("- " * 100_000), "PS109"),
    "only NULs": (lambda file: file.write_bytes(b"\0" * 1000), "PS113"),
}


@pytest.mark.parametrize("what", FILES)
def test_hostile_files_are_refused_with_a_code(repository: Repository, what: str) -> None:
    prepare, code = FILES[what]
    prepare(repository.root / FILE)
    done = repository.penstock("render")
    assert (done.returncode, done.stderr) == (1, "")
    assert f": error {code}: " in done.stdout
    assert not repository.manifests()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.touch(), "not a directory"),
        (os.mkfifo, "not a directory"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
    ],
)
def test_experiments_that_are_no_folder_are_not_passed_over(
    repository: Repository, make: Callable[[Path], object], said: str
) -> None:
    (repository.root / "environments/canary").mkdir()
    make(repository.root / "environments/canary/experiments")
    done = repository.penstock("render")
    assert (done.returncode, done.stderr) == (1, "")
    assert (
        "environments/canary/experiments: error PS415: this is where experiments stand, but it cannot be read as a "
        f"folder ({said})\n" in done.stdout
    )


@pytest.mark.parametrize("name", ["../evil", "/etc/cron.d/x", "a/b", "a\x1b[2J", "-rf", "a\u202eb", ".", "x" * 300])
def test_names_lead_nowhere(repository: Repository, name: str) -> None:
    for field in ("name", "variant"):
        with repository.experiment() as document:
            if field == "name":
                document["metadata"]["name"] = name
            else:
                document["spec"]["variants"][name] = document["spec"]["variants"]["v2"]
                document["spec"]["traffic"][name] = 0
        done = repository.penstock("render")
        assert done.returncode == 1
        assert "\x1b" not in done.stdout
        assert "\u202e" not in done.stdout
        assert not repository.manifests()


@pytest.mark.parametrize("part", ["manifests", "manifests/models", "manifests/traffic/recommendation-model"])
def test_nothing_is_written_through_a_link(repository: Repository, tmp_path: Path, part: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = repository.root / "environments/production" / part
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    done = repository.penstock("render", "--force")
    assert (done.returncode, "PS605" in done.stdout) == (1, True)
    assert not list(outside.iterdir())


def test_file_names_with_escapes_reach_no_terminal(repository: Repository) -> None:
    source = (repository.root / FILE).read_text()
    (repository.root / "environments/production/experiments/a\x1b[31m\n::error::.yaml").write_text(source)
    done = repository.penstock("validate")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    for line in repository.penstock("validate", "-o", "github").stdout.splitlines():
        assert line.startswith("::error file=environments/production/experiments/a\\x1b")


def test_a_template_of_the_repository_cannot_reach_python(repository: Repository) -> None:
    templates = repository.root / "templates"
    templates.mkdir()
    for attack in ("{{ ''.__class__.__mro__ }}", "{{ id.__init__.__globals__ }}", "{% include '/etc/passwd' %}"):
        (templates / "kustomization.yaml.j2").write_text(attack)
        done = repository.penstock("render")
        assert (done.returncode, "PS501" in done.stdout) == (1, True), done.stdout + done.stderr
        assert not repository.manifests()


def test_no_environment_variable_reaches_a_manifest(repository: Repository) -> None:
    repository.penstock("render", UNRELATED="s3cret", HOME=str(repository.root / sys.version[:3]))
    assert b"s3cret" not in b"".join(repository.manifests().values())


def test_thousands_of_mistakes_are_told_as_fast_as_one(repository: Repository) -> None:
    """Each in a time that does not grow with their number: this took a quarter of an hour."""
    file = repository.root / "environments/production/experiments/recommendation-model.yaml"
    file.write_text(file.read_text() + "".join(f"  unknown{number}: 1\n" for number in range(20_000)))
    found = repository.problems("validate")
    assert len(found) == 20_000
    assert {one["code"] for one in found} == {"PS201"}
