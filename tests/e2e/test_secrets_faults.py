"""Every fault of Redis, the database and the webhook, with secrets in the settings: nothing that is said holds one."""

import subprocess
import time
from contextlib import ExitStack, closing, suppress
from functools import partial
from urllib.parse import quote

import psycopg
import pytest

from scheduler.webhook import NotPostedError, Webhook
from tests.support.links import Port, closes, keeps_silent, speaks_http
from tests.support.logs import captured
from tests.support.need import skip_or_fail
from tests.support.planted import Planted, run_module, write_accounts
from tests.support.postgres import start_postgres
from tests.support.redis_server import RedisServer
from tests.support.secrets import Evidence
from tests.support.system import free_port, running_system
from tests.support.waiting import wait_for
from tests.support.webhook import Answer, drip, hang, hang_up, status, webhook

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

WAIT_S = 90.0
PAGES = ("/health/live", "/health/ready", "/health/dependencies", "/metrics")


def old_redis(sock, *, repeats):
    """A server that does not know HELLO, and repeats what it was sent."""
    with suppress(OSError):
        while sent := sock.recv(4096):
            words = " ".join(
                f"'{word}'" for word in sent.decode("utf-8", "replace").split("\r\n")[1:] if word[:1] != "$"
            )
            sock.sendall(f"-ERR unknown command 'HELLO', with args beginning with: {words[:repeats]}\r\n".encode())


# A fault: the code that tells of it, and who stands at the port that the URL leads to.
REDIS_FAULTS = {
    "refused": ("CONNECTION_REFUSED", None),
    "closes": ("CONNECTION_CLOSED", closes),
    "frozen": ("TIMEOUT", keeps_silent),
    "speaks HTTP": ("NOT_REDIS", speaks_http),
    "too old, repeats all": ("NOT_REDIS", partial(old_redis, repeats=10_000)),
    "too old, repeats a part": ("NOT_REDIS", partial(old_redis, repeats=40)),
}


@pytest.mark.parametrize(
    ("fault", "by_query"),
    [*((fault, False) for fault in REDIS_FAULTS), ("refused", True), ("too old, repeats all", True)],
)
def test_a_redis_that_cannot_be_used_makes_nobody_tell_a_secret(fault, by_query, tmp_path):
    planted = Planted()
    code, manner = REDIS_FAULTS[fault]
    with ExitStack() as stack:
        port = stack.enter_context(Port(manner)).port if manner else free_port()
        where = f"127.0.0.1:{port}/0"
        url = planted.redis_url_by_query(where) if by_query else planted.redis_url(where)
        assert_silent_about_redis(url, code, planted, tmp_path)


@pytest.mark.parametrize(
    ("where", "scheme", "code"),
    [
        ("127.0.0.1:{port}/99", "redis", "NO_DATABASE"),
        ("127.0.0.1:{port}/0", "rediss", "TLS"),
        ("no-such-host.invalid:{port}/0", "redis", None),
    ],
)
def test_a_wrong_address_of_redis_makes_nobody_tell_a_secret(where, scheme, code, tmp_path):
    planted = Planted()
    with RedisServer() as server:
        with closing(server.admin()) as admin:
            who, password = planted.redis_user.text, planted.redis_password.text
            admin.execute_command("ACL", "SETUSER", who, "on", f">{password}", "~*", "+@all")
        url = planted.redis_url(where.format(port=server.port), scheme)
        assert_silent_about_redis(url, code, planted, tmp_path)


def assert_silent_about_redis(url, code, planted, folder):
    evidence = Evidence()
    write_accounts(folder)
    environment = planted.environment(folder, REDIS_BEAT_TIMEOUT_S="0.5", REDIS_RETRY_FIRST_DELAY_S="0.3")
    database = f"sqlite:///{folder}/holdfast.db"
    with running_system(folder, redis_url=url, database_url=database, environment=environment) as system:
        system.start("scheduler").wait_serving(WAIT_S)
        error = wait_for(lambda: system["scheduler"].redis()["lastError"], WAIT_S, "an error of Redis")
        assert error["code"] == code or (code is None and error["code"] in {"UNKNOWN_HOST", "NAME_TIMEOUT"}), error
        wait_for(lambda: system["scheduler"].redis()["retryCount"] >= 1, WAIT_S, "another attempt")
        gather(evidence, system, folder)
        adopted = command(evidence, environment, url, database, folder, "ledger", "adopt")
        assert adopted.returncode == 1
    evidence.add_files(folder, besides=[folder / "accounts.toml"])
    evidence.assert_clean(planted.all())


@pytest.fixture(scope="module")
def locked_postgres():
    """A PostgreSQL that asks for a password."""
    server = start_postgres()
    hba = server._data / "pg_hba.conf"
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE holdfast LOGIN PASSWORD 'another one'")
            hba.write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://holdfast:{secret}@127.0.0.1:{port}/postgres",  # a wrong password
        "postgresql://holdfast@127.0.0.1:{port}/postgres?password={secret}",
        "postgresql://postgres:{secret}@127.0.0.1:{port}/nowhere",  # an unknown database
        "postgresql://postgres:{secret}@127.0.0.1:{port}/postgres?sslmode=require",
        "postgresql://postgres:{secret}@127.0.0.1:{port}/postgres?sslpassword={secret}&sslmode=require",
        "postgresql://postgres:{secret}@no-such-host.invalid:{port}/postgres",
        "postgresql://holdfast:{secret}@127.0.0.1:{free}/postgres",  # nobody there
        "postgresql://holdfast:{raw}@127.0.0.1:{free}/postgres",  # not percent-encoded
        "sqlite:////dev/null/{core}.db",
    ],
)
def test_a_database_that_cannot_be_used_makes_nobody_tell_a_secret(url, locked_postgres, tmp_path):
    planted, evidence = Planted(), Evidence()
    write_accounts(tmp_path)
    secret = planted.database_password
    database = url.format(
        secret=quote(secret.text, safe=""),
        raw="/[".join(secret.cores),
        core="ledger",
        port=locked_postgres.port,
        free=free_port(),
    )
    away = f"redis://127.0.0.1:{free_port()}/0"
    environment = planted.environment(tmp_path, LOG_FORMAT="json")
    with running_system(tmp_path, redis_url=away, database_url=database, environment=environment) as system:
        system.start("scheduler").wait_serving(WAIT_S)
        wait_for(lambda: "Not checked" not in str(system.ready("scheduler")["checks"]["database"]), WAIT_S, "a check")
        system.wait_said('"database.', WAIT_S)
        assert system.ready("scheduler")["checks"]["database"]["status"] == "down"
        gather(evidence, system, tmp_path)
        assert command(evidence, environment, away, database, tmp_path, "runs").returncode != 0
    evidence.add_files(tmp_path, besides=[tmp_path / "accounts.toml"])
    evidence.assert_clean(planted.all())


def gather(evidence, system, folder):
    for running in system.started.values():
        for page in PAGES:
            answer = running.probe(page)
            evidence.add(page, f"{answer.headers} {answer.body!r}")
        evidence.add_processes([running.process.pid])
    evidence.add_files(folder / "tmp")


def command(evidence, environment, redis_url, database_url, folder, *arguments):
    settings = {**environment, "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    done = run_module("holdfast_cli", *arguments, folder=folder, environment=settings)
    evidence.add(f"holdfast {arguments}", done.stdout + done.stderr)
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    command_line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other"]
    try:
        subprocess.run(
            [*command_line, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        skip_or_fail("no openssl to make a certificate with")
    return folder


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_webhook_that_fails_in_every_way_is_told_of_without_its_address(fmt, certificate, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    planted, evidence = Planted(), Evidence()
    elsewhere = f"http://u:{planted.hook_path.text}@localhost:1/{planted.hook_path.text}"
    ways: list[list[Answer]] = [
        [status(500)],
        [status(302, Location=elsewhere)],
        [status(307, Location=elsewhere)],
        [status(307, Location=f"gopher://{planted.hook_path.text}/")],
        [status(307, Location=f"http://[{planted.hook_path.text}/")],
        [hang_up],
        [hang],
        [drip],
    ]
    with captured(fmt=fmt, level="debug") as lines:
        for answers in ways:
            with webhook(*answers) as server:
                evidence.add("problem", problem_of(planted.webhook_url(server.server_address[1])))
        with webhook(certificate=certificate) as server:
            url = planted.webhook_url(server.server_address[1]).replace("http:", "https:", 1)
            evidence.add("problem", problem_of(url))
        for url in (planted.webhook_url(free_port()), planted.webhook_url(1).replace("localhost", "nowhere.invalid")):
            evidence.add("problem", problem_of(url))
    evidence.add("log", lines.text)
    assert len(evidence.pieces) == len(ways) + 4
    evidence.assert_clean(planted.all())


def problem_of(url):
    began_s = time.monotonic()
    with pytest.raises(NotPostedError) as caught:
        Webhook(url, deadline_s=1.0).post({}, key="key")
    assert time.monotonic() - began_s < 30
    return f"{caught.value!r} {caught.value.summary} {caught.value.__cause__!r}"
