"""The store: what newstide asks of Milvus, in newstide's words."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pymilvus import MilvusClient

from newstide.embedding.base import ModelCard
from newstide.errors import NewstideError, StoreLimit
from newstide.settings import MilvusSettings
from newstide.store import schema
from newstide.store.connection import Connection
from newstide.store.filters import all_of, any_of
from newstide.store.rows import HeadlineRow, Hits, LanguageMean, RunRow

MOST = 16_384  # rows, queries or hits that a server takes in one request
_KEYS = 1_000  # ids in one filter
_LABELS = 1_000  # rows in one update of labels
_REQUEST_BYTES = 16 * 2**20  # of an insert; a server refuses more than 64 MB
_QUERIES = 1_000  # in one search: fewer are slow on Lite, more are large
_HITS = 250_000  # in one search's answer: about 25 MB


class EmptyStore(NewstideError):
    """There are no collections yet: nothing has ever been ingested."""


def open_store(settings: MilvusSettings, card: ModelCard | None) -> "Store":
    """Connects to Milvus.

    Args:
        settings: Where Milvus is.
        card: The model whose vectors are to be written: collections that are missing are made, those that are there
            are checked. None for reading only: the card is the one found in Milvus.

    Raises:
        StoreUnavailable: Milvus cannot be reached.
        EmptyStore: No card is given and there is nothing yet.
        SchemaMismatch, ModelMismatch: What is there was made by something else.
    """
    connection = Connection(settings)
    names = {name: settings.prefix + name for name in schema.COLLECTIONS}
    try:
        for name, collection in names.items():
            if not connection.call(partial(_has, collection)):
                if card is None:
                    raise EmptyStore(
                        f"Nothing has been ingested yet: Milvus at {connection.uri} has no collection {collection!r}.",
                        "Start `newstide consume` and send headlines with `newstide produce`.",
                    )
                _create(connection, name, collection, card, settings)
            found = schema.read_card(connection.call(partial(_describe, collection)), collection)
            schema.require_same_model(found, card or found, collection)
            card = found
            connection.call(partial(_load, collection))
    except BaseException:
        connection.close()
        raise
    assert card is not None  # noqa: S101 - there is at least one collection
    return Store(connection, names, card, settings)


class Store:
    """An open store. Every method may raise `StoreUnavailable` (Milvus is away) or `StoreLimit` (it refused)."""

    def __init__(
        self, connection: Connection, names: Mapping[str, str], card: ModelCard, settings: MilvusSettings
    ) -> None:
        self._connection = connection
        self._names = names
        self._settings = settings
        self.card = card
        self.dim = card.dim
        self.is_lite = connection.lite

    # Headlines

    def known_ids(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are there, as of now."""
        known: set[str] = set()
        for some in _chunks(list(dict.fromkeys(ids)), _KEYS):
            known.update(row["id"] for row in self._query("headlines", any_of("id", some), ["id"]))
        return known

    def insert_headlines(self, rows: Sequence[HeadlineRow]) -> None:
        """Writes rows whose ids are not there yet; repeated after an answer that was lost, it changes nothing.

        Raises:
            StoreLimit: A vector is not finite, not of unit length or of another dimension; names the row's id.
        """
        data = [self._row(row) for row in rows]
        sizes = [_size(row) for row in data]
        start, size = 0, 0
        for stop in range(len(data) + 1):
            if stop == len(data) or size + sizes[stop] > _REQUEST_BYTES or stop - start == MOST:
                if stop > start:
                    self._insert_once(data[start:stop])
                start, size = stop, 0
            if stop < len(data):
                size += sizes[stop]

    def count_headlines(self, where: str = "") -> int:
        """How many headlines there are, as of now."""
        return self._count("headlines", where)

    def iterate_headlines(
        self, where: str, columns: Sequence[str], *, batch_size: int = 5_000
    ) -> Iterator[pd.DataFrame]:
        """Frames of rows. Not a snapshot: rows that are written meanwhile may show up."""
        yield from self._iterate("headlines", where, columns, batch_size)

    def headlines(self, where: str, columns: Sequence[str]) -> pd.DataFrame:
        """All rows that the filter holds for, in one frame."""
        return _frame(list(self.iterate_headlines(where, columns)), columns)

    def headlines_by_id(self, ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
        """The rows with these ids, in this order; ids that are not there are left out."""
        wanted = list(dict.fromkeys([*columns, "id"]))
        rows: list[Mapping[str, Any]] = []
        for some in _chunks(ids, _KEYS):
            rows += self._query("headlines", any_of("id", some), wanted)
        frame = pd.DataFrame(rows, columns=wanted).drop_duplicates("id").set_index("id", drop=False)
        return frame.loc[[id_ for id_ in ids if id_ in frame.index], list(columns)].reset_index(drop=True)

    def embeddings(self, ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of these rows, (len(ids), dim), in this order.

        Raises:
            StoreLimit: A row is not there; names its id.
        """
        vectors = np.empty((len(ids), self.dim), np.float32)
        place = {id_: number for number, id_ in enumerate(ids)}
        missing = set(place)
        for some in _chunks(ids, _KEYS):
            for row in self._query("headlines", any_of("id", some), ["id", "embedding"]):
                vectors[place[row["id"]]] = row["embedding"]
                missing.discard(row["id"])
        if missing:
            raise StoreLimit(f"{len(missing)} headlines are not in Milvus, {min(missing)!r} among them.")
        return vectors

    def search_headlines(self, vectors: npt.NDArray[np.float32], limit: int, where: str = "") -> Hits:
        """The `limit` headlines nearest to each vector by cosine."""
        return self._search("headlines", vectors, limit, where)

    def write_labels(
        self,
        ids: Sequence[str],
        labels: npt.NDArray[np.int64],
        probabilities: npt.NDArray[np.float32],
        run: int,
    ) -> None:
        """Writes the label fields of these rows, in batches, and nothing else of them."""
        data = [
            {"id": id_, "cluster_label": int(label), "label_probability": float(probability), "label_run": run}
            for id_, label, probability in zip(ids, labels, probabilities, strict=True)
        ]
        for some in _chunks(data, _LABELS):
            self._upsert("headlines", some, partly=True)
        if data:
            self._flush("headlines")  # Lite is slow to search and to filter what lies in its write-ahead log

    def settle(self) -> None:
        """Makes what was written quick to filter: Lite scans what still lies in its write-ahead log row by row."""
        self._flush("headlines")

    def newest_published_at(self, after: int = -1) -> int | None:
        """The latest publication time (epoch ms) later than `after`, or None where there is none."""
        frame = self.headlines(f"published_at > {int(after)}", ["id", "published_at"])
        return None if frame.empty else int(frame["published_at"].max())

    def delete_headlines(self, ids: Sequence[str]) -> None:
        """Removes rows."""
        for some in _chunks(ids, _KEYS):
            self._delete(list(some))

    # Stories

    def stories(self, where: str = "", *, centroids: bool = False) -> pd.DataFrame:
        """Stories that the filter holds for: all columns, the centroid as a (dim,) float32 array if asked for."""
        columns = schema.columns("stories") + (["centroid"] if centroids else [])
        frame = _frame(list(self._iterate("stories", where, columns, 1_000)), columns)
        if centroids:
            frame["centroid"] = pd.Series(
                [np.asarray(vector, np.float32) for vector in frame["centroid"]], dtype=object
            )
        return frame.sort_values("cluster_label", ignore_index=True)

    def upsert_stories(self, stories: pd.DataFrame) -> None:
        """Writes whole stories; the frame has all columns of the collection."""
        data = []
        for story in stories.to_dict("records"):
            row = {name: _plain(story[name]) for name in schema.columns("stories")}
            row["title"] = _cut(row["title"], schema.text_bytes("title", 0))
            row["centroid"] = self._vector(story["centroid"], f"story {row['cluster_label']}")
            data.append(row)
        for some in _chunks(data, _LABELS):
            self._upsert("stories", some)
        if data:
            self._flush("stories")

    def search_stories(self, vectors: npt.NDArray[np.float32], limit: int, where: str = 'status == "open"') -> Hits:
        """The `limit` stories whose centroids are nearest to each vector by cosine."""
        return self._search("stories", vectors, limit, where)

    def highest_label(self) -> int:
        """The highest story number ever seen in either collection; -1 where there is none."""
        highest = max((int(frame["cluster_label"].max()) for frame in self._labels("stories", "")), default=-1)
        above = self._labels("headlines", f"cluster_label > {highest}")
        return max((int(frame["cluster_label"].max()) for frame in above), default=highest)

    # Runs and means

    def runs(self) -> pd.DataFrame:
        """All finished runs, oldest first, without their mean vectors."""
        columns = schema.columns("runs")
        return _frame(list(self._iterate("runs", "", columns, 1_000)), columns).sort_values("run", ignore_index=True)

    def last_run(self) -> RunRow | None:
        """The newest finished run."""
        highest = max((int(frame["run"].max()) for frame in self._iterate("runs", "", ["run"], MOST)), default=None)
        if highest is None:
            return None
        (row,) = self._query("runs", f"run == {highest}", [*schema.columns("runs"), "mean"])
        return RunRow(**{**row, "mean": np.asarray(row["mean"], np.float32)})

    def insert_run(self, run: RunRow) -> None:
        """Writes a finished run."""
        row = {name: _plain(getattr(run, name)) for name in schema.columns("runs")}
        self._upsert("runs", [{**row, "mean": _finite(run.mean, self.dim, f"run {run.run}")}])
        self._flush("runs")

    def means(self) -> list[LanguageMean]:
        """The mean vector of each language."""
        rows = [row for frame in self._iterate("means", "", ["language", "mean", "count", "run"], 100)
                for row in frame.to_dict("records")]  # fmt: skip
        return [
            LanguageMean(row["language"], np.asarray(row["mean"], np.float32), int(row["count"]), int(row["run"]))
            for row in sorted(rows, key=lambda row: str(row["language"]))
        ]

    def upsert_means(self, means: Sequence[LanguageMean]) -> None:
        """Writes the means of some languages."""
        data = [
            {
                "language": mean.language,
                "mean": _finite(mean.mean, self.dim, f"language {mean.language!r}"),
                "count": mean.count,
                "run": mean.run,
            }
            for mean in means
        ]
        if data:
            self._upsert("means", data)
            self._flush("means")

    # The store itself

    def describe(self) -> dict[str, Any]:
        """Facts for people: the server's version, rows by collection, the model."""
        counts = {name: self._count(name, "") for name in schema.COLLECTIONS}
        return {"version": self._connection.version, **counts, "model": self.card.name}

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    # Requests

    def _query(self, name: str, where: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Rows for a filter that can hold for at most `MOST` of them."""
        return list(
            self._connection.call(
                lambda client: client.query(
                    self._names[name],
                    filter=where,
                    output_fields=list(columns),
                    consistency_level="Strong",
                    limit=MOST,
                    timeout=self._connection.timeout,
                )
            )
        )

    def _count(self, name: str, where: str) -> int:
        (row,) = self._connection.call(
            lambda client: client.query(
                self._names[name],
                filter=where,
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=self._connection.timeout,
            )
        )
        return int(row["count(*)"])

    def _labels(self, name: str, where: str) -> Iterator[pd.DataFrame]:
        return self._iterate(name, where, ["cluster_label"], MOST)

    def _iterate(self, name: str, where: str, columns: Sequence[str], batch_size: int) -> Iterator[pd.DataFrame]:
        key = schema.PRIMARY[name]
        everything = f'{key} >= ""' if key in ("id", "language") else f"{key} >= -9223372036854775807"
        if columns and _vectors(columns):
            batch_size = min(batch_size, max(1, _REQUEST_BYTES // (self.dim * 8)))
        iterator = self._connection.call(
            lambda client: client.query_iterator(
                self._names[name],
                batch_size=min(batch_size, MOST),
                filter=all_of(where) or everything,
                output_fields=list(columns),
                consistency_level="Strong",
            )
        )
        try:
            while rows := self._connection.call(lambda _client: iterator.next()):
                yield pd.DataFrame(list(rows), columns=list(columns))
        finally:
            iterator.close()

    def _search(self, name: str, vectors: npt.NDArray[np.float32], limit: int, where: str) -> Hits:
        if not 1 <= limit <= MOST:
            raise StoreLimit(f"A search for {limit:,} hits is outside 1 to {MOST:,}.")
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or not np.isfinite(vectors).all():
            raise StoreLimit(f"Search vectors of shape {vectors.shape} are not finite rows of {self.dim} numbers.")
        ids = np.full((len(vectors), limit), None, object)
        similarities = np.full((len(vectors), limit), -np.inf, np.float32)
        key = schema.PRIMARY[name]
        step = max(1, min(_QUERIES, _HITS // limit))
        for start in range(0, len(vectors), step):
            found = self._nearest(name, list(vectors[start : start + step]), limit, where)
            for number, hits in enumerate(found, start):
                for rank, hit in enumerate(hits):
                    ids[number, rank] = hit[key]
                    similarities[number, rank] = hit["distance"]
        return Hits(ids, similarities)

    def _insert_once(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Inserts new headlines. Milvus would keep a second row of a key, so a repeated try looks first."""
        tried = False

        def insert(client: MilvusClient) -> None:
            nonlocal tried
            known = self.known_ids([row["id"] for row in data]) if tried else set()
            tried = True
            if rows := [row for row in data if row["id"] not in known]:
                client.insert(self._names["headlines"], rows, timeout=self._connection.timeout)

        self._connection.call(insert)

    def _nearest(self, name: str, queries: list[npt.NDArray[np.float32]], limit: int, where: str) -> list[Any]:
        return list(
            self._connection.call(
                lambda client: client.search(
                    self._names[name],
                    data=queries,
                    limit=limit,
                    filter=where,
                    output_fields=[schema.PRIMARY[name]],
                    search_params={"metric_type": "COSINE"},
                    consistency_level="Bounded" if name == "headlines" else "Strong",
                    timeout=self._connection.timeout,
                )
            )
        )

    def _upsert(self, name: str, data: Sequence[Mapping[str, Any]], *, partly: bool = False) -> None:
        options = {"partial_update": True} if partly else {}
        self._connection.call(
            lambda client: client.upsert(self._names[name], list(data), timeout=self._connection.timeout, **options)
        )

    def _delete(self, ids: list[str]) -> None:
        self._connection.call(lambda client: client.delete(self._names["headlines"], ids=ids))

    def _flush(self, name: str) -> None:
        self._connection.call(lambda client: client.flush(self._names[name]))

    # Rows

    def _row(self, row: HeadlineRow) -> dict[str, Any]:
        headline = row.headline
        texts = {
            name: _cut(getattr(headline, name), schema.text_bytes(name, self._settings.description_bytes))
            for name in ("title", "description", "source", "url", "language")
        }
        return {
            "id": headline.id,
            "embedding": self._vector(row.embedding, headline.id),
            **texts,
            "published_at": headline.published_at,
            "ingested_at": row.ingested_at,
            "cluster_label": row.cluster_label,
            "label_probability": row.label_probability,
            "label_run": row.label_run,
        }

    def _vector(self, vector: npt.ArrayLike, owner: str) -> npt.NDArray[np.float32]:
        array = _finite(vector, self.dim, owner)
        length = float(np.linalg.norm(array))
        if abs(length - 1) > 1e-3:
            raise StoreLimit(f"The vector of {owner!r} has length {length:.4g}, not 1.")
        return array


def _create(connection: Connection, name: str, collection: str, card: ModelCard, settings: MilvusSettings) -> None:
    try:
        connection.call(
            lambda client: schema.create_collection(
                client, name, collection, card, settings.description_bytes, lite=connection.lite
            )
        )
    except StoreLimit:  # two services may start at once: the other one was quicker
        if not connection.call(partial(_has, collection)):
            raise


def _has(collection: str, client: MilvusClient) -> bool:
    return bool(client.has_collection(collection))


def _describe(collection: str, client: MilvusClient) -> dict[str, Any]:
    return dict(client.describe_collection(collection))


def _load(collection: str, client: MilvusClient) -> None:
    client.load_collection(collection)


def _finite(vector: npt.ArrayLike, dim: int, owner: str) -> npt.NDArray[np.float32]:
    array = np.asarray(vector, np.float32)
    if array.shape != (dim,) or not np.isfinite(array).all():
        raise StoreLimit(f"The vector of {owner!r} has shape {array.shape} or holds NaN; {dim} numbers are wanted.")
    return array


def _size(row: Mapping[str, Any]) -> int:
    """About how many bytes a headline takes in a request."""
    return len(row["embedding"]) * 4 + 100 + sum(len(text) * 3 for text in row.values() if isinstance(text, str))


def _cut(text: str, size: int) -> str:
    """The text's longest start that has at most `size` bytes of UTF-8."""
    encoded = text.encode("utf-8")
    return text if len(encoded) <= size else encoded[:size].decode("utf-8", "ignore")


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _frame(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))


def _vectors(columns: Sequence[str]) -> bool:
    return any(name in ("embedding", "centroid", "mean", "*") for name in columns)


def _plain(value: Any) -> Any:
    """A value that Milvus' client takes: no numpy scalars, no mapping proxies."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
