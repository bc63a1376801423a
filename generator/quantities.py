"""Kubernetes quantities: their value and the one canonical way to write it.

KServe's webhook decodes and encodes the whole object, so `1000m` comes back as `1` and Argo CD reports a difference
for ever. Canonical form: k8s.io/apimachinery/pkg/api/resource/quantity.go, `CanonicalizeBytes`.
"""

from __future__ import annotations

import re
from functools import lru_cache

ONE = 10**9
"""Amounts are whole numbers of billionths, the finest that Kubernetes keeps (quantity.go: `Nano`)."""

_FORM = re.compile(r"([0-9]*)(?:\.([0-9]*))?(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)")
_BINARY = {suffix: ONE * 1024**power for power, suffix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}
_DECIMAL = {suffix: 1000**power for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"))}
_FACTORS = _BINARY | _DECIMAL


@lru_cache(maxsize=4096)
def value(text: str) -> int | None:
    """Return the amount in billionths; None if Kubernetes does not take the text, would round it, or it is too long."""
    match = _FORM.fullmatch(text) if len(text) <= 32 else None
    whole, part, suffix = match.groups("") if match else ("", "", "")
    if not (whole or part):
        return None
    amount, rest = divmod(int(whole + part) * _FACTORS[suffix], 10 ** len(part))
    return None if rest else amount


@lru_cache(maxsize=4096)
def canonical(text: str) -> str | None:
    """Write the same amount as Kubernetes would: no fraction, the largest suffix of the same family."""
    amount = value(text)
    if not amount:
        return None if amount is None else "0"
    # quantity.go: BinarySI below 1024 is written as a plain number.
    family = _BINARY if text.endswith("i") and amount >= _BINARY["Ki"] else _DECIMAL
    return next((f"{amount // family[one]}{one}" for one in reversed(family) if amount % family[one] == 0), None)
