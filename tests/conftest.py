"""What every test stands on: no network, no home, one identity; and an honest word about tests left out."""

from __future__ import annotations

import ipaddress
import itertools
import os
import shutil
import socket
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from repositories import Repository, production

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)
_EXAMPLES = 100 if os.environ.get("PENSTOCK_TEST_LONG") else 33
settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=_EXAMPLES, suppress_health_check=_QUIET
)
settings.register_profile("long", deadline=None, max_examples=2_000, suppress_health_check=_QUIET)
settings.load_profile("default")

# What tests need beside Python, and how to get it: a variable (in capitals), a path, or one of some programs.
_OFFERS = {
    "PENSTOCK_CRDS": "a folder of CustomResourceDefinitions, as tests/test_cluster_schemas.py describes it",
    "PENSTOCK_TEST_LONG": "1, for slow tests, those that watch time pass, and thrice the examples of each law",
    "PENSTOCK_GRAFANA": "the folder jsonschema of github.com/grafana/grafana-foundation-sdk",
    "/dev/full": "a device of Linux that is always full",
    "chromium or google-chrome": "Debian package chromium",
    "git": "Debian package git",
    "ssh-keygen": "Debian package openssh-client",
    "kubectl or kustomize": "go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1",
    "openssl": "Debian package openssl",
    "prometheus": "Debian package prometheus",
    "promtool": "Debian package prometheus",
}
_ALL = "PENSTOCK_TEST_ALL"
_LEFT_OUT = pytest.StashKey[dict[str, int]]()

# What a developer's shell or a CI job may set, and no test may notice.
_FOREIGN = ("CI", "CLICOLOR", "COLUMNS", "FORCE_COLOR", "KUBECONFIG", "LANGUAGE", "NO_COLOR", "PYTHONPATH")
_FOREIGN_PREFIXES = ("GITHUB_", "GIT_", "LC_", "XDG_")
_NEUTRAL = {
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "GIT_AUTHOR_NAME": "Test Author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "Test Committer",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file",
}
_homes = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden cases, messages and generated docs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): left out where one is missing")
    config.stash[_LEFT_OUT] = {}
    missing = [name for name in _OFFERS if not _present(name)]
    if missing and os.environ.get(_ALL) == "1":
        raise pytest.UsageError(f"{_ALL} is set, but there is no {', no '.join(map(_offer, missing))}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here."""
    missing = {item: " and ".join(map(_offer, _missing(item))) for item in items}
    left_out = [item for item in items if missing[item]]
    if left_out:
        config.stash[_LEFT_OUT] = dict(Counter(missing[item] for item in left_out))
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not missing[item]]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells its controller what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker files that follow each other, whose fixtures are made once; who is done takes from the rest."""
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]  # noqa: PLC0415 (an extra's)

    return WorkStealingScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """All workers collect, and leave out, the same."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for needed, number in sorted(config.stash[_LEFT_OUT].items()):
        tests = "test that needs" if number == 1 else "tests that need"
        terminalreporter.write_line(f"left out: {number} {tests} {needed}", yellow=True)


def _missing(item: pytest.Item) -> list[str]:
    needed = dict.fromkeys(str(name) for marker in item.iter_markers("needs") for name in marker.args)
    unknown = [name for name in needed if name not in _OFFERS]
    if unknown:
        raise pytest.UsageError(f"{item.nodeid} needs {unknown}, unknown to tests/conftest.py")
    return [name for name in needed if not _present(name)]


def _present(name: str) -> bool:
    if name.isupper():
        return bool(os.environ.get(name))
    if name.startswith("/"):
        return Path(name).exists()
    return any(shutil.which(program) for program in name.split(" or "))


def _offer(name: str) -> str:
    return f"{name} ({_OFFERS[name]})"


@pytest.fixture(autouse=True)
def _poison(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of this machine reaches a test, and no test reaches beyond this machine."""
    with monkeypatch.context() as patch:
        for name in [*os.environ]:
            if name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES):
                patch.delenv(name)
        home = tmp_path_factory.getbasetemp() / "homes" / str(next(_homes))
        _share_compiled_templates(home / "cache/penstock", tmp_path_factory.getbasetemp() / "templates")
        for name, value in (_NEUTRAL | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}).items():
            patch.setenv(name, value)
        for method in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
        patch.setattr(socket, "getaddrinfo", _local_only(socket.getaddrinfo))
        time.tzset()
        yield
    time.tzset()


def _share_compiled_templates(cache: Path, compiled: Path) -> None:
    """Let tests of a worker compile templates once: nothing else of a cache passes from one to the next."""
    compiled.mkdir(mode=0o700, exist_ok=True)
    cache.mkdir(parents=True)
    (cache / "templates").symlink_to(compiled)


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        if isinstance(address, tuple):
            _refuse_remote(address[0])
        return call(self, *arguments)

    return guarded


def _local_only(call: Callable[..., Any]) -> Callable[..., Any]:
    def local_only(host: str | bytes | None, *arguments: Any, **named: Any) -> Any:
        _refuse_remote(host)
        return call(host, *arguments, **named)

    return local_only


def _refuse_remote(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return
    try:
        local = ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        local = False
    if not local:
        pytest.fail(f"a test wanted to reach {name}")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A small GitOps repository with one environment and one experiment, not rendered yet."""
    return production(tmp_path / "repository")
