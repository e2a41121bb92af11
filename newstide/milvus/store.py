"""The store: everything that newstide reads from Milvus and writes to it."""

from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.core.errors import ModelMismatch, RowsMissing, StoreRefused
from newstide.core.settings import MilvusSettings
from newstide.embedding.base import ModelCard
from newstide.milvus import aliases, filters, schema
from newstide.milvus.accepted_values import cut, finite, finite_vector, fitting_id, unit_vector
from newstide.milvus.collection import MOST, Collection, chunks
from newstide.milvus.connection import Connection
from newstide.milvus.events import Events
from newstide.milvus.opening import open_collection
from newstide.milvus.rows import HeadlineRow, Hits, LanguageMean, RunRow
from newstide.milvus.run_journal import Unfinished
from newstide.milvus.tombstones import Tombstones

_LABELS = 1_000  # rows in one update of labels: a server reads and rewrites each of them


def open_store(
    settings: MilvusSettings,
    card: ModelCard | None,
    *,
    suffix: str | None = None,
    older: bool = False,
    stop: Event | None = None,
) -> "Store":
    """Connects to Milvus.

    Args:
        settings: The address of Milvus.
        card: The model whose vectors are to be written: missing collections are made, existing ones are checked. None
            for reading only: the card is read from Milvus.
        suffix: The suffix of the collections to open; None: the collections that readers are led to.
        older: Open also collections of an earlier version, which may then be read with `Store.frames` only.
        stop: Ends all waiting for Milvus, now and later.

    Raises:
        StoreUnavailable: Milvus cannot be reached.
        EmptyStore: No card is given and no collections exist.
        SchemaMismatch, ModelMismatch: Another program, version or model made the collections.
    """
    connection = Connection(settings, stop)
    try:
        return _open(connection, settings, card, suffix, older=older)
    except BaseException:
        connection.close()
        raise


class Store:
    """An open store. Its methods may raise `StoreUnavailable` (Milvus is away) and `StoreRefused` (Milvus refuses).

    Args:
        connection: To Milvus.
        card: The model whose vectors the store holds.
        names: What each of `schema.COLLECTIONS` is called in Milvus.
        limits: For each of them, how many bytes of UTF-8 its text fields hold.
        tombstones: The tombstones of headlines that were taken down.
        unfinished: The journal: the plan that a run is writing.
        events: What happened to stories.
        suffix: The suffix of the collections' names; see `aliases`.
        prefix: The prefix of the collections' names.
    """

    def __init__(
        self,
        connection: Connection,
        card: ModelCard,
        names: Mapping[str, str],
        limits: Mapping[str, Mapping[str, int]],
        tombstones: Tombstones,
        unfinished: Unfinished,
        events: Events,
        *,
        suffix: str,
        prefix: str,
    ) -> None:
        self.card = card
        self.tombstones = tombstones
        self.unfinished = unfinished
        self.events = events
        self.suffix = suffix
        self.dim = card.dim
        self.is_lite = connection.lite
        self._connection = connection
        self._prefix = prefix
        self._limits = limits
        self._all_collections = tuple(
            Collection(connection, kind, names[kind], card.dim) for kind in schema.COLLECTIONS
        )
        self._headlines, self._stories, self._runs, self._means = self._all_collections
        self._newest_run = 0  # run numbers only grow, so that older runs need not be read again

    def require_in_use(self) -> None:
        """Raises `ModelMismatch` where readers have been turned to other collections since these were opened."""
        found = aliases.suffix_in_use(self._connection, self._prefix)
        if found != self.suffix:
            raise ModelMismatch(
                f"Readers of {self._prefix + 'headlines'!r} have been turned from the vectors of {self.card.name} to "
                f"others ({found or 'none'}): no reader would see what is written here.",
                "Set NEWSTIDE_EMBEDDING_MODEL and NEWSTIDE_EMBEDDING_TEXT to the new ones, and start again.",
            )

    def suffixes_of_other_models(self) -> list[str]:
        """The suffixes of collections that an earlier model filled, or that another one is filling; for `open_store`."""
        return aliases.others(self._connection, self._prefix, self.suffix)

    # Headlines

    def known_ids(self, ids: Sequence[str]) -> set[str]:
        """The given ids that Milvus holds now."""
        return {row["id"] for row in self._headlines.by_key(ids, ["id"])}

    def known_headlines(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Title and url of the given ids that Milvus holds now."""
        rows = self._headlines.by_key(ids, ["id", "title", "url"])
        return {row["id"]: (row["title"], row["url"]) for row in rows}

    def insert_headlines(self, rows: Sequence[HeadlineRow], *, again: bool = False) -> int:
        """Writes rows whose ids are new, and returns how many; of rows with the same id, the first is written.

        Rows are sent once, unless `again` is set: where the answer is lost, the caller must look again which ids are
        new, since a second writing would reset a label that a run has written meanwhile.

        Raises:
            StoreUnavailable: Milvus is away; some of the rows may be written.
            StoreLimit: A vector is not finite, not of unit length or of another dimension; names the row's id.
        """
        new = {row.headline.id: row for row in reversed(rows)}
        self._headlines.put([self._headline(row) for row in reversed(new.values())], again=again)
        return len(new)

    def count_headlines(self, where: str = "") -> int:
        """How many headlines there are, as of now."""
        return self._headlines.count(where)

    def iterate_headlines(
        self, where: str, columns: Sequence[str], *, batch_size: int | None = None
    ) -> Iterator[pd.DataFrame]:
        """Frames of at most `batch_size` rows, ascending by id; no snapshot: rows that are written meanwhile may show up."""
        return self._headlines.iterate(where, columns, batch_size)

    def headlines(self, where: str, columns: Sequence[str]) -> pd.DataFrame:
        """All rows that the filter holds for, in one frame."""
        return _joined(self._headlines.iterate(where, columns), columns)

    def headlines_by_id(self, ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
        """The rows with these ids, in this order; ids that are not there are left out."""
        rows = {row["id"]: row for row in self._headlines.by_key(ids, columns)}
        return self._headlines.frame([rows[id_] for id_ in ids if id_ in rows], columns)

    def embeddings(self, ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of these rows, (len(ids), dim), in this order.

        Raises:
            RowsMissing: A row is not there; names its id.
        """
        place = {id_: number for number, id_ in enumerate(dict.fromkeys(ids))}
        vectors = np.empty((len(place), self.dim), np.float32)
        missing = set(place)
        for row in self._headlines.by_key(list(place), ["embedding"]):
            vectors[place[row["id"]]] = row["embedding"]
            missing.discard(row["id"])
        if missing:
            raise RowsMissing(f"{len(missing)} headlines are not in Milvus, {min(missing)!r} among them.")
        return vectors if len(place) == len(ids) else vectors[[place[id_] for id_ in ids]]

    def search_headlines(self, vectors: npt.NDArray[np.float32], limit: int, where: str = "") -> Hits:
        """The `limit` headlines nearest to each vector by cosine."""
        return self._headlines.search(vectors, limit, where)

    def write_labels(
        self,
        ids: Sequence[str],
        labels: npt.NDArray[np.int64],
        probabilities: npt.NDArray[np.float32],
        run: int,
    ) -> None:
        """Writes only the label fields of these rows, in batches. Rows that were removed stay removed."""
        updates = [
            {"id": id_, "cluster_label": int(label), "label_probability": finite(probability, id_), "label_run": run}
            for id_, label, probability in zip(ids, labels, probabilities, strict=True)
        ]
        for some in chunks(updates, _LABELS):
            try:
                self._headlines.put(some, partly=True)
            except StoreRefused:  # a row was removed, or the server is older than 2.6.2 and takes whole rows only
                there = self.known_ids([row["id"] for row in some])
                left = [row for row in some if row["id"] in there]
                try:
                    self._headlines.put(left, partly=True)  # only labels: a row removed meanwhile does not come back
                except StoreRefused:
                    whole = {row["id"]: row for row in self._headlines.by_key([row["id"] for row in left], ["*"])}
                    self._headlines.put([whole[row["id"]] | row for row in left if row["id"] in whole])
        if updates:
            self.settle()

    def settle(self) -> None:
        """Flushes written rows: Lite filters rows in its write-ahead log slowly, one by one."""
        self._headlines.flush()

    def newest_published_at(self, after: int = -1) -> int | None:
        """The latest publication time (epoch ms) later than `after`, or None where there is none."""
        times = self._headlines.iterate(filters.published_after(after), ["published_at"])
        return max((int(frame["published_at"].max()) for frame in times), default=None)

    def published_at(self, where: str) -> npt.NDArray[np.int64]:
        """The publication times (epoch ms) of the headlines that the filter holds for, in no order."""
        times = [frame["published_at"].to_numpy(np.int64) for frame in self._headlines.iterate(where, ["published_at"])]
        return np.concatenate([np.empty(0, np.int64), *times])

    def labels_of(self, where: str) -> set[int]:
        """The different labels of the headlines that the filter holds for."""
        frames = self._headlines.iterate(where, ["cluster_label"])
        return {int(label) for frame in frames for label in frame["cluster_label"].unique()}

    def delete_headlines(self, ids: Sequence[str]) -> None:
        """Removes rows."""
        self._headlines.delete(ids)

    # Stories

    def stories(self, where: str = "", *, centroids: bool = False) -> pd.DataFrame:
        """Stories that the filter holds for: all columns, the centroid as a (dim,) float32 array if asked for."""
        columns = schema.columns("stories") + (["centroid"] if centroids else [])
        return _joined(self._stories.iterate(where, columns), columns).sort_values("cluster_label", ignore_index=True)

    def stories_by_number(self, numbers: Sequence[int], *, centroids: bool = False) -> pd.DataFrame:
        """The stories of these numbers that exist, as `stories` returns them."""
        columns = schema.columns("stories") + (["centroid"] if centroids else [])
        rows = list(self._stories.by_key(numbers, columns))
        return self._stories.frame(rows, columns).sort_values("cluster_label", ignore_index=True)

    def upsert_stories(self, stories: pd.DataFrame) -> None:
        """Writes whole stories; the frame has all columns of the collection, the centroid among them.

        Raises:
            StoreLimit: A centroid is not of unit length and `dim` numbers; names the story.
        """
        data = []
        for story in stories.to_dict("records"):
            owner = f"story {story['cluster_label']}"
            row = {name: finite(story[name], owner) for name in schema.columns("stories")}
            row["title"] = cut(row["title"], self._limits["stories"]["title"])
            row["centroid"] = unit_vector(story["centroid"], self.dim, owner)
            data.append(row)
        if data:
            self._stories.put(data)
            self._stories.flush()

    def search_stories(self, vectors: npt.NDArray[np.float32], limit: int, where: str = filters.OPEN) -> Hits:
        """The `limit` stories whose centroids are nearest to each vector by cosine."""
        return self._stories.search(vectors, limit, where)

    def highest_label(self) -> int:
        """The highest story number ever seen in either collection; -1 where there is none."""
        stories = self._stories.iterate("", ["cluster_label"])
        highest = max((int(frame["cluster_label"].max()) for frame in stories), default=-1)
        above = self._headlines.iterate(filters.above("cluster_label", highest), ["cluster_label"])
        return max((int(frame["cluster_label"].max()) for frame in above), default=highest)

    # Runs and means

    def runs(self, after: int = -1) -> pd.DataFrame:
        """The finished runs after this one, oldest first, without their mean vectors."""
        columns = schema.columns("runs")
        where = filters.above("run", after) if after >= 0 else ""
        return _joined(self._runs.iterate(where, columns), columns).sort_values("run", ignore_index=True)

    def last_run(self) -> RunRow | None:
        """The newest finished run."""
        runs = self._runs.iterate(filters.above("run", self._newest_run - 1), ["run"])
        newest = max((int(frame["run"].max()) for frame in runs), default=None)
        if newest is None:
            return None
        self._newest_run = newest
        (row,) = self._runs.query(filters.equals("run", newest), [*schema.columns("runs"), "mean"])
        return RunRow(**{**row, "mean": np.asarray(row["mean"], np.float32)})

    def began(self) -> int | None:
        """When the first run began (epoch ms), which stays the same for ever; None before there was one."""
        rows = self._runs.query(filters.equals("run", 1), ["started_at"])
        return int(rows[0]["started_at"]) if rows else None

    def insert_run(self, run: RunRow) -> None:
        """Writes a finished run."""
        self.insert_runs([run])

    def insert_runs(self, runs: Sequence[RunRow]) -> None:
        """Writes finished runs."""
        data = []
        for run in runs:
            owner = f"run {run.run}"
            row = {name: finite(getattr(run, name), owner) for name in schema.columns("runs")}
            data.append({**row, "mean": finite_vector(run.mean, self.dim, owner)})
        if data:
            self._runs.put(data)
            self._runs.flush()

    def means(self) -> list[LanguageMean]:
        """The mean vector of each language, by language."""
        columns = ["language", "mean", "count", "run"]
        return [
            LanguageMean(row["language"], row["mean"], row["count"], row["run"])
            for row in _joined(self._means.iterate("", columns), columns).to_dict("records")
        ]

    def upsert_means(self, means: Sequence[LanguageMean]) -> None:
        """Writes the means of some languages."""
        data = [
            {
                "language": mean.language,
                "mean": finite_vector(mean.mean, self.dim, f"language {mean.language!r}"),
                "count": int(mean.count),
                "run": int(mean.run),
            }
            for mean in means
        ]
        if data:
            self._means.put(data)
            self._means.flush()

    # The store itself

    def frames(self, kind: str, columns: Sequence[str] = (), *, batch_size: int = MOST) -> Iterator[pd.DataFrame]:
        """All rows of one of `schema.COLLECTIONS`, ascending by key, in frames; all columns unless some are named."""
        collection = dict(zip(schema.COLLECTIONS, self._all_collections, strict=True))[kind]
        return collection.iterate("", list(columns) or collection.fields(), batch_size)

    def describe(self) -> dict[str, Any]:
        """Facts for people: the server's version, rows by collection, the model."""
        counts = {collection.kind: collection.count() for collection in self._all_collections}
        return {"version": self._connection.version, **counts, "model": self.card.name}

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _headline(self, row: HeadlineRow) -> dict[str, Any]:
        headline, limits = row.headline, self._limits["headlines"]
        return {
            "id": fitting_id(headline.id, limits["id"]),
            "embedding": unit_vector(row.embedding, self.dim, repr(headline.id)),
            **{
                name: cut(getattr(headline, name), limits[name])
                for name in ("title", "description", "source", "url", "language")
            },
            "published_at": int(headline.published_at),
            "ingested_at": int(row.ingested_at),
            "cluster_label": int(row.cluster_label),
            "label_probability": finite(row.label_probability, repr(headline.id)),
            "label_run": int(row.label_run),
        }


def _open(
    connection: Connection, settings: MilvusSettings, card: ModelCard | None, suffix: str | None, *, older: bool
) -> Store:
    make = card is not None
    wanted = aliases.suffix_in_use(connection, settings.prefix) if suffix is None else suffix
    if wanted is None:  # no collection exists yet
        wanted = "" if card is None else aliases.suffix_of(card)
    names = {kind: settings.prefix + kind + wanted for kind in schema.COLLECTIONS}
    limits: dict[str, dict[str, int]] = {}
    for kind, name in names.items():
        card, limits[kind] = open_collection(
            connection, kind, name, card, make=make, description_bytes=settings.description_bytes, older=older
        )
    assert card is not None  # noqa: S101 - there is at least one collection
    if make and suffix is None and wanted:
        aliases.lead(connection, settings.prefix, wanted)
    tombstones = Tombstones(connection, f"{settings.prefix}tombstones")
    unfinished = Unfinished(connection, f"{settings.prefix}unfinished")
    events = Events(connection, f"{settings.prefix}events")
    return Store(connection, card, names, limits, tombstones, unfinished, events, suffix=wanted, prefix=settings.prefix)


def _joined(frames: Iterator[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    parts = list(frames)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
