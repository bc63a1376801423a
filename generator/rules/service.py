"""A rendered InferenceService, read back as the variant that it serves: what a patch made of it shows there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from generator.domain.model import Batcher, Logger, Replicas

if TYPE_CHECKING:
    from generator.documents.load import Path
    from generator.domain.model import Pairs, Variant

PREDICTOR: Path = ("spec", "predictor")
MODEL: Path = (*PREDICTOR, "model")
LOGGER: Path = (*PREDICTOR, "logger")


class Service(NamedTuple):
    """An InferenceService, of a shape that nobody vouches for; `planned` is what it was rendered of."""

    planned: dict[str, Any]
    data: dict[str, Any]

    @property
    def declared(self) -> Variant:
        """The variant as the experiment declares it."""
        return self.planned["variant"]  # type: ignore[no-any-return]

    def mapping(self, path: Path) -> dict[str, Any]:
        """Return the map at `path`, or an empty one."""
        found = self._at(path)
        return found if isinstance(found, dict) else {}

    def entries(self, path: Path) -> list[Any]:
        """Return the list at `path`, or an empty one."""
        found = self._at(path)
        return found if isinstance(found, list) else []

    def text(self, path: Path) -> str:
        """Return the text at `path`, or an empty one."""
        found = self._at(path)
        return found if isinstance(found, str) else ""

    def number(self, path: Path) -> int | None:
        """Return the whole number at `path`, or None."""
        found = self._at(path)
        return found if type(found) is int else None

    def _at(self, path: Path) -> Any:
        found: Any = self.data
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def kept(self) -> dict[str, list[Any]]:
        """Return the entries of the container's lists that name the server and make it scrapable."""
        runtime = self.declared.runtime
        return {
            "args": list(self.planned["args"])[: bool(runtime.name_argument)],
            "env": [{"name": name, "value": value} for name, value in self.planned["env"] if name == runtime.name_env],
            "ports": [{"name": name, "containerPort": at, "protocol": "TCP"} for name, at in self.planned["ports"]],
        }

    def added(self, key: str) -> dict[int, Any]:
        """Return the other entries of such a list, by their index."""
        found = dict(enumerate(self.entries((*MODEL, key))))
        for kept in self.kept()[key]:
            found.pop(next((index for index, one in found.items() if one == kept), -1), None)
        return found

    def variant(self) -> Variant:
        """Read the object as a variant that would be rendered so."""
        return self.declared._replace(
            format=self.text((*MODEL, "modelFormat", "name")),
            format_version=self.text((*MODEL, "modelFormat", "version")),
            storage_uri=self.text((*MODEL, "storageUri")),
            storage=self.mapping((*MODEL, "storage")),
            args=tuple(map(str, self.added("args").values())),
            env=tuple(map(variable, self.added("env").values())),
            requests=self._amounts("requests"),
            limits=self._amounts("limits"),
            replicas=self._replicas(),
            batcher=self._batcher(),
            logger=self._logger(),
            pod_labels=self._pairs("labels"),
            pod_annotations=self._pairs("annotations"),
        )

    def _amounts(self, part: str) -> Pairs:
        found = self.mapping((*MODEL, "resources", part))
        return tuple(sorted((name, str(amount)) for name, amount in found.items()))

    def _replicas(self) -> Replicas:
        minimum, metric = self.number((*PREDICTOR, "minReplicas")), self.text((*PREDICTOR, "scaleMetric"))
        return Replicas(
            minimum=1 if minimum is None else minimum,
            maximum=self.number((*PREDICTOR, "maxReplicas")) or None,  # component.go: 0 is no maximum
            target=self.number((*PREDICTOR, "scaleTarget")),
            metric=self.declared.replicas.metric if metric == self.planned["scale_metric"] else metric,
        )

    def _batcher(self) -> Batcher | None:
        place: Path = (*PREDICTOR, "batcher")
        if self._at(place) is None:
            return None
        return Batcher(*(self.number((*place, key)) for key in ("maxBatchSize", "maxLatency", "timeout")))

    def _logger(self) -> Logger | None:
        if self._at(LOGGER) is None:
            return None
        return Logger(
            mode=self.text((*LOGGER, "mode")),
            url=self.text((*LOGGER, "url")),
            headers=tuple(map(str, self.entries((*LOGGER, "metadataHeaders")))),
            annotations=tuple(map(str, self.entries((*LOGGER, "metadataAnnotations")))),
            storage=self.mapping((*LOGGER, "storage")),
        )

    def _pairs(self, part: str) -> Pairs:
        """Return the labels or annotations that reach pods, without Penstock's own and without KServe's settings."""
        own = {key for name in ("labels", "annotations", "pod_labels") for key, _text in self.planned[name]}
        own -= {key for key, _text in self.declared.pod_labels}
        outer = {key: text for key, text in self.mapping(("metadata", part)).items() if not _is_setting(part, key)}
        found = outer | self.mapping((*PREDICTOR, part))
        return tuple(sorted((key, str(text)) for key, text in found.items() if key not in own))


def variable(entry: Any) -> tuple[str, str | dict[str, Any]]:
    """Read an environment variable of a container: its name, and its text or `valueFrom`."""
    one = entry if isinstance(entry, dict) else {}
    elsewhere = one.get("valueFrom")
    return str(one.get("name", "")), elsewhere if isinstance(elsewhere, dict) else str(one.get("value", ""))


def _is_setting(part: str, name: str) -> bool:
    """Tell whether it is an annotation by which KServe or Knative is set: it stands on the InferenceService itself."""
    domain = name.partition("/")[0]
    return part == "annotations" and (domain == "serving.kserve.io" or domain.endswith("knative.dev"))
