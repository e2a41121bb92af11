"""A story's titles: its most central headline, overall and in each language, and when one of them is replaced.

Of two headlines that are about as central now this one leads, now that one. So a title stays until another headline is
better by `BETTER` in two runs running, or until none of the story's headlines has it any more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.arrays import Labels
from newstide.core.language_means import primary_language

BETTER = 0.05  # similarity to the story's centroid, less what a headline loses by its age
OVERALL = ""  # the key of a story's own title among those by language

Texts = npt.NDArray[np.object_]


def choose_titles(members: pd.DataFrame, numbers: Labels, before: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Chooses the titles of stories.

    Args:
        members: The stories' headlines: `story` (place in `numbers`), `title`, `language` (BCP 47), `published_at`, and
            `fit`, how well each would do as a title.
        numbers: (stories,) their numbers.
        before: By number, `title`, `titles` and `challenged` of the stories that were there.

    Returns:
        One row a story, in the order of `numbers`: `title`; `titles`, by primary language, the most frequent first;
        `challenged`, the languages (`""`: overall) whose title was beaten in this run and stays; `previous_titles`, the
        titles that were replaced, by language.
    """
    known = [before.get(int(number), {}) for number in numbers]
    ranked = members.sort_values(["fit", "published_at"], ascending=False, kind="stable")
    language = ranked["language"].map(primary_language).to_numpy(object)
    story = ranked["story"].to_numpy(np.int64)
    named = np.flatnonzero(language != "")
    codes, languages = pd.factorize(language[named])
    pairs, group = np.unique(story[named] * np.int64(len(languages)) + codes, return_inverse=True)
    keys = [(int(pair) // len(languages), str(languages[int(pair) % len(languages)])) for pair in pairs]
    titles, fits = ranked["title"].to_numpy(object), ranked["fit"].to_numpy(np.float64)
    overall = _chosen(titles, fits, story, [known[at].get("title", "") for at in range(len(numbers))])
    by_language = _chosen(
        titles[named], fits[named], group.ravel(), [known[at].get("titles", {}).get(tag, "") for at, tag in keys]
    )
    counts = np.bincount(group.ravel(), minlength=len(keys))
    found: list[dict[str, Any]] = [
        {"title": "", "titles": {}, "challenged": [], "previous_titles": {}} for _ in range(len(numbers))
    ]
    for at in range(len(numbers)):
        _settle(found[at], known[at], OVERALL, overall, at)
        found[at]["title"] = found[at]["titles"].pop(OVERALL)
    for place in sorted(range(len(keys)), key=lambda place: (keys[place][0], -counts[place], keys[place][1])):
        at, tag = keys[place]
        _settle(found[at], known[at], tag, by_language, place)
    return pd.DataFrame(found, columns=["title", "titles", "challenged", "previous_titles"])


def in_language(title: str, titles: Mapping[str, str], wanted: Sequence[str]) -> tuple[str, str]:
    """The title in the first of these languages (BCP 47) that the story has one in, and that language.

    Without one, the story's own title; its language is empty, since a story does not say it.
    """
    for tag in wanted:
        primary = primary_language(tag).lower()
        if primary in titles:
            return titles[primary], primary
    return title, ""


def _settle(
    found: dict[str, Any],
    known: Mapping[str, Any],
    tag: str,
    chosen: tuple[Texts, Texts, npt.NDArray[np.float64]],
    place: int,
) -> None:
    """Takes the best title of one language, or leaves the one there was."""
    best, incumbent, gap = (values[place] for values in chosen)
    beaten = gap >= BETTER
    stays = incumbent and np.isfinite(gap) and not (beaten and tag in known.get("challenged", ()))
    found["titles"][tag] = incumbent if stays else best
    if stays and beaten:
        found["challenged"].append(tag)
    if incumbent and not stays and incumbent != best:
        found["previous_titles"][tag] = incumbent


def _chosen(
    titles: Texts, fits: npt.NDArray[np.float64], group: Labels, incumbents: Sequence[str]
) -> tuple[Texts, Texts, npt.NDArray[np.float64]]:
    """By group of headlines, best first: the best title, the one there was, and by how much that is worse.

    The last is infinite where no headline has the title any more.
    """
    there = np.array([*incumbents, None], object)[:-1]  # else texts of one length would be characters
    first = np.full(len(there), -1, np.int64)
    groups, rows = np.unique(group, return_index=True)
    first[groups] = rows
    own = np.full(len(there), -np.inf)
    same = np.flatnonzero(titles == there[group])
    np.maximum.at(own, group[same], fits[same])
    return titles[first], there, fits[first] - own
