"""Many experiments in one run: choosing them, spreading them over processes, and writing all of them or none.

Nothing here grows with the number of experiments: a worker holds one at a time, its files wait on disk, and so do its
outcomes.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import tempfile
from typing import IO, TYPE_CHECKING, NamedTuple

from generator import claims, names, pipeline, plan, resources, tree
from generator.freshness import Freshness, folder
from generator.problems import PenstockError, Problem, ProblemsError, errors
from generator.render import Templates
from generator.repository import ENVIRONMENTS, experiment_file
from generator.seal import seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from generator.manifest import Manifest
    from generator.repository import Inventory
    from generator.tree import Change

# Below this a second process costs more than it saves.
_WORTH_FORKING = 64


class WorkerError(PenstockError):
    """A worker process died."""


class Job(NamedTuple):
    """One experiment of one environment; without a name, the environment's own files."""

    environment: str
    name: str
    in_base: bool = False
    inputs: int = 0


class Outcome(NamedTuple):
    """What became of a job."""

    job: Job
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    claims: tuple[str, ...] = ()
    until: str = ""


class Options(NamedTuple):
    """What a run may do. `write` false compares only; `compare` false checks the input alone."""

    today: str
    compare: bool = True
    write: bool = False
    force: bool = False
    use_cache: bool = True
    workers: int = 0
    crds: str = ""


class Result:
    """The outcomes of a run, which may be iterated over again and again; `fresh` counts files not even looked at."""

    def __init__(
        self, spools: Iterable[Iterable[Outcome]], own: Iterable[Outcome], fresh: int, extra: list[Problem] | None = None
    ) -> None:
        self._spools = spools
        self._own = own
        self.fresh = fresh
        self.extra = extra if extra is not None else []

    def __iter__(self) -> Iterator[Outcome]:
        for spool in self._spools:
            yield from spool
        yield from self._own

    def problems(self) -> Iterator[Problem]:
        """All problems of the run."""
        yield from self.extra
        for outcome in self:
            yield from outcome.problems


class Spool:
    """Outcomes on disk, written by one process and read by another."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)

    def fill(self, outcomes: Iterator[Outcome]) -> None:
        """Write outcomes as they come."""
        for outcome in outcomes:
            pickle.dump(outcome, self._file, pickle.HIGHEST_PROTOCOL)
        self._file.flush()

    def fail(self, error: PenstockError) -> None:
        """Leave an error instead of further outcomes."""
        pickle.dump(error, self._file, pickle.HIGHEST_PROTOCOL)
        self._file.flush()

    def __iter__(self) -> Iterator[Outcome]:
        self._file.seek(0)
        while True:
            try:
                # Our own anonymous file, written by our own children.
                outcome = pickle.load(self._file)  # noqa: S301
            except EOFError:
                return
            if isinstance(outcome, PenstockError):
                raise outcome
            yield outcome


def run(inventory: Inventory, chosen: dict[str, tuple[str, ...]], options: Options) -> Result:
    """Build the chosen experiments and, if wanted, write them: all, or none if anything is wrong.

    `chosen` maps environments to experiments. Files of experiments that are declared no more are deleted only in
    environments that are chosen whole.
    """
    overrides = _overrides(inventory.root)
    known = Freshness(inventory.root, (overrides, options.crds), options.today)
    fresh, stale, count = _sorted_out(inventory, chosen, known, options)
    listings = _unlisted(inventory, chosen, known, options)
    if not stale and not listings:
        return Result((), (), count)
    run_ = _Run(inventory, chosen, options, known, Templates(overrides, _compiled(options)))
    if not options.write:
        return run_.result(fresh, stale, listings, count)
    with tree.lock(inventory.root):
        tree.recover(inventory.root, (ENVIRONMENTS,))
        return run_.result(fresh, stale, listings, count)


def _overrides(root: str) -> str:
    """Return the repository's own templates, unless they are the shipped ones: in Penstock's own checkout."""
    place = f"{root}/templates"
    own = os.path.isdir(place) and not os.path.samefile(place, resources.directory("templates"))
    return place if own else ""


def _compiled(options: Options) -> str:
    """Return a private folder for compiled templates, or "" where none can be had."""
    place = f"{folder()}/templates" if folder() and options.use_cache else ""
    try:
        if place:
            os.makedirs(place, mode=0o700, exist_ok=True)
    except OSError:
        return ""
    return place


def _sorted_out(
    inventory: Inventory, chosen: dict[str, tuple[str, ...]], known: Freshness, options: Options
) -> tuple[list[Job], list[Job], int]:
    """Part the jobs in those known to be right and those to do, with the number of right files."""
    fresh, stale, count = [], [], 0
    for environment, experiments in chosen.items():
        for name in experiments:
            in_base = name in inventory.base
            inputs = known.inputs(environment, name, in_base=in_base)
            files = known.files(environment, name, inputs) if options.use_cache else 0
            count += files
            (fresh if files else stale).append(Job(environment, name, in_base, inputs))
    return fresh, stale, count


def _unlisted(
    inventory: Inventory, chosen: dict[str, tuple[str, ...]], known: Freshness, options: Options
) -> list[str]:
    """Return environments whose own files may be out of date, or that hold files of experiments declared no more."""
    return [
        name
        for name in (chosen if options.compare else ())
        if not (options.use_cache and known.listing(name, inventory.environments[name]))
        or _orphans(inventory, name)
    ]


def _orphans(inventory: Inventory, environment: str) -> list[str]:
    """Folders of experiments that the environment does not declare."""
    declared = set(inventory.environments[environment])
    found = []
    for area in names.AREAS:
        place = plan.folder(environment, area)
        try:
            present = os.scandir(f"{inventory.root}/{place}")
        except OSError:
            continue
        found += [f"{place}/{e.name}" for e in present if e.name not in declared and e.is_dir(follow_symlinks=False)]
    return sorted(found)


class _Run:
    """The work that is left once everything known to be right is set aside."""

    def __init__(
        self,
        inventory: Inventory,
        chosen: dict[str, tuple[str, ...]],
        options: Options,
        known: Freshness,
        templates: Templates,
    ) -> None:
        self.inventory = inventory
        self.chosen = chosen
        self.options = options
        self.known = known
        self.templates = templates
        self.sites: dict[str, pipeline.Site] = {}

    def result(self, fresh: list[Job], stale: list[Job], listings: list[str], count: int) -> Result:
        """Do the jobs, check them against each other, and commit if all is well."""
        problems = self._open_sites()
        stale = [job for job in stale if job.environment in self.sites]
        workers = self._workers(len(stale))
        areas = [tree.Staging.open(self.inventory.root, ENVIRONMENTS) for _ in range(workers + 1)]
        try:
            spools = _spread(stale, [lambda jobs, area=area: self._outcomes(jobs, area) for area in areas[:-1]])
            own = [self._own_files(name, areas[-1]) for name in listings if name in self.sites]
            result = Result(spools, own, count, problems)
            problems += self._conflicts(fresh, result)
            failed = bool(errors(list(result.problems())))
            if self.options.write and not failed:
                tree.commit(areas)
        finally:
            for area in areas:
                area.abandon()
        if not failed:
            self._note(result)
        return result

    def _open_sites(self) -> list[Problem]:
        problems: list[Problem] = []
        for name in self.chosen:
            try:
                self.sites[name] = pipeline.site(self.inventory.root, name, self.options.crds)
                problems += self.sites[name].problems
            except ProblemsError as error:
                problems += error.problems
        return problems

    def _workers(self, jobs: int) -> int:
        if not hasattr(os, "fork"):
            return 1
        most = self.options.workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        return max(1, min(most, jobs // _WORTH_FORKING))

    def _outcomes(self, jobs: list[Job], area: tree.Staging) -> Iterator[Outcome]:
        for job in jobs:
            try:
                yield self._outcome(job, area)
            except ProblemsError as error:
                yield Outcome(job, (), error.problems)

    def _outcome(self, job: Job, area: tree.Staging) -> Outcome:
        site = self.sites[job.environment]
        built = pipeline.build(
            self.inventory.root,
            site,
            job.name,
            in_base=job.in_base,
            templates=self.templates,
            today=self.options.today,
        )
        taken, until = built.claims, built.experiment.expires
        if not self.options.compare:
            return Outcome(job, (), built.problems, taken, until)
        owned = tuple(plan.folder(job.environment, area, job.name) for area in names.AREAS)
        changes, problems = self._compared(owned, built.manifests, area)
        return Outcome(job, changes, (*built.problems, *problems), taken, until)

    def _compared(
        self, owned: tuple[str, ...], manifests: Iterable[Manifest], area: tree.Staging
    ) -> tuple[tuple[Change, ...], list[Problem]]:
        """Compare with the disk and stage the difference."""
        sealed = {one.planned.path: seal(one.planned.source, one.text) for one in manifests}
        changes, problems = tree.compare(self.inventory.root, owned, sealed, force=self.options.force)
        if self.options.write and not errors(problems):
            for change in changes:
                if change.action == tree.DELETE:
                    area.delete(change.path)
                elif change.action != tree.SAME:
                    area.stage(change.path, sealed[change.path])
        return tuple(changes), problems

    def _own_files(self, environment: str, area: tree.Staging) -> Outcome:
        """List the folders of all areas, and delete those of experiments that are declared no more."""
        declared = self.inventory.environments[environment]
        orphans = _orphans(self.inventory, environment)
        if self.chosen[environment] != declared:  # chosen in part: what others left, or will render, is theirs
            orphans = []
            declared = tuple(name for name in declared if name in self.chosen[environment] or self._rendered(environment, name))
        planned = plan.listings(environment, declared)
        owned = tuple(orphans) if declared else (plan.folder(environment, "").rstrip("/"),)
        changes, problems = self._compared(owned, self.templates.render(planned), area)
        return Outcome(Job(environment, ""), changes, tuple(problems))

    def _rendered(self, environment: str, name: str) -> bool:
        return os.path.isdir(f"{self.inventory.root}/{plan.folder(environment, names.AREAS[0], name)}")

    def _conflicts(self, fresh: list[Job], result: Result) -> list[Problem]:
        """Look for things that two experiments claim, among those built now and those known from before."""

        def prints() -> Iterator[str]:
            yield from (self.known.claims(job.environment, job.name) for job in fresh)
            yield from (claims.fingerprint(outcome.claims) for outcome in result)

        suspects = claims.suspects(prints)
        if not suspects:
            return []
        again = [job for job in fresh if claims.any_of(self.known.claims(job.environment, job.name), suspects)]
        found = [outcome for outcome in result if claims.any_of(claims.fingerprint(outcome.claims), suspects)]
        silent = _Run(self.inventory, self.chosen, self.options._replace(compare=False), self.known, self.templates)
        silent.sites = self.sites
        found += silent._outcomes(again, tree.Staging(self.inventory.root, ""))
        return claims.conflicts(
            (claim, experiment_file(outcome.job.environment, outcome.job.name))
            for outcome in sorted(found, key=lambda one: one.job)
            for claim in outcome.claims
        )

    def _note(self, result: Result) -> None:
        """Remember what is on disk and right; what warned is looked at again, to warn again."""
        for outcome in result:
            job, settled = outcome.job, self.options.write or all(c.action == tree.SAME for c in outcome.changes)
            if not self.options.compare or not settled or outcome.problems:
                continue
            if job.name:
                self.known.note(job.environment, job.name, job.inputs, outcome.until, claims.fingerprint(outcome.claims))
            else:
                self.known.note_listing(job.environment, self.inventory.environments[job.environment])
        self.known.save()


def _spread(jobs: list[Job], workers: list[Callable[[list[Job]], Iterator[Outcome]]]) -> list[Iterable[Outcome]]:
    """Do the jobs in as many processes as there are workers; a single one works in this process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)  # a parsed file is many small objects without cycles: collecting them is wasted time
    if len(workers) == 1 and len(jobs) <= _WORTH_FORKING:
        return [list(workers[0](jobs))]
    spools = [Spool() for _ in workers]
    if len(workers) == 1:
        spools[0].fill(workers[0](jobs))
        return [*spools]
    size = -(-len(jobs) // len(workers))
    children = [
        _start(worker, jobs[index * size : (index + 1) * size], spool)
        for index, (worker, spool) in enumerate(zip(workers, spools, strict=True))
    ]
    _wait(children)
    return [*spools]


def _start(worker: Callable[[list[Job]], Iterator[Outcome]], jobs: list[Job], spool: Spool) -> int:
    """Fork a process that fills a spool; it never returns from here."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        spool.fill(worker(jobs))
        status = 0
    except PenstockError as error:
        spool.fail(error)
        status = 0
    finally:
        if status:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(status)


def _wait(children: list[int]) -> None:
    """Wait for all; none outlives this process, whatever ends it."""
    left = list(children)
    try:
        while left:
            _, status = os.waitpid(left[0], 0)
            left.pop(0)
            if status:
                raise WorkerError("a worker process died; the run was given up, and nothing was written")
    finally:
        for child in left:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
