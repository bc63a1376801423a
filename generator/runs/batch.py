"""The work of a run: spread over processes, checked as a whole, and written all or not at all.

Nothing here grows with the number of experiments: a worker holds one at a time, its files wait on disk, and so do its
outcomes.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from generator import pipeline
from generator.domain import claims, interpret
from generator.manifests import plan
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.manifests.verify import verified
from generator.problems import PenstockError, Place, Problem, ProblemsError, errors
from generator.repository import AREAS, ENVIRONMENTS, delivered, delivery, experiment_file, folder, folders
from generator.runs import freshness, tree
from generator.runs.progress import shown
from generator.runs.run import Job, Outcome, Result, orphans
from generator.runs.seal import seal
from generator.runs.tree import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from generator.manifest import Manifest
    from generator.manifests.prototypes import Prototypes
    from generator.manifests.verify import Finding
    from generator.runs.run import Options, Work

    Worker = Callable[[Iterable[Job]], Iterator[Outcome]]

# Below this many experiments for each, a second process costs more than it saves.
_WORTH_FORKING = 32
_WORTH_A_PROTOTYPE = 3
_NOTED_AT_ONCE = 1000
_LENGTH = 4  # bytes
_ENDING = (signal.SIGINT, signal.SIGTERM)


class WorkerError(PenstockError):
    """A worker process died."""


def do(work: Work) -> Result:
    """Build what is stale, check it against everything else and, if wanted, write it."""
    batch = Batch(work)
    if not work.options.write:
        return batch.result()
    root = work.inventory.root
    with tree.lock(root) as alone:
        if alone:
            tree.recover(root, (ENVIRONMENTS,))
        return batch.result()


def manifests(work: Work, problems: list[Problem]) -> Iterator[str]:
    """Yield the sealed text of every file of the stale experiments, one by one; adds to `problems` what is wrong."""
    batch = Batch(work)
    problems += batch.open_sites()
    for job in work.stale:
        if job.environment in batch.sites:
            try:
                built = batch.build(job)
            except ProblemsError as error:
                problems += error.problems
                continue
            problems += built.problems
            yield from (seal(one.planned.source, one.text) for one in built.manifests)


class Batch:
    """What all jobs of a run share."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.options: Options = work.options
        self.root = work.inventory.root
        self.templates = Templates(work.overrides, freshness.compiled() if work.options.use_cache else "")
        self.reader = Reader()
        self.prototypes = self._prototypes() if len(work.stale) > _WORTH_A_PROTOTYPE else None
        self.sites: dict[str, pipeline.Site] = {}

    def _prototypes(self) -> Prototypes:
        from generator.manifests.prototypes import Prototypes  # noqa: PLC0415 (start-up time)

        return Prototypes(self.templates, self.reader)

    def result(self) -> Result:
        """Do the jobs, check them against each other, commit if all is well, and remember what is right."""
        problems = self.open_sites()
        stale = [job for job in self.work.stale if job.environment in self.sites]
        with tree.Staging.open(self.root, ENVIRONMENTS) as area:
            outcomes = _spread(stale, self._worker(area), self._workers(len(stale)))
            listed = [self._listing(name, area) for name in self.work.listings if name in self.sites]
            result = Result([*outcomes, listed], problems, self.work.files)
            taken = claims.Register()
            for outcome in result:
                problems += outcome.problems
                taken.add(outcome.claims)
            problems += self._conflicts(result, taken)
            wrong = bool(errors(problems))
            if self.options.write and not wrong:
                area.commit()
        if not wrong:
            self.work.known.save(self._notes(result))
        return result

    def open_sites(self) -> list[Problem]:
        """Read the chosen environments. Of the experiments of one that is wrong it is said what can be told without it.

        None is read where the repository's own templates must not be.
        """
        problems = [*self.work.problems]
        for name in () if errors(problems) else self.work.chosen:
            try:
                self.sites[name] = pipeline.site(self.root, name, self.options.crds)
            except ProblemsError as error:
                problems += error.problems
                problems += self._unplaced(name)
        return problems

    def _unplaced(self, environment: str) -> Iterator[Problem]:
        for name in self.work.chosen[environment]:
            in_base = name in self.work.inventory.base
            yield from pipeline.unplaced(self.root, environment, name, in_base=in_base, today=self.options.today)

    def build(self, job: Job) -> pipeline.Build:
        """Build one experiment; ProblemsError if anything is wrong with it."""
        return pipeline.build(
            self.root,
            self.sites[job.environment],
            job.name,
            in_base=job.in_base,
            templates=self.templates,
            reader=self.reader,
            today=self.options.today,
            prototypes=self.prototypes,
        )

    def _workers(self, jobs: int) -> int:
        return max(1, min(self.options.workers or freshness.cores(), jobs // _WORTH_FORKING))

    def _worker(self, area: tree.Staging) -> Worker:
        def outcomes(jobs: Iterable[Job]) -> Iterator[Outcome]:
            for job in jobs:
                try:
                    yield self._outcome(job, area)
                except ProblemsError as error:
                    yield Outcome(job, [], list(error.problems))

        return outcomes

    def _outcome(self, job: Job, area: tree.Staging) -> Outcome:
        built = self.build(job)
        changes: list[Change] = []
        problems: list[Problem] = []
        if self.options.compare:
            changes, problems = self._compare(self._owned(job.environment, job.name), built.manifests, area)
        fingerprint = claims.fingerprint(built.claims)
        return Outcome(job, changes, [*built.problems, *problems], fingerprint, built.experiment.expires)

    def _owned(self, environment: str, experiment: str) -> tuple[str, ...]:
        found = folders(environment, experiment)
        return found if self._delivers(environment) else found[: len(AREAS)]

    def _delivers(self, environment: str) -> bool:
        """Say whether the folder of what Argo CD or Flux needs is ours: declared now, or until now."""
        return self.sites[environment].environment.gitops is not None or delivered(self.root, environment)

    def _compare(
        self, owned: tuple[str, ...], built: Iterable[Manifest], area: tree.Staging, beside: tuple[str, ...] = ()
    ) -> tuple[list[Change], list[Problem]]:
        """Compare with the disk, and stage the difference."""
        sealed = {one.planned.path: seal(one.planned.source, one.text) for one in built}
        changes, problems = tree.compare(self.root, owned, sealed, force=self.options.force, beside=beside)
        if self.options.write and not errors(problems):
            for change in changes:
                if change.action == tree.DELETE:
                    area.delete(change.path)
                elif change.action != tree.SAME:
                    area.stage(change.path, sealed[change.path])
        return changes, problems

    def _listing(self, environment: str, area: tree.Staging) -> Outcome:
        """List the folders of all experiments, and delete those of experiments that are declared no more."""
        declared = self.work.inventory.environments[environment]
        left = orphans(self.work.inventory, environment)
        adding = declared
        if self.work.chosen[environment] != declared:
            # Chosen in part: list what is there or comes now, and leave to a whole run what is to go.
            gone = {place.rpartition("/")[2] for place in left}
            left = []
            declared = tuple(sorted({one for one in declared if self._present(environment, one)} | gone))
            adding = tuple(one for one in declared if self._adds(environment, one))
        built: list[Manifest] = []
        findings: list[Finding] = []
        try:
            planned = plan.bootstrap(self.sites[environment].environment, adding)
            for one in (*plan.listings(environment, declared), *planned):  # one by one: each may list 10,000 names
                manifests, found = verified(self.templates.render((one,)), self.sites[environment].catalog, self.reader)
                built += (manifest._replace(data=None) for manifest in manifests)
                findings += found
        except ProblemsError as error:
            return Outcome(Job(environment, ""), [], list(error.problems))
        if findings:
            return Outcome(Job(environment, ""), [], [pipeline.blame(one, self.templates) for one in findings])
        own = (
            ()
            if declared
            else tuple(one for one in (folder(environment), *_areas(environment)) if self._is_folder(one))
        )
        beside: tuple[str, ...] = ()
        if self._delivers(environment):
            own = (*own, delivery(environment))
            beside = tuple(delivery(environment, one) for one in self.work.inventory.environments[environment])
        changes, problems = self._compare((*left, *own), built, area, beside)
        return Outcome(Job(environment, ""), changes, problems)

    def _present(self, environment: str, name: str) -> bool:
        return name in self.work.chosen[environment] or self._is_folder(folder(environment, AREAS[0], name))

    def _adds(self, environment: str, name: str) -> bool:
        return name in self.work.chosen[environment] or self._is_folder(delivery(environment, name))

    def _is_folder(self, place: str) -> bool:
        return os.path.isdir(f"{self.root}/{place}")

    def _conflicts(self, result: Result, taken: claims.Register) -> list[Problem]:
        """Look for what two experiments claim, among those built now and those known from before.

        Experiments that were not chosen count as they were when they were last rendered here. To build them all would
        make a run on one as long as a run on all, which CI does anyway.
        """
        known, others = self._known(self.work.fresh), self._known(self._others())
        for fingerprint in (*known.values(), *others.values()):
            taken.add(fingerprint)
        suspects = taken.repeated()
        if not suspects:
            return []
        chosen = [outcome.job for outcome in result if claims.any_of(outcome.claims, suspects)]
        chosen += [job for job, fingerprint in known.items() if claims.any_of(fingerprint, suspects)]
        ours = [(claim, _file(job)) for job in sorted(chosen) for claim in self.build(job).claims]
        wanted = {claim for claim, _ in ours}
        theirs = [
            (claim, _file(job))
            for job, fingerprint in sorted(others.items())
            if wanted and claims.any_of(fingerprint, suspects)
            for claim in self._claims(job)
            if claim in wanted
        ]
        jobs = {_file(job): job for job in (*chosen, *others)}
        found = claims.conflicts((*theirs, *ours))
        return [self._conflict(jobs[file], claim, other) for claim, file, other in found]

    def _conflict(self, job: Job, claim: str, other: str) -> Problem:
        site = self.sites[job.environment]
        read = interpret.experiment(self.root, site.environment, site.document, job.name, in_base=job.in_base)
        return claims.conflict(read.document, read.experiment, site.environment, claim, other)

    def _known(self, jobs: Iterable[Job]) -> dict[Job, str]:
        return {job: self.work.known.claims(job.environment, job.name) for job in jobs}

    def _others(self) -> Iterator[Job]:
        """Yield what is declared, and was not chosen."""
        for place, declared in self.work.inventory.environments.items():
            chosen = frozenset(self.work.chosen.get(place, ()))
            for name in declared:
                if name not in chosen:
                    yield Job(place, name, name in self.work.inventory.base)

    def _claims(self, job: Job) -> tuple[str, ...]:
        """Return what an experiment that was not chosen claims by now; nothing if it is wrong, which is not asked."""
        try:
            if job.environment not in self.sites:
                self.sites[job.environment] = pipeline.site(self.root, job.environment, self.options.crds)
            return self.build(job).claims
        except ProblemsError:
            return ()

    def _notes(self, result: Result) -> Iterator[tuple[str, str]]:
        """Note what is on disk and right. What warned is looked at again, to warn again."""
        known, right = self.work.known, []
        for outcome in result:
            job = outcome.job
            settled = self.options.write or all(change.action == tree.SAME for change in outcome.changes)
            if not (self.options.compare and settled) or outcome.problems:
                continue
            if job.name:
                right.append((job.environment, job.name, job.inputs, outcome.until, outcome.claims))
            elif self.work.chosen[job.environment] == self.work.inventory.environments[job.environment]:
                yield known.note_listing(job.environment, self.work.inventory.environments[job.environment])
            if len(right) >= _NOTED_AT_ONCE:
                yield from known.notes(right)
                right.clear()
        yield from known.notes(right)


class Spool:
    """Outcomes on disk, written by one process and read by another, as plain tuples: ten times faster than pickles.

    Each comes behind its length, for marshal reads a file byte by byte, and a text at once.
    """

    def __init__(self) -> None:
        import tempfile  # noqa: PLC0415 (start-up time: few experiments need no spool)

        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __del__)
        self._error: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115

    def __del__(self) -> None:
        """Let go of the files with the last who reads them."""
        self._file.close()
        self._error.close()

    def fill(self, outcomes: Iterable[Outcome]) -> None:
        """Write outcomes as they come."""
        for job, changes, problems, claimed, until in outcomes:
            plain = tuple(job), [tuple(c) for c in changes], [(*p[:1], tuple(p[1]), *p[2:]) for p in problems]
            record = marshal.dumps((*plain, claimed, until))  # type: ignore[arg-type]
            self._file.write(len(record).to_bytes(_LENGTH, "little") + record)
        self._file.flush()

    def fail(self, error: PenstockError) -> None:
        """Leave an error instead of further outcomes."""
        import pickle  # noqa: PLC0415

        pickle.dump(error, self._error)
        self._error.flush()

    def __iter__(self) -> Iterator[Outcome]:
        self._error.seek(0)
        if os.fstat(self._error.fileno()).st_size:
            import pickle  # noqa: PLC0415

            raise pickle.load(self._error)  # noqa: S301 (our own anonymous file, written by our own children)
        self._file.seek(0)
        while length := self._file.read(_LENGTH):
            record = self._file.read(int.from_bytes(length, "little"))
            job, changes, problems, claimed, until = marshal.loads(record)  # noqa: S302 (as above)
            found = [Problem(code, Place(*place), *rest) for code, place, *rest in problems]
            yield Outcome(Job(*job), [Change(*change) for change in changes], found, claimed, until)


def _file(job: Job) -> str:
    return experiment_file(job.environment, job.name)


def _areas(environment: str) -> tuple[str, ...]:
    return tuple(folder(environment, area) for area in AREAS)


def _spread(jobs: list[Job], worker: Worker, processes: int) -> list[Iterable[Outcome]]:
    """Do the jobs in so many processes; a single one is this process."""
    if len(jobs) <= _WORTH_FORKING:
        return [list(worker(shown(jobs, len(jobs))))]
    gc.freeze()
    gc.set_threshold(50_000)  # a parsed file is many small objects without cycles: looking at them is wasted time
    gc.enable()
    spools = [Spool() for _ in range(processes)]
    if processes == 1:
        spools[0].fill(worker(shown(jobs, len(jobs))))
        return [*spools]
    size = -(-len(jobs) // processes)
    parts = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    watched = [shown(parts[0], len(jobs)), *parts[1:]]
    _wait(_start(worker, part, spool) for part, spool in zip(watched, spools, strict=False))
    return [*spools]


def _start(worker: Worker, jobs: Iterable[Job], spool: Spool) -> int:
    """Fork a process that fills a spool. Only the parent returns, and it alone decides what a signal means."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    status = 1
    try:
        spool.fill(worker(jobs))
        status = 0
    except PenstockError as error:
        spool.fail(error)
        status = 0
    finally:
        if status:
            sys.excepthook(*sys.exc_info())
        os._exit(status)


def _wait(starting: Iterable[int]) -> None:
    """Start processes and wait for all; none outlives this one, whatever ends it."""
    left: list[int] = []
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            left.extend(starting)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        while left:
            _, status = os.waitpid(left[0], 0)
            left.pop(0)
            if status:
                raise WorkerError("a worker process died, so the run was given up; no file was changed")
    finally:
        for child in left:
            with suppress(ProcessLookupError, ChildProcessError):  # the signal came when it had ended just now
                os.kill(child, signal.SIGTERM)
                os.waitpid(child, 0)
