"""Writes headlines to Milvus: known ones are left out, the others embedded, labelled provisionally and inserted.

Milvus writes one piece while the next is embedded. A fast model gets one more piece before it is done with the last, so
that the model never waits for this loop.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from consumers.assignment import OpenStories, Vectors, assign
from consumers.messages import Item
from consumers.pieces import Pace
from consumers.stories_in_use import StoriesInUse
from consumers.tally import Tally
from newstide.core import logs
from newstide.core.errors import EmbedderError, NewstideError, StoreLimit, StoreRefused
from newstide.core.headline import Headline
from newstide.core.text import clean
from newstide.embedding import Embedder, unknown_languages
from newstide.embedding.headlines import embed_headlines
from newstide.embedding.scripts import script_name, unreadable_scripts
from newstide.milvus import HeadlineRow, Store

_HARMLESS = "A headline"  # a text that any model can embed
_SAY_EVERY = 60.0  # seconds between two lines of log about ids that two headlines have

log = logs.get("consumer")


class Outcome(StrEnum):
    """The outcome of an item."""

    STORED = "stored"
    DUPLICATE = "duplicates"  # Milvus holds its id
    EDIT = "edits"  # Milvus holds its id and url, with another title
    TAKEN_DOWN = "taken_down"  # a tombstone blocks the headline
    REFUSED = "refused"
    LEFT = "left"  # its partition now belongs to another member, which reads the item again


@dataclass(frozen=True, slots=True)
class Settled:
    """An item, its outcome, and the reason where it was refused."""

    item: Item
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Headlines that the model is embedding."""

    items: Sequence[Item]
    since: float
    vectors: "Future[tuple[Vectors, float]]"


@dataclass
class Writer:
    """Writes items, in pieces sized by the model's speed.

    Args:
        store: A store that was opened with the model's card.
        embedder: The model.
        batch_size: The headlines of a full batch.
        embedding: Runs the model, with one thread for each piece that a fast model is given at once.
        inserting: Writes to Milvus, with one thread.
        stories: The open stories that label arriving headlines.
        stay: Is called between pieces of work; may raise to give the batch up.
        has: Whether a record's partition still belongs to this member.
        stopping: Whether the model is to begin no further piece.
    """

    store: Store
    embedder: Embedder
    batch_size: int
    embedding: Executor
    inserting: Executor
    stories: StoriesInUse
    stay: Callable[[], None]
    has: Callable[[object], bool]
    stopping: Callable[[], bool]
    pace: Pace = field(default_factory=Pace)
    _tried: set[str] = field(default_factory=set)  # ids of the current batch that were sent to Milvus
    _told: set[str] = field(default_factory=set)  # of them, those that this try of the batch has said are stored
    _embedded_at: float = 0.0  # when the model finished its last piece
    _strange: set[str] = field(default_factory=set)  # languages that the model does not know
    _strange_scripts: set[str] = field(default_factory=set)
    _clash_said: float = float("-inf")

    def begin(self) -> None:
        """Starts a new batch; a batch that is tried again is the same batch."""
        self._tried = set()

    def again(self) -> None:
        """Starts a try of the batch: what earlier tries said of its headlines does not count."""
        self._told = set()

    def write(self, items: Sequence[Item], tally: Tally) -> list[Settled]:
        """Writes the headlines that Milvus does not hold yet.

        Args:
            items: At most as many as a full batch.
            tally: The batch's tally, which counts seconds and everything but outcomes here.

        Returns:
            Every item with its outcome, but for those that a stop left no time for.

        Raises:
            StoreUnavailable, EmbedderError, StoreLimit: Milvus is away, or the model or Milvus fails on every headline.
        """
        started = time.perf_counter()
        settled = [Settled(item, Outcome.REFUSED, item.fault) for item in items if item.headline is None]
        wanted: list[Item] = []
        for item in items:
            if item.headline is not None:
                if any(map(self.store.tombstones.blocks, _readings(item))):
                    settled.append(Settled(item, Outcome.TAKEN_DOWN))
                else:
                    wanted.append(item)
        self.stay()
        missing, known = self._looked_up(wanted, tally)
        settled += known
        tally.took(look_up=time.perf_counter() - started)
        if missing:
            self._warn_of_languages([headline_of(item) for item in missing])
            settled += self._embed_and_insert(missing, self.stories.current(), tally)
        self._told.update(headline_of(one.item).id for one in settled if one.outcome is Outcome.STORED)
        return settled

    def _looked_up(self, items: Sequence[Item], tally: Tally) -> tuple[list[Item], list[Settled]]:
        """The items that Milvus does not hold yet, and the others with their outcome.

        A known id with another title and another url, or with no url, is a clash: the second headline gets the id that
        is derived from its fields, so that Milvus finds it again when it is sent again.
        """
        missing, settled, clashing = self._compared(items)
        tally.clashes += len(clashing)
        if clashing:
            self._say_clash(clashing[0])
        for which in range(2):
            if not clashing:
                break
            renamed = [one._replace(headline=headline_of(one)._replace(id=one.derived_ids[which])) for one in clashing]
            more, known, still = self._compared(renamed, missing)
            settled += known
            missing += more
            clashing = still
        return missing, settled + [Settled(item, Outcome.EDIT) for item in clashing]

    def _compared(
        self, items: Sequence[Item], before: Sequence[Item] = ()
    ) -> tuple[list[Item], list[Settled], list[Item]]:
        """The items whose id is new, those whose headline is known, and those whose id another headline has."""
        ids = [headline.id for item in items for headline in _readings(item)]
        known = self.store.known_headlines(ids) if ids else {}
        ours = set(known) & self._tried - self._told  # ids that an earlier try wrote
        first = {headline_of(item).id: headline_of(item) for item in before}
        missing: list[Item] = []
        settled: list[Settled] = []
        clashing: list[Item] = []
        for item in items:
            headline = headline_of(item)
            there = known.get(headline.id)
            if there is None and headline.id in first:
                there = first[headline.id].title, first[headline.id].url
            if there is None and _was_stored(item, known):
                settled.append(Settled(item, Outcome.DUPLICATE))
            elif there is None:
                first[headline.id] = headline
                missing.append(item)
            elif _same_title(there[0], headline.title):
                settled.append(Settled(item, Outcome.STORED if headline.id in ours else Outcome.DUPLICATE))
                ours.discard(headline.id)
            elif headline.url and headline.url == there[1]:
                settled.append(Settled(item, Outcome.EDIT))
            else:
                clashing.append(item)
        return missing, settled, clashing

    def _embed_and_insert(self, items: Sequence[Item], stories: OpenStories, tally: Tally) -> list[Settled]:
        """Writes the headlines piece by piece; once the loop is told to stop, those that the model has begun."""
        settled: list[Settled] = []
        begun: deque[_Piece] = deque()
        sent: tuple[Sequence[Item], Future[int]] | None = None  # the piece that Milvus is writing
        done = 0
        try:
            while True:
                while len(begun) < self.pace.at_once and done < len(items) and not self.stopping():
                    some = items[done : done + self.pace.next(len(items) - done)]
                    done += len(some)
                    headlines = [headline_of(item) for item in some]
                    begun.append(_Piece(some, time.perf_counter(), self.embedding.submit(self._embed, headlines)))
                if not begun:
                    break
                piece = begun.popleft()
                try:
                    rows = self._rows(piece, stories, tally)
                except EmbedderError as error:
                    settled += self._inserted(sent, stories, tally)
                    sent = None
                    settled += self._halve(piece.items, error, stories, tally)
                    continue
                self.stay()  # called for each piece, since a model may be slow
                settled += self._inserted(sent, stories, tally)
                sent = None
                ours = [
                    self.has(item.record) for item in piece.items
                ]  # a run may have labelled the rows of lost partitions
                settled += [Settled(item, Outcome.LEFT) for item, has in zip(piece.items, ours, strict=True) if not has]
                kept = [item for item, has in zip(piece.items, ours, strict=True) if has]
                rows = [row for row, has in zip(rows, ours, strict=True) if has]
                self._tried.update(headline_of(item).id for item in kept)
                sent = kept, self.inserting.submit(self._insert, rows)
            settled += self._inserted(sent, stories, tally)
            sent = None
        finally:  # running work ends before the batch is tried again
            unfinished: list[Future[object]] = [piece.vectors for piece in begun]  # type: ignore[misc]
            if sent is not None:
                unfinished.append(sent[1])  # type: ignore[arg-type]
            for future in unfinished:
                future.cancel()
            wait(unfinished)
        return settled

    def _embed(self, headlines: Sequence[Headline]) -> tuple[Vectors, float]:
        """The vectors of the headlines, and when the model finished them."""
        return embed_headlines(self.embedder, headlines), time.perf_counter()

    def _rows(self, piece: _Piece, stories: OpenStories, tally: Tally) -> list[HeadlineRow]:
        """Waits for the vectors of a piece, and labels its headlines provisionally."""
        started = time.perf_counter()
        vectors, finished = piece.vectors.result()
        embedded = time.perf_counter()
        took = finished - max(piece.since, self._embedded_at)
        self.pace = self.pace.after(len(piece.items), took, self.batch_size)
        self._embedded_at = finished
        headlines = [headline_of(item) for item in piece.items]
        labels, probabilities = assign(
            vectors,
            [headline.language for headline in headlines],
            np.array([headline.published_at for headline in headlines], np.int64),
            stories,
        )
        readable, strange = unreadable_scripts([headline.title for headline in headlines], self.embedder.card)
        labels[~readable], probabilities[~readable] = (
            -1,
            0,
        )  # the model could not read the text, so its vector means nothing
        self._warn_of_scripts(strange)
        tally.unreadable += strange.total()
        tally.took(embed=embedded - started, assign=time.perf_counter() - embedded)
        now = int(time.time() * 1000)
        return [
            HeadlineRow(headline, vector, now, int(label), float(probability))
            for headline, vector, label, probability in zip(headlines, vectors, labels, probabilities, strict=True)
        ]

    def _insert(self, rows: Sequence[HeadlineRow]) -> int:
        """Writes rows, and returns how many have a story's label."""
        self.store.insert_headlines(rows)
        return sum(row.cluster_label >= 0 for row in rows)

    def _inserted(
        self, sent: "tuple[Sequence[Item], Future[int]] | None", stories: OpenStories, tally: Tally
    ) -> list[Settled]:
        """Waits until Milvus has written these headlines, or has refused one of them."""
        if sent is None:
            return []
        items, insert = sent
        started = time.perf_counter()
        try:
            tally.provisional += insert.result()
        except (StoreLimit, StoreRefused) as error:
            return self._halve(items, error, stories, tally)
        tally.took(insert=time.perf_counter() - started)
        return [Settled(item, Outcome.STORED) for item in items]

    def _halve(self, items: Sequence[Item], error: NewstideError, stories: OpenStories, tally: Tally) -> list[Settled]:
        """Tries refused headlines again, half by half, until each bad headline is found."""
        if not items:
            return []
        if len(items) == 1:
            if isinstance(error, EmbedderError):
                self.embedder.encode(
                    [_HARMLESS]
                )  # raises where the model fails on every text, not on this headline alone
            return [Settled(items[0], Outcome.REFUSED, str(error))]
        middle = len(items) // 2
        halves = (items[:middle], items[middle:])
        return [one for half in halves for one in self._embed_and_insert(half, stories, tally)]

    def _warn_of_scripts(self, strange: Counter[str]) -> None:
        for script, count in strange.items():
            if script not in self._strange_scripts:
                self._strange_scripts.add(script)
                log.warning(
                    "the model cannot read this script; its headlines are stored, and join no story",
                    script=script_name(script),
                    headlines=count,
                    model=self.embedder.card.name,
                    way_out="`newstide doctor` names a model that can read it",
                )

    def _warn_of_languages(self, headlines: Sequence[Headline]) -> None:
        strange = unknown_languages(self.embedder, [headline.language for headline in headlines])
        for language, count in strange.items():
            if language not in self._strange:
                self._strange.add(language)
                log.warning(
                    "the model was not trained on this language; its headlines are embedded all the same",
                    language=language,
                    headlines=count,
                    model=self.embedder.card.name,
                )

    def _say_clash(self, item: Item) -> None:
        now = time.monotonic()
        if now - self._clash_said > _SAY_EVERY:
            self._clash_said = now
            log.warning(
                "another headline has this id; this headline is stored under a derived id",
                id=headline_of(item).id,
                title=headline_of(item).title,
                partition=item.record.partition,
                offset=item.record.offset,
            )


def headline_of(item: Item) -> Headline:
    """The headline of an item that has one."""
    assert item.headline is not None  # noqa: S101 - refused items never come here
    return item.headline


def _readings(item: Item) -> list[Headline]:
    """The headline of an item as it is read now, and as an earlier version read it where that differs."""
    return [headline_of(item)] if item.former is None else [headline_of(item), item.former]


def _was_stored(item: Item, known: Mapping[str, tuple[str, str]]) -> bool:
    """Whether Milvus holds the headline under the id that an earlier version gave it; `known`: title and url by id."""
    former = item.former
    return former is not None and former.id in known and _same_title(known[former.id][0], former.title)


def chunks_of(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Lists of at most so many items, one after another."""
    some: list[Item] = []
    for item in items:
        some.append(item)
        if len(some) >= size:
            yield some
            some = []
    if some:
        yield some


def _same_title(one: str, other: str) -> bool:
    return one == other or clean(one).casefold() == clean(other).casefold()
