"""Clients of Cost Explorer and STS, one pair for each way of signing in, shared by all threads of the process.

Sessions of boto3 are not thread-safe, the clients they make are: the former are touched under a lock alone.
"""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import boto3
from botocore.config import Config
from botocore.credentials import Credentials, DeferredRefreshableCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session as Core

from shared.costs.aws import sorts
from shared.costs.aws.access import Access
from shared.costs.aws.errors import BOTOCORE_ERRORS, NOT_AWS, explained, failure
from shared.observability.redactor import hide

if TYPE_CHECKING:
    from mypy_boto3_ce.client import CostExplorerClient
    from mypy_boto3_sts.client import STSClient

T = TypeVar("T")

# Cost Explorer is in no other region.
REGION: Final = "us-east-1"
ROLE_SESSION_NAME: Final = "holdfast"
# A pair takes half a megabyte and a twentieth of a second to make.
PAIRS_KEPT: Final = 64
POOL_CONNECTIONS: Final = 32
# What one call may take: 4 * (4 + 25) s and 7 s of waits for costs, 2 * (1.5 + 2) s and 1 s for STS.
CE_CONNECT_S: Final = 4
CE_READ_S: Final = 25
CE_ATTEMPTS: Final = 4
STS_CONNECT_S: Final = 1.5
STS_READ_S: Final = 2
STS_ATTEMPTS: Final = 2
# How long signing in of another account may be waited for, and how long "no credentials" is believed.
LOCK_S: Final = 30.0
NONE_S: Final = 5.0
# At debug these tell requests and answers with tokens in them, at warning what the run's own line tells.
LOGGERS: Final = ("boto3", "botocore")


class Pair(NamedTuple):
    """`renewable`: the credentials renew themselves, so that an expired one is no reason to give up."""

    ce: "CostExplorerClient"
    sts: "STSClient"
    credentials: Credentials | None
    renewable: bool


class _Key(NamedTuple):
    role_arn: str | None
    external_id_env: str | None
    endpoint: str | None


@dataclass
class Sessions:
    """`pair` makes what is not there, `forget` has it made anew: an expired key in a file may have been replaced."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _none_until_s: float = field(default=0.0, repr=False)
    _base: Core | None = field(default=None, repr=False)
    _pairs: OrderedDict[_Key, Pair] = field(default_factory=OrderedDict, repr=False)

    def pair(self, access: Access) -> Pair:
        """The clients of `access`. Raises ProviderError when there are no credentials to make them with."""
        if not self._lock.acquire(timeout=LOCK_S):
            raise failure(sorts.CREDENTIALS_SOURCE, access, detail=f"no answer within {LOCK_S:g} s")
        try:
            return self._kept(access)
        except BotoCoreError as error:
            # Its text may hold paths and what a credential_process printed.
            raise explained(error, access) from None
        finally:
            self._lock.release()

    def forget(self, access: Access) -> None:
        """Sign in anew at the next call."""
        with self._lock:
            self._pairs.pop(_key(access), None)
            self._base = None

    def external_id(self, access: Access) -> str | None:
        """The external id, None where none is wanted. Raises ProviderError when its variable is not set."""
        if access.external_id_env is None:
            return None
        value = self.environment.get(access.external_id_env)
        if not value:
            raise failure(sorts.NO_EXTERNAL_ID, access)
        return value

    def _kept(self, access: Access) -> Pair:
        key = _key(access)
        found = self._pairs.get(key)
        if found is None:
            found = self._pairs[key] = self._made(access)
        self._pairs.move_to_end(key)
        while len(self._pairs) > PAIRS_KEPT:
            self._pairs.popitem(last=False)
        return found

    def _made(self, access: Access) -> Pair:
        base = self._base_session(access)
        credentials = base.get_credentials()
        base_renews = _renews(credentials)
        if access.role_arn is None:
            return _pair(base, access, credentials, renewable=base_renews)
        sts = _pair(base, access, credentials, renewable=base_renews).sts
        assumed = _deferred(self, access, sts, base_renews=base_renews)
        return _pair(_session_with(assumed, like=base), access, assumed, renewable=True)

    def _base_session(self, access: Access) -> Core:
        if self._base is None:
            # Looking takes seconds where the metadata address swallows packets: not once for each account.
            if time.monotonic() < self._none_until_s:
                raise failure(sorts.NO_CREDENTIALS, access)
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            base = Core()
            base.set_config_variable("region", REGION)
            if base.get_credentials() is None:
                self._none_until_s = time.monotonic() + NONE_S
                raise failure(sorts.NO_CREDENTIALS, access)
            _hide(base.get_credentials())
            self._base = base
        return self._base


def sts_says(ask: Callable[[], T], access: Access) -> T:
    """What `ask` answers. Over a page that a proxy gives in its place botocore stumbles with a KeyError."""
    try:
        return ask()
    except KeyError:
        raise failure(sorts.UNREACHABLE, access, service="STS", detail=NOT_AWS) from None


def _key(access: Access) -> _Key:
    return _Key(access.role_arn, access.external_id_env, access.endpoint)


def _renews(credentials: Credentials | None) -> bool:
    return isinstance(credentials, RefreshableCredentials)


def _hide(credentials: Credentials | None) -> None:
    """Have the log hide the lasting ones by value. Those that renew themselves would be ever more to look for."""
    if credentials is not None and not _renews(credentials):
        hide(text for text in (credentials.secret_key, credentials.token) if text)


def _deferred(sessions: Sessions, access: Access, sts: "STSClient", *, base_renews: bool) -> Credentials:
    """The credentials of the role: asked for at the first call, and again ten minutes before they expire."""

    def given_for(external_id: str | None) -> dict[str, object]:
        wanted: dict[str, Any] = {} if external_id is None else {"ExternalId": external_id}
        answer = sts.assume_role(RoleArn=access.role_arn or "", RoleSessionName=ROLE_SESSION_NAME, **wanted)
        given = answer["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    def assume() -> dict[str, object]:
        external_id = sessions.external_id(access)
        try:
            return sts_says(lambda: given_for(external_id), access)
        except BOTOCORE_ERRORS as error:
            secrets = [external_id] if external_id else []
            raise explained(error, access, renewable=base_renews, secrets=secrets) from None

    return DeferredRefreshableCredentials(refresh_using=assume, method="sts-assume-role")


def _session_with(credentials: Credentials, *, like: Core) -> Core:
    session = Core()
    session.set_config_variable("region", REGION)
    # The models of the services are read once: they are most of a session's time and memory.
    session.register_component("data_loader", like.get_component("data_loader"))
    # botocore offers no other way to give it credentials that renew themselves.
    session._credentials = credentials  # type: ignore[attr-defined] # noqa: SLF001 - as above
    return session


def _pair(core: Core, access: Access, credentials: Credentials | None, *, renewable: bool) -> Pair:
    session = boto3.Session(botocore_session=core, region_name=REGION)
    ce = session.client("ce", endpoint_url=access.endpoint, config=_ce_config())
    sts = session.client("sts", endpoint_url=access.endpoint, config=_sts_config())
    return Pair(ce, sts, credentials, renewable)


def _ce_config() -> Config:
    return _config(CE_CONNECT_S, CE_READ_S, CE_ATTEMPTS)


def _sts_config() -> Config:
    return _config(STS_CONNECT_S, STS_READ_S, STS_ATTEMPTS)


def _config(connect_s: float, read_s: float, attempts: int) -> Config:
    """Mode "standard", since "legacy" does not try again after LimitExceededException."""
    return Config(
        connect_timeout=connect_s,
        read_timeout=read_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=POOL_CONNECTIONS,
    )


SESSIONS: Final = Sessions()
