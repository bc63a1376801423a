"""What a publication holds: the user's files over those of a branch, and what is rendered from them, staged.

A file that people write is taken from the user only where the branch still has what the user's change began from.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from generator import pipeline
from generator.documents import load
from generator.documents.wording import shown
from generator.domain import interpret
from generator.manifests import plan
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.manifests.verify import verified
from generator.problems import PenstockError, Problem, ProblemsError, errors
from generator.publishing import checkout
from generator.publishing.message import EVIDENCE, Move, Traffic
from generator.report import printable
from generator.repository import (
    AREAS,
    BASE,
    ENVIRONMENTS,
    LISTING,
    delivered,
    delivery,
    environment_file,
    evidence_folder,
    experiment_file,
    folder,
    folders,
)
from generator.runs import freshness, run, templates, tree
from generator.runs.seal import seal
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.domain.model import Environment, Experiment
    from generator.publishing.checkout import Checkout
    from generator.publishing.message import Message
    from generator.publishing.workshop import Workshop

Settlement = Literal["same", "ours", "theirs", "conflict"]
Judge: TypeAlias = "Callable[[str, Environment, Experiment], str]"
"""Says what the evidence on an experiment comes to that the tree at a root has: the verdict, "" if that is too early.

A PenstockError where it does not add up.
"""


class DraftError(PenstockError):
    """What is asked for cannot be drafted as things are; says why, and what to do."""

    exit_code = 1


class UnknownError(PenstockError):
    """There is no such experiment or environment."""

    exit_code = 2


class Job(NamedTuple):
    """What to publish: from the user's root to a root that `prefix` (ending with a slash, or "") leads to.

    `apart` if that is another repository, whose manifests are rendered from the user's environment. `judge` says what
    evidence in it comes to; None if nobody is to say that.
    """

    place: Checkout
    prefix: str
    environment: str
    names: tuple[str, ...]
    apart: bool
    judge: Judge | None = None

    def inputs(self, name: str) -> tuple[str, str]:
        """File and folder, from the root, that people and `analyze` write for an experiment."""
        return experiment_file(self.environment, name), evidence_folder(self.environment, name)


class History(NamedTuple):
    """What a file of the user began from, for `settle`: names of objects by path; "" is in the place of no file.

    Without `follow`, the branch only ever gets what the user has, and so no change of its own wins.
    """

    earlier: Callable[[str], frozenset[str]]
    follow: bool
    here: str
    there: str


class Revision(NamedTuple):
    """What a caller made of the tree of a tip: `paths` from its root that may differ, and what to say of it.

    Without paths nothing is published, nor rendered.
    """

    paths: tuple[str, ...]
    said: Message


class Draft(NamedTuple):
    """What lies staged in a workshop: `files` differ from the tip; `said` is what a revision says, None without one.

    `texts` are all rendered files; those in the folders `owned` are the experiments' own, and the others list them.
    `notes` tell of what could not be said.
    """

    files: tuple[str, ...]
    moves: tuple[Move, ...]
    texts: dict[str, str]
    owned: tuple[str, ...]
    said: Message | None
    notes: tuple[str, ...] = ()


def settle(ours: str, theirs: str, earlier: frozenset[str], *, follow: bool) -> Settlement:
    """Decide which version of a file holds, from the names of its objects; "" for no file."""
    if ours == theirs:
        return "same"
    if follow and ours in earlier:
        return "theirs"
    return "ours" if theirs in earlier else "conflict"


def drafted(
    job: Job,
    shop: Workshop,
    tip: str,
    history: History,
    revise: Callable[[str], Revision] | None = None,
    *,
    expired: bool = False,
) -> Draft:
    """Make a workshop a clean tree of `tip` with the publication staged in it.

    `revise` gets that tree, and changes files in it in place of those of the user. `expired` allows what has expired.
    ProblemsError if what would be published is not valid, or what is there was edited by hand.
    """
    shop.stand_on(tip)
    root = f"{shop.top}/{job.prefix}".rstrip("/")
    if os.path.realpath(root) != root:
        raise DraftError(f"`{printable(job.prefix)}` leads over a symbolic link; name a folder with --path")
    source = job.place.root if job.apart else root
    if not os.path.lexists(f"{source}/{environment_file(job.environment)}"):
        raise UnknownError(
            f"{environment_file(job.environment)} is not on {history.there}; commit it there first, or check the name"
        )
    site = pipeline.site(source, job.environment)
    before = {name: _traffic(root, site, name) for name in job.names}
    laid, said = revise(root) if revise else (_lay(job, shop.top, tip, history), None)
    if said is not None and not laid:
        return Draft((), (), {}, (), said)
    experiments, texts = _rendered(job, site, source, root, "" if expired else run.today())
    owned = tuple(one for name in job.names for one in rendered_folders(root, site.environment, name))
    changed = _write(job, root, owned, texts)
    files = shop.stage([f"{job.prefix}{path}" for path in (*laid, *changed)], tip)
    moves: list[Move] = []
    notes: list[str] = []
    for name in job.names:
        experiment = experiments.get(name)
        if word := _changed(job, name, files):
            verdict, note = _judged(job, root, site.environment, experiment, files)
            moves.append(Move(name, before[name], _shares(experiment), word, verdict))
            notes += filter(None, [note])
    return Draft(files, tuple(moves), texts, owned, said, tuple(notes))


def rendered_folders(root: str, environment: Environment, name: str) -> tuple[str, ...]:
    """Return the folders of a tree whose files are all rendered from an experiment."""
    delivers = environment.gitops is not None or delivered(root, environment.name)
    return folders(environment.name, name)[: None if delivers else len(AREAS)]


def refuse_edits(job: Job, draft: Draft) -> None:
    """Raise ProblemsError if a rendered file in the user's work tree was edited by hand, or something is in its way."""
    inside = tuple(f"{one}/" for one in draft.owned)
    texts = {path: text for path, text in draft.texts.items() if path.startswith(inside)}
    _, problems = tree.compare(job.place.root, draft.owned, texts)
    _refuse(problems)


def lists_of(environment: str) -> tuple[str, ...]:
    """Return the folders, from the root, whose own files list all experiments; that of Argo CD or Flux comes last."""
    return (folder(environment), *(folder(environment, area) for area in AREAS), delivery(environment))


def _refuse(problems: list[Problem]) -> None:
    if errors(problems):
        raise ProblemsError(tuple(problems))


def _lay(job: Job, top: str, tip: str, history: History) -> list[str]:
    """Put those of the user's files into the workshop that hold; return their paths from the root."""
    ours = _ours(job)
    theirs = _tip(job, top, tip)
    laid: list[str] = []
    for name in job.names:
        file, evidence = job.inputs(name)
        if file not in ours and file not in theirs:
            raise UnknownError(
                f"there is no experiment `{name}` in {job.environment}, neither here nor on {history.there}"
            )
        paths = sorted(path for path in {*ours, *theirs} if path == file or path.startswith(f"{evidence}/"))
        found = {
            path: settle(ours.get(path, ""), theirs.get(path, ""), history.earlier(path), follow=history.follow)
            for path in paths
        }
        if clashes := [path for path in paths if found[path] == "conflict"]:
            raise DraftError(_both(job, top, name, clashes, ours, theirs, history))
        laid += [path for path in paths if found[path] == "ours"]
    for path in laid:
        _copy(f"{job.place.root}/{path}", top, f"{job.prefix}{path}", present=path in ours)
    return laid


def _ours(job: Job) -> dict[str, str]:
    """Return the user's files by path from the root, with the names that git would give to them."""
    wanted = [path for name in job.names for path in job.inputs(name)]
    options = ("-z", "--cached", "--others", "--exclude-standard")
    listing = git.run(job.place.root, "ls-files", *options, "--", *wanted)
    files = [experiment_file(job.environment, name) for name in job.names]  # even if .gitignore names them
    paths = sorted({*os.fsdecode(listing).split("\0")[:-1], *files})
    there = [path for path in paths if os.path.lexists(f"{job.place.root}/{path}")]
    names = checkout.hashes(job.place.top, [f"{job.place.prefix}{path}" for path in there])
    found = {path: names.get(f"{job.place.prefix}{path}", "") for path in there}
    for path, name in found.items():
        if not name:
            raise DraftError(f"{printable(path)} is no plain file, or its name is not plain; replace it")
    return found


def _tip(job: Job, top: str, tip: str) -> dict[str, str]:
    wanted = [f"{job.prefix}{path}" for name in job.names for path in job.inputs(name)]
    found = checkout.entries(top, tip, *wanted)
    return {path.removeprefix(job.prefix): entry.object for path, entry in found.items()}


def _copy(source: str, top: str, path: str, *, present: bool) -> None:
    """Copy a file into the workshop, or remove it there; no link in the tree of the tip may lead out of it."""
    target = f"{top}/{path}"
    above = os.path.dirname(target)
    if os.path.realpath(above) != above:
        raise DraftError(f"{printable(os.path.dirname(path))} leads over a symbolic link; put a folder in its place")
    os.makedirs(above, exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    if present:
        with open(source, "rb") as file, open(target, "xb") as copy:
            copy.write(file.read())


def _both(
    job: Job, top: str, name: str, paths: list[str], ours: dict[str, str], theirs: dict[str, str], history: History
) -> str:
    """Say that both sides changed an experiment, with what each of them made of it."""
    file, _ = job.inputs(name)
    rows = []
    if file in paths:
        earlier = history.earlier(file) if history.follow else ()
        rows = [("before", _told(top, one)) for one in earlier]
        with open(f"{job.place.root}/{file}", "rb") if file in ours else open(os.devnull, "rb") as mine:
            rows += [("here", _plainly(mine.read())), (history.there, _told(top, theirs.get(file, "")))]
    width = max((len(label) for label, _ in rows), default=0) + 1
    lines = [f"    {f'{label}:':{width}} {told}" for label, told in rows]
    if others := [path for path in paths if path != file]:
        lines.append(f"    both have another {', '.join(map(printable, others))}")
    head = f"{job.environment}/{name} was changed both here and on {history.there}; nothing was published:"
    end = (
        f"Your change is still in {history.here}. Take over what the other side has (`git pull`), decide which of the "
        "two holds, then run the command again."
    )
    return "\n".join([head, *lines, end])


def _told(top: str, blob: str) -> str:
    return _plainly(git.run(top, "cat-file", "blob", blob) if blob else b"")


def _plainly(raw: bytes) -> str:
    """Return the traffic that an experiment's file gives, as that says it, whether it is valid or not."""
    data, _ = load.parse(raw, "") if raw else (None, ())
    spec = data.get("spec") if isinstance(data, dict) else None
    traffic = spec.get("traffic") if isinstance(spec, dict) else None
    if isinstance(traffic, dict):
        return shown(", ".join(f"{one} {percent} %" for one, percent in traffic.items()))
    return "gives no traffic" if raw else "no such experiment"


def _traffic(root: str, site: pipeline.Site, name: str) -> Traffic | None:
    file = experiment_file(site.environment.name, name)
    if not os.path.lexists(f"{root}/{file}"):
        return None
    try:
        read = interpret.experiment(root, site.environment, site.document, name, in_base=_in_base(root, name))
    except ProblemsError:
        return ()
    return _shares(read.experiment)


def _shares(experiment: Experiment | None) -> Traffic | None:
    return tuple((one.name, one.traffic) for one in experiment.variants) if experiment else None


def _in_base(root: str, name: str) -> bool:
    return os.path.lexists(f"{root}/{experiment_file(BASE, name)}")


def _rendered(
    job: Job, site: pipeline.Site, source: str, root: str, today: str
) -> tuple[dict[str, Experiment], dict[str, str]]:
    """Build the experiments, and list all that the tree at `root` has then; return them and sealed texts by path."""
    own, reader = Templates(templates.sound(source), freshness.compiled()), Reader()
    experiments: dict[str, Experiment] = {}
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for name in job.names:
        if not os.path.lexists(f"{root}/{experiment_file(job.environment, name)}"):
            continue
        in_base = _in_base(source, name)
        try:
            built = pipeline.build(source, site, name, in_base=in_base, templates=own, reader=reader, today=today)
        except ProblemsError as error:
            problems += error.problems
            continue
        experiments[name] = built.experiment
        texts |= {one.planned.path: seal(one.planned.source, one.text) for one in built.manifests}
    _refuse(problems)
    declared = sorted({*_others(job, root, folder(job.environment, AREAS[0])), *experiments})
    adding = sorted({*_others(job, root, delivery(job.environment)), *experiments})
    planned = plan.listings(job.environment, tuple(declared)), plan.bootstrap(site.environment, tuple(adding))
    listed, findings = verified(own.render(chain(*planned)), site.catalog, reader)
    _refuse([pipeline.blame(finding, own) for finding in findings])
    return experiments, texts | {one.planned.path: seal(one.planned.source, one.text) for one in listed}


def _others(job: Job, root: str, place: str) -> list[str]:
    """Return the other experiments that have a folder in a place of a tree."""
    try:
        present = [entry.name for entry in os.scandir(f"{root}/{place}") if entry.is_dir()]
    except FileNotFoundError:
        return []
    return [name for name in present if name not in job.names]


def _write(job: Job, root: str, owned: tuple[str, ...], texts: dict[str, str]) -> list[str]:
    """Write what is rendered, delete what is no longer; return the paths of both."""
    *listings, _ = lists_of(job.environment)
    if not any(f"{place}/{LISTING}" in texts for place in listings):
        owned += tuple(place for place in listings if os.path.isdir(f"{root}/{place}"))
    changes, problems = tree.compare(root, owned, texts)
    _refuse(problems)
    with tree.Staging.open(root, ENVIRONMENTS) as area:
        for change in changes:
            if change.action == tree.DELETE:
                area.delete(change.path)
            elif change.action != tree.SAME:
                area.stage(change.path, texts[change.path])
        area.commit()
    return [change.path for change in changes if change.action != tree.SAME]


def _changed(job: Job, name: str, files: tuple[str, ...]) -> str:
    """Say what of an experiment is among the files: its settings above all; "" for nothing."""
    file, _ = job.inputs(name)
    inside = tuple(f"{job.prefix}{one}/" for one in folders(job.environment, name))
    if f"{job.prefix}{file}" in files:
        return "settings"
    if any(path.startswith(inside) for path in files):
        return "manifests"
    return EVIDENCE if _has_evidence(job, name, files) else ""


def _has_evidence(job: Job, name: str, files: tuple[str, ...]) -> bool:
    inside = f"{job.prefix}{evidence_folder(job.environment, name)}/"
    return any(path.startswith(inside) for path in files)


def _judged(
    job: Job, root: str, environment: Environment, experiment: Experiment | None, files: tuple[str, ...]
) -> tuple[str, str]:
    """Return the verdict on the evidence among the files, and what kept it from being said; "" for neither."""
    if experiment is None or job.judge is None or not _has_evidence(job, experiment.name, files):
        return "", ""
    try:
        return job.judge(root, environment, experiment), ""
    except PenstockError as error:
        return "", f"{job.environment}/{experiment.name}: its evidence goes without a verdict: {error}"
