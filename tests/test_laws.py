"""The five laws over experiments of every shape, through the real pipeline and on real folders."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import (
    EXPERIMENT,
    TODAY,
    Case,
    Document,
    Repository,
    built,
    holding,
    parsed,
    production,
    recommendation,
    rendered,
)
from strategies import cases, measured, traffic
from webhook import differences

from generator import load, run
from generator.repository import BASE, experiment_file, take

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn


MODELS, TRAFFIC = "/manifests/models/", "/manifests/traffic/"


def share(part: float) -> settings:
    """Take only a part of the examples of the profile that is loaded: for what takes long."""
    return settings(max_examples=max(int(settings().max_examples * part), 1))


def objects(case: Case, kind: str = "") -> list[Document]:
    found = [
        parsed(text) for path, text in rendered(case).items() if not path.endswith("/kustomization.yaml")
    ]
    return [one for one in found if kind in ("", one["kind"])]


def area(texts: dict[str, str], part: str) -> dict[str, str]:
    return {path: text for path, text in texts.items() if part in path}


# 1. Only the route and what measures know of traffic, words, metrics and rollout.


@share(0.6)
@given(st.data())
def test_no_server_notices_traffic_words_metrics_or_rollout(data: st.DataObject) -> None:
    case = data.draw(cases())
    other = data.draw(measured(case))
    models = area(rendered(case), MODELS)
    assert len(models) == len(case.experiment["spec"]["variants"]) + 1
    assert area(rendered(other), MODELS) == models


# 2. A change of traffic, and so its revert, changes weights on a route and nothing else of it.


@share(0.6)
@given(st.data())
def test_a_change_of_traffic_is_a_change_of_weights(data: st.DataObject) -> None:
    case = data.draw(cases())
    other = copy.deepcopy(case)
    spec = other.experiment["spec"]
    shadow = spec.get("shadow", {}).get("variant")
    split = data.draw(traffic([name for name in spec["variants"] if name != shadow]))
    spec["traffic"] = split | ({shadow: 0} if shadow else {})
    routes = [area(rendered(one), TRAFFIC) for one in (case, other)]
    assert routes[0].keys() == routes[1].keys()
    assert [unweighted(text) for text in routes[0].values()] == [
        unweighted(text) for text in routes[1].values()
    ]
    for one, texts in zip((case, other), routes, strict=True):
        assert weights(one, texts) == {k: v for k, v in one.experiment["spec"]["traffic"].items() if v}


def unweighted(text: str) -> Any:
    """Read a route without weights. A filter of a rule's only backend stands on the rule instead."""
    route = parsed(text)
    if route["kind"] == "Route":
        for target in route["spec"]["traffic"]:
            del target["percent"]
    elif route["kind"] == "HTTPRoute" and len(route["spec"]["rules"]) > 1:
        rule = route["spec"]["rules"][-1]
        del rule["backendRefs"]
        rule["filters"] = [one for one in rule.get("filters", ()) if one["type"] != "ResponseHeaderModifier"]
    return route


def weights(case: Case, texts: dict[str, str]) -> dict[str, int]:
    """Read what each variant gets; 0 counts as nothing."""
    name = case.names[1]
    (route,) = (
        one
        for one in map(parsed, texts.values())
        if one.get("metadata", {}).get("name") == f"{name}-experiment"
    )
    if route["kind"] == "Route":
        found = {one["configurationName"]: one["percent"] for one in route["spec"]["traffic"]}
    else:
        found = {one["name"]: one["weight"] for one in route["spec"]["rules"][-1]["backendRefs"]}
    variants = {f"{name}-{variant}-predictor": variant for variant in case.experiment["spec"]["variants"]}
    return {variants[service]: weight for service, weight in found.items() if weight}


def test_a_revert_brings_back_every_byte(repository: Repository) -> None:
    assert repository.invoke("render").exit_code == 0
    before = repository.manifests()
    for split in ({"v1": 50, "v2": 50}, {"v1": 0, "v2": 100}, {"v1": 80, "v2": 20}):
        with repository.experiment() as document:
            document["spec"]["traffic"] = split
        assert repository.invoke("render").exit_code == 0
    assert repository.manifests() == before


# 3. Objects are in the form that a cluster leaves them in.


@given(cases())
def test_a_cluster_would_leave_every_object_as_it_is(case: Case) -> None:
    assert [(one["kind"], found) for one in objects(case) for found in differences(one)] == []


# 4. Same input, same bytes, and each byte means what was meant.


@share(0.5)
@given(st.data())
def test_the_order_of_keys_and_files_changes_nothing(data: st.DataObject) -> None:
    case = data.draw(cases())
    shuffled = Case(*(_shuffled(data.draw, one) for one in case))
    expected = rendered(case)
    assert rendered(shuffled) == expected
    base, overlay = _parted(data.draw, shuffled.experiment)
    with holding(shuffled) as repository:
        repository.write(experiment_file(BASE, case.names[1]), base)
        repository.write(experiment_file(*case.names), overlay)
        assert {
            one.planned.path: one.text for one in built(repository, case, in_base=True).manifests
        } == expected


def _shuffled(draw: DrawFn, node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _shuffled(draw, node[key]) for key in draw(st.permutations(sorted(node)))}
    return [_shuffled(draw, one) for one in node] if isinstance(node, list) else node


def _parted(draw: DrawFn, node: Document) -> tuple[Document, Document]:
    """Part a document into two whose merge it is."""
    parts: tuple[Document, Document] = {}, {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            for part, inner in zip(parts, _parted(draw, value), strict=True):
                part[key] = inner
        else:
            draw(st.sampled_from(parts))[key] = value
    return parts


@share(0.6)
@given(cases())
def test_another_parser_reads_the_same(case: Case) -> None:
    with holding(case) as repository:
        for one in built(repository, case).manifests:
            assert one.data == parsed(one.text)
            assert load.parse(one.text.encode(), "") == (one.data, ())


@share(0.6)
@given(cases())
def test_texts_arrive_as_they_were_written(case: Case) -> None:
    spec = case.experiment["spec"]
    for service in objects(case, "InferenceService"):
        own = spec["variants"][service["metadata"]["labels"]["penstock.dev/variant"]]
        both = spec["model"] | own
        predictor = service["spec"]["predictor"]
        args = both.get("args", [])
        assert args == predictor["model"].get("args", [])[-len(args) :] or not args
        env = {
            one["name"]: one.get("value", one.get("valueFrom", ""))
            for one in predictor["model"].get("env", ())
        }
        assert env.items() >= own.get("env", {}).items()
        assert predictor.get("annotations", {}).items() >= own.get("podAnnotations", {}).items()
        assert predictor.get("tolerations", []) == both.get("tolerations", [])
        assert predictor["model"].get("storage", {}).items() >= own.get("storage", {}).items()
    assert {board["description"] for board in dashboards(case)} <= {spec["hypothesis"]}


def dashboards(case: Case) -> list[Any]:
    texts = [text for one in objects(case, "ConfigMap") for text in one["data"].values()]
    texts += [one["spec"]["json"] for one in objects(case, "GrafanaDashboard")]
    return [json.loads(text) for text in texts]


@share(0.6)
@given(cases())
def test_every_expression_is_promql(case: Case) -> None:
    (rules,) = objects(case, "PrometheusRule")
    expressions = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    expressions += [
        one["expr"] for board in dashboards(case) for panel in board["panels"] for one in panel["targets"]
    ]
    for expression in expressions:
        promql_parser.parse(expression.replace("$__rate_interval", "5m").replace("$__range", "1h"))


TUNED = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8", "PYTHONUTF8": "0"},
    {"PYTHONHASHSEED": "random", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "1"},
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return a repository with experiments enough for two processes."""
    repository = production(tmp_path_factory.mktemp("many"))
    first = repository.read(experiment_file("production", EXPERIMENT))
    first["spec"]["hypothesis"] = "größer \U0001f600"
    for number in range(70):
        first["metadata"]["name"] = f"e{number}"
        repository.write(experiment_file("production", f"e{number}"), first)
    return repository


@pytest.mark.parametrize("environment", TUNED, ids=lambda one: one["LC_ALL"])
def test_no_machine_changes_a_byte(many: Repository, tmp_path: Path, environment: dict[str, str]) -> None:
    workers = len(environment["LC_ALL"]) % 3  # 0 takes all cores
    arguments = ("render", "-C", str(many.root), "--jobs", str(workers), "--no-cache")
    done = many.penstock(*arguments, cwd=tmp_path, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    first = many.manifests()
    assert len(first) > 70 * 9
    assert many.invoke("render", "--check", "--jobs", "1", "--no-cache").exit_code == 0
    assert many.manifests() == first


# 5. What is no longer declared is deleted, but only what is ours and as we wrote it.

UNTOUCHED, EDITED, FOREIGN = "untouched", "edited", "foreign"
_STATES = st.sampled_from((UNTOUCHED,) * 30 + (EDITED, FOREIGN))


@share(0.5)
@given(st.data(), st.booleans())
def test_what_is_no_longer_declared_is_deleted(data: st.DataObject, cached: bool) -> None:
    with holding(recommendation()) as repository:
        add_experiment(repository, "other")
        assert render(repository, cached=cached) == set()
        before = repository.manifests()
        fates = {path: data.draw(_STATES, label=path) for path in before}
        for path, fate in fates.items():
            disturb(repository.root / path, fate)
        data.draw(st.sampled_from(REMOVALS))(repository)
        wanted = freshly_rendered(repository)
        disturbed = repository.manifests()
        found = render(repository, cached=cached)
        assert found == {
            (_CODES[path in wanted, fate], path) for path, fate in fates.items() if fate != UNTOUCHED
        }
        if {code for code, _ in found} <= {"PS604"}:
            left = {path: text for path, text in disturbed.items() if ("PS604", path) in found}
            assert repository.manifests() == wanted | left
        else:
            assert repository.manifests() == disturbed
        assert render(repository, cached=cached) == found


_CODES = {
    (True, EDITED): "PS601",
    (True, FOREIGN): "PS602",
    (False, EDITED): "PS603",
    (False, FOREIGN): "PS604",
}


def render(repository: Repository, *, cached: bool = False) -> set[tuple[str, str]]:
    """Render everything, and return codes and files of what is wrong."""
    inventory = take(str(repository.root))
    options = run.Options(TODAY, write=True, use_cache=cached, workers=1)
    return {
        (one.code, one.place.file) for one in run.run(inventory, inventory.environments, options).problems()
    }


def disturb(file: Path, fate: str) -> None:
    if fate == EDITED:
        file.write_bytes(file.read_bytes() + b"# by hand\n")
    elif fate == FOREIGN:
        file.write_text("kind: Other\n")


def freshly_rendered(repository: Repository) -> dict[str, bytes]:
    """Return what would be there if nothing had been."""
    with tempfile.TemporaryDirectory() as place:
        for path, text in repository.files().items():
            if "/manifests/" not in path:
                file = Path(place, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text)
        other = Repository(Path(place).resolve())
        assert render(other) == set()
        return other.manifests()


def add_experiment(repository: Repository, name: str) -> None:
    document = repository.read(experiment_file("production", EXPERIMENT))
    document["metadata"]["name"] = name
    repository.write(experiment_file("production", name), document)


def drop_experiments(*names: str) -> Callable[[Repository], None]:
    def drop(repository: Repository) -> None:
        for name in names:
            (repository.root / experiment_file("production", name)).unlink()

    return drop


def drop_variant(repository: Repository) -> None:
    with repository.experiment() as document:
        del document["spec"]["variants"]["v2"], document["spec"]["rollout"]
        document["spec"]["traffic"] = {"v1": 100}


def drop_hosts_and_dashboards(repository: Repository) -> None:
    with repository.environment() as document:
        document["spec"]["routing"]["variantHosts"] = False
        document["spec"]["monitoring"]["dashboard"] = {"output": "none"}


REMOVALS = (
    drop_experiments("other"),
    drop_experiments("other", EXPERIMENT),
    drop_experiments(),
    drop_variant,
    drop_hosts_and_dashboards,
)


def test_a_run_on_one_experiment_deletes_nothing_of_others(repository: Repository) -> None:
    add_experiment(repository, "other")
    assert repository.invoke("render").exit_code == 0
    before = repository.manifests()
    drop_experiments("other")(repository)
    assert repository.invoke("render", EXPERIMENT).exit_code == 0
    assert repository.manifests() == before
