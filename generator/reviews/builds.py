"""Experiments of one state, built: what their manifests say there, whatever is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import pipeline
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.runs import freshness, run, templates

if TYPE_CHECKING:
    from generator.pipeline import Build, Site
    from generator.versions.revisions import State


class Builds:
    """Builds experiments of a state as `penstock render` would there, with that state's own templates."""

    def __init__(self, state: State, options: run.Options) -> None:
        self._state = state
        self._options = options
        own = templates.sound(state.root) if state.templates else ""
        self._templates = Templates(own, freshness.compiled() if options.use_cache else "")
        self._reader = Reader()
        self._sites: dict[str, Site] = {}

    def build(self, environment: str, name: str) -> Build:
        """Build an experiment that the state declares; ProblemsError with everything that is wrong with it."""
        if environment not in self._sites:
            self._sites[environment] = pipeline.site(self._state.files, environment, self._options.crds)
        return pipeline.build(
            self._state.files,
            self._sites[environment],
            name,
            in_base=name in self._state.base,
            templates=self._templates,
            reader=self._reader,
            today=self._options.today,
        )
