"""A document: raw data laid over each other from several files, and where each field of it stands."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from generator.documents import load
from generator.documents.load import Data, Path
from generator.documents.overlay import compose, merge
from generator.problems import ERROR, Place, Problem


class Layer(NamedTuple):
    """One file's part of a document: what stands at `origin` in the file belongs at `target` in the document."""

    file: str
    raw: bytes
    data: Data
    origin: Path = ()
    target: Path = ()


class Document:
    """Data merged from layers, the last one winning, which still knows the file, line and column of each field."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self.layers = layers
        composed: Any = {}
        for layer in layers:
            composed = compose(composed, _nested(layer.target, _value(layer.data, layer.origin)))
        self._composed = composed
        self.data: Any = merge({}, composed)

    def changed(self, values: Mapping[Path, Any]) -> Self:
        """Return it with other values at some paths of maps, None for none; all keep their places."""
        from copy import copy, deepcopy  # noqa: PLC0415 (start-up time: only mistakes need it)

        made = copy(self)
        made._composed = deepcopy(self._composed)
        for path, value in values.items():
            here = made._composed
            for key in path[:-1]:
                here = here.setdefault(key, {})
            here[path[-1]] = value
        made.data = merge({}, made._composed)
        return made

    @property
    def spec(self) -> dict[str, Any]:
        """The `spec` of a document that its schema accepts."""
        return self.data["spec"]  # type: ignore[no-any-return]

    def patch(self, path: Path) -> dict[str, Any]:
        """Return what stands at `path` as a merge patch for something else, and so with its nulls; {} if nothing."""
        found = _value(self._composed, path)
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """The name of a document that its schema accepts."""
        return self.data["metadata"]["name"]  # type: ignore[no-any-return]

    @property
    def file(self) -> str:
        """The file that a user edits: the last layer's."""
        return self.layers[-1].file

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Say where `path` stands: in the last layer that has it, else where its nearest ancestor does."""
        for length in range(len(path), -1, -1):
            for layer in reversed(self.layers):
                inside = _inside(layer, path[:length])
                if inside is not None:
                    line, column = load.locate(layer.raw, inside, key=key or length < len(path))
                    return Place(layer.file, line, column)
        return Place(self.file)

    def has(self, path: Path) -> bool:
        """Tell whether any file sets `path`."""
        return any(_inside(layer, path) is not None for layer in self.layers)

    def beside(self, path: Path) -> set[str]:
        """Return the keys that stand beside the last of `path`, in the file that sets it."""
        for layer in reversed(self.layers):
            inside = _inside(layer, path)
            if inside:
                around = _value(layer.data, inside[:-1])
                return {*around} if isinstance(around, dict) else set()
        return set()

    def last(self, paths: Iterable[Path]) -> Path:
        """Return the path that the latest layer sets: of several there the longest, and then the first."""

        def rank(path: Path) -> tuple[int, int]:
            return max(
                (at for at, layer in enumerate(self.layers) if _inside(layer, path) is not None), default=-1
            ), len(path)

        return max(paths, key=rank)

    def problem(
        self, code: str, path: Path, message: str, fix: str, *, key: bool = False, severity: str = ERROR
    ) -> Problem:
        """Make a problem about the field at `path`."""
        from generator.documents.wording import dotted  # noqa: PLC0415 (start-up time: only mistakes need words)

        return Problem(code, self.place(path, key=key), message, fix, dotted(path), severity)


def _inside(layer: Layer, path: Path) -> Path | None:
    """Translate a path of the document into one of the layer's file, or None where the file does not have it."""
    depth = len(layer.target)
    if path[:depth] != layer.target:
        return None
    inside = (*layer.origin, *path[depth:])
    return inside if _has(layer.data, inside) else None


def _has(data: Data, path: Path) -> bool:
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return False
    return True


def _value(data: Data, path: Path) -> Data:
    for part in path:
        data = data.get(str(part), {}) if isinstance(data, dict) else {}
    return data


def _nested(path: Path, value: Data) -> Data:
    for part in reversed(path):
        value = {str(part): value}
    return value
