"""Routing backends: a backend is a module in this literal dict, and there is no other place to look for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from generator.routing import gateway_api, knative_route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.manifest import Planned
    from generator.problems import Problem


class Backend(Protocol):
    """What a backend module offers."""

    MODE: str
    """Deployment mode of KServe whose Services it routes to."""

    def environment_problems(self, document: Document, environment: Environment, /) -> list[Problem]:
        """Say what the environment lacks for this backend."""

    def experiment_problems(
        self, document: Document, experiment: Experiment, environment: Environment, /
    ) -> list[Problem]:
        """Say what of the experiment this backend cannot do."""

    def planned(self, experiment: Experiment, environment: Environment, folder: str, /) -> Iterator[Planned]:
        """Plan the route objects into `folder`."""

    def hostnames(self, experiment: Experiment, environment: Environment, /) -> tuple[str, ...]:
        """Return the hosts that the routes take."""

    def paths(self, experiment: Experiment, /) -> tuple[str, ...]:
        """Return the paths under which clients reach the model."""


BACKENDS: dict[str, Backend] = {
    "gateway-api": gateway_api,
    "knative-route": knative_route,
}
