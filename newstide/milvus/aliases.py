"""One name for readers, whichever model made the vectors.

`headlines` is a Milvus alias of `headlines_<first digits of the weights' fingerprint>`, and so are `stories`, `runs` and
`means`. A change of model fills collections of another suffix and turns the aliases; newstide itself looks only at where
`headlines` leads, opens all four by the suffix found there, and so never sees half of a change. Collections that are
called by their plain names, as earlier versions made them, have no suffix, and stay so until their model changes.
"""

import re

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from newstide.core.errors import SchemaMismatch
from newstide.embedding.base import ModelCard
from newstide.milvus import schema
from newstide.milvus.connection import Connection

_DIGITS = 8  # of the fingerprint


def suffix_of(card: ModelCard) -> str:
    """The suffix of the names of collections that hold this model's vectors."""
    return f"_{card.fingerprint[:_DIGITS]}"


def suffix_in_use(connection: Connection, prefix: str) -> str | None:
    """The suffix of the collections that readers are led to: empty for plain names, None where none exist yet."""

    def look(client: MilvusClient) -> str | None:
        name = f"{prefix}headlines"
        if not client.has_collection(name, timeout=connection.timeout):
            return None
        found = _leads_to(client, name, connection.timeout)
        return found.removeprefix(name) if found.startswith(f"{name}_") else ""

    return connection.call(look)


def others(connection: Connection, prefix: str, suffix: str) -> list[str]:
    """The suffixes of collections of headlines that hold another model's vectors than those of `suffix`."""
    name = re.compile(rf"{re.escape(prefix)}headlines(_[0-9a-f]{{{_DIGITS}}})")
    there = connection.call(lambda client: list(client.list_collections(timeout=connection.timeout)))
    return sorted(found[1] for one in there if (found := name.fullmatch(one)) and found[1] != suffix)


def lead(connection: Connection, prefix: str, suffix: str) -> None:
    """Makes all four names lead to the collections of the suffix in use, or of those that were just made.

    Raises:
        SchemaMismatch: `headlines` leads elsewhere by now, or a collection has one of the names.
    """
    for kind in schema.COLLECTIONS:
        _turn(connection, prefix + kind, suffix, take_over=kind != "headlines")


def lead_one(connection: Connection, name: str, suffix: str) -> None:
    """Makes one name lead to its collection of this suffix, wherever it led."""
    _turn(connection, name, suffix, take_over=True)


def swap(connection: Connection, prefix: str, suffix: str, plain_become: str) -> None:
    """Turns all four names to other collections; `headlines` first, which is the change for newstide.

    Args:
        connection: To Milvus.
        prefix: The prefix of every name.
        suffix: The suffix of the collections to lead to, which must exist.
        plain_become: The suffix that collections with plain names get, to make room for the alias; between the renaming
            and the new alias, nothing has the plain name for a moment.
    """
    for kind in schema.COLLECTIONS:
        _turn(connection, prefix + kind, suffix, take_over=True, plain_become=plain_become)


def drop(connection: Connection, prefix: str, suffix: str) -> list[str]:
    """Removes the collections of a suffix that no alias leads to any more, and returns their names."""
    names = [f"{prefix}{kind}{suffix}" for kind in schema.COLLECTIONS]

    def remove(client: MilvusClient) -> list[str]:
        there = [name for name in names if client.has_collection(name, timeout=connection.timeout)]
        for name in there:
            client.drop_collection(name, timeout=connection.slow_timeout)
        return there

    return connection.call(remove)


def _turn(connection: Connection, name: str, suffix: str, *, take_over: bool, plain_become: str = "") -> None:
    target, timeout = name + suffix, connection.timeout

    def turn(client: MilvusClient) -> None:
        if not client.has_collection(name, timeout=timeout):
            try:
                client.create_alias(target, name, timeout=timeout)
                return
            except MilvusException:  # another service that starts at the same time may be quicker
                if not client.has_collection(name, timeout=timeout):
                    raise
        found = _leads_to(client, name, timeout)
        if found == target:
            return
        if found == name and plain_become:
            client.rename_collection(name, name + plain_become, timeout=timeout)
            client.create_alias(target, name, timeout=timeout)
        elif found != name and take_over:
            client.alter_alias(target, name, timeout=timeout)
        else:
            how = "is a collection" if found == name else f"leads to {found!r}"
            raise SchemaMismatch(
                f"{name!r} {how}; it has to lead to {target!r}.",
                "Set NEWSTIDE_MILVUS_PREFIX (or milvus.database) to keep newstide's collections apart.",
            )

    connection.call(turn)


def _leads_to(client: MilvusClient, name: str, timeout: float) -> str:
    """The collection's own name; the same where `name` is no alias."""
    return str(client.describe_collection(name, timeout=timeout)["collection_name"])
