"""Credentials that people write into addresses, kept out of messages, which end in logs that many may read."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\s`]+")
_OPENING = "'\"("


def concealed(text: str) -> str:
    """Return the text with user names and passwords of all addresses in it as `***`.

    That is their userinfo (RFC 3986, 3.2.1), with whatever ought to be escaped in it, also where `//` was forgotten
    before a pair. `git@` tells nothing.
    """
    return _WORD.sub(_concealed, text) if "@" in text else text


def _concealed(found: re.Match[str]) -> str:
    head, at, host = found[0].rpartition("@")
    if not at or host.startswith("sha256:"):
        return found[0]
    before, slashes, userinfo = head.partition("//")
    if not slashes:
        userinfo = head.lstrip(_OPENING)
        before = head[: len(head) - len(userinfo)]
    user, _, password = userinfo.partition(":")
    told = "/" in user or userinfo == "git" or not (slashes or (user and password))
    return found[0] if told else f"{before}{slashes}***@{host}"
