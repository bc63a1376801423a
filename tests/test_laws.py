"""The five laws over experiments of every shape, through the real pipeline and on real folders."""

from __future__ import annotations

import copy
import gc
import json
import shutil
from typing import TYPE_CHECKING, Any, TypeAlias

import promql_parser
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from repositories import (
    EXPERIMENT,
    Case,
    Document,
    Repository,
    built,
    holding,
    parsed,
    production,
    prototypes,
    recommendation,
    rendered,
    scratch,
)
from strategies import cases, measured, traffic
from vocabulary import filled_texts, names
from webhook import differences

from generator.documents import load
from generator.problems import ProblemsError
from generator.repository import AREAS, BASE, experiment_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

Draw: TypeAlias = "Callable[[SearchStrategy[Any]], Any]"
MODELS, TRAFFIC = "/manifests/models/", "/manifests/traffic/"


def share(part: float) -> settings:
    """Take only a part of the examples of the profile that is loaded: for what takes long."""
    return settings(max_examples=max(int(settings().max_examples * part), 1))


def area(texts: dict[str, str], part: str) -> dict[str, str]:
    return {path: text for path, text in texts.items() if part in path}


def objects(case: Case, kind: str = "") -> list[Document]:
    found = map(parsed, rendered(case).values())
    return [one for one in found if one["kind"] == kind or not (kind or one["kind"] == "Kustomization")]


def dashboards(case: Case) -> list[Any]:
    texts = [text for one in objects(case, "ConfigMap") for text in one["data"].values()]
    texts += [one["spec"]["json"] for one in objects(case, "GrafanaDashboard")]
    return [json.loads(text) for text in texts]


# 1. Only routes and what measures know of traffic, words, metrics and rollout.


@share(0.5)
@given(st.data())
def test_no_server_notices_traffic_words_metrics_or_rollout(data: st.DataObject) -> None:
    case = data.draw(cases())
    other = data.draw(measured(case))
    models = area(rendered(case), MODELS)
    assert len(models) == len(case.experiment["spec"]["variants"]) + 1
    assert area(rendered(other), MODELS) == models


# 2. A change of traffic, and so its revert, changes weights on a route and nothing else of it.


@share(0.5)
@given(st.data())
def test_a_change_of_traffic_is_a_change_of_weights(data: st.DataObject) -> None:
    case = data.draw(cases())
    other = copy.deepcopy(case)
    spec = other.experiment["spec"]
    shadow = spec.get("shadow", {}).get("variant")
    split = data.draw(traffic([name for name in spec["variants"] if name != shadow]))
    spec["traffic"] = split | ({shadow: 0} if shadow else {})
    routes, changed = (area(rendered(one), TRAFFIC) for one in (case, other))
    assert list(map(unweighted, routes.values())) == list(map(unweighted, changed.values()))
    assert weights(case, routes) == positive(case.experiment["spec"]["traffic"])
    assert weights(other, changed) == positive(spec["traffic"])
    assert {path for path in routes if routes[path] != changed[path]} <= {route_file(case, routes)}


def unweighted(text: str) -> Any:
    """Read a route without weights. The filter of a rule's only backend stands on the rule instead."""
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
    """Read what each variant gets from the experiment's own route."""
    spec = parsed(texts[route_file(case, texts)])["spec"]
    if "traffic" in spec:
        found = {one["configurationName"]: one["percent"] for one in spec["traffic"]}
    else:
        found = {one["name"]: one["weight"] for one in spec["rules"][-1]["backendRefs"]}
    name = case.names[1]
    services = {f"{name}-{variant}-predictor": variant for variant in case.experiment["spec"]["variants"]}
    return positive({services[service]: weight for service, weight in found.items()})


def route_file(case: Case, texts: dict[str, str]) -> str:
    (path,) = (one for one in texts if one.endswith(f"route-{case.names[1]}-experiment.yaml"))
    return path


def positive(shares: dict[str, int]) -> dict[str, int]:
    return {variant: percent for variant, percent in shares.items() if percent}


# A patch is held to the rules of the fields that it reaches: what Penstock itself renders passes them all.


@share(0.3)
@given(cases())
def test_a_patch_that_says_what_is_rendered_changes_nothing(case: Case) -> None:
    other = copy.deepcopy(case)
    models = {path: parsed(text) for path, text in area(rendered(case), MODELS).items()}
    for service in models.values():
        if service["kind"] == "InferenceService":
            metadata = {key: service["metadata"][key] for key in ("labels", "annotations")}
            variant = metadata["labels"]["penstock.dev/variant"]
            patch = {"metadata": metadata, "spec": service["spec"]}
            other.experiment["spec"]["variants"][variant]["patch"] = patch
    assert {path: parsed(text) for path, text in area(rendered(other), MODELS).items()} == models


# Speed changes nothing: what is filled into a prototype is what is rendered in full.


@share(0.3)
@given(st.data())
def test_what_is_filled_in_is_what_is_rendered(data: st.DataObject) -> None:
    """Two of a kind make it known; whatever the next one differs in, it must not be taken for one of them."""
    case, known, filled = data.draw(cases()), prototypes(), 0
    other = data.draw(measured(case)).experiment["spec"]
    names_ = data.draw(st.lists(names(12), min_size=6, max_size=6, unique=True))
    for number, name in enumerate(names_):
        sibling = copy.deepcopy(case)
        spec = sibling.experiment["spec"]
        sibling.experiment["metadata"]["name"] = name
        spec["hypothesis"] = data.draw(filled_texts)
        if number > 1:
            data.draw(st.sampled_from(_DIFFERENCES))(spec, other)
        with holding(sibling) as repository:
            try:
                whole = built(repository, sibling)
            except ProblemsError:  # a name may be too long for these variants, a shadow may need its traffic
                continue
            quick = built(repository, sibling, prototypes=known)
        assert [(one.planned.path, one.text) for one in quick.manifests] == [
            (one.planned.path, one.text) for one in whole.manifests
        ]
        filled += any(one.data is None for one in quick.manifests)
    event(f"filled in: {filled}")


def _taken(key: str) -> Callable[[Document, Document], None]:
    def change(spec: Document, other: Document) -> None:
        spec.pop(key, None)
        spec |= {key: other[key]} if key in other else {}

    return change


def _set(key: str, value: Any) -> Callable[[Document, Document], None]:
    def change(spec: Document, _: Document) -> None:
        spec["model"] = {**spec.get("model", {}), key: value}
        for variant in spec["variants"].values():
            variant.pop(key, None)

    return change


def _numbers(spec: Document, _: Document) -> None:
    for metric in spec.get("metrics", {}).values():
        metric |= {key: 0.37 for key in ("margin", "mde", "limit") if key in metric}


def _others_control(spec: Document, _: Document) -> None:
    spec["control"] = max(spec["variants"])


_DIFFERENCES: tuple[Callable[[Document, Document], None], ...] = (
    *map(_taken, ("owner", "traffic", "shadow", "metrics")),
    _set("timeout", "77s"),
    _set("replicas", {"min": 2, "max": 2}),
    _numbers,
    _others_control,
)


def _as_declared(_: Case) -> None: ...


def _knative(case: Case) -> None:
    case.environment["spec"]["kserve"]["deploymentMode"] = "Knative"
    case.environment["spec"]["routing"] = {"domain": "example.com"}
    case.environment["spec"]["monitoring"]["monitor"] = "PodMonitor"
    case.experiment["spec"]["model"].pop("replicas", None)


def _idle(case: Case) -> None:
    case.experiment["spec"]["traffic"] = {"v1": 100, "v2": 0}


def _port(spec: Document, _: Document) -> None:
    spec["model"]["runtime"] = "on-another-port"


@pytest.mark.parametrize(
    ("prepare", "difference"),
    [
        *((_as_declared, one) for one in _DIFFERENCES if one is not _DIFFERENCES[2]),
        (_idle, _taken("shadow")),
        (_knative, _set("replicas", {"min": 0, "max": 2})),
        (_as_declared, _port),
        (_as_declared, _taken("requests")),
    ],
)
def test_a_difference_is_not_filled_over(
    prepare: Callable[[Case], None], difference: Callable[[Document, Document], None]
) -> None:
    known = prototypes()
    other = {"owner": "someone", "traffic": {"v1": 100, "v2": 0}, "metrics": {}, "shadow": {"variant": "v2"}}
    other["requests"] = {"use": "istio"}
    for name in ("first", "second", "third"):
        case = recommendation()
        case.environment["spec"]["runtimes"] = {
            "on-another-port": {"like": "kserve-sklearnserver", "metricsPort": 9999}
        }
        case.experiment["metadata"]["name"] = name
        prepare(case)
        if name == "third":
            difference(case.experiment["spec"], other)
        with holding(case) as repository:
            quick, whole = (built(repository, case, prototypes=one) for one in (known, None))
        assert [one.text for one in quick.manifests] == [one.text for one in whole.manifests]


def test_experiments_that_are_alike_are_filled_in() -> None:
    known = prototypes()
    builds = []
    for name in ("first", "second", "third", "on"):
        case = recommendation()
        case.experiment["metadata"]["name"] = name
        with holding(case) as repository:
            builds.append(built(repository, case, prototypes=known))
    assert [any(one.data is None for one in build.manifests) for build in builds] == [False, True, True, False]


def test_a_revert_brings_back_every_byte(repository: Repository) -> None:
    assert repository.invoke("render").exit_code == 0
    before = repository.manifests()
    for split in ({"v1": 50, "v2": 50}, {"v1": 0, "v2": 100}, {"v1": 80, "v2": 20}):
        with repository.experiment() as document:
            document["spec"]["traffic"] = split
        assert repository.invoke("render").exit_code == 0
    assert repository.manifests() == before


# 3. Objects are in the form that a cluster leaves them in.


@share(0.7)
@given(cases())
def test_a_cluster_leaves_every_object_as_it_is(case: Case) -> None:
    assert [(one["kind"], found) for one in objects(case) for found in differences(one)] == []


# 4. Same input, same bytes, and each byte means what was meant.


@share(0.4)
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
        manifests = built(repository, case, in_base=True).manifests
        assert {one.planned.path: one.text for one in manifests} == expected


def _shuffled(draw: Draw, node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _shuffled(draw, node[key]) for key in draw(st.permutations(sorted(node)))}
    return [_shuffled(draw, one) for one in node] if isinstance(node, list) else node


def _parted(draw: Draw, node: Document) -> tuple[Document, Document]:
    """Part a document into two whose merge it is."""
    parts: tuple[Document, Document] = {}, {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            for part, inner in zip(parts, _parted(draw, value), strict=True):
                part[key] = inner
        else:
            draw(st.sampled_from(parts))[key] = value
    return parts


@share(0.5)
@given(cases())
def test_another_parser_reads_the_same(case: Case) -> None:
    with holding(case) as repository:
        for one in built(repository, case).manifests:
            assert one.data == parsed(one.text)
            assert load.parse(one.text.encode(), "") == (one.data, ())


@share(0.5)
@given(cases())
def test_texts_arrive_as_they_were_written(case: Case) -> None:
    spec = case.experiment["spec"]
    for service in objects(case, "InferenceService"):
        own = spec["variants"][service["metadata"]["labels"]["penstock.dev/variant"]]
        both = spec["model"] | own
        predictor = service["spec"]["predictor"]
        model = predictor["model"]
        args = both.get("args", [])
        assert args == model.get("args", [])[-len(args) :] or not args
        env = {one["name"]: one.get("value", one.get("valueFrom", "")) for one in model.get("env", ())}
        assert env.items() >= own.get("env", {}).items()
        assert model.get("storage", {}).items() >= own.get("storage", {}).items()
        assert predictor.get("annotations", {}).items() >= own.get("podAnnotations", {}).items()
        assert predictor.get("tolerations", []) == both.get("tolerations", [])
    assert {board["description"] for board in dashboards(case)} <= {spec["hypothesis"]}


@share(0.5)
@given(cases())
def test_every_expression_is_promql(case: Case) -> None:
    (rules,) = objects(case, "PrometheusRule")
    expressions = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    panels = [panel for board in dashboards(case) for panel in board["panels"]]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in expressions:
        promql_parser.parse(expression.replace("$__rate_interval", "5m").replace("$__range", "1h"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return a repository with experiments enough for two processes."""
    repository = production(tmp_path_factory.mktemp("many"))
    for number in range(70):
        add_experiment(repository, f"e{number}", "größer \U0001f600")
    return repository


TUNED = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8", "PYTHONUTF8": "0"},
    {"PYTHONHASHSEED": "random", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "1"},
)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("environment", TUNED, ids=lambda one: str(one["LC_ALL"]))
def test_no_machine_changes_a_byte(many: Repository, tmp_path: Path, environment: dict[str, str], jobs: int) -> None:
    rerun = ("render", "-C", str(many.root), "--jobs", str(jobs), "--no-cache")
    first = many.manifests() or None
    done = many.process(*rerun, cwd=tmp_path, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert first in (None, many.manifests())
    assert "0 create, 0 update, 0 delete" in done.stdout or first is None


@pytest.mark.parametrize("command", ["validate", "render"])
def test_no_hash_seed_changes_a_report(repository: Repository, command: str) -> None:
    with repository.experiment() as document:
        document["spec"]["variants"] |= {name: {} for name in "abcdefgh"}
    reports = {repository.process(command, "-o", "json", PYTHONHASHSEED=seed).stdout for seed in "123"}
    assert len(reports) == 1


# 5. What is no longer declared is deleted, but only what is ours and as we wrote it.

EDITED, FOREIGN = "edited", "foreign"
FATES = st.sampled_from((EDITED, FOREIGN))
CODES = {
    (True, EDITED): "PS601",
    (True, FOREIGN): "PS602",
    (False, EDITED): "PS603",
    (False, FOREIGN): "PS604",
}


@share(0.4)
@given(st.data())
def test_what_is_no_longer_declared_is_deleted(data: st.DataObject) -> None:
    cache = data.draw(st.sampled_from(((), ("--no-cache",))))
    with holding(recommendation()) as repository:
        add_experiment(repository, "other")
        assert findings(repository, *cache) == set()
        data.draw(st.sampled_from(REMOVALS))(repository)
        present, wanted = repository.manifests(), freshly_rendered(repository)
        paths = st.sampled_from(sorted(present.keys() - wanted.keys()) or [*present]) | st.sampled_from([*present])
        fates = data.draw(st.dictionaries(paths, FATES, max_size=2))
        for path, fate in fates.items():
            disturb(repository.root / path, fate)
        disturbed = repository.manifests()
        found = findings(repository, *cache)
        assert found == {(CODES[path in wanted, fate], path) for path, fate in fates.items()}
        if {code for code, _ in found} <= {"PS604"}:
            kept = {path: disturbed[path] for _, path in found}
            assert repository.manifests() == wanted | kept
        else:
            assert repository.manifests() == disturbed
        assert findings(repository, *cache) == found


def findings(repository: Repository, *options: str) -> set[tuple[str, str]]:
    """Render everything; return codes and files of what is wrong."""
    return {(one["code"], one["file"]) for one in repository.problems("render", *options)}


def disturb(file: Path, fate: str) -> None:
    file.write_bytes(file.read_bytes() + b"# by hand\n" if fate == EDITED else b"kind: Other\n")


def freshly_rendered(repository: Repository) -> dict[str, bytes]:
    """Return what would be there if nothing had been."""
    with scratch() as place:
        root = place / "fresh"
        shutil.copytree(repository.root, root, ignore=shutil.ignore_patterns("manifests"))
        fresh = Repository(root)
        assert findings(fresh) == set()
        return fresh.manifests()


def add_experiment(repository: Repository, name: str, hypothesis: str = "as before") -> None:
    document = repository.read(experiment_file("production", EXPERIMENT))
    document["metadata"]["name"] = name
    document["spec"]["hypothesis"] = hypothesis
    repository.write(experiment_file("production", name), document)


def dropping(*names: str) -> Callable[[Repository], None]:
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
    dropping(),
    dropping("other"),
    dropping("other", EXPERIMENT),
    drop_variant,
    drop_hosts_and_dashboards,
)


def test_many_experiments_in_one_process_leave_no_file_open(repository: Repository) -> None:
    for number in range(40):
        add_experiment(repository, f"e{number}")
    assert findings(repository, "--jobs", "1", "--no-cache") == set()
    gc.collect()  # an open file would warn, and a warning is an error here


def test_a_run_on_one_experiment_touches_no_file_of_another(repository: Repository) -> None:
    for name in ("edited", "dropped"):
        add_experiment(repository, name)
    assert findings(repository) == set()
    before = repository.manifests()
    add_experiment(repository, "edited", "another one")
    add_experiment(repository, "new")
    dropping("dropped")(repository)
    assert repository.invoke("render", EXPERIMENT).exit_code == 0
    after = repository.manifests()
    assert {path: after[path] for path in after.keys() - LISTINGS} == {
        path: before[path] for path in before.keys() - LISTINGS
    }
    for path in LISTINGS:
        folder = (repository.root / path).parent
        listed = repository.read(path)["resources"]
        # What is declared no more is still there, and stays listed until a whole run deletes it; what is new is not.
        assert listed == sorted(["dropped", "edited", EXPERIMENT])
        assert all((folder / name).is_dir() for name in listed)


def test_a_run_on_one_experiment_sees_what_others_have_taken(repository: Repository) -> None:
    for name in ("bystander", "other"):
        add_experiment(repository, name)
    assert findings(repository) == set()
    with repository.experiment("other") as document:
        document["spec"]["hostname"] = f"{EXPERIMENT}.models.example.com"
    file = experiment_file("production", "other")
    assert findings(repository, "other") == {("PS420", file)}
    repository.write(experiment_file("production", EXPERIMENT), {"broken": True})
    assert findings(repository, "other") == set()


LISTINGS = {f"environments/production/manifests/{area}/kustomization.yaml" for area in AREAS}
