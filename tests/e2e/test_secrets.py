"""Secrets planted in every setting and header: nothing that three processes leave behind holds one, in any form."""

import base64
import socket
import sys
from contextlib import closing, suppress
from urllib.parse import quote

import pytest
import sqlalchemy

from tests.support.planted import Planted, leaky_command, run_module, write_accounts
from tests.support.redis_server import RedisServer
from tests.support.secrets import Evidence
from tests.support.system import running_system
from tests.support.waiting import wait_for
from tests.support.webhook import status, webhook

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

# Three processes start, and run commands beside them, on however busy a machine.
WAIT_S = 90.0
PAGES = ("/health/live", "/health/ready", "/health/dependencies", "/metrics")
ROUTES = ("/openapi.yaml", "/api/v1/runs", "/api/v1/costs", "/api/v1/coverage", "/api/v1/queues", "/api/v1/leaky")


@pytest.mark.parametrize(
    ("fmt", "database"), [("text", "sqlite_url"), ("json", "postgres_url")], ids=["text-sqlite", "json-postgresql"]
)
def test_no_secret_is_left_anywhere_by_processes_that_fail_in_every_way(fmt, database, tmp_path, request):
    planted, evidence = Planted(), Evidence()
    accounts = write_accounts(tmp_path)
    database_url = planted.database_url(request.getfixturevalue(database))
    with (
        webhook(status(500), status(302, Location=f"/{planted.hook_path.text}"), status(204)) as hook,
        RedisServer() as redis,
    ):
        environment = planted.environment(
            tmp_path,
            LOG_FORMAT=fmt,
            COST_DEADLINE="00:00",
            ALERT_WEBHOOK_URL=planted.webhook_url(hook.server_address[1]),
            REDIS_RETRY_FIRST_DELAY_S="0.5",
            REDIS_RETRY_MAX_DELAY_S="1",
        )
        url = planted.redis_url(f"127.0.0.1:{redis.port}/0")
        with running_system(tmp_path, redis_url=url, database_url=database_url, environment=environment) as system:
            system.commands.update({name: leaky_command(name) for name in ("status_api", "worker")})
            system.start().wait_serving(WAIT_S)
            system.wait_each(refused, WAIT_S, "be refused")
            gather_answers(evidence, system, planted)
            let_in(redis, planted)
            system.wait_each(lambda running: running.redis()["status"] == "connected", WAIT_S, "be let in")
            wait_for(lambda: failed_runs(database_url) >= 2, WAIT_S, "the runs to fail")
            wait_for(lambda: hook.received, WAIT_S, "an alert to be posted")
            gather_answers(evidence, system, planted)
            system.wait_said("unexpected" if fmt == "json" else "Unexpected error in a run", name="worker")
            evidence.add_redis(redis.admin())
            evidence.add_processes([running.process.pid for running in system.started.values()])
            evidence.add_files(tmp_path / "tmp")
            gather_commands(evidence, system, tmp_path)
            crash_the_scheduler(system)
        assert {"/api/v1/leaky", "redis client name", "table runs", "table attempts"} <= gather_rest(
            evidence, tmp_path, database_url, accounts
        )
    evidence.assert_clean(planted.all())
    assert "***" in "".join(text for place, text in evidence.pieces if place.startswith("file "))


def refused(running):
    return (running.redis()["lastError"] or {}).get("code") == "WRONGPASS"


def let_in(redis, planted):
    with redis.admin() as admin:
        admin.execute_command(
            "ACL", "SETUSER", planted.redis_user.text, "on", f">{planted.redis_password.text}", "~*", "&*", "+@all"
        )


def failed_runs(database_url):
    engine = sqlalchemy.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:", 1))
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM attempts WHERE outcome = 'failed'"
            return connection.execute(sqlalchemy.text(query)).scalar_one()
    except sqlalchemy.exc.DBAPIError:
        return 0  # not migrated yet
    finally:
        engine.dispose()


def gather_answers(evidence, system, planted):
    """Every page, every route with right and wrong credentials, and requests that nobody should send."""
    for running in system.started.values():
        for page in PAGES:
            gather(evidence, running.probe_port, page, credentials(planted))
    port = system["status_api"].port
    secret_query = f"token={quote(planted.query.text)}&api_key={quote(planted.query.text, safe='')}"
    nothing: dict[str, str] = {}
    for headers in (credentials(planted), wrong_credentials(planted), basic_credentials(planted), nothing):
        for route in (*PAGES, *ROUTES, "/nowhere"):
            gather(evidence, port, route, headers)
            gather(evidence, port, f"{route}?{secret_query}", headers)
    for body, kind in (
        (f'{{"account": "told", "token": "{planted.body.cores[0]}"}}', "application/json"),
        (f"password={quote(planted.body.text)}", "application/x-www-form-urlencoded"),
        (f'{{"password": {planted.body.text}', "application/json"),
        (planted.body.text * 2000, "application/json"),
    ):
        for method in ("POST", "PUT", "DELETE"):
            headers = {**credentials(planted), "Content-Type": kind}
            gather(evidence, port, "/api/v1/runs", headers, method=method, body=body.encode())
    token = planted.header.text.encode()
    for raw in (
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization Bearer " + token + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization : Bearer " + token + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Api-Key: a\r\n " + token + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + token + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: " + token + b"\r\n\r\n",
        b"Authorization: Bearer " + token + b"\r\n\r\n",
        b"GET http://u:" + planted.header.cores[0].encode() + b"@[x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /" + b"x" * 20_000 + token + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        evidence.add("malformed request", exchange(port, raw))


def credentials(planted):
    return {
        "Authorization": f"Bearer {planted.api_token.text}",
        "X-Api-Key": planted.header.text,
        "Cookie": f"session={planted.header.text}",
        "X-Amz-Security-Token": planted.header.text,
        "Proxy-Authorization": f"Bearer {planted.header.text}",
        "Referer": f"http://localhost/?token={quote(planted.query.text)}",
    }


def wrong_credentials(planted):
    return {"Authorization": f"Bearer {planted.wrong_token.text}", "User-Agent": planted.header.text}


def basic_credentials(planted):
    return {"Authorization": "Basic " + base64.b64encode(f"holdfast:{planted.api_token.text}".encode()).decode()}


def gather(evidence, port, path, headers, *, method="GET", body=None):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    answer = exchange(port, "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
    assert answer.startswith(b"HTTP/1."), (path, answer)
    evidence.add(path.partition("?")[0], answer)


def exchange(port, raw):
    with closing(socket.create_connection(("127.0.0.1", port), WAIT_S)) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(raw)
        answer = b""
        # What is left unread of a body that is too large resets the connection, after the answer.
        with suppress(ConnectionResetError, BrokenPipeError):
            while chunk := connection.recv(65_536):
                answer += chunk
        return answer


def gather_commands(evidence, system, folder):
    """What the command prints, done and refused."""
    environment = {**system.environment, "REDIS_URL": system.redis_url, "DATABASE_URL": system.database_url}
    for arguments in (
        ("coverage",),
        ("runs", "--json"),
        ("collect", "--account", "nobody"),
        ("ledger", "check"),
        ("ledger", "adopt"),
    ):
        done = run_module("holdfast_cli", *arguments, folder=folder, environment=environment)
        evidence.add(f"holdfast {' '.join(arguments)}", done.stdout + done.stderr)
        assert b"Traceback" not in done.stderr, done.stderr


def crash_the_scheduler(system):
    system.commands["scheduler"] = leaky_command("scheduler")
    assert system.start("scheduler-2")["scheduler-2"].process.wait(WAIT_S) == 1
    assert system["scheduler-2"].said("The process failed")
    system.commands["scheduler"] = f"exec {sys.executable} -c pass"


def gather_rest(evidence, folder, database_url, accounts):
    """What is left when every process has ended: logs, all other files, the database."""
    evidence.add_files(folder, besides=[accounts])
    evidence.add_database(database_url)
    return evidence.places()
