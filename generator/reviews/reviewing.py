"""Finds out what a review says: reads both states, builds what is not known to be right, and asks Git's history."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from generator import repository
from generator.documents import load
from generator.names import isvc, manifest_file
from generator.problems import Place, Problem, ProblemsError
from generator.repository import AREAS, environment_file, folder
from generator.reviews import meaning, overlaps, restarts, reversal, review, transitions
from generator.runs import run
from generator.runs.seal import seal
from generator.versions import git, revisions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.pipeline import Build
    from generator.reviews.authorship import Edit
    from generator.reviews.builds import Builds
    from generator.reviews.meaning import ExperimentChange, Meaning, Side
    from generator.reviews.overlaps import Overlaps
    from generator.reviews.restarts import Pods
    from generator.reviews.reversal import Reversal
    from generator.versions.lives import Decision, Key, Life
    from generator.versions.revisions import Comparison, State


def report(root: str, base: str, head: str, only: Iterable[str], now: int) -> review.Report:
    """Review what `head` ("" for the working tree) changes since it left `base` ("" for the deployed branch).

    `only` names environments, all if it is empty; `now` is in seconds. GitError where a revision is missing.
    """
    start = revisions.fork(root, head, base)
    with revisions.compared(root, start, head, only) as found:
        return _Inspection(root, found, now).report(head)


class _Made(NamedTuple):
    """What comes of the manifests of an experiment, as `review.Facts` says."""

    pods: tuple[Pods, ...] | None
    objects: tuple[str, ...]
    reversal: Reversal | None
    stale: tuple[str, ...]


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
        self._seen: dict[Key, _Made] = {}
        self._decisions: dict[Key, list[Decision]] = {}

    def report(self, head: str) -> review.Report:
        read = meaning.of(self._found)
        self._problems += read.wrong_after
        experiments = self._experiments(read)
        environments = [
            review.of_environment(
                one, environment_file(one.name), sum(other.title.startswith(f"{one.name}/") for other in experiments)
            )
            for one in read.environments
        ]
        notes = [
            f"what was there before is wrong, so nothing is compared with it: {one.place}: {one.code} {one.message}"
            for one in read.wrong_before
            if one not in read.wrong_after
        ]
        return review.Report(
            git.short(self._found.before.commit),
            git.short(self._found.after.commit) if head else "the working tree",
            (*environments, *experiments),
            tuple(dict.fromkeys(self._problems)),
            tuple(self._unknown),
            tuple(notes),
        )

    def _experiments(self, read: Meaning) -> list[review.Review]:
        readable = [one for one in read.experiments if _is_readable(one)]
        fresh = self._fresh(readable)
        searched = overlaps.find(
            self._root, self._found.after.commit, [one.after.experiment for one in readable if one.after]
        )
        lives, known = self._lives(readable)
        edits = self._edits(readable)
        self._decisions = self._told(readable)
        same = searched()
        return [
            review.of_experiment(one, self._facts(one, fresh, same, lives, edits, known=known), self._today)
            if _is_readable(one)
            else review.unreadable(one)
            for one in read.experiments
            if one.kind != "same" or self._shown(one, fresh)
        ]

    def _shown(self, change: ExperimentChange, fresh: set[Key]) -> bool:
        """What means the same is told if its manifests are not as they were."""
        found = self._made(change, fresh)
        return bool(found.stale or found.objects)

    def _fresh(self, changes: Iterable[ExperimentChange]) -> set[Key]:
        """Return those whose manifests an earlier run has found right, which only the working tree's can be."""
        if self._found.after.commit:
            return set()
        chosen: dict[str, tuple[str, ...]] = {}
        for one in changes:
            if one.after:
                chosen[one.environment] = (*chosen.get(one.environment, ()), one.name)
        work = run.prepare(repository.take(self._root), chosen, self._options)
        return {(job.environment, job.name) for job in work.fresh}

    def _facts(
        self,
        change: ExperimentChange,
        fresh: set[Key],
        same: Overlaps,
        lives: dict[Key, Life],
        edits: dict[str, tuple[Edit, ...]],
        *,
        known: bool,
    ) -> review.Facts:
        made = self._made(change, fresh)
        self._problems += [_stale(path) if change.after else _left(path) for path in made.stale]
        life = lives.get((change.environment, change.former or change.name))
        told = self._decisions.get((change.environment, change.name), [])
        reason = next((one.reason for one in reversed(told) if one.reason), "")
        circumstances = transitions.Circumstances(self._now, life, _edits_of(edits, change), reason)
        self._problems += transitions.check(change, circumstances)
        experiment = change.after.experiment if change.after else None
        return review.Facts(
            made.pods,
            made.objects,
            made.reversal,
            transitions.stand(change, circumstances) if transitions.grows(change) else None,
            known,
            made.stale,
            same.models(experiment) if experiment else (),
            same.hosts(experiment) if experiment else (),
            next((one.verdict for one in reversed(told) if one.verdict), ""),
            reason,
        )

    def _made(self, change: ExperimentChange, fresh: set[Key]) -> _Made:
        """Compare what is rendered before and after, and what is committed with what it should be."""
        key = (change.environment, change.name)
        if key not in self._seen:
            try:
                self._seen[key] = self._compared(change, key, fresh)
            except ProblemsError as error:
                self._problems += error.problems
                self._seen[key] = _Made(None, (), None, ())
        return self._seen[key]

    def _compared(self, change: ExperimentChange, key: Key, fresh: set[Key]) -> _Made:
        before = self._manifests(change)
        committed = self._found.manifests(self._found.after, *key)
        after = committed
        if change.after is None:
            after = {}
        elif key not in fresh:
            build = self._builder(self._found.after).build(*key)
            self._problems += build.problems
            after = _sealed(build)
        stale = tuple(
            sorted(path for path in committed.keys() | after.keys() if committed.get(path) != after.get(path))
        )
        if change.kind == "unreadable":
            return _Made(None, (), None, stale)
        old, new = (
            _services(change.before, change.former or change.name, before),
            _services(change.after, key[1], after),
        )
        same = {variant for variant, text in old.items() if new.get(variant) == text}
        runs, will = _parsed(old, same), _parsed(new, same)
        served = _serving(change.before, runs, before), _serving(change.after, will, after)
        mode = (change.after or change.before).environment.mode  # type: ignore[union-attr]
        objects = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        return _Made(
            restarts.compare(runs, will, mode),
            tuple(sorted(path for path in objects if not path.endswith("/kustomization.yaml"))),
            reversal.of(*served, mode) if objects or change.kind != "same" else None,
            stale,
        )

    def _builder(self, state: State) -> Builds:
        if state.root not in self._builds:
            from generator.reviews import builds  # noqa: PLC0415 (start-up time: what is known to be right is not built)

            self._builds[state.root] = builds.Builds(state, self._options)
        return self._builds[state.root]

    def _manifests(self, change: ExperimentChange) -> dict[str, bytes]:
        """Return the manifests before as committed, by path; as they would be rendered if none is."""
        name = change.former or change.name
        if change.before is None:
            return {}
        found = self._found.manifests(self._found.before, change.environment, name)
        if not found:
            with suppress(ProblemsError):
                found = _sealed(self._builder(self._found.before).build(change.environment, name))
        return found

    def _lives(self, changes: Iterable[ExperimentChange]) -> tuple[dict[Key, Life], bool]:
        """Return what history knows of those whose soak matters, and whether it is whole."""
        wanted = {
            (one.environment, one.former or one.name)
            for one in changes
            if one.before and one.after and one.after.experiment.rollout and transitions.grows(one)
        }
        if not wanted:
            return {}, True
        from generator.versions import history  # noqa: PLC0415 (start-up time)

        try:
            return history.lives(self._root, self._found.before.commit, wanted, self._now), True
        except history.ShallowError as error:
            self._unknown.append(str(error))
            return {}, False

    def _told(self, changes: Iterable[ExperimentChange]) -> dict[Key, list[Decision]]:
        """Read what commits of the change say of themselves, where a step may rest on it."""
        if not self._found.after.commit or not any(one.after and one.after.experiment.rollout for one in changes):
            return {}
        from generator.versions import history  # noqa: PLC0415 (start-up time)

        return history.decisions(self._root, f"{self._found.before.commit}..{self._found.after.commit}")

    def _edits(self, changes: Iterable[ExperimentChange]) -> dict[str, tuple[Edit, ...]]:
        sides = [one.before or one.after for one in changes]
        if not any(side and any(side.environment.policy.authors) for side in sides):
            return {}
        from generator.reviews import authorship  # noqa: PLC0415 (start-up time)

        return authorship.edits(self._root, self._found.before.commit, self._found.after.commit or "HEAD")


def _edits_of(edits: dict[str, tuple[Edit, ...]], change: ExperimentChange) -> tuple[Edit, ...]:
    if not edits:
        return ()
    from generator.reviews import authorship  # noqa: PLC0415 (start-up time)

    names = filter(None, dict.fromkeys((change.former, change.name)))
    return tuple(edit for name in names for edit in authorship.of(edits, change.environment, name))


def _is_readable(change: ExperimentChange) -> bool:
    """Tell whether there is something to say: of what was wrong before, what it is now."""
    return change.kind != "unreadable" or change.after is not None


def _stale(path: str) -> Problem:
    message = "this manifest is not what the experiment says: something else would be applied"
    return Problem("PS708", Place(path), message, "run `penstock render`, and commit what it writes")


def _left(path: str) -> Problem:
    message = "this manifest is left of an experiment that is declared no more: it would still be applied"
    return Problem("PS708", Place(path), message, "run `penstock render`, or delete it with its environment")


def _sealed(build: Build) -> dict[str, bytes]:
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
    return reversal.Serving(side.experiment.hostname, traffic, services, routes)
