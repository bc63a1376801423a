"""Where clients call an experiment: its hostname, the paths that its route lets through, and the model that they name.

A path holds the model's name in the protocols v1 and v2; in OpenAI's it stands in the request.
"""

from typing import NamedTuple

from generator.domain.model import Environment, Experiment
from generator.routing import BACKENDS


class Address(NamedTuple):
    """What a client must know; `model` is "" where no request names it."""

    host: str
    paths: tuple[str, ...]
    model: str


def of(experiment: Experiment, environment: Environment) -> Address:
    """Say where an experiment is called."""
    named = experiment.control.protocol == "openai"
    paths = BACKENDS[environment.routing.backend].paths(experiment)
    return Address(experiment.hostname, paths, experiment.model_name if named else "")


def moved(before: Address, after: Address) -> str:
    """Say what clients have to call now and what calls end, as in `answers at …`; "" if every call goes on."""
    if not ended(before, after):
        return ""
    if before.paths == after.paths and before.host == after.host:
        return f"answers for the model {after.model}, and no longer for {before.model}"
    there, gone = (_place(before, after, one) for one in (after, before))
    return f"answers at {there}, and no longer at {gone}"


def ended(before: Address, after: Address) -> str:
    """Say what clients of `before` call in vain after, as in `the hostname … stops answering`; "" if nothing is."""
    if before.host != after.host:
        return f"the hostname {before.host} stops answering"
    gone = [path for path in before.paths if path not in after.paths]
    if gone:
        return f"the paths {', '.join(gone)} stop answering" if len(gone) > 1 else f"the path {gone[0]} stops answering"
    if before.model != after.model and before.model and after.model:
        return f"the model name {before.model} stops answering"
    return ""


def _place(before: Address, after: Address, side: Address) -> str:
    """Write one side by that which differs."""
    other = before if side is after else after
    if before.paths == after.paths:
        return side.host
    paths = ", ".join(path for path in side.paths if path not in other.paths or before.host != after.host)
    return paths if before.host == after.host else f"{side.host}, under {paths}"
