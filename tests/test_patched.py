"""Whom a patch is blamed for what it leads to, and what is not its fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import resources
from generator.repository import experiment_file

if TYPE_CHECKING:
    from pathlib import Path

    from repositories import Document, Repository

SERVICE = "inferenceservice.yaml.j2"
TRANSFORMER = "\n  transformer:\n    containers:\n    - name: kserve-container\n      image: transform:1\n"


def patched(repository: Repository, patch: Document, **spec: object) -> list[Document]:
    with repository.experiment() as document:
        document["spec"] |= spec
        document["spec"]["variants"]["v2"]["patch"] = patch
    return repository.problems("validate")


def test_what_a_template_of_ones_own_does_is_no_patchs_fault(repository: Repository) -> None:
    shipped: Path = repository.root.joinpath(resources.directory("templates"), SERVICE)
    own = repository.root / "templates" / SERVICE
    own.parent.mkdir()
    own.write_text(shipped.read_text() + TRANSFORMER)
    assert patched(repository, {"spec": {"predictor": {"priorityClassName": "serving"}}}) == []
    (found,) = patched(repository, {"spec": {"transformer": {"minReplicas": 2}}})
    assert (found["code"], found["path"]) == ("PS508", "spec.variants.v2.patch.spec.transformer")


def test_a_patch_is_blamed_as_a_whole_for_what_it_does_to_a_field_that_it_does_not_name(repository: Repository) -> None:
    logging = {"mode": "all", "url": "http://sink.a.svc.cluster.local", "metadataAnnotations": ["team"]}
    patch = {"spec": {"predictor": {"annotations": {"team": "a,b"}}}}
    (found,) = patched(repository, patch, logging=logging)
    assert (found["code"], found["path"]) == ("PS356", "spec.variants.v2.patch")
    assert found["file"] == experiment_file("production", "recommendation-model")


def test_a_warning_that_holds_without_the_patch_is_given_once(repository: Repository) -> None:
    with repository.experiment() as document:
        document["spec"]["variants"]["v2"]["batcher"] = {"maxBatchSize": 8}
    found = patched(repository, {"spec": {"predictor": {"priorityClassName": "serving"}}})
    assert [one["code"] for one in found] == ["PS358"]
