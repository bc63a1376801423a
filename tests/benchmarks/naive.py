"""The straightforward way to do Penstock's work: `naive.py REPOSITORY OUTPUT`.

Penstock's own plan, templates and schemas, and all around them as one would write it first: PyYAML as it is,
jsonschema on input and output, Jinja with plain filters, every rendered file parsed again. In one point it is
kind to itself: validators of output are made once, where `jsonschema.validate` would check the schema of an
InferenceService anew for every object (0.3 s each).
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import jsonschema
import yaml

from generator import resources
from generator.documents.document import Document, Layer
from generator.domain import environments, experiments
from generator.manifests import catalog, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.domain.model import Environment
    from generator.manifest import Planned


def templates() -> jinja2.Environment:
    """Load Penstock's templates; its filters need no more than JSON, which is YAML too."""
    loaded = jinja2.Environment(  # noqa: S701 - YAML, where there is nothing to escape for HTML
        loader=jinja2.FileSystemLoader(resources.directory("templates")), undefined=jinja2.StrictUndefined
    )
    loaded.filters.update(
        q=json.dumps,
        j=json.dumps,
        block=lambda value, _indent: f" {json.dumps(value)}",
        literal=lambda text, indent: "|\n" + textwrap.indent(text, " " * indent),
        n=str,
    )
    return loaded


def validators(environment: Environment) -> dict[tuple[str, str], Any]:
    """Make a validator for each kind of object."""
    folder = Path(resources.directory("schemas")) / "kubernetes"
    return {kind: _validator(folder / file) for kind, file in catalog.releases(environment).items()}


def read(path: Path, name: str) -> Document:
    """Parse an input and check it against its schema."""
    raw = path.read_bytes()
    data = yaml.safe_load(raw)
    schema = json.loads((Path(resources.directory("schemas")) / f"{name}.json").read_bytes())
    jsonschema.validate(data, schema)
    return Document((Layer(str(path), raw, data),))


def planned(path: Path, environment: Environment) -> Iterator[Planned]:
    """Read one experiment and plan its files."""
    experiment, problems = experiments.read(read(path, "experiment"), environment)
    if experiment is None:
        raise SystemExit("\n".join(map(str, problems)))
    yield from plan.models(experiment, environment)
    yield from plan.traffic(experiment, environment)
    yield from plan.monitoring(experiment, environment)


def main() -> None:
    """Render every experiment of the environment."""
    place, output = Path(sys.argv[1]) / "environments" / "production", Path(sys.argv[2])
    environment, _ = environments.read(read(place / "environment.yaml", "environment"), place.name)
    loaded, kinds = templates(), validators(environment)
    for path in sorted((place / "experiments").iterdir()):
        for one in planned(path, environment):
            text = loaded.get_template(one.template).render(one.values, id=one.id) + "\n"
            kinds[one.id.api_version, one.id.kind].validate(yaml.safe_load(text))
            target = output / one.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def _validator(path: Path) -> Any:
    schema = json.loads(path.read_bytes())
    return jsonschema.validators.validator_for(schema)(schema)


if __name__ == "__main__":
    main()
