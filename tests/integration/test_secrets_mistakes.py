"""Settings with secrets in the wrong place: what every program then says holds none, and its exit code is 2."""

from urllib.parse import quote

import pytest

from tests.support.planted import Planted, run_module, write_accounts
from tests.support.secrets import AWKWARD, Evidence, new_secret, plain_secret
from tests.support.system import free_port

pytestmark = pytest.mark.integration

PROGRAMS = ("status_api", "scheduler", "workers", "shared.embedded_redis", "holdfast_cli")
# Percent-encoding was forgotten, or the address stands in another variable.
MISTAKES = {
    "REDIS_URL": ("redis://bob:{}@127.0.0.1:{{}}/x", "http://:{}@127.0.0.1/0", "redis://:{}@127.0.0.1/0?{}=1", "{}"),
    "DATABASE_URL": ("mysql://bob:{}@h/d", "postgresql://bob:{}@h:port{}/d", "{}"),
    "ALERT_WEBHOOK_URL": ("ftp://h/{}", "https://bob:{}@[h/{}", "{}"),
    "ACCOUNTS_FILE": ("redis://bob:{}@h/0", "/nowhere?token={}"),
    "REDIS_NAMESPACE": ("redis://:{}@h/0", "{}"),
    "LOG_LEVEL": ("{}",),
    "PORT": ("{}", "postgresql://bob:{}@h/d"),
    "COST_SCHEDULE": ("{}", "0 {} * * *"),
    "RUN_RETRY_DELAYS_S": ("{}",),
}


def said(program, environment, folder):
    arguments = ["coverage"] if program == "holdfast_cli" else []
    done = run_module(program, *arguments, folder=folder, environment=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_repeats_a_secret_when_it_tells_of_mistakes(program, tmp_path):
    planted, evidence = Planted(), Evidence()
    settings = []
    write_accounts(tmp_path)
    # One of each variable at a time: each gets its line.
    for number in range(max(map(len, MISTAKES.values()))):
        secret = new_secret("a setting", AWKWARD.replace("{", "").replace("}", ""))
        settings.append(secret)
        given = {name: texts[number % len(texts)].replace("{}", secret.text) for name, texts in MISTAKES.items()}
        code, text = said(program, planted.environment(tmp_path, **given), tmp_path)
        evidence.add(f"{program}, mistakes number {number}", text)
        assert code == 2, text
        # What is wrong only for whoever uses it is told later.
        assert text.count(b"\n") >= len(MISTAKES) - 2, text
        assert b"Traceback" not in text
    evidence.assert_clean([*planted.all(), *settings])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_known_secret_is_hidden_even_where_it_looks_like_a_word(program, tmp_path):
    word = "correcthorse"
    write_accounts(tmp_path)
    code, text = said(program, {"AWS_SECRET_ACCESS_KEY": word, "LOG_LEVEL": word, "COST_TIMEZONE": "Mars"}, tmp_path)
    assert code == 2
    assert b"LOG_LEVEL" in text
    assert word.encode() not in text
    assert b"'Mars'" in text


def test_a_secret_that_is_in_dotenv_alone_is_known(tmp_path):
    write_accounts(tmp_path)
    (tmp_path / ".env").write_text("API_TOKEN=correcthorse\nLOG_LEVEL=correcthorse\n")
    code, text = said("status_api", {}, tmp_path)
    assert (code, b"LOG_LEVEL" in text, b"correcthorse" in text) == (2, True, False)


@pytest.mark.parametrize("program", ["status_api", "scheduler", "workers"])
def test_an_accounts_file_with_secrets_in_it_is_told_of_without_them(program, tmp_path):
    planted, evidence = Planted(), Evidence()
    one, two, three = (plain_secret(f"accounts.toml {number}") for number in range(3))
    (tmp_path / "accounts.toml").write_text(
        f'[[account]]\nname = "a"\nprovider = "azure"\nscope = "/s"\ntoken = "{one.text}"\n'
        f'[[account]]\nname = "b"\nprovider = "redis://bob:{two.text}@h/0"\n'
        f'[[account]]\nname = "c"\nprovider = "aws"\naccount_id = "{three.text}"\nexternal_id_env = "{three.text} x"\n'
    )
    code, text = said(program, planted.environment(tmp_path), tmp_path)
    evidence.add(program, text)
    assert code == 2, text
    assert b"token_env" in text
    evidence.assert_clean([*planted.all(), one, two, three])


@pytest.mark.parametrize("program", ["status_api", "holdfast_cli"])
def test_a_host_or_url_that_hides_the_mistake_until_it_is_used_leaks_nothing(program, tmp_path):
    planted, evidence = Planted(), Evidence()
    write_accounts(tmp_path)
    secret = new_secret("a setting")
    for given in (
        {"HOST": f"redis://bob:{quote(secret.text)}@127.0.0.1", "PORT": str(free_port())},
        {"DATABASE_URL": f"postgresql://bob:{secret.cores[0]}@127.0.0.1:1/d?{secret.cores[1]}=1"},
        {"ACCOUNTS_FILE": f"redis://bob:{quote(secret.text)}@h/0"},
        {"HOST": secret.cores[0], "PORT": str(free_port())},
        {"DATABASE_URL": f"postgresql://bob:{secret.cores[0]}[{secret.cores[1]}@127.0.0.1:1/d", "HOST": "x"},
        {"DATABASE_URL": f"postgresql://bob@127.0.0.1:1/d?sslpassword={quote(secret.text)}", "HOST": "x"},
    ):
        code, text = said(program, planted.environment(tmp_path, REDIS_URL="redis://127.0.0.1:1/0", **given), tmp_path)
        assert code in {0, 1, 2}
        assert b"Traceback" not in text, text
        evidence.add(program, text)
    evidence.assert_clean([*planted.all(), secret])
