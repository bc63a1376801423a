"""What was rendered, as text for the peers' templates and as data to compare."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml
from inputs import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_HEADER_LINES = 2
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def names(repository: Path) -> list[str]:
    """Return the names of all rendered experiments."""
    return sorted(path.name for path in (repository / MANIFESTS / "models").iterdir() if path.is_dir())


def texts(repository: Path, name: str) -> list[str]:
    """Return one experiment's objects without their headers, in an order that all of its shape share.

    Left out is kustomization.yaml, the list that Penstock adds for Argo CD and Flux: no peer has to make it.
    """
    files = sorted((repository / MANIFESTS).glob(f"*/{name}/*.yaml"))
    found = [path.read_text(encoding="utf-8") for path in files if path.name != "kustomization.yaml"]
    return ["".join(text.splitlines(keepends=True)[_HEADER_LINES:]) for text in found]


def load(text: str) -> Any:
    """Read one object."""
    return yaml.load(text, _LOADER)  # noqa: S506 - the safe loader, or the same in C


def differences(repository: Path, results: Iterable[Path]) -> list[str]:
    """Return the objects that a repository of Penstock's and a peer's files do not agree on."""
    expected, found = _expected(repository), dict(_digests(results))
    return sorted(one for one in {*expected, *found} if expected.get(one) != found.get(one))


@cache
def _expected(repository: Path) -> dict[str, str]:
    return dict(_digests(sorted((repository / MANIFESTS).rglob("*.yaml"))))


def _digests(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in files:
        for data in yaml.load_all(path.read_bytes(), _LOADER):
            if data and data["kind"] != "Kustomization":
                canonical = json.dumps(data, sort_keys=True).encode()
                yield f"{data['kind']} {data['metadata']['name']}", hashlib.sha256(canonical).hexdigest()
