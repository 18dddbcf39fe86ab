"""No secret of any alphabet survives redaction, in any of the forms that it may take on its way into a text."""

import base64
import json
from functools import reduce
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.redact import redact_text, redact_url
from shared.observability.redactor import Redactor, secrets_of_url

# The first use of a pattern compiles it, which a busy machine takes its time for.
unhurried = settings(deadline=None)
# Two canaries: half a secret is one, too.
HEAD, TAIL = "Zq7canaryHEAD", "Zq7canaryTAIL"
ANY = st.text(st.characters(codec="utf-8"), max_size=12)
ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
# As headers of the kind may hold (RFC 9110, token68).
TOKEN68 = st.text("abcXYZ019-._~+/", max_size=12)
URLS = (
    "redis://user:{}@host:6379/0",
    "rediss://:{}@host/0?db=1",
    "redis://{}@host",
    "unix://user:{}@/run/redis.sock",
    "unix:///run/redis.sock?db=1&password={}",
    "redis://host/0?username=bob&password={}",
    "postgresql://bob:{}@host:5432/holdfast?sslmode=require",
    "postgresql://bob@host/holdfast?sslpassword={}",
    "https://bob:{}@host/path?page=2",
    "https://host/path?X-Amz-Signature={}&page=2",
    "https://host/path?api_key={}",
)
FORMS = (
    quote,
    lambda text: quote(text, safe=""),
    quote_plus,
    lambda text: quote(text, safe="").lower() if text.islower() else quote(text, safe=""),
    repr,
    lambda text: repr(text.encode()),
    lambda text: repr({"url": text}),
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: f"before {text} after",
)


def assert_hidden(shown):
    assert HEAD not in shown, shown
    assert TAIL not in shown, shown


@pytest.mark.parametrize("url", URLS)
@unhurried
@given(middle=ANY)
def test_no_password_of_a_url_is_shown_though_it_was_not_encoded(url, middle):
    assert_hidden(redact_url(url.format(HEAD + middle + TAIL)))


@pytest.mark.parametrize("url", URLS)
@unhurried
@given(middle=ANY)
def test_no_encoded_password_of_a_url_within_a_text_is_shown(url, middle):
    whole = url.format(quote(HEAD + middle + TAIL, safe=""))
    for text in (f"could not reach {whole}, sorry", repr({"url": whole}), json.dumps([whole, whole])):
        assert_hidden(redact_text(text))


@pytest.mark.parametrize("url", URLS[:4])
@unhurried
@given(middle=ASCII)
def test_a_raw_password_in_a_url_within_a_text_is_hidden_up_to_the_next_blank(url, middle):
    assert_hidden(redact_text(f"could not reach {url.format(HEAD + middle + TAIL)} sorry"))


@pytest.mark.parametrize(
    "text", ["Authorization: Bearer {}", "authorization=basic {}", '"Bearer {}"', "Cookie: a={}; b"]
)
@unhurried
@given(middle=TOKEN68)
def test_no_token_of_a_header_is_shown(text, middle):
    assert_hidden(redact_text(text.format(HEAD + middle + TAIL)))


@pytest.mark.parametrize("name", ["password", "AWS_SECRET_ACCESS_KEY", "X-Api-Key", "api_token", "client_secret"])
@unhurried
@given(middle=ANY)
def test_no_quoted_value_of_a_name_that_tells_is_shown(name, middle):
    value = HEAD + middle + TAIL
    assert_hidden(redact_text(f"{name}={value!r} and so on"))
    assert_hidden(redact_text(repr({name: value})))
    assert_hidden(redact_text(json.dumps({name: value})))


@unhurried
@given(middle=ANY, forms=st.lists(st.sampled_from(FORMS), max_size=3))
def test_a_known_secret_is_hidden_in_every_form_however_often_it_was_escaped(middle, forms):
    secret = HEAD + middle + TAIL
    assert_hidden(Redactor([secret])(reduce(lambda text, form: form(text), forms, secret)))


@unhurried
@given(middle=ANY, before=ANY, after=ANY, forms=st.lists(st.sampled_from(FORMS), max_size=1))
def test_a_known_secret_is_hidden_within_base64(middle, before, after, forms):
    secret = HEAD + middle + TAIL
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{before}{secret}{after}".encode()).decode()
        shown = Redactor([secret])(reduce(lambda text, form: form(text), forms, encoded))
        for canary in (HEAD, TAIL):
            cores = [base64.b64encode(b"\0" * shift + canary.encode())[(shift * 8 + 5) // 6 :] for shift in range(3)]
            assert not any(core.decode().rstrip("=")[:-1] in shown for core in cores), shown


@unhurried
@given(middle=ANY, url=st.sampled_from(URLS[:9]), form=st.sampled_from(FORMS))
def test_what_a_url_holds_is_known_however_it_was_written(middle, url, form):
    password = HEAD + middle + TAIL
    redact = Redactor(secrets_of_url(url.format(quote(password, safe=""))))
    assert_hidden(redact(f"the server said {form(password)}"))
    assert_hidden(redact(f"the server said {quote(quote(password, safe=''))}"))


@unhurried
@given(text=st.text())
def test_whatever_a_url_is_its_secrets_are_asked_for_without_an_error(text):
    assert list(secrets_of_url(text)) is not None
    assert HEAD not in redact_url(f"redis://{text}:{HEAD}@host")
