"""The search for secrets finds one wherever it was left, in each form: what finds nothing would prove nothing."""

import base64
import json
import subprocess
import sys
from contextlib import closing
from urllib.parse import quote

import pytest
import redis

from shared.ledger.accounts import sync_accounts
from tests.support.planted import Planted
from tests.support.redis_server import RedisServer
from tests.support.secrets import Evidence, new_secret, plain_secret
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


def found(evidence, secret):
    return {leak.place for leak in evidence.leaks([secret])}


@pytest.mark.parametrize(
    "shape",
    [
        str,
        repr,
        str.swapcase,
        lambda text: text[::-1],
        lambda text: quote(text, safe=""),
        lambda text: json.dumps({"value": json.dumps(text)}),
        lambda text: text.encode().hex(),
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
        lambda text: base64.b64encode(f"users:{text}".encode()).decode(),
        lambda text: base64.urlsafe_b64encode(f"{text}:user".encode()).decode(),
        lambda text: text[: len(text) // 2],
        lambda text: text[len(text) // 2 :],
    ],
)
def test_a_secret_is_found_in_each_form_and_in_half(shape):
    secret, other = new_secret("a secret"), new_secret("another")
    evidence = Evidence()
    evidence.add("there", f"before {shape(secret.text)} after")
    evidence.add("elsewhere", f"before {shape(other.text)} after")
    assert found(evidence, secret) == {"there"}
    with pytest.raises(AssertionError, match="there"):
        evidence.assert_clean([secret])
    evidence.assert_clean([plain_secret("a third")])


def test_a_secret_is_found_in_files_and_their_names(tmp_path):
    secret, evidence = plain_secret("a secret"), Evidence()
    (tmp_path / "mine").write_text(secret.text)
    (tmp_path / "log").write_bytes(b"\xff\x00" + secret.text.encode())
    (tmp_path / secret.text).touch()
    evidence.add_files(tmp_path, besides=[tmp_path / "mine"])
    assert found(evidence, secret) == {"file log", f"name of {secret.text}"}


def test_a_secret_is_found_on_a_command_line_and_in_a_child_of_the_process():
    secret, evidence = plain_secret("a secret"), Evidence()
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()', '{secret.text}'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:

        def searched():
            evidence.add_processes([process.pid])
            return len(found(evidence, secret)) >= 2

        wait_for(searched, 20, "both command lines to be found")
        process.communicate(b"\n")
    assert len(found(evidence, secret)) == 2


def test_a_secret_is_found_in_every_kind_of_redis_value_and_in_a_client_name():
    secret, evidence = plain_secret("a secret"), Evidence()
    with RedisServer() as server, closing(server.admin()) as admin:
        admin.set("string", secret.text)
        admin.hset("hash", "field", secret.text)
        admin.rpush("list", secret.text)
        admin.sadd("set", secret.text)
        admin.zadd("zset", {secret.text: 1})
        admin.xadd("stream", {"field": secret.text})
        admin.set(f"key {secret.text}", "")
        with closing(redis.Redis.from_url(server.url, client_name=secret.text)) as named:
            named.ping()
            evidence.add_redis(admin)
    kinds = ("string", "hash", "list", "set", "zset", "stream")
    named_key = f"key {secret.text}".encode()
    key_places = {f"redis key {named_key!r}", f"redis value of {named_key!r}"}
    values = {f"redis value of {kind.encode()!r}" for kind in kinds}
    assert found(evidence, secret) - key_places == {*values, "redis client name"}
    assert f"redis key {named_key!r}" in found(evidence, secret)


def test_a_secret_is_found_in_any_column_of_the_database(database, database_url):
    secret, evidence = plain_secret("a secret"), Evidence()
    sync_accounts(database, [(secret.text, "focus", False)])
    evidence.add_database(database_url)
    assert found(evidence, secret) == {"table accounts"}


def test_the_planted_secrets_differ_from_each_other():
    planted = Planted().all()
    assert len({core for one in planted for core in one.cores}) == sum(len(one.cores) for one in planted) > 20
