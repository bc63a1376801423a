"""How long a verdict takes: two weeks at 30 s, three variants, six metrics, from Prometheus and from the ledger.

    python tests/benchmarks/analyze.py [--days 14] [--pods 1]

Needs `prometheus` and `promtool`. Prints seconds and megabytes of each run of the program, and of an import.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from histories import HOUR, History
from prometheus import NAMESPACE, environment, experiment, promtool, server
from repositories import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "shop"
VARIANTS = {"v1": (8.0, 0.1), "v2": (1.0, 0.1), "v3": (1.0, 0.1)}
INTERVAL = 30
COUNTERS = ("requests", "clicks", "errors", "retries")


def ratio(events: str, **more: Any) -> dict[str, Any]:
    return {"kind": "ratio", "direction": "lower", "events": {"metric": f"shop_{events}_total"}, **more}


def latency(above: str) -> dict[str, Any]:
    return {
        "kind": "latencyShare",
        "role": "guardrail",
        "margin": 0.2,
        "histogram": {"metric": "shop_seconds"},
        "above": above,
    }


METRICS = {
    "clicks": ratio("clicks", role="success", mde=0.05) | {"direction": "higher"},
    "errors": ratio("errors", role="guardrail", margin=0.5),
    "retries": ratio("retries", role="guardrail", margin=0.5),
    "slow": latency("250ms"),
    "very-slow": latency("1s"),
    "time": {
        "kind": "mean",
        "role": "guardrail",
        "margin": 0.1,
        "direction": "lower",
        "histogram": {"metric": "shop_seconds"},
    },
}


def scraped(begin: int, end: int, pods: int) -> Iterator[str]:
    """Yield samples in OpenMetrics' text format."""
    draw = random.Random(7)  # noqa: S311 (a simulation)
    for variant, (rate, clicks) in VARIANTS.items():
        for pod in range(pods):
            labels = f'namespace="{NAMESPACE}",experiment="{NAME}",variant="{variant}",pod="{variant}-{pod}"'
            n = x = errors = slow = slower = 0
            for at in range(begin + pod, end, INTERVAL):
                more = round(rate / pods * INTERVAL * (1 + 0.3 * draw.random()))
                n += more
                x += round(more * clicks * 2 * draw.random())
                errors += draw.random() < more * 0.01
                slow += round(more * 0.05 * 2 * draw.random())
                slower += draw.random() < more * 0.01
                for name, value in zip(COUNTERS, (n, x, errors, errors), strict=True):
                    yield f"shop_{name}_total{{{labels}}} {value} {at}\n"
                for bound, value in (("0.25", n - slow - slower), ("1.0", n - slower), ("+Inf", n)):
                    yield f'shop_seconds_bucket{{{labels},le="{bound}"}} {value} {at}\n'
                yield f"shop_seconds_count{{{labels}}} {n} {at}\n"
                yield f"shop_seconds_sum{{{labels}}} {n * 0.1 + slow:.3f} {at}\n"


def measured(history: History, *arguments: str) -> tuple[int, float, float]:
    """Run the program; return exit code, seconds and megabytes at most."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "generator", *arguments], cwd=history.root, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - begun, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--pods", type=int, default=1)
    chosen = parser.parse_args()
    os.environ |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    end = int(time.time()) // 7200 * 7200 - 7200
    begin = end - chosen.days * 86400
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "scraped.txt").open("w", encoding="utf-8") as file:
            file.writelines(scraped(begin - HOUR, end, chosen.pods))
            file.write("# EOF\n")
        promtool("tsdb", "create-blocks-from", "openmetrics", "scraped.txt", "data", folder=folder)
        (folder / "scraped.txt").unlink()
        with server(folder, {"global": {"scrape_interval": "1h"}}) as running:
            history = History(folder / "repository")
            place = environment()
            place["spec"]["prometheus"] = {"url": f"http://{running.address}"}
            declared = experiment(
                NAME, {"v1": 80, "v2": 10, "v3": 10}, METRICS, requests={"metric": "shop_requests_total"}
            )
            history.put(Case(place, declared))
            history.clock = begin - HOUR
            history.commit("begin")
            call = ("analyze", NAME, "-e", "production", "-o", "json")
            for what, arguments in (
                ("from Prometheus", call),
                ("and recording it", (*call, "--record")),
                ("from the ledger", (*call, "--evidence")),
                ("what is new since", call),
            ):
                code, seconds, megabytes = measured(history, *arguments)
                print(f"{what:20}exit {code}  {seconds:6.2f} s  {megabytes:6.0f} MB")  # noqa: T201
            size = sum(file.stat().st_size for file in history.root.rglob("*.jsonl"))
            print(f"{'ledger':20}{size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
