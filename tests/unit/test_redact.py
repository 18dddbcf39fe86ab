import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.redact import may_be_secret, redact_text, redact_url

SECRETS = ("s3cret", "p%40ss", "p@ss", "p/ss", "hunter2")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@host:6379/0",
        "redis://bob:p%40ss@host/0",
        "redis://bob:p@ss@host/0",
        "redis://bob:p/ss@host:6379/0",
        "rediss://hunter2@host/0",
        "redis://host:6379/0?password=hunter2&db=1",
        "unix://bob:s3cret@/run/redis.sock?password=hunter2",
        "postgresql://bob:hunter2@db:5432/holdfast?sslmode=require",
        "https://host/path?X-Amz-Signature=hunter2&page=2",
        "REDIS://:s3cret@HOST",
        "redis://bob:p/hunter2@hunter2@host/0",
        "redis://host/0?password=hunter2@hunter2",
        "redis://host/0?password=a&b=hunter2",
        "postgresql://host/holdfast?sslpassword=hunter2",
        "redis://bob:hunter2://p/ss@host/0",
    ],
)
def test_no_credential_of_a_url_is_shown(url):
    for shown in (redact_url(url), redact_text(f"could not reach {url}, sorry"), redact_text(f"{{'url': '{url}'}}")):
        assert not any(secret in shown for secret in SECRETS), shown
        assert "***" in shown


def test_a_url_is_one_up_to_its_end_though_a_password_with_a_blank_stands_in_it():
    assert redact_url("redis://bob:hunter2 hunter2@host/0") == "redis://***@host/0"


@pytest.mark.parametrize(
    "url", ["redis://localhost:6379/0", "redis://[::1]:6379/2", "unix:///run/redis.sock?db=1", "sqlite:///var/x.db"]
)
def test_a_url_without_credentials_is_shown_as_it_is(url):
    assert redact_url(url) == url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef.ghi-jkl", "Authorization: Bearer ***"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+ghi done", "AWS_SECRET_ACCESS_KEY=*** done"),
        ("{'password': 'hunter2', 'db': 0}", "{'password': '***', 'db': 0}"),
        ("api_key=abc123&page=2", "api_key=***&page=2"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1 sent", "token *** sent"),
        ("AUTH bob hunter2", "AUTH ***"),
        (
            "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'bob' 'hun",
            "unknown command 'HELLO', with args beginning with: ***",
        ),
        ("Cookie: session=hunter2; theme=dark", "Cookie: ***"),
        ("{'password': 'it\\'s hunter2', 'db': 0}", "{'password': '***', 'db': 0}"),
        ("at redis://bob:p'a;s@s/0@host/1, then", "at redis://***@host/1, then"),
        ("at postgresql://host/d?sslpassword=a&b=c", "at postgresql://host/d?sslpassword=***"),
        ("at 'https://host/p?token=hunter2', then", "at 'https://host/p?token=***', then"),
    ],
)
def test_credentials_in_text_are_hidden(text, shown):
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "AUTH <password> called without any password configured for the default user",
        "mail ops@example.org about it",
        "Redis: Connection attempt 1/20 failed, retrying in 1000ms",
    ],
)
def test_ordinary_text_is_left_alone(text):
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "value", ["redis://u:p@h", "a@b", "Zq7hunter2", "correct-horse-battery-staple", "Bearer abcdefg"]
)
def test_a_value_that_may_be_a_secret_is_told_from_a_mistake_in_typing(value):
    assert may_be_secret(value)


@pytest.mark.parametrize(
    "value", ["verbose", "0 25 * * *", "25:61", "Europe/Berlni", "60,300,x", "1h30m", "-1", "70000"]
)
def test_a_mistake_in_typing_may_be_repeated(value):
    assert not may_be_secret(value)


def test_known_secrets_are_hidden_wherever_they_stand_the_longest_first():
    assert redact_text("a hunter2-long b hunter2 c", ["hunter2", "hunter2-long"]) == "a *** b *** c"


def test_a_known_secret_too_short_to_tell_from_a_word_is_left():
    assert redact_text("a cat", ["a"]) == "a cat"


@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@*"), min_size=1))
def test_whatever_the_password_its_url_never_shows_it(password):
    assert redact_url(f"redis://user:{password}@host:6379/0").count(f":{password}@") == 0


@given(text=st.text())
def test_redacting_twice_changes_nothing_more(text):
    once = redact_text(text)
    assert redact_text(once) == once


def test_the_longest_secret_goes_first_lest_a_shorter_one_leave_its_ends():
    assert redact_text("it is azzzzb", ["zzzz", "azzzzb"]) == "it is ***"


@pytest.mark.parametrize(("secret", "shown"), [("abcd", "x *** y"), ("abc", "x abc y")])
def test_a_secret_of_four_characters_is_hidden_and_a_shorter_one_would_blank_out_words(secret, shown):
    assert redact_text(f"x {secret} y", [secret]) == shown


def test_a_url_without_a_scheme_shows_no_secret_parameter():
    assert redact_url("/path?page=2&token=hunter2") == "/path?page=2&token=***"
