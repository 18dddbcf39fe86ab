import subprocess
import threading

import pytest
import redis

from shared.core.errors import RedisUnavailableError
from tests.support.links import (
    FAR,
    Port,
    captured,
    connected,
    error_code,
    found_by_a_look,
    limit_code,
    linked,
    speaks_http,
)
from tests.support.need import skip_or_fail
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

FAST = {"first_delay_s": 0.05, "max_delay_s": 0.3}


def with_user(url: str, user: str) -> str:
    return url.replace("redis://", f"redis://{user}@")


def test_a_wrong_password_fails_at_once_is_said_once_with_its_hint_and_heals(server):
    admin = server.admin()
    admin.execute_command("ACL", "SETUSER", "bob", "on", ">right", "~*", "+@all")
    with captured() as lines, linked(with_user(server.url, "bob:wrong-secret"), **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        wait_for(lambda: link.health().details.retry_count >= 3, what="attempts go on")
        assert error_code(link) == "WRONGPASS"
        with pytest.raises(RedisUnavailableError) as caught:
            link.client.ping()
        assert caught.value.code == "WRONGPASS"
        admin.execute_command("ACL", "SETUSER", "bob", ">wrong-secret")
        assert link.wait_connected(20)
        assert "wrong-secret" not in repr(link.health())
    refused = lines.saying("Refused by server (WRONGPASS)")
    assert len(refused) == 1
    assert "Correct user and password" in refused[0]
    assert lines.saying("Connection attempt") == []
    assert "wrong-secret" not in repr(lines.records)


def test_a_missing_password_is_told(server):
    server.admin().config_set("requirepass", "secret")
    with linked(server.url, **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "NOAUTH"


def test_a_password_that_is_rotated_away_is_told_by_the_next_connection_and_heals(server):
    admin = server.admin()
    admin.execute_command("ACL", "SETUSER", "bob", "on", ">old", "~*", "+@all")
    with connected(with_user(server.url, "bob:old"), **FAST) as link:
        admin.execute_command("ACL", "SETUSER", "bob", "<old", ">new")
        with pytest.raises(RedisUnavailableError) as caught:
            link.client.ping()  # the first connection of the pool
        assert (caught.value.code, caught.value.sent) == ("WRONGPASS", False)
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "WRONGPASS"
        admin.execute_command("ACL", "SETUSER", "bob", ">old")
        assert link.wait_connected(20)


def test_a_database_number_out_of_range_is_told(server):
    with linked(server.url.replace("/0", "/99"), **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "NO_DATABASE"


def test_a_user_who_may_not_write_the_beat_is_told_what_to_allow(server):
    server.admin().execute_command("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-set")
    with linked(with_user(server.url, "bob:pw"), **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "NOPERM"
        server.admin().execute_command("ACL", "SETUSER", "bob", "+set")
        assert link.wait_connected(20)


def test_something_that_is_no_redis_is_told():
    with Port(speaks_http) as port, linked(port.url, **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "NOT_REDIS"


def test_a_replica_is_left_by_itself_and_taken_again_when_it_is_promoted(server):
    admin = server.admin()
    with connected(server.url, **FAR) as link:
        client = link.get()
        client.ping()
        admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        wait_for(lambda: not link.is_available(), timeout_s=20, what="left by the beat, without a caller")
        assert error_code(link) == "READONLY"
        with found_by_a_look(link):
            assert (link.health().status, link.health().details.retry_count >= 1) == ("connecting", True)
            admin.execute_command("REPLICAOF", "NO", "ONE")
        assert client.set("a", "b")


def test_a_command_that_meets_a_replica_has_the_link_look_at_once(server):
    with connected(server.url, beat_interval_s=60) as link:
        server.admin().execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(redis.exceptions.ReadOnlyError):
            link.client.set("a", "b")
        wait_for(lambda: not link.is_available(), timeout_s=20, what="left, long before a beat that writes")


def test_a_full_memory_is_told_by_itself_stays_connected_and_heals(server):
    admin = server.admin()
    with captured() as lines, connected(server.url) as link:
        admin.config_set("maxmemory", 1_000_000)
        wait_for(lambda: link.health().details.degraded, timeout_s=20, what="told by the beat, without a caller")
        assert limit_code(link) == "OOM"
        assert (link.health().status, link.is_available()) == ("connected", True)
        assert link.client.get("x") is None
        admin.config_set("maxmemory", 0)
        wait_for(lambda: link.health().details.degraded is None, timeout_s=20, what="healed")
    assert len(lines.saying("limited (OOM)")) == 1
    assert len(lines.saying("Fully usable again")) == 1


def test_a_server_that_is_full_to_begin_with_is_connected_and_degraded(server):
    server.admin().config_set("maxmemory", 1_000_000)
    with connected(server.url, beat_interval_s=60) as link:
        wait_for(lambda: link.health().details.degraded, timeout_s=20, what="told, long before a beat that writes")


def test_a_disk_that_cannot_be_written_is_told_and_heals(server):
    admin = server.admin()
    with connected(server.url) as link:
        admin.set("a", "b")
        admin.config_set("save", "3600 1")
        (server.folder / "dump.rdb").mkdir()  # cannot be replaced by a file
        with pytest.raises(redis.ResponseError):
            admin.save()
        admin.bgsave()
        wait_for(lambda: link.health().details.degraded, timeout_s=20, what="told")
        assert limit_code(link) == "MISCONF"
        admin.config_set("stop-writes-on-bgsave-error", "no")
        wait_for(lambda: link.health().details.degraded is None, timeout_s=20, what="healed")


def test_a_server_without_room_for_clients_is_connecting_and_found_when_there_is_room(server):
    admin = server.admin()
    admin.ping()
    admin.config_set("maxclients", 1)
    with linked(server.url, **FAR) as link, found_by_a_look(link):
        assert (link.health().status, error_code(link)) == ("connecting", "MAXCLIENTS")
        admin.config_set("maxclients", 100)


def test_no_room_for_another_pooled_connection_is_a_limit_not_an_outage(server):
    admin = server.admin()
    admin.ping()
    with connected(server.url) as link:
        admin.config_set("maxclients", 2)
        with pytest.raises(RedisUnavailableError) as caught:
            link.client.get("x")
        assert caught.value.code == "MAXCLIENTS"
        wait_for(lambda: link.health().details.degraded, what="shown")
        assert link.is_available()


def test_a_server_that_runs_a_script_is_left_and_taken_again(server):
    admin = server.admin()
    admin.config_set("lua-time-limit", 100)
    with connected(server.url, **FAR) as link:
        endless = threading.Thread(target=_forever, args=(server,), daemon=True)
        endless.start()
        wait_for(lambda: not link.is_available(), timeout_s=20, what="left")
        wait_for(lambda: error_code(link) == "BUSY", timeout_s=20, what="told")
        with found_by_a_look(link):
            wait_for(lambda: _killed(admin), timeout_s=20, what="the script was ended")
        endless.join(20)


def _forever(server):
    with pytest.raises(redis.ResponseError):
        redis.Redis.from_url(server.url, socket_timeout=120).eval("while true do end", 0)


def _killed(admin):
    try:
        return admin.script_kill()
    except redis.ResponseError as error:
        return "NOTBUSY" in str(error)


def test_a_server_that_loads_its_data_is_waited_for(server):
    admin = server.admin()
    for number in range(500):
        admin.set(f"key:{number}", "x" * 100)
    admin.save()
    server.kill()
    server.args = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    server.start(wait=False)
    with linked(server.url) as link:
        wait_for(lambda: error_code(link) == "LOADING", timeout_s=20, what="told")
        assert link.health().status == "connecting"
        wait_for(link.is_available, timeout_s=40, what="loaded")
        assert link.client.dbsize() >= 500


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        skip_or_fail("no openssl")
    return folder


@pytest.fixture
def tls_server(certificate):
    port = free_port()
    args = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    args += ["--tls-cert-file", str(certificate / "cert.pem"), "--tls-key-file", str(certificate / "key.pem")]
    server = RedisServer(args=args)
    try:
        server.start()
    except AssertionError as error:
        server.close()
        skip_or_fail(f"this redis-server has no TLS: {error}")
    yield server, port
    server.close()


def test_tls_works_and_a_hang_frees_threads_and_heals(tls_server, certificate):
    url = f"rediss://localhost:{tls_server[1]}/0?ssl_ca_certs={certificate}/cert.pem"
    with connected(url, command_timeout_s=60, **FAR) as link:
        link.set_value("k", "v")
        assert link.get_value("k") == "v"
        errors = []

        def wait_long():
            try:
                link.client.blpop("nothing", timeout=50)
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=wait_long, daemon=True)
        thread.start()
        wait_for(lambda: any(c["cmd"] == "blpop" for c in tls_server[0].admin().client_list()), what="it waits")
        tls_server[0].freeze()
        wait_for(lambda: not link.is_available(), timeout_s=20, what="left, though a command may take 60 s")
        thread.join(20)
        assert isinstance(errors[0], RedisUnavailableError)
        with found_by_a_look(link):
            assert link.health().details.retry_count >= 1
            tls_server[0].thaw()


def test_over_tls_too_a_server_that_dies_is_noticed_by_the_end_of_its_stream(tls_server, certificate):
    url = f"rediss://localhost:{tls_server[1]}/0?ssl_ca_certs={certificate}/cert.pem"
    with connected(url, beat_interval_s=60) as link:
        process = tls_server[0].process
        process.kill()
        process.wait(10)
        wait_for(lambda: not link.is_available(), timeout_s=20, what="noticed, long before the next beat")


def test_a_certificate_that_is_not_trusted_is_told(tls_server):
    with linked(f"rediss://localhost:{tls_server[1]}/0", **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "TLS_CERTIFICATE"


def test_tls_against_a_plain_port_is_told(server):
    with linked(server.url.replace("redis://", "rediss://"), connect_timeout_s=0.5, **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "TLS"


def test_no_tls_against_a_tls_port_is_told(tls_server):
    with linked(f"redis://localhost:{tls_server[1]}/0", **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        assert error_code(link) == "TLS"


def test_a_port_that_speaks_tls_after_a_loss_is_told(server, certificate):
    with connected(server.url, **FAST) as link:
        server.kill()
        plain = server.args
        server.args = ("--tls-port", str(server.port), "--port", "0", "--tls-auth-clients", "no")
        server.args += (
            "--tls-cert-file",
            str(certificate / "cert.pem"),
            "--tls-key-file",
            str(certificate / "key.pem"),
        )
        server.start(wait=False)
        wait_for(lambda: error_code(link) == "TLS", timeout_s=20, what="told, though a closed connection was known")
        server.kill()
        server.args = plain
        server.start()
        assert link.wait_connected(20)


def test_protocol_2_works_as_well(server):
    with connected(server.url + "?protocol=2") as link:
        link.set_value("k", "v", 5)
        assert link.get_value("k") == "v"
        assert link.health().details.server_role == "master"
        server.admin().config_set("maxmemory", 1_000_000)
        wait_for(lambda: link.health().details.degraded, timeout_s=20, what="told")
