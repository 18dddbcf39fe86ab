"""The name service of processes under test: a file says where a name leads to, and whether the service answers."""

from pathlib import Path

from tests.support.system import ROOT

NAME = "redis.test"
# Only the one call that the product makes is replaced, and only for the one name: everything else resolves as ever.
SHIM = """
import os, socket, threading

NAME = "{name}"
PLACE = "{file}"
real = socket.getaddrinfo

def answer():
    with open(PLACE) as source:
        return source.read().strip()

def getaddrinfo(host, port, *rest, **more):
    if host != NAME:
        return real(host, port, *rest, **more)
    while (said := answer()) == "hangs":
        threading.Event().wait(0.05)
    if not said:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real(said, port, *rest, **more)

socket.getaddrinfo = getaddrinfo
"""


class Names:
    """What processes started with `environment` are told when they ask for `redis.test`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "names"
        shim = folder / "names_shim"
        shim.mkdir()
        (shim / "sitecustomize.py").write_text(SHIM.format(name=NAME, file=self._file))
        self.environment = {"PYTHONPATH": f"{shim}:{ROOT}"}
        self.unknown()

    def leads_to(self, address: str) -> None:
        """The name has this address."""
        self._say(address)

    def unknown(self) -> None:
        """There is no such name."""
        self._say("")

    def hangs(self) -> None:
        """Whoever asks gets no answer until the name leads somewhere, or nowhere."""
        self._say("hangs")

    def _say(self, what: str) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(what)
        new.replace(self._file)
