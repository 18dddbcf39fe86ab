"""In which order a link's state and its gate change: nobody sees one without the other."""

from typing import Any

from shared.core.backoff import Backoff
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection import LinkState, Policy
from shared.redis_link.notify import Notifier
from shared.redis_link.registrar import Registrar
from shared.redis_link.session import ServerFacts


class WatchedGate:
    """Notes what a caller hears who comes, or is freed, at the moment the gate moves."""

    def __init__(self):
        self.registrar: Any = None
        self.seen: list[Any] = []

    def open(self, _address):
        self.seen.append(("opened", self.registrar.memory.state))

    def close(self):
        self.seen.append(("closed", self.registrar.memory.state, self.registrar.refusal()[0].code))


class ASession:
    facts = ServerFacts()
    response_ms = 1.0
    address = None


def connected():
    gate: Any = WatchedGate()
    client: Any = object()
    session: Any = ASession()
    gate.registrar = Registrar(Policy(20, Backoff()), url_shown="redis://test", notifier=Notifier())
    gate.registrar.attach(gate, client)
    term = gate.registrar.begin()
    assert gate.registrar.open_client is None
    assert gate.registrar.connected(term, session)
    assert gate.registrar.open_client is client
    return gate, term


def test_callers_are_let_in_before_anybody_hears_of_the_connection():
    gate, _ = connected()
    assert gate.seen == [("opened", LinkState.CONNECTING)]


def test_who_is_freed_by_a_loss_hears_its_cause():
    gate, term = connected()
    gate.registrar.lost(term, Failure(Code.READONLY))
    assert gate.seen[1:] == [("closed", LinkState.CONNECTING, Code.READONLY)]
    assert gate.registrar.open_client is None


def test_who_is_freed_by_the_end_hears_of_the_end():
    gate, _ = connected()
    gate.registrar.end()
    assert gate.seen[1:] == [("closed", LinkState.DISCONNECTED, Code.CLOSED)]
    assert gate.registrar.open_client is None
