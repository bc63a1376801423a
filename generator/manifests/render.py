"""Planned files become text: the only place that knows Jinja.

Templates get no clock, no randomness and no environment, so the same input gives the same bytes. Values are data and
never templates: `{{` in an experiment file is text. Templates that a repository brings run in Jinja's sandbox.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import jinja2

from generator import resources
from generator.documents import load
from generator.documents.overlay import merge
from generator.documents.scalars import encode, scalar
from generator.manifest import Rendered
from generator.manifests.readback import MARK
from generator.problems import Place, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.manifest import Planned


# What templates, a user's own among them, fail with; anything else is a mistake of ours.
_FAILURES = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)


class _Marked(dict[str, str]):
    """Marked scalars by text: a dict, for a look-up is all that most values need."""

    def __missing__(self, text: str) -> str:
        written = f"{MARK}{scalar(text)}{MARK}"
        if len(text) <= _LONGEST_KEPT:
            if len(self) > _MOST:
                self.clear()
            self[text] = written
        return written


def _whole(value: int) -> str:
    return f"{MARK}{value}{MARK}"


def _literal(text: str, indent: int) -> str:
    """Write a text of several lines as a block scalar, whose lines stand `indent` deep."""
    pad = " " * indent
    return f"|\n{pad}{MARK}{text.replace(chr(10), chr(10) + pad)}{MARK}"


def block(value: Any, indent: int) -> str:
    """Write a map or list as indented YAML, beginning with a line end; for values whose shape templates do not know."""
    pad = "\n" + " " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{scalar(str(k))}:{_child(v, indent + 2)}" for k, v in sorted(value.items())) or " {}"
    return "".join(f"{pad}-{_item(v, indent)}" for v in value) or " []"


def _child(value: Any, indent: int) -> str:
    if isinstance(value, dict | list | tuple):
        return block(value, indent if isinstance(value, dict) else indent - 2)
    return " " + _leaf(value)


def _item(value: Any, indent: int) -> str:
    if isinstance(value, dict | list | tuple):
        text = block(value, indent + 2)
        return " " + text.lstrip() if value else text
    return " " + _leaf(value)


def _leaf(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else scalar(value)


_MOST = 2_000
_LONGEST_KEPT = 80  # longer ones are queries, which hold the experiment's name and never recur


class Templates:
    """The shipped templates, each of which a file of the same name in `overrides` replaces."""

    def __init__(self, overrides: str = "", cache: str = "") -> None:
        """`overrides` is a folder or ""; `cache` a folder for compiled templates or ""."""
        self.shipped = resources.directory("templates")
        self.overrides = overrides
        self._own = frozenset(_names(overrides)) if overrides else frozenset()
        self._environment = _environment([*([overrides] if overrides else []), self.shipped], bool(self._own), cache)
        self._globals = dict(self._environment.globals)

    def file(self, template: str) -> str:
        """Return where a template stands, for messages: below `templates/` of the repository or of Penstock."""
        return f"templates/{template}" if template in self._own else f"penstock:templates/{template}"

    def render(self, planned: Iterable[Planned]) -> list[Rendered]:
        """Render files; a template's mistake is a ProblemsError with the template's file and line."""
        return [Rendered(one, _patched(one, self._render(one))) for one in planned]

    def _render(self, planned: Planned) -> str:
        values = {**self._globals, **planned.values, "id": planned.id}
        try:
            template = self._environment.get_template(planned.template)
            # What Template.render does, less its copies of all globals for each file.
            return "".join(template.root_render_func(template.new_context(values, shared=True))) + "\n"
        except _FAILURES:  # rendered again the slow way, which knows the template's lines
            return self._explained(planned, values)

    def _explained(self, planned: Planned, values: dict[str, Any]) -> str:
        try:
            return self._environment.get_template(planned.template).render(values) + "\n"
        except _FAILURES as error:
            raise ProblemsError((self._problem(planned, error),)) from None

    def _problem(self, planned: Planned, error: Exception) -> Problem:
        name, line = _where(error, planned.template, (self.overrides, self.shipped))
        return Problem(
            "PS501",
            Place(self.file(name), line, 1 if line else 0),
            f"the template fails for {planned.id}: {error.args[0] if error.args else type(error).__name__}",
            "mend the template, or remove it to use the one that Penstock ships",
        )


def _patched(planned: Planned, marked: str) -> str:
    """Lay the user's merge patch over an object; text that is no YAML is left for `verify` to report."""
    if not planned.patch:
        return marked
    text = marked.replace(MARK, "")
    data, problems = load.parse(text.encode(), planned.path)
    return text if problems else block(merge(data, planned.patch), 0).lstrip("\n") + "\n"


def _environment(folders: list[str], sandboxed: bool, cache: str) -> jinja2.Environment:
    kind = jinja2.Environment
    if sandboxed:
        from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 (only repositories with own templates pay)

        kind = SandboxedEnvironment
    environment = kind(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        auto_reload=False,
        bytecode_cache=jinja2.FileSystemBytecodeCache(cache, "%s.jinja") if cache and not sandboxed else None,
    )
    if not sandboxed:
        # Shipped templates read attributes of our own types only; Jinja's way through items as well costs a third.
        environment.getattr = getattr  # type: ignore[method-assign,assignment]
    environment.filters.update(q=_Marked().__getitem__, j=encode, block=block, literal=_literal, n=_whole)
    return environment


def _names(folder: str) -> list[str]:
    found = []
    for place, _folders, files in os.walk(folder):
        inner = os.path.relpath(place, folder)
        found += [f if inner == "." else f"{inner}/{f}".replace(os.sep, "/") for f in files if f.endswith(".j2")]
    return found


def _where(error: Exception, template: str, roots: tuple[str, ...]) -> tuple[str, int]:
    """Find the template and line that an error names, or the last frame of it that ran in a template."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.name or template, error.lineno
    found, trace = (template, 0), error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        for root in roots:
            if root and file.startswith(root + os.sep):
                found = (os.path.relpath(file, root).replace(os.sep, "/"), trace.tb_lineno)
        trace = trace.tb_next
    return found
