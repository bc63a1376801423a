"""The types between a plan and files: what is to be rendered, and what was."""

from typing import Any, NamedTuple


class ObjectId(NamedTuple):
    """What the API server knows an object by. A file that is no API object has no name."""

    api_version: str
    kind: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.name else self.kind


class Planned(NamedTuple):
    """A file to render: its path from the repository's root, its template, and all that the template may use.

    `patch` is a user's merge patch on the rendered object; `source` is the file that a reader should edit.
    """

    path: str
    template: str
    id: ObjectId
    values: dict[str, Any]
    source: str
    patch: dict[str, Any] = {}  # noqa: RUF012 (never changed: the patch of every object without one)


class Rendered(NamedTuple):
    """What a template made: text in which every value is marked, as `readback` wants it."""

    planned: Planned
    marked: str


class Manifest(NamedTuple):
    """A rendered file, read back; before it is sealed with its header. `data` is None if it could not be read."""

    planned: Planned
    text: str
    data: Any
