"""Who wrote a rendered file, told by the file itself: two comment lines name its source and seal its text.

The proof travels with the file through Git, so ownership needs no state beside it. It guards against
accidents (a hand edit, a bad merge), not against forgery: who can write the file can compute the digest too.
"""

from __future__ import annotations

from typing import Final, Literal

from generator.problems import WARNING, Place, Problem

Ownership = Literal["ours", "edited", "foreign"]
OURS: Final = "ours"
EDITED: Final = "edited"
FOREIGN: Final = "foreign"

_FROM = b"# Rendered by Penstock from "
_HINT = b". Edit that file and run: penstock render"
_SHA256 = b"# penstock sha256:"
_HEAD = 4096  # an edited file's header is looked for this far: a conflict marker or a note may stand above it
_FORCE = "run: penstock render --force"


def seal(source: str, body: str) -> str:
    """Return *body* under the header that `ownership` knows; *source* is relative to the repository root."""
    # A line break in a file name would end the comment, and the rest of the name would be read as YAML.
    source = source if source.isprintable() else ascii(source)[1:-1]
    return f"{_header(source.encode(), body.encode()).decode()}{body}"


def ownership(text: bytes) -> Ownership:
    """Tell a file as Penstock wrote it from one changed since (line ends count) and one it never wrote."""
    first, _, rest = text.partition(b"\n")
    body = rest.partition(b"\n")[2]
    if text.startswith(_header(first.removeprefix(_FROM).removesuffix(_HINT), body)):
        return OURS
    return EDITED if _FROM in text[:_HEAD] or _SHA256 in text[:_HEAD] else FOREIGN


def overwriting(path: str, text: bytes) -> Problem | None:
    """Return what speaks against putting a manifest in the place of *text*."""
    owner = ownership(text)
    if owner == FOREIGN:
        fix = f"Move it away or, if its text may be lost, {_FORCE}"
        return Problem("PS602", Place(path), "is not from Penstock, but stands where a manifest belongs", fix)
    return Problem("PS601", Place(path), *_damage(text)) if owner == EDITED else None


def deleting(path: str, text: bytes) -> Problem | None:
    """Return what speaks against deleting *text*, which is no manifest any longer or never was."""
    owner = ownership(text)
    if owner == FOREIGN:
        fix = "Move it elsewhere: all that is in this folder gets applied to the cluster."
        return Problem("PS604", Place(path), "is not from Penstock: left alone", fix, severity=WARNING)
    fix = f"Save the edit elsewhere and delete the file, or {_FORCE}"
    message = "is no longer declared, but edited by hand: not deleted"
    return Problem("PS603", Place(path), message, fix) if owner == EDITED else None


def _damage(text: bytes) -> tuple[str, str]:
    if ownership(text.replace(b"\r\n", b"\n")) == OURS:
        fix = f"Add the line `environments/** text eol=lf` to .gitattributes, then {_FORCE}"
        return "had its line ends converted to CRLF", fix
    if b"\n>>>>>>> " in text:
        fix = f"Resolve the conflict in the file that this one is rendered from, then {_FORCE}"
        return "holds the conflict markers of a merge", fix
    fix = f"Make the edit in the file that the first line names or, to drop it, {_FORCE}"
    return "was edited by hand since it was rendered", fix


def _header(source: bytes, body: bytes) -> bytes:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL, and a run with nothing to do needs no digest

    digest = sha256(b"%b\n%b" % (source, body)).hexdigest().encode()
    return b"%b%b%b\n%b%b\n" % (_FROM, source, _HINT, _SHA256, digest)
