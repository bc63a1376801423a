"""The experiments of the benchmark: N files of some 40 lines in one environment, of three shapes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = Path("environments", "production")
EXPERIMENTS = ENVIRONMENT / "experiments"
MANIFESTS = ENVIRONMENT / "manifests"

_ENVIRONMENT_FILE = """\
apiVersion: penstock.dev/v1alpha1
kind: Environment
metadata: {name: production}
spec:
  namespace: ml-serving
  kserve: {version: "0.20", deploymentMode: Standard}
  routing:
    backend: gateway-api
    domain: models.example.com
    gateway: {name: kserve-ingress-gateway, namespace: kserve}
  monitoring:
    labels: {release: prometheus}
    dashboard: {output: configMap}
  policy:
    storage: [gs://models]
    loggers: ["http://*.svc.cluster.local"]
"""

_EXPERIMENT_FILE = """\
# yaml-language-server: $schema=https://penstock.dev/schemas/v1alpha1/experiment.json
apiVersion: penstock.dev/v1alpha1
kind: Experiment
metadata:
  name: {name}
spec:
  owner: {owner}
  hypothesis: Candidate {candidate} beats model {control} by {mde} or more without slowing answers
  expires: "2035-12-31"
  model:
{model}
    resources:
      requests: {{cpu: "{cpu}", memory: {memory}Gi}}
      limits: {{cpu: "{cpu}", memory: {memory}Gi}}
    replicas: {{min: 1, max: {replicas}, target: {target}}}
  control: v1
  variants:
    v1:
      storageUri: gs://models/{bucket}/{name}/{control}
    v2:
      storageUri: gs://models/{bucket}/{name}/{candidate}
  traffic:
    v1: {control_percent}
    v2: {candidate_percent}
  logging:
    mode: all
    url: http://{owner}-log.default.svc.cluster.local
  metrics:
    {success}:
      role: success
      kind: ratio
      direction: higher
      mde: {mde}
      events: {{metric: {success}_total}}
      total: {{metric: {shown}_total}}
    errors:
      role: guardrail
      use: {source}/errors
      margin: {margin}
      limit: {limit}
{latency}\
  rollout:
    steps: [{candidate_percent}, 60, 80, 100]
    soak: 1h
"""

_LATENCY = """\
    slow:
      role: guardrail
      use: {source}/latency
      above: {above}ms
      margin: {margin}
"""


class Shape(NamedTuple):
    """What the experiments of one team share: it decides which lines are rendered, the rest what they say."""

    stem: str
    owner: str
    model: tuple[str, ...]
    source: str
    success: str
    shown: str
    latency: str = ""


SHAPES = (
    Shape(
        "recommender",
        "recsys",
        ("format: sklearn", "runtime: kserve-sklearnserver", "protocol: v1"),
        "kserve",
        "clicks",
        "impressions",
        _LATENCY,
    ),
    Shape(
        "fraud",
        "risk",
        ("format: xgboost", 'formatVersion: "2"', "runtime: kserve-mlserver", "protocol: v2"),
        "mlserver",
        "caught",
        "reviewed",
        _LATENCY,
    ),
    Shape(
        "assistant",
        "search",
        (
            "format: huggingface",
            "runtime: kserve-huggingfaceserver",
            "protocol: v2",
            "args: [--dtype=bfloat16]",
        ),
        "kserve",
        "accepted",
        "answered",
    ),
)


def name(index: int) -> str:
    """Name the experiment of that number. Within a shape, names differ in one word of one length only."""
    return f"{SHAPES[index % len(SHAPES)].stem}-{index:05d}"


def file(index: int) -> Path:
    """Return the path of the experiment of that number in its repository."""
    return EXPERIMENTS / f"{name(index)}.yaml"


def text(index: int, candidate_percent: int = 0) -> str:
    """Write the experiment of that number; a candidate's percentage of one's own makes it a changed one."""
    shape = SHAPES[index % len(SHAPES)]
    candidate_percent = candidate_percent or 5 + index % 35
    varied = {
        "margin": f"0.{11 + index % 23}",
        "above": (50, 100, 250, 500)[index % 4],
        "source": shape.source,
    }
    return _EXPERIMENT_FILE.format(
        name=name(index),
        owner=shape.owner,
        model="\n".join(f"    {line}" for line in shape.model),
        cpu=1 + index % 4,
        memory=2 + index % 7,
        replicas=2 + index % 5,
        target=60 + index % 30,
        bucket=f"{shape.owner}-{index % 11}",
        control=f"r{1 + index % 9}",
        candidate=f"r{2 + index % 9}",
        control_percent=100 - candidate_percent,
        candidate_percent=candidate_percent,
        success=shape.success,
        shown=shape.shown,
        mde=f"0.{21 + index % 17}",
        limit=f"0.0{11 + index % 29}",
        latency=shape.latency.format(**varied),
        **{key: varied[key] for key in ("margin", "source")},
    )


def write(repository: Path, experiments: int) -> None:
    """Make a repository of that many experiments, with nothing rendered yet."""
    (repository / EXPERIMENTS).mkdir(parents=True)
    (repository / ENVIRONMENT / "environment.yaml").write_text(_ENVIRONMENT_FILE, encoding="utf-8")
    for index in range(experiments):
        (repository / file(index)).write_text(text(index), encoding="utf-8")
