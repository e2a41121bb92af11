"""newstide in a notebook: headlines, stories and the map as pandas frames, the figure as a Plotly object.

`newstide.load()` is the one public function; docs/notebook.md shows what to do with its result.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from newstide.core.errors import NewstideError, SettingsError
from newstide.core.settings import Settings

if TYPE_CHECKING:
    import plotly.graph_objects as go

_TIMES = ("published_at", "ingested_at", "first_published_at", "last_published_at", "started_at", "finished_at")
_HEADLINES = (
    *("id", "title", "description", "source", "language", "published_at", "url"),
    *("cluster_label", "label_probability", "label_run"),
)
_HOVER = "<b>%{text}</b><br>%{customdata[0]} · %{customdata[1]}<br>%{customdata[2]}<extra></extra>"


def load(
    settings: Settings | None = None,
    *,
    uri: str | None = None,
    prefix: str | None = None,
    since: "str | datetime | timedelta | None" = None,
    stories: Iterable[int] | None = None,
) -> "News":
    """Reads what newstide has found.

    Args:
        settings: Where things are; those in force (`newstide.toml`, environment, a running `newstide up`) by default.
        uri: Of Milvus, instead of the settings'.
        prefix: Of the collections' names, instead of the settings'.
        since: Only headlines published from then on, and their stories: a time (`"2026-10-13"` is midnight UTC), or how
            far back from the newest headline (`timedelta(hours=6)`).
        stories: Only these stories, by number, and their headlines; -1 = headlines in no story.

    Raises:
        SettingsError: An argument cannot be meant.
        StoreUnavailable: Milvus cannot be reached.
        EmptyStore: Nothing has been ingested yet.
    """
    from newstide.milvus import filters, open_store
    from newstide_app.services.endpoints import with_endpoints

    chosen = {name: value for name, value in (("uri", uri), ("prefix", prefix)) if value is not None}
    settings = with_endpoints((settings or Settings.load()).updated(milvus=chosen))
    numbers = None if stories is None else [_number(one) for one in stories]
    store = open_store(settings.milvus, None)
    try:
        begin = _begin(since, store.newest_published_at) if since is not None else None
        where = filters.all_of(
            filters.published_since(begin) if begin is not None else "",
            filters.in_stories(numbers) if numbers else filters.NONE_AT_ALL if numbers is not None else "",
        )
        headlines = store.headlines(where, _HEADLINES)
        found = store.stories().drop(columns=["former_ids", "challenged"])
        runs = store.runs()
    finally:
        store.close()
    if numbers is not None:
        found = found[found["cluster_label"].isin(numbers)]
    elif begin is not None:
        found = found[found["cluster_label"].isin(headlines["cluster_label"])]
    return News(
        settings,
        _with_times(headlines.sort_values(["published_at", "id"], ascending=[False, True])),
        _with_times(found.sort_values(["size", "cluster_label"], ascending=[False, True])).set_index("cluster_label"),
        _with_times(runs).set_index("run"),
    )


class News:
    """What newstide has found, as of when it was loaded. Times are pandas times in UTC.

    Attributes:
        settings: Where it came from.
        headlines: A row a headline, newest first: `id`, `title`, `description`, `source`, `language`, `published_at`,
            `url`, `cluster_label` (-1 = in no story), `label_probability`, `label_run` (0 = not yet seen by a run).
        stories: A row a story by `cluster_label`, largest first, open and closed: `title`, `keywords`, `languages`,
            `sources`, `size`, `previous_size`, first and last `published_at`, `status`, `parents`, `successor` ...
        runs: A row a run by its number: `theta`, times, `parameters`, `counts`, `durations`.
    """

    def __init__(self, settings: Settings, headlines: pd.DataFrame, stories: pd.DataFrame, runs: pd.DataFrame) -> None:
        self.settings = settings
        self.headlines = headlines
        self.stories = stories
        self.runs = runs

    def __repr__(self) -> str:
        return f"News({len(self.headlines):,} headlines, {len(self.stories):,} stories, {len(self.runs):,} runs)"

    @cached_property
    def map(self) -> pd.DataFrame:
        """The headlines that are on the last map, with their place: the columns of `headlines` and `x`, `y`.

        Raises:
            NewstideError: No map lies in the data folder; the machine that runs the reclusterer keeps it.
        """
        from clustering.map.layout import load_layout

        path = self.settings.data_dir / "cache" / "layout.npz"
        layout = load_layout(path)
        if layout is None:
            raise NewstideError(
                f"There is no map at {path}.",
                "The machine that runs `newstide recluster` keeps the map: set NEWSTIDE_DATA_DIR to its data folder.",
            )
        places = pd.DataFrame(layout.positions, columns=["x", "y"]).assign(id=layout.ids)
        return self.headlines.merge(places, on="id", how="inner")

    def figure(self, *, labels: int = 20, theme: str = "light") -> "go.Figure":
        """The map as a Plotly figure: a point a headline, in its story's colour, the same as on the pages.

        Args:
            labels: Largest stories that are named on it.
            theme: `light` or `dark`.

        Raises:
            SettingsError: There is no such theme.
            NewstideError: There is no map.
        """
        import plotly.graph_objects as go

        from clustering.pages.colours import INK, PAPER, SVG_POINTS, colour

        if theme not in PAPER:
            raise SettingsError(f"theme {theme!r} is not one of {', '.join(PAPER)}.")
        paper, ink = PAPER[theme], INK[theme]
        points = self.map.sort_values("cluster_label", kind="stable")  # noise lies under the stories
        numbers = points["cluster_label"].astype(int)
        marker = {
            "color": [colour(number, theme) for number in numbers],
            "size": [5 if number < 0 else 8 for number in numbers],
            "opacity": [0.5 if number < 0 else 0.9 for number in numbers],
        }
        kind = go.Scattergl if len(points) > SVG_POINTS else go.Scatter
        titles = self.stories["title"].to_dict()
        trace = kind(
            x=points["x"],
            y=points["y"],
            mode="markers",
            marker=marker,
            text=[_as_text(title) for title in points["title"]],
            customdata=[
                [_as_text(source), f"{when:%d %b %H:%M}", "in no story" if number < 0 else f"story {number}"]
                for source, when, number in zip(points["source"], points["published_at"], numbers, strict=True)
            ],
            hovertemplate=_HOVER,
        )
        figure = go.Figure(trace)
        largest = numbers[numbers >= 0].value_counts(sort=True).index[:labels]
        for number in largest:
            place = points.loc[numbers == number, ["x", "y"]].median()
            figure.add_annotation(
                x=place["x"],
                y=place["y"],
                text=_as_text(_short(titles.get(number, f"story {number}"))),
                showarrow=False,
                yshift=12,
                font={"color": ink, "size": 12},
                bgcolor=paper,
                opacity=0.85,
            )
        axis = {"visible": False}
        figure.update_layout(
            xaxis=axis,
            yaxis={**axis, "scaleanchor": "x"},
            showlegend=False,
            paper_bgcolor=paper,
            plot_bgcolor=paper,
            font={"color": ink},
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            height=640,
            dragmode="pan",
        )
        return figure


def _begin(since: "str | datetime | timedelta", newest: Any) -> int:
    """Epoch milliseconds."""
    if isinstance(since, timedelta):
        latest = newest()
        return 0 if latest is None else int(latest - since.total_seconds() * 1000)
    try:
        moment = datetime.fromisoformat(since) if isinstance(since, str) else since
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError, AttributeError):
        raise SettingsError(
            f"since {since!r} is no time.", 'Write it as "2026-10-13", "2026-10-13T07:42:00Z" or timedelta(hours=6).'
        ) from None


def _number(story: Any) -> int:
    try:
        if int(story) == story:
            return int(story)
    except (TypeError, ValueError):
        pass
    raise SettingsError(f"stories: {story!r} is no story's number.")


def _with_times(frame: pd.DataFrame) -> pd.DataFrame:
    times = {name: pd.to_datetime(frame[name], unit="ms", utc=True) for name in _TIMES if name in frame}
    return frame.assign(**times).reset_index(drop=True)


def _as_text(text: str) -> str:
    """A headline as Plotly shows it to the letter: it takes some of HTML for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _short(title: str, most: int = 48) -> str:
    return title if len(title) <= most else title[: most - 1].rstrip() + "…"


__all__: Sequence[str] = ("News", "load")
