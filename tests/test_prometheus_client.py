"""The client of Prometheus' API against servers that are slow, wrong, hostile or protected."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
import threading
import time
import tracemalloc
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from generator.domain.model import Prometheus, Secret
from generator.evidence import prometheus
from generator.evidence.prometheus import Client, PrometheusError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLACE = "environments/production/environment.yaml"
TOKEN = "s3cr3t-t0ken"  # noqa: S105 (no secret: a test's)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Stand(BaseHTTPRequestHandler):
    """Answers as a test says, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Stand], None]
    asked: list[tuple[str, dict[str, str], dict[str, list[str]]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.asked.append((self.path, dict(self.headers), parse_qs(body)))
        type(self).answer(self)

    do_GET = do_POST  # noqa: N815 (http.server calls it so)

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_BACKOFF", 0.01)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def standing(answer: Callable[[Stand], None], tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Run a server; the value is its address and what it was asked."""
    handler = type("Handler", (Stand,), {"answer": answer, "asked": []})

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), handler) as listening:
        if tls:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.server_port}", handler.asked  # type: ignore[attr-defined]
        finally:
            listening.shutdown()
            thread.join()


def settings(url: str, **changes: Any) -> Prometheus:
    plain = Prometheus(url, (), None, None, "", "", "", insecure=False, timeout=5)
    return plain._replace(**changes)


def client(url: str, root: str = "/nowhere", **changes: Any) -> Client:
    return Client(settings(url, **changes), root, PLACE)


def good(data: Any, **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


def matrix(*series: Any) -> bytes:
    return good({"resultType": "matrix", "result": list(series)})


def bad(kind: str, said: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": said}).encode()


def saying(status: int, body: bytes, **headers: str) -> Callable[[Stand], None]:
    return lambda stand: stand.say(status, body, **headers)


NO_JSON = (
    "answers /api/v1/query with something that is not the JSON of its API; check that spec.prometheus.url is the "
    "address without /api/v1, and of no login page"
)
LONG = "no such function; " * 40

REFUSALS = {
    "unauthorized": (
        saying(401, b"<html>log in</html>"),
        "refuses the request (401); check spec.prometheus.bearerToken, basicAuth and headers",
    ),
    "forbidden": (
        saying(403, bad("forbidden", "no tenant")),
        "refuses the request (403: no tenant); check spec.prometheus.bearerToken, basicAuth and headers",
    ),
    "a wrong path": (
        saying(404, b"404 page not found"),
        "knows no such path (404); check the path in spec.prometheus.url, for example /prometheus for Mimir",
    ),
    "a wrong query": (
        saying(400, bad("bad_data", "1:7: parse error")),
        "answers with an error (400 bad_data: 1:7: parse error); check the metrics' names and labels",
    ),
    "a long reason": (
        saying(400, bad("bad_data", LONG)),
        f"answers with an error (400 bad_data: {LONG}"[:300] + "…; check the metrics' names and labels",
    ),
    "a failed query": (
        saying(422, bad("execution", "too many samples")),
        "answers with an error (422 execution: too many samples); check the metrics' names and labels",
    ),
    "a query that took too long": (
        saying(503, bad("timeout", "query timed out")),
        "gave up (503 timeout: query timed out); ask again when it is less busy",
    ),
    "a busy server": (saying(429, b"slow down"), "is too busy, 4 times in a row (429); ask again later"),
    "a broken server": (
        saying(500, b"oops"),
        "answers with an error (500 without a reason); look at the server's log",
    ),
    "a login page": (
        saying(200, b"<html>welcome</html>"),
        NO_JSON,
    ),
    "half an answer": (
        saying(200, matrix()[:-9]),
        NO_JSON,
    ),
    "nesting without end": (
        saying(200, b"[" * 200_000),
        NO_JSON,
    ),
    "another form": (
        saying(200, good({"resultType": "vector", "result": [{"metric": [], "value": "x"}]})),
        "answers in a form that is not of its API; check spec.prometheus.url",
    ),
    "a part of the data": (
        saying(200, good({"resultType": "vector", "result": []}, isPartial=True)),
        "answered with a part of the data only; mend the storage that does not answer",
    ),
    "a connection that breaks": (
        saying(200, b"{", Content_Length="100", Connection="close"),
        "broke the connection, 4 times in a row (IncompleteRead); ask again later",
    ),
    "text for the terminal": (
        saying(400, bad("bad_data", "\x1b[2J\u202e::error::")),
        "answers with an error (400 bad_data: \\x1b[2J\\u202e::error::); check the metrics' names and labels",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_goes_wrong_is_told_apart(case: str) -> None:
    answer, message = REFUSALS[case]

    def closing(stand: Stand) -> None:
        answer(stand)
        stand.close_connection = case == "a connection that breaks"

    with standing(closing) as (url, _), pytest.raises(PrometheusError) as caught:
        client(url).vector("up", 0)
    assert str(caught.value) == f"{PLACE}: Prometheus at {url} {message}"
    assert caught.value.exit_code == 3


def test_a_server_that_is_busy_for_a_moment_is_asked_again() -> None:
    answers = iter([(503, b""), (502, b"bad gateway"), (200, matrix())])
    with standing(lambda stand: stand.say(*next(answers), Retry_After="0")) as (url, asked):
        assert [*client(url).raw("up", 0, 60)] == [[]]
    assert len(asked) == 3


def test_a_mistake_is_not_repeated() -> None:
    with standing(saying(400, bad("bad_data", "no"))) as (url, asked):
        with pytest.raises(PrometheusError):
            client(url).vector("up", 0)
        assert len(asked) == 1


def test_retry_after_is_no_order_to_sleep_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with standing(saying(429, b"", Retry_After="3600")) as (url, _), pytest.raises(PrometheusError, match="too busy"):
        client(url).vector("up", 0)
    assert slept == [10.0, 10.0, 10.0]


@pytest.mark.parametrize("pause", [0.05, 60.0])
def test_a_slow_server_costs_no_more_than_the_timeout(pause: float) -> None:
    """The answer would take 50 seconds or more."""
    over = threading.Event()

    def drip(stand: Stand) -> None:
        stand.send_response(200)
        stand.send_header("Content-Length", "1000")
        stand.end_headers()
        while not over.wait(pause):
            stand.wfile.write(b" ")

    begun = time.monotonic()
    with standing(drip) as (url, _):
        try:
            with pytest.raises(PrometheusError, match="did not answer within 1 s; raise"):
                client(url, timeout=1).vector("up", 0)
        finally:
            over.set()
        assert time.monotonic() - begun < 20


def test_a_range_is_asked_for_in_pieces_of_six_hours() -> None:
    with standing(saying(200, matrix())) as (url, asked):
        assert [*client(url).raw("m{}", 0, 13 * 3600)] == [[], [], []]
    assert [form["query"] + form["time"] for _, _, form in asked] == [
        ["m{}[21600s]", "21600"],
        ["m{}[21600s]", "43200"],
        ["m{}[3600s]", "46800"],
    ]
    assert {path for path, _, _ in asked} == {"/api/v1/query"}


def test_what_is_too_large_is_asked_for_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_BYTES", 100_000)

    def answer(stand: Stand) -> None:
        (query,), (at,) = stand.asked[-1][2]["query"], stand.asked[-1][2]["time"]
        span = int(query.partition("[")[2][:-2])
        values = [[int(at) - span + second, "1"] for second in range(1, span + 1)]
        stand.say(200, matrix({"metric": {"a": "b"}, "values": values}))

    with standing(answer) as (url, _):
        found = [*client(url).raw("m{}", 0, 6 * 3600)]
    assert [at for piece in found for one in piece for at in one.times] == [*map(float, range(1, 6 * 3600 + 1))]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_too_much_data_is_an_error_in_bounded_memory(*, packed: bool) -> None:
    body = b" " * 10 * prometheus.MAX_BYTES
    sent = gzip.compress(body, 1) if packed else body
    encoding = {"Content_Encoding": "gzip"} if packed else {}
    with standing(saying(200, sent, **encoding)) as (url, _):
        asking = client(url, timeout=30)
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError, match="more than 16 MB; narrow the metrics down by labels"):
                asking.vector("up", 0)
            assert tracemalloc.get_traced_memory()[1] < 3 * prometheus.MAX_BYTES
        finally:
            tracemalloc.stop()


def test_a_packed_answer_is_unpacked_and_its_remarks_are_kept() -> None:
    hostile = '"}\n::error::\x1b[2J`|<img>${x}'
    body = good(
        {"resultType": "vector", "result": [{"metric": {"a": hostile}, "value": [1, "2"]}]},
        warnings=["half\x1b[2J"],
        infos=["might not be a counter", "might not be a counter"],
    )
    with standing(saying(200, gzip.compress(body), Content_Encoding="gzip")) as (url, asked):
        asking = client(url)
        assert asking.vector("up", 7) == [({"a": hostile}, 2.0)]
    assert asking.warnings == ["half\\x1b[2J", "might not be a counter"]
    assert asked[0][1]["Accept-Encoding"] == "gzip"


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    with standing(saying(200, matrix())) as (other, followed):
        away = saying(307, b"", Location=f"{other}/api/v1/query?token={TOKEN}")
        with standing(away) as (url, _), pytest.raises(PrometheusError) as caught:
            client(url, bearer_token=Secret("TOKEN", "")).vector("up", 0)
    assert "redirect to 127.0.0.1, which is not followed because credentials would go along" in str(caught.value)
    assert not followed
    assert TOKEN not in str(caught.value)


def test_credentials_are_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(f"{TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv("TENANT", "tenant-7")

    def echo(stand: Stand) -> None:
        stand.say(400, bad("bad_data", str(stand.asked[-1][1])))

    protected = {
        "headers": (("X-Scope-OrgID", Secret("TENANT", "")), ("X-Plain", "yes")),
        "basic_auth": ("penstock", Secret("", "password")),
    }
    with standing(echo) as (url, asked), pytest.raises(PrometheusError) as caught:
        client(url, str(tmp_path), **protected).vector("up", 0)
    sent = asked[0][1]
    assert (sent["X-Scope-OrgID"], sent["X-Plain"]) == ("tenant-7", "yes")
    assert sent["Authorization"] == "Basic cGVuc3RvY2s6czNjcjN0LXQwa2Vu"
    for secret in (TOKEN, "tenant-7", "cGVuc3RvY2s6czNjcjN0LXQwa2Vu"):
        assert secret not in str(caught.value)
    monkeypatch.setenv("TOKEN", TOKEN)
    with standing(saying(200, matrix())) as (url, asked):
        [*client(url, bearer_token=Secret("TOKEN", "")).raw("up", 0, 60)]
    assert asked[0][1]["Authorization"] == f"Bearer {TOKEN}"


SECRETS = {
    "unset": (Secret("NOT_SET", ""), "the environment variable NOT_SET of spec.prometheus.bearerToken is empty or not"),
    "no file": (Secret("", "none"), "the file none of spec.prometheus.bearerToken cannot be read (No such file"),
    "lines": (Secret("", "lines"), "the file lines of spec.prometheus.bearerToken holds more than one line"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_that_is_not_there_is_told(case: str, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(f"{TOKEN}\nX-Admin: 1\n", encoding="utf-8")
    secret, message = SECRETS[case]
    with pytest.raises(PrometheusError) as caught:
        client("http://127.0.0.1:1", str(tmp_path), bearer_token=secret)
    assert str(caught.value).startswith(f"{PLACE}: {message}")
    assert TOKEN not in str(caught.value)


def test_a_proxy_is_used_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(saying(407, b"", Proxy_Authenticate="Basic")) as (url, asked):
        monkeypatch.setenv("http_proxy", url.replace("http://", f"http://me:{TOKEN}@"))
        with pytest.raises(PrometheusError) as caught:
            client("http://prometheus.example.com").vector("up", 0)
    assert asked[0][0] == "http://prometheus.example.com/api/v1/query"
    assert asked[0][1]["proxy-authorization"].startswith("Basic ")
    assert TOKEN not in str(caught.value)


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"socks5://me:{TOKEN}@127.0.0.1:1")
    with pytest.raises(PrometheusError, match="is behind a proxy that is not one of HTTP; check HTTPS_PROXY") as caught:
        client("http://prometheus.example.com")
    assert TOKEN not in str(caught.value)


def test_nobody_listens() -> None:
    with pytest.raises(PrometheusError, match=r"cannot be reached \(Connection refused\); check spec.prometheus.url"):
        client("http://127.0.0.1:1").vector("up", 0)


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """Make a certificate that signs itself, and its key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return f"{name}.pem", f"{name}.key"


@pytest.mark.needs("openssl")
def test_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "server")
    user = certificate(tmp_path, "user")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / own, tmp_path / key)
    root = str(tmp_path)
    with standing(saying(200, matrix()), context) as (url, _):
        with pytest.raises(PrometheusError, match=r"cannot be trusted \(self-signed certificate\); set spec.prom"):
            [*client(url, root).raw("up", 0, 60)]
        assert [*client(url, root, ca_file=own).raw("up", 0, 60)] == [[]]
        assert [*client(url, root, insecure=True).raw("up", 0, 60)] == [[]]
        with pytest.raises(PrometheusError, match=r"the files of spec.prometheus.tls \(no.pem\) cannot be used"):
            client(url, root, ca_file="no.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / user[0])
    with standing(saying(200, matrix()), context) as (url, _):
        with pytest.raises(PrometheusError):
            [*client(url, root, ca_file=own).raw("up", 0, 60)]
        known = {"ca_file": own, "cert_file": user[0], "key_file": user[1]}
        assert [*client(url, root, **known).raw("up", 0, 60)] == [[]]
