"""The module map as a table, and the places that must agree: templates, schemas, model, backends, codes."""

from __future__ import annotations

import ast
import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from repositories import Case, built, holding, recommendation

from generator import pipeline
from generator.codes import MEANINGS
from generator.commands import COMMANDS
from generator.domain import model
from generator.domain.sources import SOURCES
from generator.kserve import RUNTIMES, Runtime
from generator.manifests import dashboard, plan
from generator.routing import BACKENDS, Backend
from generator.runs import freshness

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "generator").rglob("*.py"))
SCHEMAS = {kind: json.loads((ROOT / "schemas" / f"{kind}.json").read_text()) for kind in ("experiment", "environment")}

# A unit is a package, or a module beside them, and what it may import at run time. The line from its ends to its
# beginning: nobody imports who stands above, so there is no circle.
MAY_IMPORT = {
    "__init__": "",
    "__main__": "cli endings plain",
    "cli": "commands endings",
    "plain": "problems repository reviews runs",
    "endings": "credentials problems report",
    "commands": "analysis documents domain evidence overview problems publishing report reports repository reviews"
    " rules runs scaffold steering versions",
    "steering": "documents domain evidence manifests names pipeline problems publishing repository reviews runs"
    " versions",
    "reports": "analysis documents names resources reviews versions",
    "evidence": "analysis documents domain kserve manifests names problems report repository reviews versions",
    "overview": "documents domain problems report repository runs versions",
    "publishing": "documents domain manifests names pipeline problems report repository runs versions",
    "reviews": "documents domain kserve manifests names pipeline problems quantities report repository routing runs"
    " versions",
    "versions": "documents domain names problems repository",
    "runs": "domain manifests pipeline problems report repository resources",
    "pipeline": "documents domain manifest manifests problems rules",
    "scaffold": "documents problems repository resources",
    "report": "codes credentials problems",
    "codes": "",
    "rules": "analysis documents domain kserve manifests names problems quantities routing",
    "manifests": "documents domain kserve manifest names problems quantities repository resources routing",
    "analysis": "documents domain",
    "domain": "documents kserve names problems repository routing",
    "documents": "credentials problems resources",
    "credentials": "",
    "quantities": "",
    "repository": "problems",
    "problems": "",
    "resources": "",
    "routing": "kserve manifest names",
    "kserve": "",
    "manifest": "",
    "names": "",
}
# Modules where bytes come from and go to, and the commands. All else is values in, values out.
TOUCH_THE_DISK = frozenset(
    [
        "advance",
        "authorship",
        "batch",
        "catalog",
        "checkout",
        "commands",
        "course",
        "crds",
        "endings",
        "freshness",
        "git",
        "history",
        "ledger",
        "load",
        "overlaps",
        "page",
        "pipeline",
        "prometheus",
        "publication",
        "publish",
        "remote",
        "render",
        "repository",
        "resources",
        "reviewing",
        "revisions",
        "run",
        "scaffold",
        "status",
        "steering",
        "subject",
        "templates",
        "tree",
        "validate",
        "workshop",
    ]
)


def unit(file: Path) -> str:
    return file.relative_to(ROOT / "generator").parts[0].removesuffix(".py")


@pytest.mark.parametrize("name", sorted({unit(file) for file in MODULES} | MAY_IMPORT.keys()))
def test_a_unit_imports_what_the_table_says(name: str) -> None:
    imported = {one for file in MODULES if unit(file) == name for one in imports(ast.parse(file.read_text()))}
    assert sorted(imported & MAY_IMPORT.keys() - {name}) == sorted(MAY_IMPORT[name].split())


def test_the_table_has_no_circle() -> None:
    order = [*MAY_IMPORT]
    edges = [(name, one) for name in order for one in MAY_IMPORT[name].split()]
    assert [(name, one) for name, one in edges if order.index(one) < order.index(name)] == []


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT / "generator").as_posix())
def test_only_some_modules_touch_the_disk(file: Path) -> None:
    imported = {*imports(ast.parse(file.read_text()))}
    outside = {"os", "pathlib", "shutil", "subprocess", "tempfile", "socket", "urllib.request", "urllib3"}
    assert imported.isdisjoint(outside) or {file.stem, unit(file)} & TOUCH_THE_DISK


def imports(node: ast.AST) -> Iterator[str]:
    """Yield what is imported at run time: units of Penstock, and other modules by their full name."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module == "generator"):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module.split(".")[1] if node.module.startswith("generator.") else node.module
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def test_the_table_of_commands_says_what_each_says_of_itself() -> None:
    commands = {name: import_module(f"generator.commands.{name}").command for name in COMMANDS}
    assert {name: one.get_short_help_str(200) for name, one in commands.items()} == COMMANDS
    modules = {file.stem for file in (ROOT / "generator/commands").glob("*.py")}
    assert modules == {*COMMANDS, "__init__", "selection"}


def test_every_template_is_used() -> None:
    folder = ROOT / "templates"
    used = {planned for case in _cases() for planned in _planned(case)}
    included = re.compile(r"""{%-?\s*(?:include|import|from|extends)\s+["']([^"']+)["']""")
    used |= {name for name in constants(ROOT / "generator/reports/page.py") if name.endswith(".j2")}
    used |= {name for template in used for name in included.findall((folder / template).read_text())}
    used |= {f"scaffold/{name}" for name in constants(ROOT / "generator/scaffold.py") if name.endswith(".j2")}
    assert used == {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def _cases() -> Iterator[Case]:
    for output in ("configMap", "grafanaDashboard"):
        case = recommendation()
        dashboard = {"output": output, "instanceSelector": {"a": "b"}}
        case.environment["spec"]["monitoring"]["dashboard"] = dashboard
        yield case
        case.environment["spec"]["kserve"]["deploymentMode"] = "Knative"
        case.environment["spec"]["routing"] = {"domain": "example.com"}
        case.environment["spec"]["monitoring"]["monitor"] = "PodMonitor"
        yield case
    for tool in ("argocd", "flux"):
        case.environment["spec"]["gitops"] = {"tool": tool, "repository": "https://example.com/models.git"}
        yield case


def _planned(case: Case) -> Iterator[str]:
    with holding(case) as repository:
        yield from (one.planned.template for one in built(repository, case).manifests)
        environment = pipeline.site(str(repository.root), case.names[0]).environment
        yield from (one.template for one in plan.bootstrap(environment, ()))


def test_a_change_of_any_module_that_a_run_may_load_makes_what_is_known_stale() -> None:
    assert (Path(freshness.PACKAGE) / "pipeline.py").samefile(pipeline.__file__)
    loaded: set[str] = set()
    found = {"runs"}
    while found:
        loaded |= found
        found = {unit for one in found for unit in MAY_IMPORT[one].split()} - loaded
    packages = {file.parent.name for file in (ROOT / "generator").glob("*/__init__.py")}
    assert packages - loaded == freshness.BESIDE


def test_nothing_shipped_lies_in_the_package_of_a_checkout() -> None:
    assert not (ROOT / "generator/templates").exists()
    assert not (ROOT / "generator/schemas").exists()


def test_every_backend_is_complete_and_in_the_schema() -> None:
    spec = SCHEMAS["environment"]["properties"]["spec"]["properties"]
    assert sorted(spec["routing"]["properties"]["backend"]["enum"]) == sorted(BACKENDS)
    assert sorted(spec["kserve"]["properties"]["deploymentMode"]["enum"]) == sorted(
        {one.MODE for one in BACKENDS.values()}
    )
    for backend in BACKENDS.values():
        assert all(hasattr(backend, name) for name in _members(Backend))


def _members(protocol: type) -> set[str]:
    return {name for name in (*vars(protocol), *protocol.__annotations__) if not name.startswith("_")}


def test_what_the_tables_name_is_in_the_tables() -> None:
    assert {one.source for one in RUNTIMES.values()} <= {"", *SOURCES}
    protocols = SCHEMAS["experiment"]["$defs"]["settings"]["properties"]["protocol"]["enum"]
    assert {protocol for one in RUNTIMES.values() for protocol in one.protocols} == set(protocols)
    kinds = SCHEMAS["experiment"]["$defs"]["metric"]["properties"]["kind"]["enum"]
    assert {preset.kind for one in SOURCES.values() for preset in one.presets.values()} == set(kinds)


# Where a schema's fields end up: the schema and the path to its object, the type, what is called otherwise, and what
# has no counterpart. "" as a name: the field is spread over several, or is none of the type's own.
PLAIN = "url headers bearer_token basic_auth timeout"
FIELDS: tuple[tuple[str, str, type, dict[str, str], str], ...] = (
    (
        "environment",
        "spec",
        model.Environment,
        {"defaults": ""},
        "name mode",
    ),
    ("environment", "spec.routing", model.Routing, {"gatewayApiVersion": "gateway_api"}, ""),
    ("environment", "spec.routing.gateway", model.Gateway, {"sectionName": "section"}, ""),
    ("environment", "spec.monitoring", model.Monitoring, {}, ""),
    (
        "environment",
        "spec.monitoring.dashboard",
        model.DashboardOutput,
        {"allowCrossNamespaceImport": "cross_namespace"},
        "",
    ),
    ("environment", "spec.policy", model.Policy, {}, ""),
    ("environment", "spec.policy.authors", model.Authors, {}, ""),
    ("environment", "spec.prometheus", model.Prometheus, {"tls": ""}, "ca_file cert_file key_file insecure"),
    ("environment", "spec.prometheus.tls", model.Prometheus, {"insecureSkipVerify": "insecure"}, PLAIN),
    ("environment", "spec.gitops", model.GitOps, {}, ""),
    ("experiment", "spec.analysis", model.Analysis, {}, ""),
    ("experiment", "spec.rollout", model.Rollout, {"soak": "", "gate": ""}, ""),
    (
        "experiment",
        "spec",
        model.Experiment,
        {"model": "", "control": "", "traffic": "", "logging": ""},
        "name source",
    ),
    ("experiment", "spec.shadow", model.Shadow, {}, ""),
    (
        "experiment",
        "$settings",
        model.Variant,
        {"resources": "requests", "serviceAccountName": "service_account"},
        "name limits logger traffic",
    ),
    ("experiment", "$settings.replicas", model.Replicas, {"min": "minimum", "max": "maximum"}, ""),
    ("experiment", "$settings.batcher", model.Batcher, {}, ""),
    (
        "experiment",
        "$logging",
        model.Logger,
        {"metadataHeaders": "headers", "metadataAnnotations": "annotations"},
        "",
    ),
    (
        "experiment",
        "$metric",
        model.Metric,
        {"use": "source", "good": "events", "above": "bound", "buckets": "quantiles", "variantLabel": "scope"},
        "name inverted",
    ),
    ("experiment", "$series", model.Series, {}, ""),
    (
        "experiment",
        "$requests",
        model.Requests,
        {"use": "source", "metric": "series", "labels": "series", "variantLabel": "scope"},
        "",
    ),
)


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: f"{row[0]} {row[1]}")
def test_schema_and_model_have_the_same_fields(row: tuple[str, str, type, dict[str, str], str]) -> None:
    schema, path, kind, renamed, derived = row
    properties = _properties(schema, path)
    assert renamed.keys() <= properties
    expected = {renamed.get(name, _snake(name)) for name in properties} - {""}
    assert expected | set(derived.split()) == set(inspect.signature(kind).parameters)
    assert not expected & set(derived.split())


def _properties(schema: str, path: str) -> set[str]:
    node: Any = SCHEMAS[schema]
    for part in path.split("."):
        node = node["$defs"][part[1:]] if part.startswith("$") else node["properties"][part]
    return set(node["properties"])


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def test_every_variant_that_the_schema_allows_has_a_colour_of_its_own() -> None:
    most = SCHEMAS["experiment"]["properties"]["spec"]["properties"]["variants"]["maxProperties"]
    variants = tuple(SimpleNamespace(name=f"v{number}") for number in range(most))
    coloured = dashboard.colours(SimpleNamespace(variants=variants))  # type: ignore[arg-type]
    assert len({colour for _, colour in coloured}) == most


def test_a_variant_may_set_what_a_model_may() -> None:
    settings, variant = (SCHEMAS["experiment"]["$defs"][name]["properties"] for name in ("settings", "variant"))
    assert variant == settings | {"logging": variant["logging"]}


def test_an_own_runtime_may_set_what_a_runtime_has() -> None:
    runtimes = SCHEMAS["environment"]["properties"]["spec"]["properties"]["runtimes"]
    renamed = {"like": "", "modelNameArgument": "name_argument", "modelNameEnv": "name_env"}
    renamed |= {"modelNameFromArtifact": "name_from_artifact"}
    fields = {renamed.get(name, _snake(name)) for name in runtimes["additionalProperties"]["properties"]} - {""}
    assert fields <= set(Runtime._fields)


def test_both_schemas_define_alike_what_both_define() -> None:
    definitions = [schema["$defs"] for schema in SCHEMAS.values()]
    for name in definitions[0].keys() & definitions[1].keys():
        assert definitions[0][name] == definitions[1][name]


def test_every_code_has_one_meaning() -> None:
    used = {
        one for file in MODULES if unit(file) != "codes" for one in constants(file) if re.fullmatch(r"PS\d{3}", one)
    }
    assert used == MEANINGS.keys()
    assert len(set(MEANINGS.values())) == len(MEANINGS)
    assert [*MEANINGS] == sorted(MEANINGS)


def test_a_code_belongs_to_one_stage() -> None:
    """The hundreds say who found it: reading, schema, rules, environments, rendering, writing."""
    stages = {"1": "load templates", "2": "explain", "6": "seal tree"}
    for file in MODULES:
        for code in filter(re.compile(r"PS\d{3}").fullmatch, constants(file)):
            owners = stages.get(code[2], unit(file)).split()
            assert {unit(file), file.stem} & {*owners, "codes"}, f"{code} in {file.name}"


def constants(file: Path) -> set[str]:
    """Return all texts that stand in a module."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
