"""A network namespace of a test's own, behind a cable that can be cut: packets vanish, or are answered with a reset."""

import contextlib
import os
import shutil
import subprocess
from typing import Self

DROP = ("DROP",)
REJECT = ("REJECT", "--reject-with", "tcp-reset")


def missing() -> str | None:
    """Why there can be no namespace with a firewall on this machine."""
    if os.geteuid() != 0:
        return "needs root for a network namespace"
    lacking = [tool for tool in ("ip", "iptables") if shutil.which(tool) is None]
    if lacking:
        return f"no {' and no '.join(lacking)}"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "this machine allows no network namespace"


class Namespace:
    """`address` is inside, reached from outside through a pair of interfaces. Everything is gone when it is closed."""

    def __init__(self) -> None:
        mark = os.getpid() % 65_536
        self.name = f"holdfast-{mark}"
        self._outside, inside = f"hfo{mark}", f"hfi{mark}"
        net = f"10.{200 + mark // 16_384}.{mark // 64 % 256}.{mark % 64 * 4}"
        base, last = net.rsplit(".", 1)
        ours, self.address = f"{base}.{int(last) + 1}", f"{base}.{int(last) + 2}"
        _run("ip", "netns", "add", self.name)
        try:
            _run("ip", "link", "add", self._outside, "type", "veth", "peer", "name", inside)
            _run("ip", "link", "set", inside, "netns", self.name)
            _run("ip", "address", "add", f"{ours}/30", "dev", self._outside)
            _run("ip", "link", "set", self._outside, "up")
            self.inside("ip", "address", "add", f"{self.address}/30", "dev", inside)
            self.inside("ip", "link", "set", inside, "up")
            self.inside("ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    @property
    def prefix(self) -> tuple[str, ...]:
        """What comes before a command that is to run inside."""
        return ("ip", "netns", "exec", self.name)

    def inside(self, *command: str) -> None:
        """Run `command` in the namespace."""
        _run(*self.prefix, *command)

    def block(self, port: int, what: tuple[str, ...] = DROP) -> None:
        """From now on this befalls every packet to `port`."""
        self.inside("iptables", "-I", "INPUT", "-p", "tcp", "--dport", str(port), "-j", *what)

    def unblock(self) -> None:
        """Let everything through again."""
        self.inside("iptables", "-F", "INPUT")

    def close(self) -> None:
        """Remove it, and with it both ends of the cable."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("ip", "netns", "delete", self.name)
        subprocess.run(["ip", "link", "delete", self._outside], capture_output=True, check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)
