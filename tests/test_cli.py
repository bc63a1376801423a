"""The command line, as people and CI see it: exit codes, what is printed, what is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gitrepos import start

if TYPE_CHECKING:
    from repositories import Repository

MODEL = "environments/production/manifests/models/recommendation-model/inferenceservice-recommendation-model-v1.yaml"
ROUTE = "environments/production/manifests/traffic/recommendation-model/httproute-recommendation-model-experiment.yaml"


def test_exit_codes(repository: Repository) -> None:
    assert repository.process("validate").returncode == 0
    assert repository.process("render", "--check").returncode == 1
    assert repository.process("render").returncode == 0
    assert repository.process("render", "--check").returncode == 0
    with repository.experiment() as document:
        document["spec"]["traffic"] = {"v1": 1}
    assert repository.process("validate").returncode == 1
    assert repository.process("validate", "nobody").returncode == 2
    assert repository.process("validate", "-e", "nowhere").returncode == 2
    assert repository.process("validate", "-C", "/").returncode == 2
    assert repository.process("frobnicate").returncode == 2


def test_a_folder_without_crds_checks_nothing_and_is_refused(repository: Repository) -> None:
    folder = repository.root / "crds"
    folder.mkdir()
    (folder / "namespace.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n")
    for command in ("validate", "render"):
        done = repository.penstock(command, "--crds", str(folder))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"penstock: {folder}: no file below it holds a CustomResourceDefinition; name a folder with some\n"
        )
    assert not (repository.root / "environments/production/manifests").exists()


def test_warnings_pass_unless_told_otherwise(repository: Repository) -> None:
    with repository.experiment() as document:
        document["spec"]["rollout"] = {"steps": [1, 2]}
    done = repository.penstock("validate")
    assert (done.returncode, done.stdout.count("warning PS319")) == (0, 1)
    assert repository.penstock("validate", "--fail-on-warn").returncode == 1
    assert repository.penstock("render", "--fail-on-warn").returncode == 1
    failures = [
        ET.fromstring(repository.penstock(command, *flags, "-o", "junit").stdout).get("failures")
        for command in ("validate", "render")
        for flags in ((), ("--fail-on-warn",))
    ]
    assert failures == ["0", "1", "0", "1"]


def test_an_environment_without_experiments_is_checked_too(repository: Repository) -> None:
    new = repository.root / "environments/new/environment.yaml"
    new.parent.mkdir()
    new.write_text("kind: Environment: new\n")
    done = repository.penstock("validate")
    assert done.returncode == 1
    assert done.stdout == (
        "environments/new/environment.yaml:1:18: error PS105: no value can begin at this `:`\n"
        "    mend the indentation, or write text in quotes\n"
        "1 error\n"
    )


@pytest.mark.needs("/dev/full")
@pytest.mark.parametrize("arguments", [("render",), ("validate",), ("render", "-o", "-"), ("schema", "experiment")])
def test_a_full_disk_under_the_output_is_told(repository: Repository, arguments: tuple[str, ...]) -> None:
    repository.penstock("render")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "generator", *arguments],
            cwd=repository.root,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == (
        "penstock: the output cannot be written (No space left on device); write it somewhere else\n"
    )


@pytest.mark.parametrize("arguments", ["render", "render --no-cache", "validate", "schema experiment", "--help"])
def test_who_reads_no_more_is_no_failure(repository: Repository, arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "generator", *arguments.split()],
        cwd=repository.root,
        stdout=writing,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", ["render", "validate", "schema experiment"])
def test_without_an_output_the_exit_code_answers(repository: Repository, arguments: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -P -m generator {arguments} >&-"],
        cwd=repository.root,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# What a shell runs with & ignores Ctrl-C, and so does all that it starts, such as these tests.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from generator.__main__ import start
start()
"""


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_of_several_processes_ends_in_silence(repository: Repository, ending: signal.Signals, code: int) -> None:
    """A terminal sends Ctrl-C to all processes of a command."""
    folder = repository.root / "environments/production/experiments"
    first, name, *rest = (folder / "recommendation-model.yaml").read_text().partition('"name": "recommendation-model"')
    assert name
    for number in range(1000):
        (folder / f"m{number}.yaml").write_text(f"{first}name: m{number}{''.join(rest)}")
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", INTERRUPTIBLE, "render", "--jobs", "2"],
        cwd=repository.root,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    while run.poll() is None and not [*repository.root.glob("environments/.penstock-staging-*")]:
        time.sleep(0.01)
    os.killpg(run.pid, ending)
    assert (run.communicate()[1].strip(), run.returncode) == ("", code)
    assert not [*repository.root.glob("environments/.penstock-staging-*")]
    assert not (repository.root / MODEL).exists()


def test_a_change_of_traffic_is_one_updated_route_and_its_rules(repository: Repository) -> None:
    repository.penstock("render")
    with repository.experiment() as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 50}
    lines = repository.penstock("render").stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["update", "update"]
    assert {Path(line.split()[1]).name for line in lines[:-1]} == {
        "httproute-recommendation-model-experiment.yaml",
        "prometheusrule-recommendation-model-experiment.yaml",
    }
    assert lines[-1] == "0 create, 2 update, 0 delete, 13 same"


def test_nothing_is_touched_when_nothing_changed(repository: Repository) -> None:
    repository.penstock("render")
    before = {path: path.stat().st_mtime_ns for path in repository.root.rglob("*")}
    for arguments in ((), ("--no-cache",), ("--force",)):
        assert "0 create, 0 update, 0 delete, 15 same" in repository.penstock("render", *arguments).stdout
    assert {path: path.stat().st_mtime_ns for path in repository.root.rglob("*")} == before


@pytest.mark.parametrize("flag", ["--check", "--dry-run"])
def test_check_and_dry_run_write_nothing(repository: Repository, flag: str) -> None:
    before = repository.files()
    done = repository.penstock("render", flag)
    assert "15 create, 0 update, 0 delete, 0 same (nothing was written)" in done.stdout
    assert repository.files() == before


def test_one_mistake_and_nothing_is_written(repository: Repository) -> None:
    repository.write("environments/production/experiments/broken.yaml", {"kind": "Experiment"})
    before = repository.files()
    done = repository.penstock("render")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "8 errors; nothing was written"
    assert " create" not in done.stdout
    assert repository.files() == before


def test_every_file_out_of_date_is_a_result_for_machines(repository: Repository) -> None:
    repository.penstock("render")
    (repository.root / ROUTE).unlink()
    left = "environments/production/manifests/models/recommendation-model/left.yaml"
    (repository.root / left).write_bytes((repository.root / MODEL).read_bytes())
    with repository.experiment() as document:
        document["spec"]["variants"]["v1"]["replicas"] = {"min": 2}
        document["spec"]["variants"]["v2"]["replicas"] = {"min": 2}

    def found(form: str) -> str:
        done = repository.penstock("render", "--check", "-o", form)
        assert done.returncode == 1, form
        return done.stdout

    other = MODEL.replace("-v1.yaml", "-v2.yaml")
    stale = {
        MODEL: "is not what is declared",
        other: "is not what is declared",
        left: "is declared no more",
        ROUTE: "is not there, though it is declared",
    }
    said = json.loads(found("json"))
    assert {one["file"]: one["message"] for one in said["problems"]} == stale
    assert {one["code"] for one in said["problems"]} == {"PS606"}
    assert {one["path"] for one in said["changes"]} == stale.keys()
    assert found("github") == "".join(
        f"::error file={file},title=Penstock PS606::{stale[file]}; run `penstock render`\n" for file in sorted(stale)
    )
    results = json.loads(found("sarif"))["runs"][0]["results"]
    assert [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results] == sorted(stale)
    assert ET.fromstring(found("junit")).get("failures") == "4"
    assert found("text") == (
        f"update  {MODEL}\nupdate  {other}\ndelete  {left}\ncreate  {ROUTE}\n"
        "1 create, 2 update, 1 delete, 12 same (nothing was written)\n"
    )
    for flag in ("--dry-run", "--force"):
        assert json.loads(repository.penstock("render", flag, "-o", "json").stdout)["problems"] == []
    assert repository.penstock("render", "--check", "-o", "github").stdout == ""


def test_hand_edits_are_kept_until_forced(repository: Repository) -> None:
    repository.penstock("render")
    file = repository.root / MODEL
    file.write_text(file.read_text().replace("minReplicas: 1", "minReplicas: 2"))
    edited = repository.files()
    done = repository.penstock("render")
    assert (done.returncode, f"{MODEL}: error PS601" in done.stdout) == (1, True)
    assert repository.files() == edited
    assert repository.penstock("render", "--check").returncode == 1
    assert repository.penstock("render", "--force").returncode == 0
    assert "minReplicas: 1" in file.read_text()


def test_what_is_declared_no_more_is_deleted(repository: Repository) -> None:
    repository.write("environments/production/experiments/second.yaml", _second(repository))
    repository.penstock("render")
    (repository.root / "environments/production/experiments/second.yaml").unlink()
    done = repository.penstock("render")
    assert done.returncode == 0
    assert "second" not in "".join(repository.manifests())
    assert b"second" not in repository.manifests()["environments/production/manifests/models/kustomization.yaml"]


def test_chosen_in_part_leaves_the_rest_alone(repository: Repository) -> None:
    repository.write("environments/production/experiments/second.yaml", _second(repository))
    assert repository.penstock("render", "second").returncode == 0
    rendered = repository.manifests()
    assert not [path for path in rendered if "recommendation-model" in path]
    assert b"- second" in rendered["environments/production/manifests/models/kustomization.yaml"]
    assert b"recommendation" not in rendered["environments/production/manifests/models/kustomization.yaml"]


def test_manifests_on_standard_output(repository: Repository) -> None:
    done = repository.penstock("render", "-o", "-")
    assert done.returncode == 0
    assert done.stdout.count("\n---\n") == 10
    assert not repository.manifests()


def test_an_environment_without_experiments_has_no_manifests(repository: Repository) -> None:
    repository.penstock("render")
    (repository.root / "environments/production/experiments/recommendation-model.yaml").unlink()
    done = repository.penstock("render")
    assert done.returncode == 0, done.stdout
    assert not repository.manifests()


def test_json_of_a_run(repository: Repository) -> None:
    report = json.loads(repository.penstock("render", "-o", "json").stdout)
    assert (len(report["changes"]), report["unchanged"], report["problems"]) == (15, 0, [])
    assert report["changes"][0].keys() == {"action", "path"}


def test_expiry_is_noticed_without_any_change(repository: Repository) -> None:
    """A record of an earlier run must not hide that the day has come."""
    with repository.experiment() as document:
        document["spec"]["expires"] = time.strftime("%Y-%m-%d", time.gmtime())
    assert repository.penstock("render").returncode == 0
    records = list((Path(os.environ["XDG_CACHE_HOME"]) / "penstock").glob("*"))
    for record in records:
        if record.is_file():
            record.write_text(record.read_text().replace(time.strftime("%Y-", time.gmtime()), "2001-"))
    assert repository.penstock("render").returncode == 0
    with repository.experiment() as document:
        document["spec"]["expires"] = "2001-01-01"
    assert "PS322" in repository.penstock("render").stdout


@pytest.mark.parametrize("words", [["render", "-e", "prod"], ["validate", "recomm"]])
def test_completion_knows_environments_and_experiments(repository: Repository, words: list[str]) -> None:
    done = repository.process(
        _PENSTOCK_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["penstock", *words]),
        COMP_CWORD=str(len(words)),
    )
    assert done.stdout.strip() in {"plain,production", "plain,recommendation-model"}


def test_init_makes_a_repository_that_renders_and_never_overwrites(repository: Repository, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert repository.penstock("init", str(new)).returncode == 0
    done = repository.penstock("render", "-C", str(new))
    assert (done.returncode, "30 create" in done.stdout) == (0, True)
    file = new / "environments/production/environment.yaml"
    file.write_text("mine")
    done = repository.penstock("init", str(new))
    assert (done.returncode, "create" in done.stdout, file.read_text()) == (0, False, "mine")


def test_init_writes_names_that_are_words_of_yaml_as_text(repository: Repository, tmp_path: Path) -> None:
    new = str(tmp_path / "new")
    named = ("--experiment", "on", "--namespace", "null", "--domain", "models.example.com")
    assert repository.penstock("init", new, *named).returncode == 0
    assert repository.penstock("validate", "-C", new).returncode == 0


def test_init_adds_no_example_to_a_repository_in_use(repository: Repository) -> None:
    repository.penstock("init", ".")
    found = sorted(path.name for path in repository.root.glob("environments/**/*.yaml"))
    assert found == ["environment.yaml", "recommendation-model.yaml"]


def test_schema_is_the_one_that_validates(repository: Repository) -> None:
    schema = json.loads(repository.penstock("schema", "experiment").stdout)
    assert schema["title"] == "Penstock Experiment"
    assert repository.penstock("schema", "nothing").returncode == 2


@pytest.mark.needs("/dev/full")
@pytest.mark.parametrize("closed", ["2> /dev/full", "2>&-"])
@pytest.mark.parametrize(("line", "code"), [("review --base=nope", 3), ("render -C /", 2), ("render", 1)])
def test_errors_that_cannot_be_written_keep_their_exit_code(
    closed: str, line: str, code: int, repository: Repository
) -> None:
    start(repository.root)
    with repository.experiment() as document:
        document["spec"]["traffic"] = {"v1": 1}
    command = f"{sys.executable} -P -m generator {line} {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=repository.root, capture_output=True, check=False)
    assert done.returncode == code


def test_a_reader_that_leaves_early_is_no_error(repository: Repository) -> None:
    command = f"{sys.executable} -c 'from generator.__main__ import start; start()' schema experiment | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=repository.root, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def _second(repository: Repository) -> object:
    document = repository.read("environments/production/experiments/recommendation-model.yaml")
    document["metadata"]["name"] = "second"
    return document


def test_what_a_partial_run_leaves_out_is_listed_by_the_next_whole_one(repository: Repository) -> None:
    repository.write("environments/production/experiments/second.yaml", _second(repository))
    repository.penstock("render", "second")
    repository.penstock("render")
    for path in ("models", "traffic", "monitoring"):
        listed = repository.read(f"environments/production/manifests/{path}/kustomization.yaml")["resources"]
        assert listed == ["recommendation-model", "second"]
