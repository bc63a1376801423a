"""Evidence in Git: the counts that verdicts rest on, so that anybody can compute them again without Prometheus.

`environments/<environment>/evidence/<experiment>/attempt-<n>.jsonl` holds a JSON object a line, one for each look that
found new windows, and grows at its end only. Each line ends in a digest of itself and of the digest before it, so a
change, a loss or a swap of lines shows. That guards against accidents and careless edits; whoever can write to the
repository can also write a new ledger, and review is what guards against that.

A window is [stage, start, end, {variant: requests}, {metric: {variant: [x, n]}}], and a sixth element where users are
told apart by bucket. Old windows need not be merged: those of a long stage are longer from the start (see `counting`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.analysis.counts import Stage, Window
from generator.problems import PenstockError
from generator.repository import evidence_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from generator.evidence.counting import Place

FORMAT = 1
_LARGEST = 64 * 1024 * 1024


class LedgerError(PenstockError):
    """A ledger contradicts itself or Git: says where, and what helps."""

    exit_code = 1


class Look(NamedTuple):
    """What one look added. `until` is when; `metrics` fingerprints what was counted; `gateway` is what another counter
    and the servers counted, (0, 0) without one. The rest is as in `counting.Increment`.
    """  # noqa: D205

    until: int
    stages: tuple[Stage, ...]
    windows: tuple[Window, ...]
    metrics: Mapping[str, str]
    due: int
    uncovered: Mapping[str, int]
    resets: Mapping[str, int]
    gateway: tuple[int, int]
    carried: Mapping[Place, float]
    warnings: tuple[str, ...]


class Ledger(NamedTuple):
    """All looks of an attempt, oldest first; `digest` is that of the last line.

    `source` is the file that they were read from: that of a former name, as long as `file` itself has none.
    """

    file: str
    looks: tuple[Look, ...]
    digest: str
    source: str

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows, in order of time."""
        return tuple(window for look in self.looks for window in look.windows)


def file_of(environment: str, experiment: str, attempt: int) -> str:
    """Path of the evidence of an attempt, relative to the repository."""
    return f"{evidence_folder(environment, experiment)}/attempt-{attempt}.jsonl"


def read(
    root: str, file: str, stages: Sequence[Stage], metrics: Mapping[str, str], former: Sequence[str] = ()
) -> Ledger:
    """Read a ledger, empty if there is none yet, and check all that can be checked.

    Where there is none, the first of those that there is of `former` names goes on. LedgerError where it contradicts
    itself, the `stages` that Git knows, or the `metrics` that are declared now.
    """
    for source in (file, *former):
        raw = _bytes(root, source)
        if raw is not None:
            return _read(file, source, raw, stages, metrics)
    return Ledger(file, (), "", file)


def _bytes(root: str, file: str) -> bytes | None:
    """Return what a ledger holds, None if there is none."""
    try:
        with open(_inside(root, file), "rb", opener=_opener) as opened:
            raw = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{file}: the evidence cannot be read ({error.strerror}); make it readable") from None
    if len(raw) > _LARGEST:
        raise LedgerError(f"{file}: the evidence is larger than 64 MB, which no experiment writes; restore it from Git")
    return raw


def _read(file: str, source: str, raw: bytes, stages: Sequence[Stage], metrics: Mapping[str, str]) -> Ledger:
    looks: list[Look] = []
    digest, end = "", 0
    known = {stage.number: stage for stage in stages}
    for number, line in enumerate(raw.splitlines(), 1):
        place = f"{source}:{number}"
        look, digest = _line(place, line, digest)
        _check(place, look, end, known, metrics)
        looks.append(look)
        end = look.windows[-1].end if look.windows else end
    return Ledger(file, tuple(looks), digest, source)


def line(ledger: Ledger, look: Look) -> str:
    """Return the line that a look adds to a ledger; the same look gives the same bytes."""
    body = json.dumps(_plain(look), sort_keys=True, separators=(",", ":"))
    return f'{body[:-1]},"digest":"{_digest(ledger.digest, body)}"}}\n'


def append(root: str, ledger: Ledger, look: Look) -> None:
    """Write a look at the end of a ledger, after all that a former name had if it begins now."""
    path = _inside(root, ledger.file)
    before = _bytes(root, ledger.source) if ledger.source != ledger.file else None
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab", opener=_opener) as opened:
            opened.write((before or b"") + line(ledger, look).encode())
    except OSError as error:
        raise PenstockError(
            f"{ledger.file}: the evidence cannot be written ({error.strerror}); make the folder writable"
        ) from None


def _inside(root: str, file: str) -> str:
    """Return the path of a ledger; LedgerError where a link on the way to it leads elsewhere."""
    folder = os.path.dirname(file)
    if os.path.realpath(os.path.join(root, folder)) != os.path.join(os.path.realpath(root), *folder.split("/")):
        raise LedgerError(f"{folder}: a link stands on the way to the evidence; put a real folder there")
    return os.path.join(root, file)


def _opener(path: str, flags: int) -> int:
    """Open a regular file and nothing else: a link could lead out of the repository, and a pipe would wait."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


def _digest(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()


def _line(place: str, raw: bytes, before: str) -> tuple[Look, str]:
    body, mark, ending = raw.decode(errors="replace").rpartition(',"digest":"')
    digest = _digest(before, body + "}")
    if not mark or ending != f'{digest}"}}':
        raise LedgerError(
            f"{place}: this line of evidence is not what was written, or one before it is missing; restore the file "
            "from Git, for example with `git checkout -- <file>`"
        )
    try:
        look = _look(json.loads(body + "}"))
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):
        raise _wrong(place, "it is not in the form of evidence") from None
    return look, digest


def _look(data: dict[str, Any]) -> Look:
    if data["format"] != FORMAT:
        raise ValueError
    return Look(
        until=_whole(data["until"]),
        stages=tuple(
            Stage(_whole(number), _whole(start), None if end is None else _whole(end), dict(traffic))
            for number, start, end, traffic in data["stages"]
        ),
        windows=tuple(_window(*one) for one in data["windows"]),
        metrics={str(name): str(print_) for name, print_ in data["metrics"].items()},
        due=_whole(data["due"]),
        uncovered=_counts(data["uncovered"]),
        resets=_counts(data["resets"]),
        gateway=(_whole(data["gateway"][0]), _whole(data["gateway"][1])),
        carried={(metric, variant, bucket): float(left) for metric, variant, bucket, left in data["carried"]},
        warnings=tuple(map(str, data["warnings"])),
    )


def _window(stage: Any, start: Any, end: Any, requests: Any, events: Any, buckets: Any = None) -> Window:
    return Window(
        _whole(stage),
        _whole(start),
        _whole(end),
        _counts(requests),
        {metric: {name: _pair(*pair) for name, pair in counts.items()} for metric, counts in events.items()},
        {
            metric: {name: tuple((_whole(x), _whole(n)) for x, n in pairs) for name, pairs in counts.items()}
            for metric, counts in (buckets or {}).items()
        },
    )


def _counts(data: Any) -> dict[str, int]:
    return {str(name): _whole(count) for name, count in data.items()}


def _pair(x: Any, n: Any) -> tuple[float, int]:
    """A sum may hold fractions, a count is whole."""
    if isinstance(x, bool) or not isinstance(x, int | float) or not 0 <= x < float("inf"):
        raise ValueError
    return x, _whole(n)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _check(place: str, look: Look, end: int, known: Mapping[int, Stage], metrics: Mapping[str, str]) -> None:
    for stage in look.stages:
        deployed = known.get(stage.number)
        if deployed and (deployed.start, deployed.traffic) != (stage.start, stage.traffic):
            raise _wrong(place, f"stage {stage.number} is not the one that Git's history knows")
    for name, print_ in look.metrics.items():
        if metrics.get(name, print_) != print_:
            raise LedgerError(
                f"{place}: metric `{name}` is not what was counted here: it has been changed since the experiment "
                "began; take the change back, or give the changed metric another name"
            )
    own = {stage.number: stage for stage in look.stages}
    for window in look.windows:
        _check_window(place, window, end, own, look.metrics)
        end = window.end


def _check_window(
    place: str, window: Window, end: int, stages: Mapping[int, Stage], metrics: Mapping[str, str]
) -> None:
    stage = stages.get(window.stage)
    if stage is None or window.start < stage.start or (stage.end is not None and window.end > stage.end):
        raise _wrong(place, f"the window from {window.start} is outside its stage")
    if window.start < end or window.end <= window.start:
        raise _wrong(place, f"the window from {window.start} overlaps another one")
    if not set(window.requests) <= set(stage.traffic):
        raise _wrong(place, f"the window from {window.start} counts for what is no variant")
    for metric, counts in window.events.items():
        if metric not in metrics or not set(counts) <= set(stage.traffic):
            raise _wrong(place, f"the window from {window.start} counts what is not declared")
        if metrics[metric].partition(":")[0] != "mean" and any(x > n or x % 1 for x, n in counts.values()):
            raise _wrong(place, f"the window from {window.start} has more events of {metric} than chances")


def _wrong(place: str, what: str) -> LedgerError:
    return LedgerError(f"{place}: the evidence is inconsistent: {what}; restore the file from Git")


def _plain(look: Look) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "until": look.until,
        "stages": [[one.number, one.start, one.end, dict(one.traffic)] for one in look.stages],
        "windows": [[*one[:5], *([one.buckets] if one.buckets else [])] for one in map(_numbers, look.windows)],
        "metrics": dict(look.metrics),
        "due": look.due,
        "uncovered": dict(look.uncovered),
        "resets": dict(look.resets),
        "gateway": list(look.gateway),
        "carried": [[*place, left] for place, left in sorted(look.carried.items()) if left],
        "warnings": list(look.warnings),
    }


def _numbers(window: Window) -> Window:
    """Write whole numbers without a decimal point."""
    events = {
        metric: {name: (int(x) if x == int(x) else x, n) for name, (x, n) in counts.items()}
        for metric, counts in window.events.items()
    }
    return window._replace(events=events)
