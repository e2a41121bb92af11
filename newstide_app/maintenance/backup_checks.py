"""Checks each value of a backup before anything of it is written.

A backup is a file like any other: it may be damaged, or somebody may have edited it. What the cleaning of a message would
mend in a headline is mended and counted; a value that newstide cannot have written is an error that names its place.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from clustering.stories.lineage import Kind
from newstide.core.errors import BackupDamaged, InvalidHeadline
from newstide.core.headline import MAX_SOURCE, MAX_TITLE, Headline, Limits, clean_again, parse_language
from newstide.core.text import clean, clean_plain, shorten
from newstide.core.times import LATEST_MS
from newstide.milvus import schema

LAST_NUMBER = 2**52  # of a story or a run in a backup: Milvus has room for 2,000 times as many after it
RUNS_MEANWHILE = 1_000  # that may have finished while the backup was being written
_LENGTH = 1e-3  # tolerated difference of a unit vector's length from 1, as when rows are written
_DEEP = 20  # lists and objects within another
_UNIT = ("headlines", "stories")  # their vectors have length 1; others are means of such vectors
_TEXTS = tuple(name for name, kind in get_type_hints(Headline).items() if kind is str)
_TAG = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")
_SPAN = TypeAdapter(timedelta)

BEFORE = "before"  # in a headline's row that was mended: the row as it stands in the file

Rule = Callable[[Any], Any]
"""Returns a value as it should be; a `ValueError` says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What rows of a backup are checked against.

    Attributes:
        file: The backup, for errors.
        dim: The dimensions of its vectors.
        last_run: The last run that the backup holds; 0 = none.
        limits: What a message's headline may claim.
        now: Epoch ms.
    """

    file: str
    dim: int
    last_run: int
    limits: Limits
    now: int

    def mend_rows(self, kind: str, rows: Sequence[dict[str, Any]], first: int) -> Counter[str]:
        """Checks rows of a collection, and mends in place what can be mended; returns how often, by column.

        Args:
            kind: The collection.
            rows: Its columns, the vector among them where the file has one.
            first: The number of the first of these rows within the collection, from 1.

        Raises:
            BackupDamaged: A value cannot be right; names row, column and value.
        """
        mended: Counter[str] = Counter()
        rules = {**_RULES[kind], **dict.fromkeys(_OF_A_RUN.get(kind, ()), self._run)}
        lacking = rules.keys() - rows[0].keys() if rows else set()  # all rows of an earlier version lack the same
        for number, row in enumerate(rows, first):
            missing = rules.keys() - row.keys()
            if missing != lacking or missing not in _LACKING.get(kind, (set(),)):
                raise self._wrong(kind, number, f"{min(missing or lacking)} is missing")
            if unknown := row.keys() - rules.keys() - {schema.VECTOR[kind]}:
                raise self._wrong(kind, number, f"{shorten(repr(min(unknown)))} is no column of {kind}")
            before = dict(row) if kind == "headlines" else {}
            changed = [
                name for name, rule in rules.items() if name in row and self._mend(kind, number, row, name, rule)
            ]
            if kind == "headlines":
                changed += self._clean(row, number)
                if changed:
                    row[BEFORE] = before
            elif kind == "events" and row["id"] != f"{row['run']}/{row['story']}/{row['kind']}":
                raise self._wrong(kind, number, f"id = {shorten(repr(row['id']))} names another run, story or kind")
            mended.update(changed)
        self._check_vectors(kind, rows, first)
        return mended

    def _run(self, value: Any) -> int:
        """The rule of the run that wrote something; one that the backup does not hold yet is the next one."""
        run: int = whole(0, self.last_run + RUNS_MEANWHILE)(value)
        return min(run, self.last_run + 1)

    def _mend(self, kind: str, number: int, row: dict[str, Any], name: str, rule: Rule) -> bool:
        """Checks one value; returns whether it had to be mended."""
        value = row[name]
        try:
            row[name] = rule(value)
        except ValueError as error:
            raise self._wrong(kind, number, f"{name} = {shorten(repr(value))} {error}") from None
        return row[name] is not value and bool(row[name] != value)

    def _clean(self, row: dict[str, Any], number: int) -> list[str]:
        """Cleans a headline as that of a message, its time included; returns the columns that this changes."""
        try:
            cleaned = clean_again(row, self.limits)
        except InvalidHeadline as error:
            raise self._wrong("headlines", number, str(error).rstrip(".")) from None
        if not 0 < len(cleaned.title) <= MAX_TITLE:
            has = f"{len(cleaned.title):,} visible characters; 1 to {MAX_TITLE:,} are allowed"
            raise self._wrong("headlines", number, f"title = {shorten(repr(row['title']))} has {has}")
        new = {name: getattr(cleaned, name) for name in _TEXTS} | {"language": _language(row["language"])}
        if row["published_at"] > max(self.now, row["ingested_at"]) + self.limits.ahead // timedelta(milliseconds=1):
            new["published_at"] = row["ingested_at"]
        changed = [
            name
            for name, value in new.items()
            if value != row[name] and not (value and value == str(row[name]).rstrip())  # cut texts may end with a space
        ]
        row.update({name: new[name] for name in changed})
        return changed

    def _check_vectors(self, kind: str, rows: Sequence[Mapping[str, Any]], first: int) -> None:
        name = schema.VECTOR[kind]
        if not rows or kind not in schema.COLLECTIONS:
            return
        for number, row in enumerate(rows, first):
            if row[name] is None or len(row[name]) != self.dim:
                has = "is missing" if row[name] is None else f"has {len(row[name])} numbers, not {self.dim}"
                raise self._wrong(kind, number, f"{name} {has}")
        vectors: npt.NDArray[np.float32] = np.stack([row[name] for row in rows])
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        off = np.abs(lengths - 1) > _LENGTH if kind in _UNIT else lengths > 1 + _LENGTH
        for place in np.flatnonzero(~np.isfinite(lengths) | off).tolist():
            odd = vectors[place][~np.isfinite(vectors[place])]
            wanted = "not 1" if kind in _UNIT else "more than 1"
            has = f"holds {odd[0]}" if len(odd) else f"has length {lengths[place]:.4g}, {wanted}"
            raise self._wrong(kind, first + place, f"{name} {has}")

    def _wrong(self, kind: str, number: int, what: str) -> BackupDamaged:
        return BackupDamaged(
            f"{self.file}, row {number:,} of {kind}: {what}.", "Restore another backup, one that newstide made."
        )


def whole(low: int, high: int) -> Rule:
    """The rule of a whole number from `low` to `high`."""

    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"is no whole number from {low:,} to {high:,}")
        return value

    return rule


def number(low: float, high: float) -> Rule:
    """The rule of a number from `low` to `high`."""

    def rule(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"is no number from {low:g} to {high:g}")
        return value

    return rule


def text(most: int, cleaning: Callable[[str], str] = clean) -> Rule:
    """The rule of a text that is cleaned as a message's, and has at most `most` characters."""

    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("is no text")
        if len(value) > most:
            raise ValueError(f"has {len(value):,} characters; {most:,} are allowed")
        return value if (cleaned := cleaning(value)) == value.strip() else cleaned

    return rule


def shaped(pattern: str, what: str) -> Rule:
    """The rule of a text that the whole pattern matches."""
    wanted = re.compile(pattern)

    def rule(value: Any) -> str:
        if not isinstance(value, str) or wanted.fullmatch(value) is None:
            raise ValueError(f"is no {what}")
        return value

    return rule


def some(of: Rule) -> Rule:
    """The rule of a list."""

    def rule(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("is no list")
        return [of(one) for one in value]

    return rule


def pair(of: Rule) -> Rule:
    """The rule of a list of two."""

    def rule(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError("is no pair")
        return [of(one) for one in value]

    return rule


def by_language(of: Rule) -> Rule:
    """The rule of an object whose names are languages."""

    def rule(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("is no object")
        return {_language(name): of(one) for name, one in value.items()}

    return rule


def holding(**named: Rule) -> Rule:
    """The rule of an object: anything that JSON can say, but these members, where they are there and not null."""

    def rule(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("is no object")
        kept: dict[str, Any] = _free(value)
        for name, of in named.items():
            if kept.get(name) is not None:
                try:
                    kept[name] = of(kept[name])
                except ValueError as error:
                    raise ValueError(f"is wrong: {name} = {shorten(repr(kept[name]))} {error}") from None
        return kept

    return rule


def _language(value: str) -> str:
    """A tag as it is, also one that a message is read as another by now; else what a message's would be read as."""
    return value if _TAG.fullmatch(value) else parse_language(value)


def _free(value: Any, deep: int = 0) -> Any:
    """Any value of JSON, its texts without control characters."""
    if deep > _DEEP:
        raise ValueError(f"is nested more than {_DEEP} deep")
    if isinstance(value, str):
        return value if value.isprintable() else clean_plain(value)
    if isinstance(value, dict):
        return {_free(name): _free(one, deep + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_free(one, deep + 1) for one in value]
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) < 2**63):
        raise ValueError(f"holds {value}")
    return value


def _span(value: Any) -> Any:
    try:
        _SPAN.validate_python(value)
    except (ValidationError, OverflowError):
        raise ValueError("is no length of time") from None
    return value


_TIME = whole(0, LATEST_MS)
_STORY, _STORY_OR_NONE, _RUN = whole(0, LAST_NUMBER), whole(-1, LAST_NUMBER), whole(1, LAST_NUMBER)
_COUNT = whole(0, LAST_NUMBER)
_TITLE, _NAME, _LANGUAGE = text(MAX_TITLE), text(MAX_SOURCE), text(35, _language)
_FINITE = number(-1e6, 1e6)
_DIGEST = "(?:[0-9a-f]{64})?"
_BLOCKED = shaped("(?:id|url|source):[0-9a-f]{64}", "key of what was taken down")
_OF_A_RUN = {"headlines": ("label_run",), "stories": ("created_run", "updated_run"), "means": ("run",)}
_OF_SCHEMA_3 = frozenset({"titles", "challenged", "importance", "first_seen_at"})
_LACKING: Mapping[str, tuple[Set[str], ...]] = {
    "stories": (set(), _OF_SCHEMA_3, _OF_SCHEMA_3 | {"former_ids"})
}  # columns, in backups of earlier versions


_RULES: Mapping[str, Mapping[str, Rule]] = {
    "headlines": {
        **dict.fromkeys(_TEXTS, lambda value: value),  # `clean_again` judges them together
        "published_at": _TIME,
        "ingested_at": _TIME,
        "cluster_label": _STORY_OR_NONE,
        "label_probability": number(0, 1 + _LENGTH),
    },
    "stories": {
        "cluster_label": _STORY,
        "title": _TITLE,
        "titles": by_language(_TITLE),
        "challenged": some(_LANGUAGE),
        "keywords": some(_TITLE),
        "languages": some(_LANGUAGE),
        "sources": some(_NAME),
        "size": _COUNT,
        "previous_size": _COUNT,
        "importance": number(0, 1e6),
        "first_seen_at": _TIME,
        "first_published_at": _TIME,
        "last_published_at": _TIME,
        "reach": _FINITE,
        "status": shaped("open|closed", "status of a story (open or closed)"),
        "parents": some(_STORY),
        "successor": _STORY_OR_NONE,
        "former_ids": some(text(128, clean_plain)),
    },
    "runs": {
        "run": _RUN,
        "theta": _FINITE,
        "status": shaped("[a-z]{1,16}", "status of a run"),
        "started_at": _TIME,
        "finished_at": _TIME,
        "parameters": holding(time_weight=_FINITE, time_scale=_span, deviations=number(1e-6, 1e6)),
        "counts": holding(
            rows=_COUNT,
            newest=_TIME,
            ahead=_COUNT,
            smoothed_theta=_FINITE,
            random_pairs=holding(mean=_FINITE, deviation=_FINITE),
            apart=some(pair(_STORY)),
            unreadable=holding(),
            arrivals=holding(),
        ),
        "durations": holding(),
    },
    "means": {"language": _LANGUAGE, "count": _COUNT},
    "events": {
        "id": text(128, clean_plain),
        "run": _RUN,
        "at": _TIME,
        "newest_at": _TIME,
        "kind": shaped("|".join(get_args(Kind)), f"kind of event ({', '.join(get_args(Kind))})"),
        "story": _STORY,
        "title": _TITLE,
        "previous_titles": by_language(_TITLE),
        "size": _COUNT,
        "previous_size": _COUNT,
        "importance": number(0, 1e6),
        "languages": some(_LANGUAGE),
        "sources": some(_NAME),
        "parents": some(_STORY),
        "children": some(_STORY),
        "successor": _STORY_OR_NONE,
    },
    "tombstones": {
        "key": _BLOCKED,
        "cause": _BLOCKED,
        "point": shaped(_DIGEST, "digest of a headline"),
        "title": shaped(_DIGEST, "digest of a title"),
        "created_at": _TIME,
    },
}
