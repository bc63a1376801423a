"""A client of Prometheus' HTTP API, as Prometheus, Thanos, Mimir and VictoriaMetrics speak it.

Time and memory are bounded whatever the server does: an answer is read in pieces until a deadline and up to a size.
What the server was too busy for is asked again a few times. Redirects are never followed, since credentials would go
along. Secrets are read when they are needed and appear in no message.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InsecureRequestWarning,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from generator.problems import PenstockError
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from generator.domain.model import Prometheus, Secret

MAX_BYTES = 16 * 1024 * 1024
"""Of one answer, unpacked: 600,000 samples, which take some 100 MB once they are parsed."""
LONGEST = 6 * 3600
"""Seconds of raw samples that one query asks for."""

_ATTEMPTS = 4
_BACKOFF = 0.5  # seconds before the second attempt, and twice as long before each further one
_LONGEST_PAUSE = 10.0  # seconds; a server may ask for more with Retry-After, and is not obeyed
_PIECE = 64 * 1024
_CONNECTING = 10.0  # seconds
_BUSY = {429, 502, 503, 504}
# Parameters that a server other than their own passes over. Half an answer would be half the counts: Thanos and
# VictoriaMetrics shall fail instead; and Thanos shall not answer from downsampled data, in which counters are changed.
_WHOLE = {"partial_response": "false", "max_source_resolution": "0s", "deny_partial_response": "1"}
_MAX_WARNINGS = 20
_MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_LONGEST_TEXT = 300


class PrometheusError(PenstockError):
    """Prometheus could not be asked or did not answer: says which server, what happened and what helps."""


class TooLargeError(PrometheusError):
    """An answer is larger than MAX_BYTES; asking for less may help."""


class Samples(NamedTuple):
    """One series: times in seconds and values, both as the server has them, in its order."""

    labels: dict[str, str]
    times: list[float]
    values: list[float]


class Client:
    """A server as an environment declares it; `place` is the file that does, for messages.

    `warnings` collects what the server remarked on its answers, each once.
    """

    def __init__(self, settings: Prometheus, root: str, place: str) -> None:
        self._settings = settings
        self._root = root
        self._place = place
        self._secrets: list[str] = []
        self._headers = self._credentials()
        self._pool = self._connected()
        self.warnings: list[str] = []
        if settings.insecure:
            urllib3.disable_warnings(InsecureRequestWarning)
            self.warnings.append("its certificate is not checked (insecureSkipVerify), so anybody could forge this")

    def raw(self, selector: str, start: int, end: int) -> Iterable[list[Samples]]:
        """Yield the raw samples of a selector after `start` and up to `end`, in order of time, in bounded pieces.

        A sample exactly at the edge of two pieces may come in both (Prometheus 2 has closed ranges).
        """
        span = min(LONGEST, end - start)
        while start < end:
            until = min(start + span, end)
            try:
                found = self._matrix(f"{selector}[{until - start}s]", until)
            except TooLargeError:
                if until - start < 120:
                    raise
                span = (until - start + 1) // 2
                continue
            yield found
            start = until

    def vector(self, query: str, at: int) -> list[tuple[dict[str, str], float]]:
        """Return an instant vector: labels and value of each series."""
        result = self._result(query, at, "vector")
        try:
            return [(_labels(one["metric"]), float(one["value"][1])) for one in result]
        except _MISSHAPEN:
            raise self._misshapen() from None

    def ask(self, path: str, form: Mapping[str, str] | None = None) -> Any:
        """Return the `data` of an answer of the API below /api/v1; with a form by POST, else by GET."""
        status, body = self._answered(path, form)
        answer = self._parsed(path, status, body)
        for kind in ("warnings", "infos"):
            remarks = answer.get(kind)
            for text in remarks if isinstance(remarks, list) else ():
                self._remark(str(text))
        if answer.get("isPartial") is True:
            raise self._error("answered with a part of the data only", "mend the storage that does not answer")
        if status == 200 and answer.get("status") == "success":
            return answer.get("data")
        raise self._refused(status, str(answer.get("errorType", "")), str(answer.get("error", "")))

    def _matrix(self, query: str, at: int) -> list[Samples]:
        result = self._result(query, at, "matrix")
        try:
            return [
                Samples(
                    _labels(one["metric"]),
                    [float(at) for at, _ in one["values"]],
                    [float(value) for _, value in one["values"]],
                )
                for one in result
                if "values" in one or not one.get("histograms")
            ]
        except _MISSHAPEN:
            raise self._misshapen() from None

    def _result(self, query: str, at: int, kind: str) -> list[Any]:
        form = {"query": query, "time": str(at), "timeout": f"{self._settings.timeout}s", **_WHOLE}
        data = self.ask("query", form)
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise self._misshapen()
        return list(data["result"])

    def _remark(self, text: str) -> None:
        told = self._safe(text)
        if told not in self.warnings and len(self.warnings) < _MAX_WARNINGS:
            self.warnings.append(told)

    # One request

    def _answered(self, path: str, form: Mapping[str, str] | None) -> tuple[int, bytes]:
        """Ask, again where the server was busy or the connection broke, and return status and body."""
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            pause = _BACKOFF * 2**attempt
            try:
                status, body, wished = self._exchange(path, form)
            except (SSLError, ReadTimeoutError, ConnectTimeoutError, LocationValueError) as error:
                raise self._failed(error) from None
            except (HTTPError, OSError) as error:
                if last or _is_tls(error):
                    raise self._failed(error) from None
            else:
                if last or status not in _BUSY:
                    return status, body
                pause = max(pause, wished)
            time.sleep(min(pause, _LONGEST_PAUSE))
        raise AssertionError  # pragma: no cover (the last attempt returns or raises)

    def _exchange(self, path: str, form: Mapping[str, str] | None) -> tuple[int, bytes, float]:
        timeout = float(self._settings.timeout)
        deadline = time.monotonic() + timeout
        response = self._pool.request(
            "GET" if form is None else "POST",
            f"{self._settings.url}/api/v1/{path}",
            body=None if form is None else urlencode(form),
            headers=self._headers | ({} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}),
            timeout=urllib3.Timeout(connect=min(_CONNECTING, timeout), read=timeout),
            preload_content=False,
            redirect=False,
            retries=False,
        )
        # Closed half-read, a connection is given up; read to its end, it went back to the pool already.
        with response:
            self._refuse_redirect(response)
            body = self._body(response, deadline)
        return response.status, body, _seconds(response.headers.get("Retry-After", ""))

    def _body(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        body = bytearray()
        while piece := response.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > MAX_BYTES:
                what = f"answers with more than {MAX_BYTES // 1024**2} MB"
                remedy = "narrow the metrics down by labels, so that fewer series match"
                raise TooLargeError(self._message(what, remedy))
            if time.monotonic() > deadline:
                raise self._late()
        return bytes(body)

    def _refuse_redirect(self, response: urllib3.BaseHTTPResponse) -> None:
        if 300 <= response.status < 400:
            host = urlsplit(response.headers.get("Location", "")).hostname or "another path"
            raise self._error(
                f"answers with a redirect to {host}, which is not followed because credentials would go along",
                "write the final address as spec.prometheus.url",
            )

    def _parsed(self, path: str, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and "status" in answer:
            return answer
        if status != 200:
            raise self._refused(status, "", "")
        raise self._error(
            f"answers /api/v1/{path} with something that is not the JSON of its API",
            "check that spec.prometheus.url is the address without /api/v1, and of no login page",
        )

    # What can go wrong

    def _refused(self, status: int, kind: str, said: str) -> PrometheusError:
        quoted = f": {said}" if said else ""
        if status in {401, 403}:
            how = "check spec.prometheus.bearerToken, basicAuth and headers"
            return self._error(f"refuses the request ({status}{quoted})", how)
        if status == 404:
            return self._error(
                f"knows no such path (404{quoted})",
                "check the path in spec.prometheus.url, for example /prometheus for Mimir",
            )
        if kind == "timeout" or (status == 503 and kind):
            return self._error(f"gave up ({status} {kind}{quoted})", "ask again when it is less busy")
        if status in _BUSY:
            return self._error(f"is too busy, {_ATTEMPTS} times in a row ({status}{quoted})", "ask again later")
        return self._error(
            f"answers with an error ({status} {kind or 'without a reason'}{quoted})",
            "look at the server's log" if status >= 500 else "check the metrics' names and labels",
        )

    def _failed(self, error: Exception) -> PrometheusError:
        if isinstance(error, ReadTimeoutError):
            return self._late()
        if _is_tls(error):
            return self._error(
                f"cannot be trusted ({_cause(error)})",
                "set spec.prometheus.tls.caFile to the authority of its certificate",
            )
        if isinstance(error, ProxyError):
            return self._error(
                f"cannot be reached through the proxy ({_cause(error)})", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            )
        if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
            return self._error(
                f"cannot be reached ({_cause(error)})", "check spec.prometheus.url and the network of this machine"
            )
        return self._error(f"broke the connection, {_ATTEMPTS} times in a row ({_cause(error)})", "ask again later")

    def _late(self) -> PrometheusError:
        return self._error(
            f"did not answer within {self._settings.timeout} s", "raise spec.prometheus.timeout, or ask it for less"
        )

    def _misshapen(self) -> PrometheusError:
        return self._error("answers in a form that is not of its API", "check spec.prometheus.url")

    def _error(self, what: str, remedy: str) -> PrometheusError:
        return PrometheusError(self._message(what, remedy))

    def _message(self, what: str, remedy: str) -> str:
        return f"{self._place}: Prometheus at {self._settings.url} {self._safe(what)}; {remedy}"

    def _safe(self, text: str) -> str:
        """A server may echo what it was sent."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…")

    # What is sent along

    def _credentials(self) -> dict[str, str]:
        headers = {
            name: value if isinstance(value, str) else self._read(value, f"headers.{name}")
            for name, value in self._settings.headers
        }
        if self._settings.bearer_token:
            headers["Authorization"] = f"Bearer {self._read(self._settings.bearer_token, 'bearerToken')}"
        if self._settings.basic_auth:
            user, password = self._settings.basic_auth
            pair = f"{user}:{self._read(password, 'basicAuth.password')}"
            encoded = base64.b64encode(pair.encode()).decode()
            self._secrets.append(encoded)
            headers["Authorization"] = f"Basic {encoded}"
        return headers | {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "penstock"}

    def _read(self, secret: Secret, field: str) -> str:
        where = f"spec.prometheus.{field}"
        if secret.env:
            value = os.environ.get(secret.env, "").strip()
            source = f"the environment variable {secret.env}"
        else:
            source = f"the file {secret.file}"
            try:
                with open(os.path.join(self._root, secret.file), encoding="utf-8") as file:
                    value = file.read(_PIECE).strip()
            except (OSError, UnicodeError) as error:
                raise PrometheusError(
                    f"{self._place}: {source} of {where} cannot be read ({_reason(error)}); put the secret there"
                ) from None
        if not value:
            raise PrometheusError(f"{self._place}: {source} of {where} is empty or not set; put the secret there")
        if not value.isprintable() or not value.isascii():
            raise PrometheusError(
                f"{self._place}: {source} of {where} holds more than one line of plain text; put only the secret there"
            )
        self._secrets.append(value)
        return value

    def _connected(self) -> urllib3.PoolManager:
        try:
            address = urlsplit(self._settings.url)
            _ = address.port
        except ValueError:
            raise self._error("is no address", "write host and port as in http://prometheus:9090") from None
        tls = self._tls() if address.scheme == "https" else None
        proxy = "" if proxy_bypass(address.netloc) else getproxies().get(address.scheme, "")
        if not proxy:
            return urllib3.PoolManager(ssl_context=tls)
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        if parts.scheme not in {"http", "https"}:
            raise self._error("is behind a proxy that is not one of HTTP", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")
        headers = None
        if parts.username:
            pair = f"{parts.username}:{parts.password or ''}"
            self._secrets += filter(None, (parts.password,))
            headers = urllib3.make_headers(proxy_basic_auth=pair)
        host = parts.netloc.rpartition("@")[2]
        return urllib3.ProxyManager(f"{parts.scheme}://{host}", proxy_headers=headers, ssl_context=tls)

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        files = [os.path.join(self._root, one) if one else None for one in (settings.ca_file, settings.cert_file)]
        try:
            context = ssl.create_default_context(cafile=files[0])
            if files[1]:
                key = os.path.join(self._root, settings.key_file) if settings.key_file else None
                context.load_cert_chain(files[1], key, password=lambda: "")
        except (OSError, ValueError) as error:
            named = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
            raise PrometheusError(
                f"{self._place}: the files of spec.prometheus.tls ({named}) cannot be used ({_reason(error)}); "
                "they must be PEM, and the key must be the certificate's and without a passphrase"
            ) from None
        if settings.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _labels(metric: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in metric.items()}


def _seconds(text: str) -> float:
    """Read Retry-After where it is a number of seconds (RFC 9110, 10.2.3)."""
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def _is_tls(error: BaseException) -> bool:
    return any(isinstance(one, (SSLError, ssl.SSLError)) for one in _chain(error))


def _chain(error: BaseException) -> Sequence[BaseException]:
    found = [error]
    while len(found) < 10:
        inner = getattr(found[-1], "original_error", None) or found[-1].__cause__ or found[-1].__context__
        if inner is None:
            break
        found.append(inner)
    return found


def _cause(error: Exception) -> str:
    """Say what lies at the bottom of it: urllib3 wraps, and prints addresses of objects."""
    bottom = _chain(error)[-1]
    if isinstance(bottom, ssl.SSLCertVerificationError):
        return bottom.verify_message
    return _reason(bottom)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None)
    return str(reason) if reason else type(error).__name__
