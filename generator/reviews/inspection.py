"""Finds out what a review says: reads both states, builds what is not known to be right, and asks Git's history."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from generator import repository
from generator.documents import load
from generator.names import isvc, manifest_file
from generator.problems import ERROR, WARNING, Place, Problem, ProblemsError
from generator.repository import AREAS, environment_file, folder
from generator.reviews import (
    addresses,
    departures,
    meaning,
    narrative,
    outages,
    overlaps,
    restarts,
    reversal,
    review,
    transitions,
    unheld,
)
from generator.reviews.departures import Departure
from generator.reviews.meaning import EnvironmentChange, ExperimentChange, Meaning, Side
from generator.reviews.overlaps import Overlaps
from generator.reviews.restarts import Pods
from generator.reviews.reversal import Reversal
from generator.reviews.transitions import Evidence
from generator.runs import run
from generator.runs.seal import seal
from generator.versions import git, history, revisions
from generator.versions.lives import Decision, Key, Life
from generator.versions.revisions import Comparison, State

if TYPE_CHECKING:
    from generator.pipeline import Build
    from generator.reviews.authorship import Edit
    from generator.reviews.builds import Builds


def of(found: Comparison, root: str, now: int) -> review.Report:
    """Review the change from one state of the repository of `root` to another; `now` is in seconds."""
    return _Inspection(root, found, now).report()


class _Made(NamedTuple):
    """What comes of the manifests of an experiment, as `review.Facts` says, and what is wrong with them."""

    pods: tuple[Pods, ...] | None
    objects: tuple[str, ...]
    reversal: Reversal | None
    stale: tuple[Departure, ...]
    problems: tuple[Problem, ...]


class _Past(NamedTuple):
    """What Git's history says of experiments; `whole` is False where it is cut off."""

    lives: dict[Key, Life]
    whole: bool
    edits: dict[str, tuple["Edit", ...]]
    decisions: dict[Key, list[Decision]]


class _Inspection:
    """One review: what is built is built once, and only what is needed."""

    def __init__(self, root: str, found: Comparison, now: int) -> None:
        self._root = root
        self._found = found
        self._now = now
        self._today = time.strftime("%Y-%m-%d", time.gmtime(now))
        self._options = run.Options(self._today, compare=False)
        self._builds: dict[str, Builds] = {}
        self._problems: list[Problem] = []
        self._unknown: list[str] = []
        self._read = meaning.of(found)
        self._called = outages.called(self._read.experiments)
        self._retemplated = found.before.templates != found.after.templates
        self._redefined = {one.name for one in self._read.environments if one.kind == "changed"}

    def report(self) -> review.Report:
        read = self._read
        self._problems += read.wrong_after
        experiments = self._experiments(read)
        for one in read.environments:
            self._problems += unheld.of_environment(one, read.experiments, templates=self._retemplated)
        for key in self._found.left:
            self._problems += map(_left, sorted(self._found.manifests(self._found.after, *key)))
        environments = [
            narrative.of_environment(
                one, environment_file(one.name), sum(other.title.startswith(f"{one.name}/") for other in experiments)
            )
            for one in read.environments
        ]
        notes = [
            f"what was there before is wrong, so nothing is compared with it: {one.place}: {one.code} {one.message}"
            for one in read.wrong_before
            if one not in read.wrong_after
        ]
        notes += [_shared(one) for one in read.environments if one.former]
        return review.Report(
            git.short(self._found.before.commit),
            git.short(self._found.after.commit) or "the working tree",
            (*environments, *experiments),
            tuple(dict.fromkeys(self._problems)),
            tuple(self._unknown),
            tuple(notes),
        )

    def _experiments(self, read: Meaning) -> list[review.Review]:
        """Git is asked all that it is needed for first, and works while manifests are made."""
        readable = [one for one in read.experiments if _is_readable(one)]
        remembered = self._past(readable)
        searched = overlaps.find(self._root, self._found.after, [one.after.experiment for one in readable if one.after])
        fresh = self._fresh(readable)
        made = {(one.environment, one.name): self._made(one, fresh) for one in readable}
        past, same = remembered(), searched()
        reviews = []
        for one in read.experiments:
            found = made.get((one.environment, one.name))
            if found is None:
                reviews.append(narrative.unreadable(one))
                continue
            earlier = len(self._problems)
            self._problems += found.problems
            # What means the same is told if its manifests are not as they were.
            if one.kind != "same" or found.stale or found.objects:
                told = narrative.of_experiment(one, self._facts(one, found, same, past), self._today)
                reviews.append(told._replace(gravest=_gravest(self._problems[earlier:])))
        return reviews

    def _fresh(self, changes: Iterable[ExperimentChange]) -> set[Key]:
        """Return those whose manifests in the working tree an earlier run has found right."""
        chosen: dict[str, tuple[str, ...]] = {}
        for one in changes:
            if one.after:
                chosen[one.environment] = (*chosen.get(one.environment, ()), one.name)
        inventory = repository.Inventory(self._root, chosen, frozenset(self._found.after.base), ())
        work = run.prepare(inventory, chosen, self._options)
        return {(job.environment, job.name) for job in work.fresh}

    def _facts(self, change: ExperimentChange, made: _Made, same: Overlaps, past: _Past) -> review.Facts:
        self._problems += [_stale(one.path) for one in made.stale if change.after]
        life = past.lives.get((change.origin, change.former or change.name))
        told = past.decisions.get((change.environment, change.name), [])
        reason = next((one.reason for one in reversed(told) if one.reason), "")
        evidence = self._evidence(change)
        circumstances = transitions.Circumstances(
            self._now,
            life,
            _edits_of(past.edits, change),
            reason,
            evidence,
            made.objects,
            self._retemplated or change.environment in self._redefined,
        )
        self._problems += transitions.check(change, circumstances)
        self._problems += outages.check(change, made.pods or (), self._called)
        experiment = change.after.experiment if change.after else None
        return review.Facts(
            made.pods,
            made.objects,
            made.reversal,
            transitions.stand(change, circumstances) if transitions.grows(change) and not change.wrong else None,
            past.whole,
            made.stale,
            same.models(experiment) if experiment else (),
            same.hosts(experiment) if experiment else (),
            next((one.verdict for one in reversed(told) if one.verdict), ""),
            reason,
            evidence,
        )

    def _evidence(self, change: ExperimentChange) -> Evidence:
        """Tell what becomes of what was recorded, which goes on under a new name (`ledger.read`)."""
        names = [(change.environment, name) for name in (change.former, change.name)]
        if names[0] not in self._found.before.evidence:
            return "none"
        return "lost" if self._found.after.evidence.isdisjoint(names) else "kept"

    def _made(self, change: ExperimentChange, fresh: set[Key]) -> _Made:
        """Compare what is rendered before and after, and what is committed with what it should be."""
        try:
            return self._compared(change, (change.environment, change.name), fresh)
        except ProblemsError as error:
            return _Made(None, (), None, (), tuple(error.problems))

    def _compared(self, change: ExperimentChange, key: Key, fresh: set[Key]) -> _Made:
        found = self._manifests(change)
        place, was = (environment_file(one).rpartition("/")[0] for one in (change.environment, change.origin))
        before = {f"{place}{path.removeprefix(was)}": text for path, text in found.items()}
        committed = self._found.manifests(self._found.after, *key)
        after = committed
        problems: tuple[Problem, ...] = ()
        if change.after is None:
            after = {}
        elif key not in fresh or not self._is_on_disk(key, committed):
            build = self._builder(self._found.after).build(*key)
            problems = tuple(build.problems)
            after = _sealed(build)
        stale = departures.of(committed, after, before)
        differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        objects = tuple(sorted(path for path in differing if not path.endswith("/kustomization.yaml")))
        if change.kind == "unreadable":
            return _Made(None, objects, None, stale, problems)
        old, new = (
            _services(change.before, change.former or change.name, found),
            _services(change.after, key[1], after),
        )
        same = {variant for variant, text in old.items() if new.get(variant) == text}
        runs, will = _parsed(old, same), _parsed(new, same)
        served = _serving(change.before, runs, before), _serving(change.after, will, after)
        mode = (change.after or change.before).environment.mode  # type: ignore[union-attr]
        return _Made(
            restarts.compare(runs, will, mode),
            objects,
            reversal.of(*served, mode) if differing or change.kind != "same" else None,
            stale,
            problems,
        )

    def _is_on_disk(self, key: Key, committed: dict[str, bytes]) -> bool:
        """Tell whether what is known of an experiment in the working tree holds for it in the state after."""
        after = self._found.after
        return not after.commit or revisions.is_checked_out(self._root, after, *key, committed)

    def _builder(self, state: State) -> "Builds":
        if state.commit not in self._builds:
            from generator.reviews import builds  # noqa: PLC0415 (start-up time: what is known to be right is not built)

            self._builds[state.commit] = builds.Builds(state, self._options)
        return self._builds[state.commit]

    def _manifests(self, change: ExperimentChange) -> dict[str, bytes]:
        """Return the manifests before as committed, by path; as they would be rendered if none is."""
        name = change.former or change.name
        if change.before is None and "before" not in change.wrong:
            return {}
        found = self._found.manifests(self._found.before, change.origin, name)
        if not found and change.before:
            with suppress(ProblemsError):
                found = _sealed(self._builder(self._found.before).build(change.origin, name))
        return found

    def _past(self, changes: list[ExperimentChange]) -> Callable[[], _Past]:
        """Start to ask history what decides on these changes; return what waits for the answer."""
        lives, told = self._lives(changes), self._told(changes)

        def wait() -> _Past:
            try:
                known, whole = lives(), True
            except history.ShallowError as error:
                self._unknown.append(str(error))
                known, whole = {}, False
            return _Past(known, whole, self._edits(changes), told())

        return wait

    def _lives(self, changes: Iterable[ExperimentChange]) -> Callable[[], dict[Key, Life]]:
        """Start to read the lives of those whose soak matters."""
        held = [one for one in changes if one.before and one.after and one.rollout and transitions.grows(one)]
        wanted = {(one.origin, one.former or one.name) for one in held}
        if not wanted:
            return dict
        layers = (layer for one in held if one.before for layer in one.before.reading.document.layers)
        parsed = {layer.raw: layer.data for layer in layers}
        whole = history.whole(self._root)
        before = self._found.before.commit
        lives = history.lived(self._root, self._found.objects, before, wanted, self._now, parsed=parsed)

        def wait() -> dict[Key, Life]:
            found = lives()
            whole()
            return found

        return wait

    def _told(self, changes: Iterable[ExperimentChange]) -> Callable[[], dict[Key, list[Decision]]]:
        """Start to read what commits of the change say of themselves, where what they say may count."""
        count = any(one.rollout or (one.ruled and one.ruled.policy.overrides) for one in changes)
        if not self._found.after.commit or not count:
            return dict
        return history.decisions(self._root, f"{self._found.before.commit}..{self._found.after.commit}")

    def _edits(self, changes: Iterable[ExperimentChange]) -> dict[str, tuple["Edit", ...]]:
        if not any(one.ruled and any(one.ruled.policy.authors) for one in changes):
            return {}
        from generator.reviews import authorship  # noqa: PLC0415 (start-up time)

        files = dict.fromkeys(
            file for one in changes for name in _names(one) for file in authorship.files(one.environment, name)
        )
        return authorship.edits(self._root, self._found.before.commit, self._found.after.commit, files)


def _edits_of(edits: dict[str, tuple["Edit", ...]], change: ExperimentChange) -> tuple["Edit", ...]:
    if not edits:
        return ()
    from generator.reviews import authorship  # noqa: PLC0415 (start-up time)

    files = (file for name in _names(change) for file in authorship.files(change.environment, name))
    return tuple(edit for file in files for edit in edits.get(file, ()))


def _names(change: ExperimentChange) -> Iterable[str]:
    return filter(None, dict.fromkeys((change.former, change.name)))


def _shared(change: EnvironmentChange) -> str:
    """Both names own the same objects for a while, and who deletes what it has lost deletes the other's."""
    return (
        f"environment {change.former} is {change.name} now, in the same namespace: what applied {change.former} "
        f"(Applications of Argo CD, Kustomizations of Flux) deletes objects when it goes, and {change.name} owns the "
        "same; let it go without them first (no finalizer, no prune), or all of them are deleted and made anew"
    )


def _gravest(problems: list[Problem]) -> str:
    severities = {one.severity for one in problems}
    return ERROR if ERROR in severities else WARNING if severities else ""


def _is_readable(change: ExperimentChange) -> bool:
    """Tell whether there is something to say: of what was wrong before, what it is now, or that it is not any more."""
    return "after" not in change.wrong


def _stale(path: str) -> Problem:
    message = "this manifest is not what the experiment says: something else would be applied"
    return Problem("PS708", Place(path), message, "run `penstock render`, and commit what it writes")


def _left(path: str) -> Problem:
    message = "this manifest is of an experiment that is not declared, or no more: it would be applied all the same"
    return Problem("PS708", Place(path), message, "run `penstock render`, or delete it")


def _sealed(build: "Build") -> dict[str, bytes]:
    return {one.planned.path: seal(one.planned.source, one.text).encode() for one in build.manifests}


def _services(side: Side | None, name: str, manifests: dict[str, bytes]) -> dict[str, bytes]:
    """Return the InferenceServices among manifests, by variant."""
    if side is None:
        return {}
    place = folder(side.environment.name, AREAS[0], name)
    paths = {
        one.name: f"{place}/{manifest_file('InferenceService', isvc(name, one.name))}"
        for one in side.experiment.variants
    }
    return {variant: manifests[path] for variant, path in paths.items() if path in manifests}


def _parsed(texts: dict[str, bytes], same: set[str]) -> dict[str, Any]:
    """Read InferenceServices, but for those that are alike on both sides: there is nothing to compare."""
    return {variant: {} if variant in same else load.parse(text, variant)[0] for variant, text in texts.items()}


def _serving(side: Side | None, services: dict[str, Any], manifests: dict[str, bytes]) -> reversal.Serving | None:
    if side is None:
        return None
    traffic = {one.name: one.traffic for one in side.experiment.variants}
    routes = {path: text for path, text in manifests.items() if "/traffic/" in path}
    return reversal.Serving(addresses.of(side.experiment, side.environment), traffic, services, routes)
