"""Kubernetes quantities: their value and the one canonical way to write it.

KServe's webhook decodes and encodes the whole object, so `1000m` comes back as `1` and Argo CD reports a difference
for ever. Canonical form: k8s.io/apimachinery/pkg/api/resource/quantity.go, `CanonicalizeBytes`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_FORM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)")
_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4, "Pi": 1024**5, "Ei": 1024**6}
_DECIMAL = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
}  # fmt: skip


@lru_cache(maxsize=4096)
def value(text: str) -> Fraction | None:
    """Return the amount, or None if the text is not a quantity that Kubernetes takes (or is absurdly long)."""
    match = _FORM.fullmatch(text) if len(text) <= 32 else None
    if match is None:
        return None
    return Fraction(match[1]) * (_BINARY.get(match[2]) or _DECIMAL[match[2]])


@lru_cache(maxsize=4096)
def canonical(text: str) -> str | None:
    """Write the same amount as Kubernetes would: no fraction, the largest suffix of the same family."""
    amount = value(text)
    if amount is None:
        return None
    if not amount:
        return "0"
    binary = text.endswith("i")
    if binary and amount < 1024:  # quantity.go: BinarySI below 1024 is written as a plain number
        binary = False
    steps = [*sorted(_BINARY.items(), key=lambda item: -item[1])] if binary else _decimal_steps()
    for suffix, factor in steps:
        if amount % factor == 0:
            return f"{amount // factor}{suffix}"
    if binary:
        return f"{amount}" if amount.denominator == 1 else None
    return None  # finer than nano: Kubernetes would round


def _decimal_steps() -> list[tuple[str, Fraction]]:
    return sorted(_DECIMAL.items(), key=lambda item: -item[1])
