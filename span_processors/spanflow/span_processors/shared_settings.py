"""The settings that gateways and viewers both read: the servers, the files, and what is kept of a flow."""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import (
    identifier,
    identifier_or_nothing,
    names,
    redis_url,
    seconds,
    text,
    url_with,
    whole,
)
from spanflow.span_processors.setting_table import MIB, SettingTable, setting


@dataclass(frozen=True, slots=True)
class SharedSettings(SettingTable):
    """What every process that reaches the servers needs. Set it for gateways and viewers alike."""

    # -- servers and files ---------------------------------------------------------------------------------------------
    redis_url: str = setting(
        "SPANFLOW_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "Redis 6.2 or newer: redis://, rediss://, unix://, redis+sentinel://host:port,host:port/service, "
        "redis+cluster://host:port (and rediss+ forms).",
        parse=redis_url,
        secret=True,
    )
    redis_timeout: float = setting(
        "SPANFLOW_REDIS_TIMEOUT",
        1.0,
        "Timeout for connecting to Redis and for each of its answers, in seconds.",
        parse=seconds(0.05, 60),
    )
    postgres_dsn: str = setting(
        "SPANFLOW_POSTGRES_DSN",
        "postgresql://127.0.0.1:5432/spanflow",
        "PostgreSQL 14 or newer, also behind pgbouncer in transaction mode.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    postgres_connect_timeout: float = setting(
        "SPANFLOW_POSTGRES_CONNECT_TIMEOUT",
        5.0,
        "Timeout for connecting to Postgres, in seconds.",
        parse=seconds(0.1, 300),
    )
    postgres_timeout: float = setting(
        "SPANFLOW_POSTGRES_TIMEOUT",
        10.0,
        "Timeout for one statement, or for waiting for a lock, in seconds; after that Postgres counts as unavailable.",
        parse=seconds(0.1, 3600),
    )
    schema: str = setting("SPANFLOW_SCHEMA", "omni2", "Postgres schema of all tables.", parse=identifier)
    legacy_schema: str = setting(
        "SPANFLOW_LEGACY_SCHEMA",
        "omni2",
        "Schema of the tables of an application that traced itself before Spanflow. If it differs from "
        "SPANFLOW_SCHEMA, `spanflow migrate` keeps both in sync. Empty: ignore them.",
        parse=identifier_or_nothing,
    )
    data_dir: str = setting(
        "SPANFLOW_DATA_DIR",
        "",
        "Directory for the embedded servers and the spool. Empty: the platform's data directory (/var/lib/spanflow "
        "as root).",
        parse=text,
    )

    # -- storage of flows ----------------------------------------------------------------------------------------------
    stream_ttl: float = setting(
        "SPANFLOW_STREAM_TTL",
        86_400.0,
        "Seconds that a flow stays in Redis after its last event.",
        parse=seconds(60, 30 * 86_400),
    )
    stream_ttl_archived: float = setting(
        "SPANFLOW_STREAM_TTL_ARCHIVED",
        3600.0,
        "Seconds that a flow stays in Redis after it has been stored in Postgres.",
        parse=seconds(1, 30 * 86_400),
    )
    max_flow_spans: int = setting(
        "SPANFLOW_MAX_FLOW_SPANS",
        20_000,
        "Maximum number of spans per flow; later ones are dropped and counted as cut.",
        parse=whole(1, 1_000_000),
    )
    max_flow_bytes: int = setting(
        "SPANFLOW_MAX_FLOW_BYTES",
        32 * MIB,
        "Maximum bytes of JSON per flow; later spans are dropped and counted as cut.",
        parse=whole(1024, 200 * MIB),
    )
    prices: str = setting(
        "SPANFLOW_PRICES",
        "",
        "JSON file with token prices by model. Empty: flows have no cost.",
        parse=text,
    )
    spool_max_bytes: int = setting(
        "SPANFLOW_SPOOL_MAX_BYTES",
        1024 * MIB,
        "Maximum bytes of finished flows that one process keeps on disk while Postgres is unavailable.",
        parse=whole(0, 1024 * 1024 * MIB),
    )
    spool_reserve_bytes: int = setting(
        "SPANFLOW_SPOOL_RESERVE_BYTES",
        256 * MIB,
        "Bytes that the spool leaves free on its disk.",
        parse=whole(0, 1024 * 1024 * MIB),
    )
    metadata_keys: tuple[str, ...] = setting(
        "SPANFLOW_METADATA_KEYS",
        (),
        "Further attributes (or keywords of checkpoints) that hold no contents, comma-separated. Set it for "
        "gateways and viewers alike.",
        parse=names,
    )
