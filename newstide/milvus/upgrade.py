"""Brings the collections of schema 2 up to date where they are.

Fields cannot be added to a collection of Milvus Lite, so `stories`, which is small, is written anew beside the old one and
takes its name; the others only get the new version. Each step looks at what is there, so that an upgrade that was cut off
goes on where it was, and `headlines`, the last to get the new version, says when all is done. Nobody else may write.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from pymilvus import MilvusClient

from newstide.core import logs
from newstide.core.settings import MilvusSettings
from newstide.embedding.base import ModelCard
from newstide.milvus import aliases, schema
from newstide.milvus.accepted_values import finite
from newstide.milvus.collection import Collection
from newstide.milvus.connection import Connection
from newstide.milvus.opening import open_collection

_BATCH = 2_000  # stories
_VERSION = "newstide.schema"

log = logs.get("upgrade")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was brought up to date; both are zero where everything was so already."""

    models: int
    stories: int


def upgrade(settings: MilvusSettings) -> Upgraded:
    """Brings the collections of every model there is from schema 2 to this version's.

    Raises:
        SchemaMismatch: Something else made the collections, or newstide cannot upgrade their schema in place.
        StoreUnavailable: Milvus is away; the same call goes on.
    """
    connection = Connection(settings)
    try:
        used = aliases.suffix_in_use(connection, settings.prefix)
        if used is None:
            return Upgraded(0, 0)
        counts = [
            _upgrade_model(connection, settings, suffix, led=suffix == used and suffix != "")
            for suffix in (*aliases.others(connection, settings.prefix, used), used)
        ]
        done = [count for count in counts if count is not None]
        return Upgraded(len(done), sum(done))
    finally:
        connection.close()


def _upgrade_model(connection: Connection, settings: MilvusSettings, suffix: str, *, led: bool) -> int | None:
    """The collections of one suffix; returns how many stories were brought over, None where nothing was to be done."""
    prefix = settings.prefix
    if _version(connection, f"{prefix}headlines{suffix}") != schema.UPGRADABLE:
        return None
    card = _card(connection, f"{prefix}headlines{suffix}")
    name = f"{prefix}stories{suffix}"
    old, new = f"{name}_schema2", f"{name}_schema3"
    if _there(connection, name) and _version(connection, name) == schema.UPGRADABLE:
        _rewrite(connection, settings, card, f"{prefix}runs{suffix}", name, new)
        _do(connection, lambda client: client.rename_collection(name, old, timeout=connection.slow_timeout))
    if not _there(connection, name):
        _do(connection, lambda client: client.rename_collection(new, name, timeout=connection.slow_timeout))
    if led:
        aliases.lead_one(connection, f"{prefix}stories", suffix)
    if _there(connection, old):
        _do(connection, lambda client: client.drop_collection(old, timeout=connection.slow_timeout))
    count = Collection(connection, "stories", name, card.dim).count()
    for kind in ("means", "runs", "headlines"):
        _set_version(connection, f"{prefix}{kind}{suffix}")
    log.info("brought up to date", collections=f"{prefix}headlines{suffix}", stories=count)
    return count


def _rewrite(connection: Connection, settings: MilvusSettings, card: ModelCard, runs: str, name: str, new: str) -> None:
    """Writes all stories into a collection of this version's schema; one that was half written is begun anew."""
    if _there(connection, new):
        _do(connection, lambda client: client.drop_collection(new, timeout=connection.slow_timeout))
    open_collection(connection, "stories", new, card, make=True, description_bytes=settings.description_bytes)
    _do(connection, lambda client: connection.load(client, runs))
    _do(connection, lambda client: connection.load(client, name))
    finished = {
        int(run): int(at)
        for frame in Collection(connection, "runs", runs, card.dim).iterate("", ["run", "finished_at"])
        for run, at in zip(frame["run"], frame["finished_at"], strict=True)
    }
    there, made = (Collection(connection, "stories", one, card.dim) for one in (name, new))
    for frame in there.iterate("", there.fields(), _BATCH):
        made.put(_rows(schema.as_of_this_version(frame, finished)))
    made.flush()


def _rows(stories: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): value if name == schema.VECTOR["stories"] else finite(value, f"story {row['cluster_label']}")
            for name, value in row.items()
        }
        for row in stories.to_dict("records")
    ]


def _there(connection: Connection, name: str) -> bool:
    return connection.call(lambda client: bool(client.has_collection(name, timeout=connection.timeout)))


def _version(connection: Connection, name: str) -> str | None:
    properties = _described(connection, name).get("properties") or {}
    version: str | None = properties.get(_VERSION)
    return version


def _set_version(connection: Connection, name: str) -> None:
    new = {_VERSION: schema.SCHEMA_VERSION}
    _do(connection, lambda client: client.alter_collection_properties(name, new, timeout=connection.timeout))


def _card(connection: Connection, name: str) -> ModelCard:
    return schema.read_card(_described(connection, name), name, older=True)


def _described(connection: Connection, name: str) -> dict[str, Any]:
    return connection.call(lambda client: dict(client.describe_collection(name, timeout=connection.timeout)))


def _do(connection: Connection, work: Any) -> None:
    def once(client: MilvusClient) -> None:
        work(client)

    connection.call(once)
