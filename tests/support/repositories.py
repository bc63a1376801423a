"""GitOps repositories for tests: documents are edited as data, and Penstock is run on them."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from generator import pipeline
from generator.__main__ import main
from generator.cli import cli
from generator.manifests.prototypes import Prototypes
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.problems import ERROR
from generator.repository import environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

TODAY = "2030-01-01"
API = "penstock.dev/v1alpha1"
EXPERIMENT = "recommendation-model"
ENVIRONMENT = "production"
Document = dict[str, Any]
_MEMORY = "/dev/shm"  # noqa: S108 (a fresh folder in it is used)
_TEXT = "tag:yaml.org,2002:str"


class Case(NamedTuple):
    """An environment and an experiment of it, as data."""

    environment: Document
    experiment: Document

    @property
    def names(self) -> tuple[str, str]:
        """Names of the environment and of the experiment."""
        return self.environment["metadata"]["name"], self.experiment["metadata"]["name"]

    @property
    def paths(self) -> tuple[str, str]:
        """Where they stand."""
        environment, experiment = self.names
        return environment_file(environment), experiment_file(environment, experiment)


class Outcome(NamedTuple):
    """What a run of the program came to."""

    returncode: int
    stdout: str
    stderr: str


class Repository:
    """A GitOps repository below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, document: Any) -> None:
        """Write data as YAML; the order of keys is kept."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(as_yaml(document), encoding="utf-8")

    def put(self, case: Case) -> None:
        """Write an environment and an experiment."""
        for path, document in zip(case.paths, case, strict=True):
            self.write(path, document)

    def read(self, path: str) -> Any:
        """Read YAML by a parser that is not Penstock's."""
        return parsed((self.root / path).read_text(encoding="utf-8"))

    @contextmanager
    def edited(self, path: str) -> Iterator[Document]:
        """Yield a document to be changed in place, and write it."""
        document = self.read(path)
        yield document
        self.write(path, document)

    def experiment(self, name: str = EXPERIMENT) -> AbstractContextManager[Document]:
        """Edit an experiment, as `edited` does."""
        return self.edited(experiment_file(ENVIRONMENT, name))

    def environment(self, name: str = ENVIRONMENT) -> AbstractContextManager[Document]:
        """Edit an environment."""
        return self.edited(environment_file(name))

    def files(self) -> dict[str, bytes]:
        """Return every file by its path from the root; links count as what they say."""
        found = sorted(path for path in self.root.rglob("*") if path.is_symlink() or path.is_file())
        return {
            path.relative_to(self.root).as_posix(): os.fsencode(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            for path in found
        }

    def manifests(self) -> dict[str, bytes]:
        """Return every rendered file."""
        return {path: text for path, text in self.files().items() if "/manifests/" in path}

    def invoke(self, command: str, *arguments: str) -> Result:
        """Run a command in this process; an error that `main` would explain is in `exception`."""
        return CliRunner().invoke(cli, [command, "-C", str(self.root), *arguments])

    def problems(self, command: str, *options: str) -> list[Document]:
        """Run a command in this process, and return the problems of its report as JSON."""
        done = self.invoke(command, "-o", "json", *options)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        found: list[Document] = json.loads(done.stdout)["problems"]
        assert done.exit_code == any(one["severity"] == ERROR for one in found)
        return found

    def penstock(self, *arguments: str, cwd: Path | None = None, **environment: str) -> Outcome:
        """Run the program from its `main` to its exit code, in this process; `environment` is laid over its own."""
        out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(cwd or self.root)
            patch.setattr(sys, "argv", ["penstock", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                status = main()
            finally:  # what `main` changes of its process
                signal.signal(signal.SIGTERM, before)
                gc.enable()
        return Outcome(status, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, cwd: Path | None = None, **environment: str) -> Outcome:
        """Do what `penstock` does in a process of its own: where that is what a test is about."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "generator", *arguments],
            cwd=cwd or self.root,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def production(root: Path) -> Repository:
    """Make a repository with one environment and one experiment."""
    repository = Repository(root)
    repository.put(recommendation())
    return repository


def recommendation() -> Case:
    """Make a small environment and experiment, which may be changed."""
    return Case(copy.deepcopy(_ENVIRONMENT), copy.deepcopy(_EXPERIMENT))


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for as long as the context lasts; in memory where that can be, for tests that need hundreds."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as place:
        yield Path(place).resolve()


@contextmanager
def holding(case: Case) -> Iterator[Repository]:
    """Make a repository that holds a case for as long as the context lasts: for tests that need many."""
    with scratch() as place:
        repository = Repository(place)
        repository.put(case)
        yield repository


def built(
    repository: Repository, case: Case, *, in_base: bool = False, prototypes: Prototypes | None = None
) -> pipeline.Build:
    """Send a case that the repository holds through the pipeline; ProblemsError if anything is wrong."""
    environment, experiment = case.names
    root = str(repository.root)
    site = pipeline.site(root, environment)
    templates, reader = _tools()
    return pipeline.build(
        root,
        site,
        experiment,
        in_base=in_base,
        templates=templates,
        reader=reader,
        today=TODAY,
        prototypes=prototypes,
    )


def rendered(case: Case) -> dict[str, str]:
    """Return what is rendered from a case, by path."""
    with holding(case) as repository:
        return {one.planned.path: one.text for one in built(repository, case).manifests}


def as_yaml(document: Any) -> str:
    """Write data as block YAML in the order given, every text in double quotes."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20))


def parsed(text: str) -> Any:
    """Read YAML as PyYAML does: by the rules of YAML 1.1, which are not how Penstock reads it."""
    return yaml.load(text, yaml.CSafeLoader)


def prototypes() -> Prototypes:
    """Make prototypes that have seen nothing."""
    return Prototypes(*_tools())


@cache
def _tools() -> tuple[Templates, Reader]:
    return Templates(), Reader()


class _Dumper(yaml.CSafeDumper):
    """Writes no aliases, and no text that another parser could take for something else."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(_TEXT, text, style='"'))

_ENVIRONMENT: Document = {
    "apiVersion": API,
    "kind": "Environment",
    "metadata": {"name": ENVIRONMENT},
    "spec": {
        "namespace": "ml-serving",
        "kserve": {"version": "0.20", "deploymentMode": "Standard"},
        "routing": {
            "backend": "gateway-api",
            "domain": "models.example.com",
            "gateway": {"name": "kserve-ingress-gateway", "namespace": "kserve"},
        },
        "monitoring": {"labels": {"release": "prometheus"}},
        "policy": {"storage": ["gs://my-bucket/models"], "loggers": ["http://*.svc.cluster.local"]},
    },
}
_EXPERIMENT: Document = {
    "apiVersion": API,
    "kind": "Experiment",
    "metadata": {"name": EXPERIMENT},
    "spec": {
        "owner": "recsys",
        "hypothesis": "v2 lifts click-through by 5 % without slowing answers",
        "expires": "2099-12-31",
        "model": {"format": "sklearn", "runtime": "kserve-sklearnserver", "protocol": "v1"},
        "control": "v1",
        "variants": {
            "v1": {"storageUri": "gs://my-bucket/models/recommendation-v1"},
            "v2": {"storageUri": "gs://my-bucket/models/recommendation-v2"},
        },
        "traffic": {"v1": 80, "v2": 20},
        "metrics": {"errors": {"use": "kserve/errors", "role": "guardrail", "margin": 0.2, "limit": 0.01}},
        "rollout": {"steps": [20, 50, 100], "soak": "1h"},
    },
}
