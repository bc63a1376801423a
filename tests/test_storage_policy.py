"""Where models may come from: what a prefix covers, and how an environment makes a scheme known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from repositories import Repository


@pytest.mark.parametrize(
    ("storage", "uri", "codes"),
    [
        (["modelscope://"], "modelscope://org/model", []),
        (["modelscope://org"], "modelscope://org/model", []),
        (["modelscope://org"], "modelscope://other/model", ["PS370"]),
        (["modelscope:///"], "modelscope://org/model", ["PS370"]),
        (["modelscope://"], "modelscope://org/../other", ["PS370"]),
        (["modelscope://"], "gs://bucket/model", ["PS370"]),
        (["gs://"], "gs://bucket/model", []),
        (["gs://"], "modelscope://org/model", ["PS350", "PS370"]),
        ([], "modelscope://org/model", ["PS350", "PS370"]),
        (None, "modelscope://org/model", ["PS350"]),
    ],
)
def test_a_scheme_is_known_where_the_policy_names_it(
    repository: Repository, storage: list[str] | None, uri: str, codes: list[str]
) -> None:
    with repository.environment() as document:
        document["spec"]["policy"] = {} if storage is None else {"storage": storage}
    with repository.experiment() as document:
        document["spec"]["variants"] = {name: {"storageUri": uri} for name in ("v1", "v2")}
    assert sorted(one["code"] for one in repository.problems("validate")) == sorted(2 * codes)
