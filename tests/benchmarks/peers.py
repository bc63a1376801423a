"""Inputs for Helm and kustomize, made from what Penstock rendered, without knowing what it means.

The same object of all experiments of a shape differs in some words only. Helm's templates get a value for
each such word; kustomize gets the first experiment as a base, and patches for what differs in the others.
Both find ready what Penstock computes, and neither validates: the comparison is kind to them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Values = list[dict[str, str]]

ROOT_OF = 100
"""kustomize takes quadratic time, so it is at its best with many small roots."""

_CHART = "apiVersion: v2\nname: experiments\nversion: 1.0.0\n"
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_WORD = re.compile(r"(\d+\.\d+|[A-Za-z0-9]+)")


def chart(repository: Path, target: Path) -> None:
    """Write a Helm chart whose templates range over all experiments of each shape."""
    (target / "templates").mkdir(parents=True)
    (target / "Chart.yaml").write_text(_CHART, encoding="utf-8")
    with (target / "values.yaml").open("w", encoding="utf-8") as file:
        for shape, names in _shapes(repository).items():
            values: Values = [{} for _ in names]
            slots: dict[tuple[str, ...], str] = {}
            experiments = [documents.texts(repository, name) for name in names]
            for index, same_object in enumerate(zip(*experiments, strict=True)):
                body = _template(same_object, slots, values)
                text = f"{{{{- range .Values.{shape} }}}}\n---\n{body}{{{{- end }}}}\n"
                (target / "templates" / f"{shape}-{index}.yaml").write_text(text, encoding="utf-8")
            file.write(f"{shape}:\n")
            file.writelines(_item(one) for one in values)


def kustomize(repository: Path, target: Path, of_one_root: Path) -> None:
    """Write bases, overlays, `roots` of ROOT_OF experiments each, and one root of all in another repository."""
    for shape, names in _shapes(repository).items():
        base = documents.texts(repository, names[0])
        files = {f"{index}.yaml": text for index, text in enumerate(base)}
        _write(target / "bases" / shape, files, resources=list(files))
        objects = [documents.load(text) for text in base]
        for name in names:
            _overlay(target / "overlays" / name, shape, objects, documents.texts(repository, name))
    overlays = _overlays(repository)
    for start in range(0, len(overlays), ROOT_OF):
        _write(target / "roots" / f"{start:05d}", {}, resources=overlays[start : start + ROOT_OF])
    _write(target / "one" / "root", {}, resources=_overlays(of_one_root))


def _overlays(repository: Path) -> list[str]:
    return [f"../../overlays/{name}" for name in documents.names(repository)]


def _shapes(repository: Path) -> dict[str, list[str]]:
    shapes: dict[str, list[str]] = {}
    for name in documents.names(repository):
        shapes.setdefault(name.rpartition("-")[0], []).append(name)
    return shapes


def _template(texts: Iterable[str], slots: dict[tuple[str, ...], str], values: Values) -> str:
    """Turn texts that differ in some words into one template. Words that always agree share a value."""
    parts = []
    for column in zip(*map(_WORD.split, texts), strict=True):
        if len(set(column)) == 1:
            parts.append(column[0].replace("{{", '{{ "{{" }}'))
            continue
        if column not in slots:
            slots[column] = f"v{len(slots)}"
            for value, word in zip(values, column, strict=True):
                value[slots[column]] = word
        parts.append(f"{{{{ .{slots[column]} }}}}")
    return "".join(parts)


def _item(values: dict[str, str]) -> str:
    lines = "\n  ".join(f"{key}: {json.dumps(value)}" for key, value in values.items())
    return f"- {lines}\n"


def _overlay(folder: Path, shape: str, base: list[Any], texts: list[str]) -> None:
    patches, files = [], {}
    for index, (old, text) in enumerate(zip(base, texts, strict=True)):
        patch = _difference(old, documents.load(text))
        if patch:
            identity = {"apiVersion": old["apiVersion"], "kind": old["kind"]}
            files[f"{index}.yaml"] = json.dumps(identity | patch, indent=1)
            target = {"kind": old["kind"], "name": old["metadata"]["name"]}
            patches.append({"path": f"{index}.yaml", "target": target, "options": {"allowNameChange": True}})
    _write(folder, files, resources=[f"../../bases/{shape}"], patches=patches)


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes `new` of `old`."""
    return dict(_changes(old, new))


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before != after:
            both = isinstance(before, dict) and isinstance(after, dict)
            yield key, _difference(before, after) if both else after  # type: ignore[arg-type]


def _write(folder: Path, files: dict[str, str], **fields: Any) -> None:
    folder.mkdir(parents=True)
    kustomization = json.dumps(_KUSTOMIZATION | fields, indent=1)
    for name, text in {"kustomization.yaml": kustomization, **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
