"""GitOps repositories for tests: documents are edited as data, and Penstock is run on them."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from click.testing import CliRunner

from generator.cli import cli
from generator.repository import environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

API = "penstock.dev/v1alpha1"
EXPERIMENT = "recommendation-model"
ENVIRONMENT = "production"
Document = dict[str, Any]


class Case(NamedTuple):
    """An environment and an experiment of it, as data."""

    environment: Document
    experiment: Document

    @property
    def names(self) -> tuple[str, str]:
        """Names of the environment and of the experiment."""
        return self.environment["metadata"]["name"], self.experiment["metadata"]["name"]


class Outcome(NamedTuple):
    """What a process came to."""

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
        environment, experiment = case.names
        self.write(environment_file(environment), case.environment)
        self.write(experiment_file(environment, experiment), case.experiment)

    def read(self, path: str) -> Any:
        """Read YAML by a parser that is not Penstock's."""
        return parsed((self.root / path).read_text(encoding="utf-8"))

    @contextmanager
    def edited(self, path: str) -> Iterator[Document]:
        """Yield a document to be changed in place, and write it."""
        document = self.read(path)
        yield document
        self.write(path, document)

    def experiment(self, name: str = EXPERIMENT, environment: str = ENVIRONMENT) -> Any:
        """Edit an experiment: `with repository.experiment() as document:`."""
        return self.edited(experiment_file(environment, name))

    def environment(self, name: str = ENVIRONMENT) -> Any:
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

    def penstock(self, *arguments: str, cwd: Path | None = None, **environment: str) -> Outcome:
        """Run the program itself; `environment` is laid over this process's own."""
        done = subprocess.run(
            [sys.executable, "-c", "from generator.cli import main; main()", *arguments],
            cwd=cwd or self.root,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def as_yaml(document: Any) -> str:
    """Write data as block YAML, in the order given, with every text that could be misread in quotes."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)


def parsed(text: str) -> Any:
    """Read YAML as PyYAML does, which is not how Penstock reads it."""
    return yaml.load(text, yaml.CSafeLoader)  # noqa: S506 (a safe loader)


class _Dumper(yaml.CSafeDumper):
    """Without anchors, and with whatever is not a plain word in double quotes."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True
