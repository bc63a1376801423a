"""What a change does to the pods of a variant, by its InferenceService before and after.

KServe makes a Deployment (Standard) or a Revision (Knative) of the predictor, and copies the labels and annotations of
the InferenceService and of the predictor to its pods (pkg/controller/v1beta1/inferenceservice/components/predictor.go).
So every change of these starts new pods, but for what is read elsewhere: bounds and target of the autoscaler by the
HorizontalPodAutoscaler, the timeout by the route (reconcilers/hpa and ingress), both in Standard mode only, since
Knative has them in the Revision; and annotations that KServe keeps off pods (ServiceAnnotationDisallowedList in
pkg/constants/constants.go).
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from generator import kserve
from generator.documents.load import Path
from generator.reviews.differences import leaves

Effect = Literal["new", "moves", "gone", "restarts", "scales", "kept"]

_SCALING = frozenset({"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "scaleMetricType", "autoScaling"})
_ELSEWHERE = _SCALING | {"timeout", "deploymentStrategy"}
_KEPT_OFF = frozenset(
    {
        "modelFormat",
        "kubectl.kubernetes.io/last-applied-configuration",
        "internal.serving.kserve.io/storage-initializer-sourceuri",
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/max-scale",
    }
)


class Cause(NamedTuple):
    """A field of the InferenceService that differs; None on the side that does not have it."""

    path: Path
    before: Any
    after: Any


class Pods(NamedTuple):
    """What happens to the pods of a variant, and because of what.

    `new`, `gone`: its InferenceService is; `moves`: it gets another name or namespace, so that one goes and one comes;
    `restarts`: all pods are replaced; `scales`: only their number may change.
    """

    variant: str
    effect: Effect
    causes: tuple[Cause, ...] = ()


def compare(before: Mapping[str, Any], after: Mapping[str, Any], mode: str) -> tuple[Pods, ...]:
    """Compare InferenceServices (data as rendered) by variant; `mode` is the deployment mode after the change."""
    return tuple(_pods(name, before.get(name), after.get(name), mode) for name in sorted(before.keys() | after.keys()))


def _pods(variant: str, before: Any, after: Any, mode: str) -> Pods:
    if before is None or after is None:
        return Pods(variant, "gone" if after is None else "new")
    causes = tuple(Cause(*one) for one in leaves(before, after, ()))
    moving = tuple(one for one in causes if one.path in (("metadata", "name"), ("metadata", "namespace")))
    if moving:
        return Pods(variant, "moves", moving)
    replacing = tuple(one for one in causes if _replaces(one.path, mode))
    if replacing:
        return Pods(variant, "restarts", replacing)
    scaling = tuple(one for one in causes if _SCALING.intersection(map(str, one.path)))
    return Pods(variant, "scales" if scaling else "kept", scaling)


def _replaces(path: Path, mode: str) -> bool:
    match path:
        case ("metadata", "annotations", name):
            return name not in _KEPT_OFF
        case ("metadata", "labels", *_) | ("metadata", "annotations"):
            return True
        case ("spec", "predictor", field, *_):
            return mode != kserve.STANDARD or field not in _ELSEWHERE
        case ("spec", *_):
            return True
        case _:
            return False
