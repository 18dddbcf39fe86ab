"""Accepting without descriptors: what the reserve gives up may go to another thread first."""

import errno

import pytest
from waitress.server import TcpWSGIServer

from shared.probes.reserve import RESERVE, Reserve, ReservedServer


@pytest.fixture
def accept(monkeypatch):
    """Accept with a kernel that says `no` so many times; how often it was asked."""

    def made(no: int, *, because: int = errno.EMFILE):
        asked = []

        def from_the_kernel(_server):
            asked.append(1)
            if len(asked) <= no:
                raise OSError(because, "no")
            return "a connection"

        monkeypatch.setattr(TcpWSGIServer, "accept", from_the_kernel)
        server = ReservedServer.__new__(ReservedServer)
        server._reserve = Reserve()
        try:
            return server.accept(), len(asked)
        except OSError as error:
            return error.errno, len(asked)
        finally:
            server._reserve.close()

    return made


@pytest.mark.parametrize("stolen", [0, 1, 5, RESERVE - 1])
def test_what_others_take_of_the_reserve_is_made_up_for_from_the_rest(accept, stolen):
    assert accept(1 + stolen) == ("a connection", 2 + stolen)


def test_a_reserve_that_is_spent_is_told(accept):
    assert accept(RESERVE + 1) == (errno.EMFILE, RESERVE + 1)


def test_any_other_refusal_costs_nothing_of_the_reserve(accept):
    assert accept(1, because=errno.ECONNABORTED) == (errno.ECONNABORTED, 1)
