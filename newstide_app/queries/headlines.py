"""Headlines: the newest a page at a time, those nearest in meaning to a text, and those of one story."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from newstide.core.errors import RowsMissing, SettingsError, UnknownStory
from newstide.core.settings import Settings
from newstide.milvus import Store, filters, open_store
from newstide.milvus.collection import MOST
from newstide.milvus.model import model_for
from newstide.milvus.schema import require_same_model
from newstide_app.queries.records import records
from newstide_app.queries.stories import follow, retitled

State = Literal["all", "story", "noise", "provisional"]
Cursor = tuple[int, str]  # published_at (epoch ms) and id of the last headline of a page

HEADLINE_COLUMNS = [
    "id",
    "title",
    "source",
    "language",
    "published_at",
    "url",
    "cluster_label",
    "label_probability",
    "label_run",
]
_FIRST_SPAN = 3_600_000  # ms looked back for the newest headlines; where they are few, eight times as far, and so on
_SPANS = 1_000  # filters whose look back is remembered
_TIES = 50  # hits looked at beyond a page: how many copies of a title may lie about its end
_DIGITS = 5  # of a similarity; what differs by less is equally near


@dataclass
class Lately:
    """What the last look for the newest headlines found, so that the next reads less; for one open store.

    Attributes:
        newest: The time of the newest headline that was found, epoch ms; later ones may have come in since.
        spans: How far to look back first, ms, by filter.
    """

    newest: int = -1
    spans: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeadlineFilter:
    """Which headlines are wanted; an empty tuple or None leaves a field open.

    Attributes:
        labels: Story numbers; -1 = in no story.
        sources: To the letter.
        languages: BCP 47, to the letter.
        since: Published at or after, epoch ms.
        until: Published before, epoch ms.
        state: `story` (in one), `noise` (in none), `provisional` (labelled on arrival, not yet by a run).
    """

    labels: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    state: State = "all"

    def expression(self) -> str:
        """As a filter of Milvus, in which every value stays a value."""
        states = {
            "all": "",
            "story": filters.IN_A_STORY,
            "noise": filters.IN_NO_STORY,
            "provisional": filters.PROVISIONAL,
        }
        return filters.all_of(
            filters.in_stories(self.labels) if self.labels else "",
            filters.any_of("source", self.sources) if self.sources else "",
            filters.any_of("language", self.languages) if self.languages else "",
            filters.published_since(self.since) if self.since is not None else "",
            filters.published_before(self.until) if self.until is not None else "",
            states[self.state],
        )


def newest_headlines(
    store: Store, wanted: HeadlineFilter, limit: int, after: Cursor | None = None, lately: Lately | None = None
) -> tuple[pd.DataFrame, Cursor | None]:
    """A page of headlines, newest first, those of the same moment by id.

    Milvus does not sort: the times of one story's headlines are read whole, those of all headlines in growing steps back
    from the newest.

    Args:
        store: The store.
        wanted: Which.
        limit: Headlines a page.
        after: The last headline of the page before.
        lately: Of this store, where it is asked more than once.

    Returns:
        The page, and where the next begins, or None at the end.
    """
    where = wanted.expression()
    behind = "" if after is None else filters.behind(*after)
    if wanted.labels and min(wanted.labels) >= 0:
        keys = store.headlines(filters.all_of(where, behind), ["id", "published_at"])
    else:
        keys = _looking_back(store, wanted, limit, after, lately or Lately())
    keys = keys.sort_values(["published_at", "id"], ascending=[False, True])
    page = keys.head(limit)
    frame = store.headlines_by_id(page["id"].tolist(), HEADLINE_COLUMNS)
    more = len(keys) > limit
    return frame, (int(page["published_at"].iloc[-1]), str(page["id"].iloc[-1])) if more else None


def nearest_headlines(store: Store, vector: Any, wanted: HeadlineFilter, limit: int, offset: int = 0) -> pd.DataFrame:
    """The headlines nearest to a text's vector, (1, dim), best first, with their cosine as `similarity`.

    Copies of a title are equally near, and Milvus gives them in whatever order: by id, so that no page repeats another's.
    """
    end = offset + limit
    hits = store.search_headlines(vector, max(end, min(end + _TIES, MOST)), wanted.expression())
    found = [
        (str(id_), float(value))
        for id_, value in zip(hits.ids[0], hits.similarities[0], strict=True)
        if id_ is not None
    ]
    found.sort(key=lambda hit: (-round(hit[1], _DIGITS), hit[0]))
    similarity = dict(found[offset:end])
    frame = store.headlines_by_id(list(similarity), HEADLINE_COLUMNS)
    return frame.assign(similarity=[similarity[id_] for id_ in frame["id"]])


def headlines_like(store: Store, id_: str, wanted: HeadlineFilter, limit: int, offset: int = 0) -> pd.DataFrame | None:
    """The headlines nearest in meaning to one of them, itself left out; None where there is no headline of that id."""
    try:
        vector = store.embeddings([id_])
    except RowsMissing:
        return None
    near = nearest_headlines(store, vector, wanted, offset + limit + 1)
    return near[near["id"] != id_].iloc[offset : offset + limit].reset_index(drop=True)


def search(settings: Settings, text: str, limit: int, wanted: HeadlineFilter = HeadlineFilter()) -> pd.DataFrame:
    """The headlines nearest in meaning to a text, best first, with `similarity` (cosine) and their `story_title`.

    That is in the first wanted language that the story has a title in.
    """
    if not text.strip():
        raise SettingsError("The search text is empty.")
    store = open_store(settings.milvus, None)
    try:
        embedder = model_for(settings, store.card)
        require_same_model(store.card, embedder.card, f"{settings.milvus.prefix}headlines")
        found = nearest_headlines(store, embedder.encode([text]), wanted, limit)
        numbers = sorted({int(label) for label in found["cluster_label"] if label >= 0})
        languages = [*wanted.languages, *settings.pages.title_languages]
        stories = retitled(store.stories_by_number(numbers), languages)
        titles = dict(zip(stories["cluster_label"].astype(int), stories["title"], strict=True))
        return found.assign(story_title=[titles.get(int(label), "") for label in found["cluster_label"]])
    finally:
        store.close()


def list_headlines(
    settings: Settings, story: int, limit: int, wanted: HeadlineFilter = HeadlineFilter()
) -> tuple[dict[str, Any], pd.DataFrame]:
    """A story's facts and the newest of its wanted headlines; of a closed story also what it is today, by its successors.

    The title is in the first wanted language that the story has one in.

    Raises:
        UnknownStory: There is no such story.
    """
    store = open_store(settings.milvus, None)
    try:
        languages = [*wanted.languages, *settings.pages.title_languages]
        stories = retitled(store.stories(filters.in_stories([story])), languages)
        if stories.empty and story != -1:
            raise UnknownStory(f"There is no story {story}.", "`newstide stories --status all` lists them.")
        frame = store.headlines(replace(wanted, labels=(story,)).expression(), HEADLINE_COLUMNS)
        closed = len(stories) and stories.loc[0, "status"] == "closed"
        became = follow(store.stories(), story) if closed else []
    finally:
        store.close()
    facts = {"cluster_label": -1, "title": "noise"} if stories.empty else {**records(stories)[0], "became": became}
    return facts, frame.sort_values(["published_at", "id"], ascending=[False, True]).head(limit).reset_index(drop=True)


def _looking_back(
    store: Store, wanted: HeadlineFilter, limit: int, after: Cursor | None, lately: Lately
) -> pd.DataFrame:
    """Ids and times of at least `limit + 1` headlines from the newest back, where there are so many."""
    newest = _newest(store, lately)
    bounds = [] if wanted.until is None else [wanted.until - 1]
    if after is not None:
        bounds.append(after[0])
    last, first = min(bounds, default=newest), max(wanted.since or 0, 0)
    kind = replace(wanted, since=None, until=None).expression()
    span = lately.spans.get(kind, _FIRST_SPAN)
    # Without an upper bound the first look finds what has come in since: for each query Milvus Lite walks all rows.
    latest = last >= newest
    upper, until = min(last, newest), "" if latest else filters.published_until(last)
    where, behind = wanted.expression(), "" if after is None else filters.behind(*after)
    parts: list[pd.DataFrame] = []
    while not parts or (upper >= first and sum(map(len, parts)) <= limit):
        lower = max(upper - span + 1, first)
        slice_ = filters.all_of(filters.published_since(lower), until)
        parts.append(store.headlines(filters.all_of(slice_, where, behind), ["id", "published_at"]))
        upper, span = lower - 1, span * 8
        until = filters.published_until(upper)
    found = pd.concat(parts, ignore_index=True)
    if latest and not behind:
        _remember(lately, kind, found["published_at"].sort_values(ascending=False).tolist(), limit)
    return found


def _remember(lately: Lately, kind: str, times: list[int], limit: int) -> None:
    """Notes where the newest headlines of a filter lie, from their times, latest first: the next look asks once."""
    if times:
        lately.newest = max(times[0], lately.newest) if kind else times[0]
    if len(times) > limit:
        if len(lately.spans) >= _SPANS:
            lately.spans.clear()
        lately.spans[kind] = max(1, lately.newest - times[min(2 * limit, len(times) - 1)] + 1)


def _newest(store: Store, lately: Lately) -> int:
    """The time (epoch ms) of a headline that was the newest when last looked at; -1 where there is none."""
    if lately.newest < 0:
        last = store.last_run()
        known = -1 if last is None else int(last.counts.get("newest") or -1)
        newer = store.newest_published_at(known)
        lately.newest = known if newer is None else newer
    return lately.newest
