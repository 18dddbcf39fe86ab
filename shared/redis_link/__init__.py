"""The process's link to Redis, and the class behind it for any URL."""

from shared.core.connection import StateChange
from shared.core.health import RedisHealth
from shared.redis_link.config import LinkConfig
from shared.redis_link.default import (
    close_redis,
    default_link,
    delete_redis_value,
    get_redis,
    get_redis_health_status,
    get_redis_key_ttl,
    get_redis_safe,
    get_redis_value,
    init_redis,
    is_redis_available,
    off_connection_state_change,
    on_connection_state_change,
    redis_key_exists,
    set_default_link,
    set_redis_value,
)
from shared.redis_link.link import RedisLink

__all__ = [
    "LinkConfig",
    "RedisHealth",
    "RedisLink",
    "StateChange",
    "close_redis",
    "default_link",
    "delete_redis_value",
    "get_redis",
    "get_redis_health_status",
    "get_redis_key_ttl",
    "get_redis_safe",
    "get_redis_value",
    "init_redis",
    "is_redis_available",
    "off_connection_state_change",
    "on_connection_state_change",
    "redis_key_exists",
    "set_default_link",
    "set_redis_value",
]
