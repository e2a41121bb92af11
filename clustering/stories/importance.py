"""How much a story matters: how many tell it, in how many languages, and how much of it is new."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.arrays import Labels
from clustering.stories.similarity import collapse_titles
from newstide.core.language_means import primary_language

_NEW = 6 * 3_600_000  # ms
_MOST = 0.5  # of the window's headlines: where more have no source, each of those counts as one of its own


def importance(labels: Labels, headlines: pd.DataFrame, newest: int) -> dict[int, float]:
    """ln(1 + sources) x (1 + ln languages) x (1 + share of the headlines of the last 6 hours), by story.

    Copies of a title count once, as the first of them. A headline without a source counts as none, or as one of its own
    where more than half of the window's headlines have none; a headline without a language counts as none.

    Args:
        labels: (n,) story of each row, -1 = none.
        headlines: (n) rows with `title`, `source`, `language`, `published_at` (epoch ms).
        newest: The time (epoch ms) up to which the last hours are counted.
    """
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return {}
    own_sources = float((headlines["source"] == "").mean()) > _MOST
    members = headlines.iloc[inside][["title", "source", "language", "published_at"]].assign(story=labels[inside])
    members = members.sort_values("published_at", kind="stable", ignore_index=True)
    members["point"] = collapse_titles(members["title"].tolist())[1]
    first = members.drop_duplicates(["story", "point"], ignore_index=True)
    source = first["source"].mask(first["source"] == "", [f"\n{row}" for row in range(len(first))])
    counted = pd.DataFrame(
        {
            "story": first["story"],
            "source": source if own_sources else source.mask(first["source"] == ""),
            "language": first["language"].map(primary_language).replace("", None),
            "new": first["published_at"] > newest - _NEW,
        }
    ).groupby("story")
    sources, languages = (counted[name].nunique().to_numpy(np.float64) for name in ("source", "language"))
    new: npt.NDArray[np.float64] = counted["new"].mean().to_numpy(np.float64)
    values = np.log1p(sources) * (1 + np.log(np.maximum(languages, 1))) * (1 + new)
    return dict(zip(counted["new"].mean().index.astype(int).tolist(), values.tolist(), strict=True))
