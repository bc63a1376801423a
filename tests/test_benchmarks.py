"""Every benchmark runs to its table, on few experiments; in it the peers' documents are compared with Penstock's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"

pytestmark = pytest.mark.needs("git", "kubectl or kustomize", "prometheus", "promtool", "PENSTOCK_TEST_LONG")


@pytest.mark.parametrize(
    ("command", "row"),
    [
        pytest.param(
            "run.py --experiments 6 --rounds 1", "| `penstock --help` / bare Python |", id="beside other tools"
        ),
        pytest.param(
            "revisions.py --experiments 6 --changed 2 --rounds 1", "| review of two commits |", id="revisions"
        ),
        pytest.param("history.py --experiments 3 --commits 20 --rounds 1", "3 experiments, 20 commits:", id="history"),
        pytest.param("analyze.py --days 1 --pods 1", "from the ledger", id="evidence"),
    ],
)
def test_a_benchmark_ends_in_its_table(command: str, row: str, tmp_path: Path) -> None:
    script, *options = command.split()
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *options],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert row in done.stdout
