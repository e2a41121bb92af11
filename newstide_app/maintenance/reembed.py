"""`newstide reembed`: another model's or text's vectors for all headlines, in collections of their own, then readers turned.

1. Headlines that the new collections lack are embedded from their texts, while all services go on. Cut off, it takes up
   where it was: what is there is not embedded again.
2. Once neither a consumer nor a reclusterer is at work, what came and changed meanwhile is brought over: headlines,
   labels, removals; then stories, runs and means. Nobody writes, so nothing is lost; readers go on reading the old ones.
3. The aliases are turned. The consumer with the new model takes up where the old one stopped. What was written to the old
   collections until then, by a consumer that was just starting, is brought over once more; from then on it commits nothing.

Stories keep their numbers: lineage goes by the headlines' ids and labels, which are brought over as they are.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from newstide.core import logs
from newstide.core.errors import EmbedderError, NewstideError
from newstide.core.language_means import primary_language
from newstide.core.settings import KafkaSettings, Settings
from newstide.core.settings_faults import told_plainly
from newstide.embedding import Embedder
from newstide.embedding.headlines import embed_headlines
from newstide.kafka.lag import group_members
from newstide.milvus import HeadlineRow, LanguageMean, RunRow, Store, aliases, open_store, schema
from newstide.milvus.connection import Connection
from newstide.milvus.model import card_there, model_for
from newstide.milvus.removal import COLUMNS

_BATCH = 256  # headlines embedded and written together
_LOOKED_AT = 5_000  # headlines compared at a time
_NOT_YET = 2.0  # a story's reach before the first run with the new model: no similarity is as high
_NO_VECTOR = np.empty(0, np.float32)  # until the new model has made one
_ROW = [*schema.columns("headlines")]

log = logs.get("reembed")


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """What was done.

    Attributes:
        model: The new one.
        text: What of each headline is embedded.
        embedded: Headlines embedded by this command.
        kept: Headlines that were there from an earlier one.
        failed: Headlines that the model could not embed; they stay in the old collections only.
        relabelled: Headlines whose label had changed since they were copied.
        removed: Headlines that are gone from the old collections.
        swapped: Whether readers are turned to the new collections.
        before: Whether they were before this command.
        at_work: Who has to be stopped first, where they were not.
        old: Suffix of the old collections, empty where they are removed.
        dropped: Suffixes of collections that were removed.
        seconds: The time that the command took.
    """

    model: str
    text: str
    embedded: int
    kept: int
    failed: int
    relabelled: int = 0
    removed: int = 0
    swapped: bool = False
    before: bool = False
    at_work: tuple[str, ...] = ()
    old: str = ""
    dropped: tuple[str, ...] = ()
    seconds: float = 0.0

    def describe(self) -> str:
        """For people."""
        removed = f"Removed: {', '.join(f'headlines{one} and so on' for one in self.dropped)}." if self.dropped else ""
        if self.before:
            return f"Readers were turned to {self.model} before. {removed}"
        rate = f" ({self.embedded / self.seconds:,.0f}/s)" if self.embedded and self.seconds else ""
        text = f"Embedded by {self.model}: {self.embedded:,} headlines{rate}; there already: {self.kept:,}."
        if self.failed:
            text += f" Left out, since the model could not embed them: {self.failed:,}."
        if not self.swapped:
            return (
                f"{text}\nReaders still see the old vectors: {' and '.join(self.at_work)} at work. Stop "
                f"{'it' if len(self.at_work) == 1 else 'them'} and give the same command again: it brings over what is "
                "new since, and turns the readers."
            )
        kept = f"The old ones are kept as headlines{self.old} and so on" if self.old else ""
        if kept and self.failed:
            kept += ", where alone the headlines are that were left out"
        if kept:
            kept += "; the same command with --drop-old removes them."
        return (
            f"{text} Brought over: {self.relabelled:,} changed labels, {self.removed:,} removals.\n"
            f"Readers are turned to {self.model}. Set NEWSTIDE_EMBEDDING_MODEL={self.model} and "
            f"NEWSTIDE_EMBEDDING_TEXT={self.text}, or leave both empty; start the services again. "
            f"The next run places stories anew, under their numbers. {kept}{removed}"
        ).strip()


def reembed(
    settings: Settings, model: str, *, text: str | None = None, drop_old: bool = False, progress: bool = False
) -> ReembedReport:
    """Embeds all headlines by another model or of another text, and turns readers to it when nobody writes.

    Args:
        settings: Where Milvus and Kafka are.
        model: As in `embedding.model`.
        text: As in `embedding.text`; None: that setting, else as the collections have it.
        drop_old: Remove the old collections once readers are turned, or now if they are; not where headlines failed.
        progress: Show a bar on standard error.

    Raises:
        NewstideError: The collections are of that model and text already, or a run was cut off and is to be finished first.
        SettingsError: There is no such text.
        EmbedderError: The model cannot be loaded.
        BrokerUnavailable: Kafka is configured and cannot say who is at work.
    """
    started = time.perf_counter()
    with told_plainly(settings.config):
        asked = settings.updated(embedding={"model": model} | ({} if text is None else {"text": text}))
    embedder = model_for(asked, card_there(asked))
    old = open_store(settings.milvus, None)
    stones = len(list(old.tombstones.all()))
    try:
        if old.card == embedder.card:
            return _turned_before(settings, old, drop_old=drop_old)
        suffix = aliases.suffix_of(embedder.card)
        new = open_store(settings.milvus, embedder.card, suffix=suffix)
        try:
            embedded, kept, failed = _fill(old, new, embedder, progress=progress)
            report = ReembedReport(model, embedder.card.text, embedded, kept, failed)
            if at_work := writers_at_work(settings.kafka):
                return replace(report, at_work=at_work, seconds=time.perf_counter() - started)
            _require_no_run_cut_off(old)
            late, _, _ = _fill(old, new, embedder, progress=False)
            relabelled, removed = _bring_labels(old, new), _remove_gone(old, new)
            _bring_stories(old, new, embedder)
            _bring_runs(old, new, model)
            new.settle()
            if at_work := writers_at_work(settings.kafka):  # started meanwhile
                return replace(report, at_work=at_work, seconds=time.perf_counter() - started)
            old_suffix = old.suffix or aliases.suffix_of(old.card)
            _turn(settings, suffix, plain_become=old_suffix)
            old_side = open_store(settings.milvus, old.card, suffix=old_suffix)
            try:
                last, _, failed = _fill(old_side, new, embedder, progress=False)
                if len(list(old.tombstones.all())) != stones:  # something was taken down in these moments
                    removed += _remove_blocked(new)
            finally:
                old_side.close()
        finally:
            new.close()
    finally:
        old.close()
    dropped: tuple[str, ...] = ()
    if drop_old and not failed:  # else what the new model can make nothing of would be nowhere
        _drop(settings, old_suffix)
        dropped, old_suffix = (old_suffix,), ""
    return replace(
        report,
        embedded=embedded + late + last,
        failed=failed,
        relabelled=relabelled,
        removed=removed,
        swapped=True,
        old=old_suffix,
        dropped=dropped,
        seconds=time.perf_counter() - started,
    )


def _turned_before(settings: Settings, old: Store, *, drop_old: bool) -> ReembedReport:
    """Removes the collections that readers were turned from. Raises: NewstideError: nothing is left to do."""
    card = old.card
    open_store(settings.milvus, card).close()  # completes a swap that was cut off
    others = tuple(old.suffixes_of_other_models()) if drop_old else ()
    if not others:
        raise NewstideError(
            f"The headlines are embedded by {card.name} already, of the text {card.text}.", "Nothing is left to do."
        )
    for one in others:
        _drop(settings, one)
    return ReembedReport(card.name, card.text, 0, old.count_headlines(), 0, swapped=True, before=True, dropped=others)


def _require_no_run_cut_off(old: Store) -> None:
    """Refuses while a run waits to be finished: its plan holds vectors of the old model."""
    if old.unfinished.read() is not None:
        raise NewstideError(
            "A run was cut off while it was writing, and waits to be finished.",
            "Run `newstide recluster --once`, and then the same command again.",
        )


def writers_at_work(kafka: KafkaSettings) -> tuple[str, ...]:
    """Which of consumer and reclusterer have members in their groups; none where no Kafka is known to run."""
    if kafka.bootstrap_servers is None:
        return ()
    groups = {"a consumer is": kafka.group, "a reclusterer is": f"{kafka.group}-recluster"}
    return tuple(who for who, group in groups.items() if group_members(kafka, group))


def _fill(old: Store, new: Store, embedder: Embedder, *, progress: bool) -> tuple[int, int, int]:
    """Embeds the missing headlines; returns how many were embedded, were there already, and failed."""
    embedded = kept = failed = 0
    with _bar(shown=progress) as bar:
        task = bar.add_task(f"embedding by {embedder.card.name}", total=old.count_headlines())
        for ids in old.iterate_headlines("", ["id"], batch_size=_LOOKED_AT):
            known = new.known_ids(ids["id"].tolist())
            missing = [id_ for id_ in ids["id"] if id_ not in known]
            kept += len(known)
            bar.advance(task, len(known))
            for start in range(0, len(missing), _BATCH):
                rows = old.headlines_by_id(missing[start : start + _BATCH], _ROW).to_dict("records")
                written = sum(new.insert_headlines(some, again=True) for some in _embedded(rows, embedder))
                embedded += written
                failed += len(rows) - written
                bar.advance(task, len(rows))
    return embedded, kept, failed


def _embedded(rows: list[dict], embedder: Embedder) -> Iterator[list[HeadlineRow]]:  # type: ignore[type-arg]
    """The rows with new vectors; what the model fails on is halved until the one bad headline is found."""
    if not rows:
        return
    known = [HeadlineRow.read(row, _NO_VECTOR) for row in rows]
    try:
        vectors = embed_headlines(embedder, [row.headline for row in known])
    except EmbedderError as error:
        if len(rows) == 1:
            log.warning("a headline is left out: the model could not embed it", id=rows[0]["id"], reason=error.message)
            return
        middle = len(rows) // 2
        yield from _embedded(rows[:middle], embedder)
        yield from _embedded(rows[middle:], embedder)
        return
    yield [replace(row, embedding=vector) for row, vector in zip(known, vectors, strict=True)]


def _bring_labels(old: Store, new: Store) -> int:
    """Labels that have changed since their headlines were copied."""
    columns = ["id", "cluster_label", "label_probability", "label_run"]
    changed = 0
    for theirs in old.iterate_headlines("", columns, batch_size=_LOOKED_AT):
        ours = new.headlines_by_id(theirs["id"].tolist(), columns).set_index("id")
        copied = theirs.set_index("id").loc[ours.index]
        stale = copied[(copied[columns[1:]].to_numpy() != ours[columns[1:]].to_numpy()).any(axis=1)]
        for run, rows in stale.groupby("label_run"):
            new.write_labels(
                rows.index.tolist(),
                rows["cluster_label"].to_numpy(np.int64),
                rows["label_probability"].to_numpy(np.float32),
                int(str(run)),
            )
        changed += len(stale)
    return changed


def _remove_blocked(new: Store) -> int:
    """Headlines that were taken down, once a new consumer may write rows that the old collections do not have."""
    blocked, removed = new.tombstones.now(), 0
    for frame in new.iterate_headlines("", COLUMNS, batch_size=_LOOKED_AT):
        gone = frame.loc[[blocked.blocks_row(row) for row in frame.to_dict("records")], "id"].tolist()
        new.delete_headlines(gone)
        removed += len(gone)
    return removed


def _remove_gone(old: Store, new: Store) -> int:
    """Headlines that were taken down or grew too old meanwhile."""
    removed = 0
    for frame in new.iterate_headlines("", ["id"], batch_size=_LOOKED_AT):
        ids = frame["id"].tolist()
        known = old.known_ids(ids)
        gone = [id_ for id_ in ids if id_ not in known]
        new.delete_headlines(gone)
        removed += len(gone)
    return removed


def _bring_stories(old: Store, new: Store, embedder: Embedder) -> None:
    """Each under its number. Until the next run places it, its title stands for it and no headline is within its reach."""
    for frame in old.frames("stories", schema.columns("stories"), batch_size=_LOOKED_AT):
        for start in range(0, len(frame), _BATCH):
            stories = frame.iloc[start : start + _BATCH].reset_index(drop=True)
            vectors = embedder.encode(stories["title"].tolist())
            centroids = pd.Series(list(vectors), dtype=object)
            new.upsert_stories(stories.assign(centroid=centroids, reach=_NOT_YET))


def _bring_runs(old: Store, new: Store, model: str) -> None:
    """The finished runs; the last one says that the model changed, so that the next run learns its threshold anew."""
    overall, means = _means(new)
    last = old.last_run()
    if last is None:
        return
    new.upsert_means([LanguageMean(language, mean, count, last.run) for language, (mean, count) in means.items()])
    for frame in old.frames("runs", schema.columns("runs"), batch_size=_LOOKED_AT):
        runs = [
            RunRow(**{str(name): value for name, value in row.items()}, mean=overall)
            for row in frame.to_dict("records")
        ]
        new.insert_runs(
            [
                replace(run, parameters={**run.parameters, "model": model}) if run.run == last.run else run
                for run in runs
            ]
        )


def _means(store: Store) -> tuple[npt.NDArray[np.float32], dict[str, tuple[npt.NDArray[np.float32], int]]]:
    """The mean of all vectors, and by primary language with the count, read in batches."""
    sums: dict[str, npt.NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    for frame in store.iterate_headlines("", ["language", "embedding"], batch_size=_LOOKED_AT):
        for language, rows in frame.groupby(frame["language"].map(primary_language)):
            name = str(language)
            sums[name] = sums.get(name, np.zeros(store.dim)) + np.stack(list(rows["embedding"])).sum(axis=0)
            counts[name] = counts.get(name, 0) + len(rows)
    total = max(1, sum(counts.values()))
    overall = np.sum(list(sums.values()), axis=0) / total if sums else np.zeros(store.dim)
    return overall.astype(np.float32), {
        name: ((sums[name] / counts[name]).astype(np.float32), counts[name]) for name in sorted(sums)
    }


def _turn(settings: Settings, suffix: str, plain_become: str) -> None:
    """Turns readers to the collections of that suffix."""
    connection = Connection(settings.milvus)
    try:
        aliases.swap(connection, settings.milvus.prefix, suffix, plain_become)
    finally:
        connection.close()


def _drop(settings: Settings, suffix: str) -> None:
    connection = Connection(settings.milvus)
    try:
        aliases.drop(connection, settings.milvus.prefix, suffix)
    finally:
        connection.close()


def _bar(*, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
        transient=True,
    )
