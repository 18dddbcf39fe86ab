import pytest

from shared.core.errors import SettingsError
from shared.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return caught.value.problems


def test_an_empty_environment_gives_the_documented_defaults():
    settings = load_settings()
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.database_url == "sqlite:///var/holdfast.db"
    assert settings.run_retry_delays_s == (60.0, 300.0, 900.0, 3600.0)


@pytest.mark.parametrize(
    ("process", "port", "probe_port"), [("status_api", 4000, 4050), ("scheduler", 4100, 4100), ("worker", 4200, 4200)]
)
def test_each_process_has_its_own_default_ports(process, port, probe_port):
    settings = load_settings()
    assert (settings.port_of(process), settings.probe_port_of(process)) == (port, probe_port)


def test_the_probe_port_of_the_api_follows_its_port(monkeypatch):
    monkeypatch.setenv("PORT", "5000")
    assert load_settings().probe_port_of("status_api") == 5050


def test_a_probe_port_beyond_the_last_port_is_told_before_anything_opens(monkeypatch):
    monkeypatch.setenv("PORT", "65500")
    with pytest.raises(SettingsError, match="PROBE_PORT"):
        load_settings().probe_port_of("status_api")


def test_the_port_in_dotenv_is_honchos_and_not_read(empty_environment):
    (empty_environment / ".env").write_text("PORT=7000\nLOG_LEVEL=WARN\n")
    settings = load_settings()
    assert settings.port is None
    assert settings.log_level == "warn"


def test_a_probe_port_in_dotenv_is_refused_since_it_would_reach_every_process(empty_environment):
    (empty_environment / ".env").write_text("PROBE_PORT=7000\n")
    with pytest.raises(SettingsError, match=r"PROBE_PORT: must not stand in \.env"):
        load_settings()


def test_the_environment_wins_over_dotenv(monkeypatch, empty_environment):
    (empty_environment / ".env").write_text("LOG_LEVEL=debug\n")
    monkeypatch.setenv("LOG_LEVEL", "Error")
    assert load_settings().log_level == "error"


def test_every_mistake_is_one_line_that_names_the_variable(monkeypatch):
    problems = problems_of(monkeypatch, LOG_LEVEL="loud", WORKER_THREADS="0", COST_TIMEZONE="Mars/Olympus")
    assert len(problems) == 3
    assert {problem.split(":")[0] for problem in problems} == {"LOG_LEVEL", "WORKER_THREADS", "COST_TIMEZONE"}
    assert not any("\n" in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("REDIS_URL", "http://localhost", "redis://"),
        ("REDIS_URL", "redis://localhost:99999", "PORT"),
        ("REDIS_URL", "redis://localhost/main", "database number"),
        ("REDIS_URL", "unix://", "socket"),
        ("DATABASE_URL", "mysql://localhost/db", "postgresql://"),
        ("COST_SCHEDULE", "0 2 * *", "five fields"),
        ("COST_SCHEDULE", "61 2 * * *", "five fields"),
        ("RUN_RETRY_DELAYS_S", "60,soon", "commas"),
        ("RUN_RETRY_DELAYS_S", "-1", "between 0"),
        ("RUN_RETRY_DELAYS_S", "nan", "between 0"),
        ("RUN_LEASE_S", "5", "longer than RUN_RENEW_S"),
        ("REDIS_RETRY_MAX_DELAY_S", "0.5", "REDIS_RETRY_FIRST_DELAY_S"),
        ("REDIS_NAMESPACE", "a b", "REDIS_NAMESPACE"),
        ("SHUTDOWN_GRACE_S", "inf", "SHUTDOWN_GRACE_S"),
        ("REDIS_BEAT_INTERVAL_S", "0", "REDIS_BEAT_INTERVAL_S"),
    ],
)
def test_a_value_that_makes_no_sense_is_told_with_its_cure(monkeypatch, name, value, cure):
    assert cure.lower() in " ".join(problems_of(monkeypatch, **{name: value})).lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:hunter2-secret@localhost"),
        ("DATABASE_URL", "mysql://user:hunter2-secret@db"),
        ("API_TOKEN", "hunter2"),
    ],
)
def test_a_mistake_in_a_secret_setting_never_repeats_its_value(monkeypatch, name, value):
    assert "hunter2" not in " ".join(problems_of(monkeypatch, **{name: value}))


def test_the_printed_settings_hold_no_secret(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2-secret@localhost")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2-secret@localhost/db")
    monkeypatch.setenv("API_TOKEN", "hunter2-secret")
    assert "hunter2" not in repr(load_settings())


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize(
    ("given", "days"), [("3,5,10", (3, 5, 10)), (" 10, 3,3 ", (3, 10)), ("28", (28,)), ("0", ()), ("", (3, 5, 10))]
)
def test_restate_days_are_days_of_the_month(monkeypatch, given, days):
    monkeypatch.setenv("COST_RESTATE_DAYS", given)
    assert load_settings().cost_restate_days == days


@pytest.mark.parametrize("given", ["0,3", "29", "3,", "-3", "third", "3 5", "1.5", "100", "\u0663"])
def test_restate_days_that_some_month_lacks_or_that_are_none_are_told(monkeypatch, given):
    (problem,) = problems_of(monkeypatch, COST_RESTATE_DAYS=given)
    assert problem.startswith("COST_RESTATE_DAYS: must be days of the month from 1 to 28")


@pytest.mark.parametrize("given", ["10", "10:60", "24:00", "9:30", "10:00:00", "noon", "-1:00"])
def test_a_deadline_that_is_no_time_of_day_is_told(monkeypatch, given):
    (problem,) = problems_of(monkeypatch, COST_DEADLINE=given)
    assert problem.startswith("COST_DEADLINE: must be a time of day as in 10:00")


@pytest.mark.parametrize(
    "given", ["hooks.example.com/xoxb", "ftp://h/xoxb", "https://", "https:///xoxb", "http://h:x/xoxb"]
)
def test_a_webhook_that_cannot_be_posted_to_is_told_without_its_address(monkeypatch, given):
    (problem,) = problems_of(monkeypatch, ALERT_WEBHOOK_URL=given)
    assert problem.startswith("ALERT_WEBHOOK_URL: must be a URL")
    assert "xoxb" not in problem


def test_deadline_and_webhook_are_unset_unless_given_and_set_to_nothing(monkeypatch):
    assert (load_settings().cost_deadline, load_settings().alert_webhook_url) == (None, None)
    monkeypatch.setenv("COST_DEADLINE", "")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.example.com/services/T0/xoxb")
    assert load_settings().cost_deadline is None
    assert "xoxb" not in repr(load_settings())


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:secretA\u2100secretB@h/0",  # what normalisation turns into a/c
        "redis://u:secretA[secretB@h/0",
        "redis://u:secretA/secretB@h/0",
        "redis://u:12#secretB@h/0",  # would connect to host u at port 12
        "redis://u:12?secretB@h/0",
    ],
)
def test_a_password_that_was_not_encoded_is_told_of_without_any_part_of_it(monkeypatch, url):
    (problem,) = problems_of(monkeypatch, REDIS_URL=url)
    assert "percent-encoded" in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "name", ["PORT", "LOG_LEVEL", "REDIS_NAMESPACE", "COST_SCHEDULE", "COST_TIMEZONE", "COST_DEADLINE", "RUN_LEASE_S"]
)
@pytest.mark.parametrize("secret", ["redis://bob:hunter2@host/0", "Zq7/hunter2", "Zq7hunter2 0 0 0 0"])
def test_a_secret_in_the_wrong_place_is_not_repeated(monkeypatch, name, secret):
    (problem,) = problems_of(monkeypatch, **{name: secret})
    assert "hunter2" not in problem
    assert "not repeated" in problem


def test_a_mistake_in_typing_is_repeated(monkeypatch):
    (problem,) = problems_of(monkeypatch, LOG_LEVEL="loud")
    assert "'loud'" in problem
