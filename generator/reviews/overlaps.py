"""Which other experiments name the same model or hostname: by one search through their files, whatever their number.

The search is for text, so it finds what a file spells out; two experiments that take the same names in a cluster are
found by `claims`, in `penstock validate`.
"""

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from generator.domain.model import Experiment
from generator.repository import BASE, experiment_file
from generator.versions import git
from generator.versions.revisions import State


class Overlaps(NamedTuple):
    """Files that name texts, by text: the experiments as `environment/name`, in order."""

    files: dict[str, tuple[str, ...]]

    def models(self, experiment: Experiment) -> tuple[str, ...]:
        """Return other experiments that serve one of its models."""
        return self._others(experiment, (one.storage_uri for one in experiment.variants))

    def hosts(self, experiment: Experiment) -> tuple[str, ...]:
        """Return other experiments that take its hostname."""
        return self._others(experiment, (experiment.hostname,))

    def _others(self, experiment: Experiment, texts: Iterable[str]) -> tuple[str, ...]:
        named = {file for text in texts for file in self.files.get(text, ())}
        return tuple(sorted(file for file in named if file.rpartition("/")[2] != experiment.name))


def find(root: str, state: State, experiments: Iterable[Experiment]) -> Callable[[], Overlaps]:
    """Start to search all experiment files of a state of the repository of `root` for models and hostnames.

    Returns what waits for the answer.
    """
    texts = {one.storage_uri for experiment in experiments for one in experiment.variants} - {""}
    texts |= {experiment.hostname for experiment in experiments}
    if not texts:
        return lambda: Overlaps({})
    files = [*state.experiments, *((BASE, name) for name in state.base)]
    # Folders, since to match a pattern Git would walk through all manifests, too.
    folders = [os.path.dirname(experiment_file(place, "")) for place in sorted({place for place, _ in files})]
    where = (state.commit,) if state.commit else ("--untracked", "--no-exclude-standard")
    wait = git.later(
        root,
        *("--literal-pathspecs", "-c", "grep.fullName=false", "-c", "submodule.recurse=false", "-c", "grep.threads=1"),
        *("grep", "-z", "-I", "--no-color", "--no-line-number", "--no-column", "--no-heading", "--no-break"),
        *("-F", "-f", "-", *where, "--", *folders),
        data="\n".join(sorted(texts)).encode(),
        answers=(0, 1),  # 1: nothing is found
    )
    within = f"{state.commit}:" if state.commit else ""
    return lambda: _found(wait(), texts, {f"{within}{experiment_file(*one)}": "/".join(one) for one in files})


def _found(out: bytes, texts: set[str], labels: dict[str, str]) -> Overlaps:
    """Read what `git grep -z` prints, of the files that have labels."""
    found: dict[str, set[str]] = {}
    for line in os.fsdecode(out).splitlines():
        path, _, content = line.partition("\0")
        for text in texts if path in labels else ():
            # Whole words only: what goes on after the text is another model or host.
            if any(not after[:1].strip("\"' ,}#") for after in content.split(text)[1:]):
                found.setdefault(text, set()).add(labels[path])
    return Overlaps({text: tuple(sorted(files)) for text, files in found.items()})
