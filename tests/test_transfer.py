"""From one environment into the next: what was proved goes along, what belongs to the place stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gitrepos import git
from repositories import ENVIRONMENT, EXPERIMENT, recommendation
from rollouts import BETTER, FILE, GOOD, HOUR, World

from generator.names import TRAILER_ACTION, TRAILER_OVERRIDE
from generator.problems import PenstockError
from generator.repository import environment_file, experiment_file
from generator.steering import course, steering

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git")
LABEL = f"{ENVIRONMENT}/{EXPERIMENT}"
V3 = {"storageUri": "gs://my-bucket/models/recommendation-v3", "formatVersion": "1"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Production compares v1 and v2, and is at rest; staging compares v1 and v3, which has half of the traffic."""
    return staged(World(tmp_path, monkeypatch))


def staged(world: World, **spec: Any) -> World:
    case = recommendation()
    case.environment["metadata"]["name"] = "staging"
    case.environment["spec"]["namespace"] = "ml-staging"
    case.environment["spec"]["routing"]["domain"] = "staging.example.com"
    case.experiment["spec"] |= {
        "hypothesis": "v3 is better",
        "variants": {"v1": case.experiment["spec"]["variants"]["v1"], "v3": V3 | {"replicas": {"min": 1, "max": 1}}},
        "traffic": {"v1": 50, "v3": 50},
        **spec,
    }
    case.experiment["spec"]["metrics"]["errors"]["margin"] = 0.1
    world.mine.write(environment_file("staging"), case.environment)
    world.mine.write(experiment_file("staging", EXPERIMENT), case.experiment)
    world.mine.penstock("render")
    world.commit(world.mine, "Try v3 in staging")
    git(world.mine.root, "push", "--quiet")
    world.wait(HOUR)
    world.verdict = BETTER
    return world


def cross(world: World, reason: str = "") -> course.Steered:
    known = world.known()
    source = known._replace(environment="staging")
    return world.steer(steering.crossing(source, known, EXPERIMENT, reason, ""), begins=True)


def refused(world: World) -> list[str]:
    before = world.log("%H")
    with pytest.raises(PenstockError) as caught:
        cross(world)
    assert world.log("%H") == before
    return str(caught.value).split("\n")


def test_models_and_metrics_go_and_what_belongs_to_the_place_stays(world: World) -> None:
    before = world.show(FILE)["spec"]
    cross(world)
    after = world.show(FILE)["spec"]
    assert after.pop("variants") == {"v1": before.pop("variants")["v1"], "v3": V3}
    assert after.pop("traffic") == {"v1": 100, "v3": 0}
    assert after.pop("metrics")["errors"]["margin"] == 0.1
    assert after.pop("hypothesis") == "v3 is better"
    assert after == {key: value for key, value in before.items() if key not in ("traffic", "metrics", "hypothesis")}
    assert world.log("%B")[:5] == [
        f"{LABEL}: from staging",
        "",
        f"{LABEL}: v2 removed, v3 0 → 0 %",
        "",
        "What was proved in staging.",
    ]
    assert world.log(f"%(trailers:key={TRAILER_ACTION},valueonly)")[0] == "transfer"
    assert cross(world).published.files == ()
    (done,) = world.advance()
    assert (done.subject, world.traffic()) == (f"{LABEL}: v3 0 → 20 %", {"v1": 80, "v3": 20})
    assert refused(world) == [
        f"{LABEL}: not now",
        "    idle: v3 gets traffic there: conclude that first, or roll it back",
    ]


def test_what_is_inherited_from_the_base_stays_there(world: World) -> None:
    document = world.mine.read(FILE)
    spec = document["spec"]
    traffic = spec.pop("traffic")
    world.mine.write(experiment_file("base", EXPERIMENT), document)
    world.mine.write(FILE, {**document, "spec": {"traffic": traffic}})
    with world.mine.edited(experiment_file("staging", EXPERIMENT)) as there:
        there["spec"]["variants"]["v2"] = None
    world.mine.penstock("render")
    world.commit(world.mine, "Share a base")
    git(world.mine.root, "push", "--quiet")
    cross(world)
    own = world.show(FILE)["spec"]
    assert own["variants"] == {"v2": None, "v3": V3}
    assert own["traffic"] == {"v1": 100, "v3": 0}
    assert own["metrics"] == {"errors": {"margin": 0.1}}
    assert world.show(experiment_file("base", EXPERIMENT)) == document
    git(world.mine.root, "pull", "--quiet")
    assert world.mine.problems("validate", "-e", ENVIRONMENT) == []


def test_an_experiment_may_be_new_there(world: World) -> None:
    git(world.mine.root, "rm", "--quiet", FILE)
    world.mine.penstock("render")
    world.commit(world.mine, "Begin anew")
    git(world.mine.root, "push", "--quiet")
    cross(world)
    text = git(world.remote, "show", f"main:{FILE}")
    assert text.startswith("# yaml-language-server: $schema=../../../schemas/experiment.json\napiVersion: ")
    spec = world.show(FILE)["spec"]
    assert (spec["traffic"], spec["owner"]) == ({"v1": 100, "v3": 0}, "recsys")
    assert world.log()[0] == f"{LABEL}: from staging"


def test_nothing_unproved_is_brought_over(world: World) -> None:
    world.verdict = GOOD
    assert refused(world) == [
        f"{LABEL}: not now",
        "    proved: the verdict is continue: continue.",
        'To go on anyway, give a reason with --override "…".',
    ]
    cross(world, reason="legal wants it")
    assert world.log(f"%(trailers:key={TRAILER_OVERRIDE},valueonly)")[0] == "legal wants it"


def test_a_comparison_with_another_control_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    other = {"storageUri": "gs://my-bucket/models/old"}
    staged(world, variants={"v1": other, "v3": V3})
    assert refused(world)[1:2] == ["    control: control is another model there than here: storageUri differs"]


def test_without_metrics_the_last_stage_has_to_be_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = staged(World(tmp_path, monkeypatch))
    with world.mine.edited(experiment_file("staging", EXPERIMENT)) as document:
        del document["spec"]["metrics"]
        document["spec"] |= {"rollout": {"steps": [50, 100], "soak": "1h"}}
    world.mine.penstock("render")
    world.commit(world.mine, "Measure nothing")
    git(world.mine.root, "push", "--quiet")
    assert refused(world)[1] == "    proved: the last stage is not over there"


def test_the_program_wants_one_environment_or_two(world: World) -> None:
    for wrong in (("-e", "production", "--into", "staging"), ("--from", "staging"), ()):
        done = world.mine.penstock("promote", EXPERIMENT, *wrong)
        assert done.returncode == 2, wrong
        assert "name either an environment with -e, or two with --from and --into" in done.stderr
