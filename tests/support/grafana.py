"""What Grafana would say of a dashboard, from the JSON Schemas of grafana/grafana-foundation-sdk.

The dashboard's schema leaves open what a panel's plugin and the data source define; their own schemas close it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from repositories import Document


class Grafana:
    """The schemas of one release of Grafana."""

    def __init__(self, folder: Path) -> None:
        self._schemas = {
            file.name.partition(".")[0]: json.loads(file.read_text(encoding="utf-8"))
            for file in sorted(folder.glob("*.jsonschema.json"))
        }
        known = self._schemas["dashboard"]["definitions"]
        # CUE's `any` became an object here, though a matcher takes a text and a property whatever it is.
        for name, field in (("MatcherConfig", "options"), ("DynamicConfigValue", "value")):
            known[name]["properties"][field] = {}
        # Told apart by `type`: of two alternatives a schema says only that neither fits.
        known["Dashboard"]["properties"]["panels"]["items"] = {"$ref": "#/definitions/Panel"}

    def mistakes(self, board: Document) -> Iterator[str]:
        """Say what is wrong with a dashboard."""
        yield from self._wrong("dashboard", "Dashboard", board)
        for variable in board["templating"]["list"]:
            yield from () if variable["type"] == "datasource" else [f"{variable['type']} is not checked here"]
        for annotation in board["annotations"]["list"]:
            yield from self._wrong("prometheus", "Dataquery", annotation["target"])
        for panel in board["panels"]:
            yield from (f"{panel['title']}: {one}" for one in self._panel(panel))

    def _panel(self, panel: Document) -> Iterator[str]:
        plugin = panel["type"]
        if plugin not in self._schemas:
            yield f"{plugin} is no type of panel"
            return
        yield from self._wrong(plugin, "Options", panel["options"])
        for target in panel["targets"]:
            yield from self._wrong("prometheus", "Dataquery", target)
        config = panel["fieldConfig"]
        custom = config["defaults"].get("custom", {})
        if "FieldConfig" in self._schemas[plugin]["definitions"]:
            yield from self._wrong(plugin, "FieldConfig", custom)
        for override in config["overrides"]:
            for one in override["properties"]:
                own = one["id"].startswith("custom.")
                field = {**(custom if own else {}), one["id"].removeprefix("custom."): one["value"]}
                yield from self._wrong(plugin if own else "dashboard", "FieldConfig", field)

    def _wrong(self, schema: str, name: str, value: Any) -> Iterator[str]:
        whole = self._schemas[schema]
        for error in Draft7Validator({**whole, "$ref": f"#/definitions/{name}"}).iter_errors(value):
            yield f"{schema} {name} {error.json_path}: {error.message[:300]}"
