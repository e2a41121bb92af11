"""Requests to one collection, within the limits of a Milvus server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pymilvus import MilvusClient

from newstide.core.errors import StoreLimit
from newstide.milvus import schema
from newstide.milvus.connection import Connection
from newstide.milvus.filters import above, all_of, any_of, quote
from newstide.milvus.rows import Hits

MOST = 16_384  # rows, queries or hits that a server takes in one request
KEYS = 1_000  # ids in one filter
_REQUEST_BYTES = 16 * 2**20  # of rows or queries sent; a server refuses more than 64 MB
_ANSWER_BYTES = 32 * 2**20  # of rows received
_QUERIES = 1_000  # queries of one search: fewer are slow on Lite, more make large requests
_GROWTH = 4  # times as many rows a page of a large collection has on Lite
_LITTLE = 1.5  # times the duration: a page of twice the size that takes less is mostly time spent on rows of no page
_HITS = 250_000  # hits of one search's answer: about 25 MB
_SEARCH_WIDTH = 2  # candidates that an HNSW search keeps (ef), as a multiple of the limit
_COLUMN_BYTES = {
    "description": 8_000,
    "title": 600,
    "url": 600,
    "content": 60_000,
}  # estimated bytes; others: 150


class Collection:
    """One collection of an open store.

    Args:
        connection: To Milvus.
        kind: One of `schema.COLLECTIONS`.
        name: What it is called in Milvus.
        dim: The dimensions of its vectors.
    """

    def __init__(self, connection: Connection, kind: str, name: str, dim: int) -> None:
        self.kind = kind
        self.name = name
        self.dim = dim
        self._connection = connection
        self._key = schema.PRIMARY[kind]
        self._described: dict[str, Any] = {}  # Milvus' description, kept while the rows written fit it

    def fields(self) -> list[str]:
        """The names of its fields, the vector among them, as Milvus has them."""
        described = self._connection.call(
            lambda client: client.describe_collection(self.name, timeout=self._connection.timeout)
        )
        return [str(field["name"]) for field in described["fields"]]

    def query(self, where: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """The rows that match a filter now; the filter must not match more than `MOST`."""
        return self._all(where, columns, limit=MOST)

    def by_key(self, keys: Sequence[str] | Sequence[int], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows with these keys, as of now, in no order; `columns` plus the key."""
        wanted = list(dict.fromkeys([*columns, self._key]))
        for some in chunks(list[str | int](dict.fromkeys(keys)), min(KEYS, self._rows_an_answer(wanted))):
            yield from self.query(any_of(self._key, some), wanted)

    def count(self, where: str = "") -> int:
        """How many rows there are, as of now."""
        if where and self._connection.lite:  # Lite counts by reading whole rows; keys alone take a third
            return sum(len(rows) for rows in self._pages(where, [self._key], MOST, _GROWTH * MOST))
        (row,) = self._all(where, ["count(*)"])
        return int(row["count(*)"])

    def iterate(self, where: str, columns: Sequence[str], batch_size: int | None = None) -> Iterator[pd.DataFrame]:
        """Frames of at most `batch_size` rows, ascending by key, each as of when it is read."""
        wanted = list(dict.fromkeys([*columns, self._key]))
        size = max(1, min(batch_size or MOST, self._rows_an_answer(wanted), MOST))
        most = size if batch_size else _GROWTH * size
        pages = self._pages(where, wanted, size, most) if self._connection.lite else self._batches(where, wanted, size)
        for rows in pages:
            yield self.frame(rows, columns)

    def search(self, vectors: npt.NDArray[np.float32], limit: int, where: str = "") -> Hits:
        """The `limit` rows nearest to each vector by cosine, best first.

        Raises:
            StoreLimit: `limit` or the vectors are outside what a server accepts.
        """
        if not 1 <= limit <= MOST:
            raise StoreLimit(f"A search for {limit:,} hits is outside 1 to {MOST:,}.")
        queries = np.ascontiguousarray(vectors, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise StoreLimit(f"Search vectors of shape {queries.shape} are not rows of {self.dim} numbers.")
        lengths = np.linalg.norm(queries, axis=1)
        if wrong := np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))).tolist():
            raise StoreLimit(f"Search vector {wrong[0]} is zero or not finite.")
        ids = np.full((len(queries), limit), None, object)
        similarities = np.full((len(queries), limit), -np.inf, np.float32)
        step = max(1, min(_QUERIES, _HITS // limit, _REQUEST_BYTES // (self.dim * 4)))
        for start in range(0, len(queries), step):
            for number, hits in enumerate(self._nearest(queries[start : start + step], limit, where), start):
                for rank, hit in enumerate(hits):
                    ids[number, rank] = hit[self._key]
                    similarities[number, rank] = hit["distance"]
        return Hits(ids, similarities)

    def put(self, rows: Sequence[Mapping[str, Any]], *, partly: bool = False, again: bool = True) -> None:
        """Writes rows. A row whose key exists already is replaced; with `partly`, only its given fields are.

        With `again=False` no request is sent twice, even where its answer is lost.
        """
        start, size = 0, 0
        sizes = [_size(row) for row in rows]
        for stop in range(len(rows) + 1):
            if stop == len(rows) or size + sizes[stop] > _REQUEST_BYTES or stop - start == MOST:
                if stop > start:
                    self._put(rows[start:stop], partly=partly, again=again)
                start, size = stop, 0
            if stop < len(rows):
                size += sizes[stop]

    def delete(self, keys: Sequence[str] | Sequence[int]) -> None:
        """Removes the rows with these keys."""
        for some in chunks(keys, KEYS):
            self._delete(any_of(self._key, some))  # a filter, since the client's ids=... quotes keys as Python does

    def flush(self) -> None:
        """Moves written rows out of the write-ahead log, which Lite searches row by row."""
        self._connection.call(lambda client: client.flush(self.name, timeout=self._connection.slow_timeout))

    def frame(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
        """Rows as a frame; vectors as (dim,) float32 arrays."""
        frame = pd.DataFrame(list(rows), columns=list(columns))
        vector = schema.VECTOR[self.kind]
        if vector in frame:
            frame[vector] = pd.Series([np.asarray(row[vector], np.float32) for row in rows], dtype=object)
        return frame

    def _put(self, rows: Sequence[Mapping[str, Any]], *, partly: bool, again: bool) -> None:
        if partly:
            data = [dict(row) for row in rows]
            self._connection.call(
                lambda client: client.upsert(self.name, data, timeout=self._connection.timeout, partial_update=True),
                collection=self.name,
            )
        else:
            self._connection.call(lambda client: self._send(client, rows), again=again)

    def _send(self, client: MilvusClient, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes whole rows, column by column.

        The client's own `insert` and `upsert` take rows alone, and pack them value by value: this holds the interpreter's
        lock, so that no model can compute. The layer below takes columns.
        """
        timeout = self._connection.timeout
        described = self._described or client.describe_collection(self.name, timeout=timeout)
        self._described = {}
        types = {field["name"]: field["type"] for field in described["fields"]}
        columns = [
            {"name": name, "type": types.get(name), "values": [_sent(row[name]) for row in rows]} for name in rows[0]
        ]
        handler: Any = client._get_connection()
        # Lite's insert replaces rows at half an upsert's cost; a server's insert would keep two rows of one key.
        write = handler.batch_insert if self._connection.lite else handler.upsert
        write(self.name, columns, timeout=timeout, context=client._generate_call_context(), schema=described)
        self._described = described

    def _pages(self, where: str, columns: Sequence[str], size: int, most: int) -> Iterator[list[dict[str, Any]]]:
        """Rows by key, from Lite: each request looks at every row, so the client's iterator, asking twice, is slow.

        Large pages take less time in all, but every other request has to wait for each of them. Pages grow up to `most`
        rows as long as one of twice the size takes little longer, since then it is not the rows of a page that take time.
        """
        behind, asked, before, grows = "", size, float("inf"), True
        while True:
            started = time.monotonic()
            rows = self._all(all_of(behind, where), columns, limit=asked, iterator="True")  # rows ascend by key
            took = time.monotonic() - started
            if rows:
                yield rows
            if len(rows) < asked:
                return
            behind = self._behind(rows[-1][self._key])
            if grows:
                grows = took < _LITTLE * before
                asked = min(2 * asked, most) if grows else max(asked // 2, size)
                before = took

    def _batches(self, where: str, columns: Sequence[str], size: int) -> Iterator[list[dict[str, Any]]]:
        """Rows by key, through the client's iterator.

        The iterator puts the last key of a batch into its next filter unquoted, so a key with a quotation mark needs a
        fresh iterator, started behind that key, quoted properly; so does a lost connection.
        """
        iterator: Any = None
        behind = ""

        def advance(client: MilvusClient) -> list[dict[str, Any]]:
            nonlocal iterator
            started, iterator = iterator, None  # no failed iterator is used again
            started = started or client.query_iterator(
                self.name,
                batch_size=size,
                filter=all_of(behind, where),
                output_fields=list(columns),
                consistency_level="Strong",
                timeout=self._connection.timeout,
            )
            rows = list(started.next())
            iterator = started
            return rows

        while rows := self._connection.call(advance, collection=self.name):
            last = rows[-1][self._key]
            behind = self._behind(last)
            if isinstance(last, str) and quote(last) != f'"{last}"':
                iterator = None
            yield rows

    def _all(self, where: str, columns: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        return self._connection.call(
            lambda client: list(
                client.query(
                    self.name,
                    filter=where,
                    output_fields=list(columns),
                    consistency_level="Strong",
                    timeout=self._connection.timeout,
                    **options,
                )
            ),
            collection=self.name,
        )

    def _delete(self, where: str) -> None:
        self._connection.call(
            lambda client: client.delete(self.name, filter=where, timeout=self._connection.timeout),
            collection=self.name,
        )

    def _nearest(self, queries: npt.NDArray[np.float32], limit: int, where: str) -> list[Any]:
        parameters: dict[str, Any] = {"metric_type": "COSINE"}
        if schema.index_type(self.kind, lite=self._connection.lite) == "HNSW":
            parameters["params"] = {"ef": min(max(64, _SEARCH_WIDTH * limit), 2 * MOST)}
        return self._connection.call(
            lambda client: list(
                client.search(
                    self.name,
                    data=list(queries),
                    limit=limit,
                    filter=where,
                    output_fields=[self._key],
                    search_params=parameters,
                    consistency_level="Bounded" if self.kind == "headlines" else "Strong",
                    timeout=self._connection.timeout,
                )
            ),
            collection=self.name,
        )

    def _behind(self, key: str | int) -> str:
        """A filter that holds for the rows after a key."""
        return above(self._key, key)

    def _rows_an_answer(self, columns: Sequence[str]) -> int:
        """Rows of these columns that a server sends in one answer."""
        vector = schema.VECTOR[self.kind]
        each = sum(self.dim * 4 if name == vector else _COLUMN_BYTES.get(name, 150) for name in columns)
        return max(1, _ANSWER_BYTES // each)


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _sent(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _size(row: Mapping[str, Any]) -> int:
    """About how many bytes a row takes in a request."""
    return 100 + sum(
        value.nbytes if isinstance(value, np.ndarray) else len(value) * 3 if isinstance(value, str) else 16
        for value in row.values()
    )
