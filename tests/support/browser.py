"""A real browser, asked through the DevTools protocol on a pair of pipes: Chromium, headless."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from processes import stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 60.0


class Shown(NamedTuple):
    """A page as it was shown: what it asked of the network, what its console said, its picture."""

    requests: list[str]
    console: list[str]
    picture: bytes


class Browser:
    """A running browser. Scripts of pages are switched off; `evaluate` still works."""

    def __init__(self, send: int, receive: int) -> None:
        self._send = send
        self._receive = receive
        self._read = b""
        self._number = 0
        self._events: list[Any] = []
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def show(self, file: Path, width: int, scheme: str = "light", media: str = "screen") -> Shown:
        """Open a file at a width in CSS pixels; take a picture of all of it."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", size)
        self._call("Emulation.setScriptExecutionDisabled", {"value": True})
        self._events.clear()
        self._call("Page.navigate", {"url": file.as_uri()})
        self._until("Page.loadEventFired")
        options = {"captureBeyondViewport": True, "format": "png"}
        picture = base64.b64decode(self._call("Page.captureScreenshot", options)["data"])
        asked = [
            one["params"]["request"]["url"] for one in self._events if one["method"] == "Network.requestWillBeSent"
        ]
        said = [
            json.dumps(one["params"])
            for one in self._events
            if one["method"] in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        ]
        return Shown([url for url in asked if url != file.as_uri() and url != "data:,"], said, picture)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        found = self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _call(self, method: str, parameters: dict[str, Any] | None = None) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._events.append(answer)

    def _until(self, event: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not any(one.get("method") == event for one in self._events):
            assert time.monotonic() < deadline, event
            self._events.append(self._next())

    def _next(self) -> Any:
        while b"\0" not in self._read:
            piece = os.read(self._receive, 1 << 20)
            assert piece, "the browser is gone"
            self._read += piece
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


def _program() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found
    return found


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Run Chromium with a profile of its own in `folder`, cut off from any network."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [
        *(_program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--remote-debugging-pipe", "--no-first-run", "--disable-background-networking", "--disable-sync"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}", "about:blank"),
    ]
    # The browser reads commands from descriptor 3 and writes answers to 4.
    script = f'exec 3<&{theirs_in} 4>&{theirs_out} && exec "$@"'
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        stop(process)
        os.close(ours_out)
        os.close(ours_in)
