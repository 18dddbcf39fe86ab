"""An environment with a secret of its own in every setting that may carry one, and the processes that are given it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import quote

from tests.support.exports import focus_account
from tests.support.leaky import LEAKY
from tests.support.secrets import HEADER_SAFE, Secret, new_secret, plain_secret
from tests.support.system import ROOT

AWS_ACCOUNT = (
    '[[account]]\nname = "payer"\nprovider = "aws"\naccount_id = "123456789012"\nexternal_id_env = "PAYER_ID"\n'
    # Nobody listens there: no test asks the real AWS.
    'endpoint = "http://localhost:9"\n'
)
AZURE_ACCOUNT = (
    '[[account]]\nname = "subscription"\nprovider = "azure"\ntoken_env = "SUBSCRIPTION"\n'
    # Nobody listens there: a planted token goes nowhere.
    'scope = "/subscriptions/00000000-0000-0000-0000-000000000000"\nendpoint = "http://127.0.0.1:1"\n'
)
# Variables whose whole value is a secret.
SDK_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET")


@dataclass
class Planted:
    """One secret for each place."""

    redis_user: Secret = field(default_factory=lambda: plain_secret("user of REDIS_URL"))
    redis_password: Secret = field(default_factory=lambda: new_secret("password of REDIS_URL"))
    database_password: Secret = field(default_factory=lambda: new_secret("password of DATABASE_URL"))
    api_token: Secret = field(default_factory=lambda: new_secret("API_TOKEN", HEADER_SAFE))
    wrong_token: Secret = field(default_factory=lambda: new_secret("a wrong token", HEADER_SAFE))
    header: Secret = field(default_factory=lambda: new_secret("a header", HEADER_SAFE))
    query: Secret = field(default_factory=lambda: new_secret("a query"))
    body: Secret = field(default_factory=lambda: new_secret("a body"))
    hook_path: Secret = field(default_factory=lambda: plain_secret("path of ALERT_WEBHOOK_URL"))
    hook_query: Secret = field(default_factory=lambda: new_secret("query of ALERT_WEBHOOK_URL"))
    hook_password: Secret = field(default_factory=lambda: new_secret("password of ALERT_WEBHOOK_URL"))
    external_id: Secret = field(default_factory=lambda: new_secret("variable of external_id_env"))
    azure_token: Secret = field(default_factory=lambda: new_secret("variable of token_env"))
    sdk: tuple[Secret, ...] = field(default_factory=lambda: tuple(new_secret(name) for name in SDK_VARIABLES))

    def all(self) -> list[Secret]:
        """Every secret."""
        own = [getattr(self, one.name) for one in fields(self)]
        return [one for one in own if isinstance(one, Secret)] + list(self.sdk)

    def redis_url(self, where: str, scheme: str = "redis") -> str:
        """A URL with user and password in its user information."""
        return f"{scheme}://{self.redis_user.text}:{quote(self.redis_password.text, safe='')}@{where}"

    def redis_url_by_query(self, where: str) -> str:
        """A URL with both in its query."""
        return f"redis://{where}?username={self.redis_user.text}&password={quote(self.redis_password.text, safe='')}"

    def database_url(self, url: str) -> str:
        """`url` of PostgreSQL with a password, or a URL of SQLite as it is."""
        secret = quote(self.database_password.text, safe="")
        return url.replace("postgres@", f"postgres:{secret}@", 1)

    def webhook_url(self, port: int) -> str:
        """An address that is secret in every part."""
        userinfo = f"holdfast:{quote(self.hook_password.text, safe='')}"
        query = f"key={quote(self.hook_query.text, safe='')}"
        return f"http://{userinfo}@localhost:{port}/services/{self.hook_path.text}?{query}"

    def environment(self, folder: Path, **more: str) -> dict[str, str]:
        """What processes get beside REDIS_URL and DATABASE_URL; what they make for a time goes below `folder`."""
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        sdk = {one.name: one.text for one in self.sdk}
        return {
            **sdk,
            # Requests are really signed with the secrets above.
            "AWS_ACCESS_KEY_ID": "AKIAPLANTED000000000",
            "AWS_EC2_METADATA_DISABLED": "true",
            "API_TOKEN": self.api_token.text,
            "PAYER_ID": self.external_id.text,
            "SUBSCRIPTION": self.azure_token.text,
            "LEAKY": ",".join([*SDK_VARIABLES, "API_TOKEN", "PAYER_ID", "SUBSCRIPTION", "REDIS_URL", "DATABASE_URL"]),
            "LOG_LEVEL": "debug",
            "TMPDIR": str(temporary),
            "NO_PROXY": "localhost",
            "no_proxy": "localhost",
            **more,
        }


def write_accounts(folder: Path) -> Path:
    """Accounts that name variables, and two of `tests.support.leaky`."""
    file = folder / "accounts.toml"
    told, boom = (focus_account(name, "exports/*.csv") for name in ("told", "boom"))
    file.write_text(AWS_ACCOUNT + AZURE_ACCOUNT + told + boom)
    return file


def run_module(
    module: str, *arguments: str, folder: Path, environment: Mapping[str, str], timeout_s: float = 60.0
) -> subprocess.CompletedProcess[bytes]:
    """`python -m module arguments` to its end, with all that it writes."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )


def leaky_command(process: str) -> str:
    """The command of a process with planted mistakes."""
    return f"exec {sys.executable} -m tests.support.leaky {process}"


def without_leaks(environment: Mapping[str, str], names: Sequence[str] = (LEAKY,)) -> dict[str, str]:
    """The environment of processes that nothing is planted in."""
    return {name: value for name, value in environment.items() if name not in names}
