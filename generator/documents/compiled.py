"""A JSON Schema made ready to say yes or no, by jsonschema-rs and at the price of what is asked of it."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jsonschema_rs


def validator(schema: dict[str, Any] | str) -> jsonschema_rs.Validator:
    """Compile a schema, or its JSON text, which is faster; a ValueError tells what is no schema."""
    made: jsonschema_rs.Validator = _library().validator_for(schema)
    return made


class _BuildDate(ModuleType):
    """What jsonschema-rs takes for `email.utils` when it is imported: to read the date of its own build, no more.

    The real module brings sockets, mail and calendars along, a twentieth of a short run. Other names are taken from it.
    """

    parsedate_to_datetime = staticmethod(str)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import itself looks for `__path__`
            raise AttributeError(name)
        self.give_way()
        return getattr(import_module(self.__name__), name)

    def give_way(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


@cache
def _library() -> ModuleType:
    light = _BuildDate("email.utils")
    sys.modules.setdefault(light.__name__, light)
    import jsonschema_rs  # noqa: PLC0415 - a run that finds nothing to check never pays for it

    light.give_way()
    return jsonschema_rs
