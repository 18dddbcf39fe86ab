"""An authority of a test's own, and certificates by it: a good one, an expired one, one of another name."""

import shutil
import subprocess
from pathlib import Path

HERE = "DNS:localhost,IP:127.0.0.1"


def missing() -> str | None:
    """Why certificates cannot be made on this machine."""
    return None if shutil.which("openssl") else "no openssl"


class Certificates:
    """PEM files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.authority = folder / "authority.pem"
        self.key = folder / "key.pem"
        new_key = ("-newkey", "rsa:2048", "-nodes")
        _openssl(
            "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=authority",
            "-keyout", str(folder / "authority_key.pem"), "-out", str(self.authority),
        )  # fmt: skip
        _openssl(
            "req", *new_key, "-subj", "/CN=localhost", "-keyout", str(self.key), "-out", str(folder / "request.pem")
        )
        self.good = self._signed("good", HERE, days=2)
        self.expired = self._signed("expired", HERE, days=-1)
        self.of_another = self._signed("of_another", "DNS:elsewhere.test", days=2)

    def _signed(self, name: str, names: str, *, days: int) -> Path:
        extensions, made = self._folder / f"{name}.ext", self._folder / f"{name}.pem"
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl(
            "x509", "-req", "-in", str(self._folder / "request.pem"), "-CA", str(self.authority),
            "-CAkey", str(self._folder / "authority_key.pem"), "-CAcreateserial", "-days", str(days),
            "-extfile", str(extensions), "-out", str(made),
        )  # fmt: skip
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
