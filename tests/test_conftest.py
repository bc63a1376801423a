"""What conftest.py promises: no test is left out unnoticed, and none reaches the network or the user's home."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAMPLE = """
import pytest

@pytest.mark.needs("PENSTOCK_CRDS", "git")
def test_needy(): ...

def test_frugal(): ...
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    shutil.copy(HERE / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    return tmp_path


def run(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--basetemp={folder / 'temporary'}",  # or it would clear away what earlier runs left, which takes long
        "-o",
        f"pythonpath={HERE / 'support'}",
        *options,
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "PYTEST_"))}
    done = subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with workers"])
def test_what_is_left_out_is_told(sample: Path, workers: tuple[str, ...]) -> None:
    code, output = run(sample, *workers)
    assert "left out: 1 test that needs PENSTOCK_CRDS (" in output
    assert (code, "1 passed" in output) == (0, True)


def test_nothing_is_left_out_where_all_is_wanted(sample: Path) -> None:
    code, output = run(sample, PENSTOCK_TEST_ALL="1")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "there is no PENSTOCK_CRDS (" in output
    assert "passed" not in output


def test_no_test_leaves_this_machine() -> None:
    for host in ("example.com", "192.0.2.1", b"example.com"):
        with pytest.raises(pytest.fail.Exception, match="wanted to reach"):
            socket.getaddrinfo(host, 80)
    with socket.socket() as remote, pytest.raises(pytest.fail.Exception, match="wanted to reach"):
        remote.connect(("192.0.2.1", 80))
    with socket.create_server(("localhost", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        server.accept()[0].close()


def test_no_test_knows_its_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert Path.home().is_relative_to(tmp_path_factory.getbasetemp())
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(Path.home())
    assert {name for name in os.environ if name.startswith("LC_")} == {"LC_ALL"}
