"""The laws, over experiments of every shape, through the real pipeline and on real folders."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import broken, garbled
from repositories import Case, Document, Repository, as_yaml, built, holding, parsed, texts
from strategies import cases, measured, traffic

from generator import repository as layout
from generator import run
from generator.problems import ERROR, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODELS, TRAFFIC = "/manifests/models/", "/manifests/traffic/"


def share(part: float) -> settings:
    """Fewer examples than the profile has, for what takes long."""
    return settings(max_examples=max(int(settings().max_examples * part), 5))


def objects(case: Case) -> list[Document]:
    return [parsed(text) for path, text in texts(case).items() if not path.endswith("/kustomization.yaml")]


def of_kind(case: Case, kind: str) -> list[Document]:
    return [one for one in objects(case) if one["kind"] == kind]


def test_try() -> None: ...
