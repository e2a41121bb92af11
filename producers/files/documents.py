"""JSON: one object a line, or documents of any layout, in which the array of headlines is found.

An object with a title of its own is one headline, whatever arrays it holds. In other documents, the array at any depth
whose objects have titles is read; where several arrays have such objects, an error names the arrays. Where most of a file's
objects are groups with a title, such as sections and folders, the headlines in them are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple

from newstide.core.deletions import is_deleted, tells_of_deletion
from newstide.core.error_answers import fault_of_error, may_be_error
from newstide.core.errors import InvalidHeadline, SourceError
from newstide.core.field_names import pick
from newstide.core.field_values import at_path, holds_headline, untyped, unwrapped, value_of, wrapper_in
from newstide.core.json_texts import BLANK, without_depths
from newstide.core.known_names import says_utc
from newstide.core.nested_headlines import along, is_more_than_title, nested_paths
from newstide.core.text import shorten
from newstide.core.titled_arrays import json_feed_items, table_of, titled_arrays
from newstide.core.titled_groups import (
    EMPTY_GROUP,
    are_groups,
    held_by,
    is_empty_group,
    names_in_groups,
    of_groups,
    times_around,
    title_of_group,
)
from producers.files.arrays import LOOKED_AT, arrays_in, followed
from producers.files.columns import (
    IN_UTC,
    Place,
    fill_missing,
    find_known_columns,
    is_title,
    listed,
    no_column,
    no_title,
    note_times,
    spare_places,
)
from producers.files.containers import Source
from producers.files.encodings import Line, lines_of, whole_text
from producers.files.json_values import documents_in, is_object, parse_json, parsed_lines
from producers.files.options import Item, Options
from producers.files.telegram import is_telegram, telegram_items
from producers.tally import Tally

_MAX_DOCUMENT = 256 * 1024 * 1024  # bytes of a document that is not JSON lines, and so is parsed as a whole
_HOPELESS = 1_000  # records without a title after which a file is given up
_LAYOUTS = 10_000  # layouts of records whose columns are remembered
_RESULTS = ("articles", "results", "docs", "items", "data", "entries", "news", "stories", "posts", "records")
_DELETED = "The record says that its row was deleted."
_NAMES = 200  # names of columns that are kept for messages


def read_json_lines(lines: Iterator[Line], file: str, options: Options, tally: Tally) -> Iterator[Item]:
    """One JSON object a line: a headline, or a document that holds an array of them.

    Raises:
        SourceError: No object has a title.
    """
    yield from _Records(file, options, tally).items(parsed_lines(lines))


def read_document(stream: Source, file: str, options: Options, tally: Tally) -> Iterator[Item]:
    """A JSON document, or several one after another, each over any number of lines.

    Raises:
        SourceError: The document is no JSON, is too large, or none of its arrays holds headlines.
    """
    data = stream.head(_MAX_DOCUMENT + 1)
    if len(data) > _MAX_DOCUMENT:
        raise SourceError(f"{file} is one JSON document of more than 256 MiB.", "Write one object per line (JSONL).")
    text = whole_text(data, options.encoding, tally.note).strip(BLANK)
    records = _Records(file, options, tally)
    try:
        try:
            documents = list(documents_in(text))
        except RecursionError:
            documents = list(documents_in(without_depths(text)))
    except (ValueError, RecursionError, InvalidHeadline) as error:
        lines = [(number, line, True) for number, line in enumerate(lines_of(text), 1)]
        if any(is_object(line) for _, line, _ in lines[:LOOKED_AT]):  # only the file's first line is broken
            yield from records.items(parsed_lines(iter(lines)))
            return
        reason = shorten(str(error), 200) if isinstance(error, ValueError) else "its values are nested too deeply"
        raise SourceError(f"{file} is no JSON document: {reason}.", "Check that the file is complete.") from None
    yield from records.items(enumerate(documents, 1))


def read_records(records: Iterator[tuple[int, Any]], file: str, options: Options, tally: Tally) -> Iterator[Item]:
    """Objects with their numbers, as the lines of a file of JSON lines are read; an `Item` stays as it is.

    Raises:
        SourceError: No object has a title.
    """
    yield from _Records(file, options, tally).items(records)


class _Layout(NamedTuple):
    """Where the fields of records with the same names stand.

    Attributes:
        columns: Field to name.
        in_utc: Whether the name of the time says that it is in UTC.
        spare: The names of fields that several may hold.
        maybe_error: Whether the records may be errors of a server.
    """

    columns: dict[str, str]
    in_utc: bool
    spare: dict[str, list[Place]]
    maybe_error: bool


class _Records:
    """Makes items of parsed objects: finds the columns of each layout, and the headlines within documents."""

    def __init__(self, file: str, options: Options, tally: Tally) -> None:
        self._file, self._options, self._tally = file, options, tally
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._paths = {field: column for field, column in options.mapping.items() if "." in column}
        self._flat: bool | None = None  # whether the file's objects are headlines; None: not known yet
        self._titled = False
        self._tried = 0
        self._wrapped = False  # whether an object of the file wrapped one headline
        self._single = False  # whether the file is one document
        self._groups: frozenset[str] = frozenset()  # the names that documents which are groups of headlines have

    def items(self, documents: Iterator[tuple[int, Any]] | enumerate[Any]) -> Iterator[Item]:
        """The headlines of documents, each with its line (or, within one document, its place)."""
        begin = list(islice(documents, LOOKED_AT))
        self._single = len(begin) == 1
        if not self._single and self._options.records is None:
            self._groups = self._look([document for _, document in begin])
        for line, document in chain(begin, documents):
            if (
                self._flat and not self._groups and document.__class__ is dict and self._is_plain(document)
            ):  # most lines
                yield self._item(line, document)
            elif isinstance(document, Item):
                yield document
            else:
                yield from self._opened(line, document)
        if self._tried and not self._titled:
            raise self._hopeless()
        if self._tried:
            note_times(self._tally)
        for field, column in self._options.mapping.items():
            if self._tried and field not in self._tally.columns:
                raise no_column(column, self._tally.names, self._file)

    def _look(self, documents: list[Any], where: str = "", shared: Sequence[Any] = ()) -> frozenset[str]:
        """The names in groups, where most objects are some; notes what headlines hold that may be headlines as well."""
        names = names_in_groups(documents, self._has_title, shared)
        if not names and (path := held_by(documents, self._has_title)):
            path = f"{where}.{path}" if where else path
            self._tally.note(f"some headlines hold others in an array; --records {path} reads these instead")
        return names

    def _is_plain(self, record: dict[str, Any]) -> bool:
        """Whether a record of a file of headlines wraps none, and is not DynamoDB's."""
        return record.get("title").__class__ is str or (untyped(record) is None and wrapper_in(record) is None)

    def _opened(self, line: int, document: Any) -> Iterator[Item]:
        path = self._options.records
        if isinstance(document, dict):
            document = untyped(document) or document
        if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
            with suppress(ValueError, RecursionError):  # JSON in JSON
                document = parse_json(document)
        if path is None and (feed := json_feed_items(document)) is not None:
            self._titled = True
            self._tally.note("a feed as JSON: its items are the headlines")
            yield from self._elements(feed)
        elif self._groups and isinstance(document, Mapping) and are_groups([document], self._has_title):
            self._titled = True
            yield from self._members([document])
        elif isinstance(document, Mapping) and self._has_title(document) and is_empty_group(document, self._groups):
            self._tally.leave_out(EMPTY_GROUP, title_of_group(document), line)
        elif path is None and isinstance(document, Mapping) and self._has_title(document):
            self._flat = True
            self._note_arrays(document)
            yield self._item(line, document)
        elif path is None and is_telegram(document):
            self._titled = True
            self._tally.note("Telegram export: a message's first line is its title")
            self._tally.columns |= {"title": "text", "published_at": "date_unixtime", "source": "name"}
            yield from telegram_items(document)
        elif isinstance(document, list) and path is None and self._holds_titles(document):
            yield from self._elements(document)
        elif isinstance(document, Mapping | list):
            yield from self._searched(line, document)
        else:
            yield Item(line, {}, shorten(repr(document), 200), f"The line is a JSON {_kind(document)}, not an object.")

    def _searched(self, line: int, document: Any) -> Iterator[Item]:
        """The headlines in a document that is no headline itself."""
        path = self._options.records
        if path is not None:
            elements = list(followed(document, path.split(".")))
            if not elements:
                raise SourceError(
                    f"{self._file} holds no array at --records {path!r}; it has {listed(arrays_in(document))}.",
                    "Correct the path.",
                )
            yield from self._elements(elements)
            return
        if isinstance(document, Mapping) and tells_of_deletion(document):
            yield Item(line, {}, document, _DELETED)
            return
        if isinstance(document, Mapping) and (inner := unwrapped(document, self._has_title)) is not None:
            wrapper = next((name for name, value in document.items() if self._is_headline(value)), None)
            self._wrapped = True
            if wrapper is not None:
                self._note_arrays(document[wrapper], f"{wrapper}.")
            yield self._item(line, inner)
            return
        if isinstance(document, Mapping) and (table := table_of(document, self._has_title)) is not None:
            yield from self._elements(table)
            return
        if isinstance(document, Mapping) and self._is_untitled(document):
            yield self._item(line, document)
            return
        found = titled_arrays(document, self._has_title)
        sure = len(found) == 1 and any(map(is_more_than_title, next(iter(found.values()))))
        if not sure and isinstance(document, Mapping) and (nested := self._nested(document)) is not None:
            yield self._item(line, nested)
            return
        if not sure:
            found = titled_arrays(document, lambda fields: self._nested(fields) is not None) or found
        if len(found) > 1:
            raise SourceError(
                f"{self._file} holds several arrays with titles: {listed(found)}.",
                f"Choose one: --records {next(iter(found))}.",
            )
        if found:
            ((where, elements),) = found.items()
            self._tally.note(f"headlines stand in {where!r}" if where else "headlines stand in an array")
            self._flat = False
            yield from self._elements(elements, where, document)
        elif isinstance(document, Mapping):
            if not _is_empty_answer(document):
                yield self._item(line, document)  # the record has no title, and is refused for it
        elif any(isinstance(element, Mapping) for element in document):
            yield from self._elements(document)
        elif document:
            yield Item(line, {}, shorten(repr(document), 200), "The JSON is a list without an object.")

    def _is_untitled(self, document: Mapping[str, Any]) -> bool:
        """Whether a document is a wrapped record without a title, as those of the file are: its arrays are its own."""
        name = wrapper_in(document)
        if self._single or name is None:
            return False
        return self._wrapped or self._flat is True or any(map(is_title, document[name]))

    def _note_arrays(self, headline: Mapping[str, Any], before: str = "") -> None:
        """Notes an array with titles in a document that is one headline: the user may have meant that array."""
        for where, elements in titled_arrays(headline, self._has_title).items() if self._single else ():
            self._tally.note(
                f"one headline, as it has a title of its own; --records {before}{where} reads the {len(elements)} in it"
            )

    def _elements(self, elements: list[Any], where: str = "", document: Any = None) -> Iterator[Item]:
        shared = times_around(document, where)
        if self._options.records is None and self._look(elements, where, shared):
            yield from self._members(elements, shared)
        else:
            yield from self._numbered(elements)

    def _members(self, groups: list[Any], shared: Sequence[Any] = ()) -> Iterator[Item]:
        """The headlines in groups."""
        members, empty = of_groups(groups, self._has_title, shared)
        self._tally.note("headlines stand in groups, whose titles are none")
        for title in empty:
            self._tally.leave_out(EMPTY_GROUP, title)
        yield from self._numbered(members)

    def _numbered(self, elements: list[Any]) -> Iterator[Item]:
        for number, element in enumerate(elements, 1):
            if isinstance(element, Mapping):
                inner = self._unwrapped(element)
                deleted = inner is not element and tells_of_deletion(element)
                yield Item(number, {}, element, _DELETED) if deleted else self._item(number, inner)
            else:
                reason = f"The element is a JSON {_kind(element)}, not an object."
                yield Item(number, {}, shorten(repr(element), 200), reason)

    def _item(self, line: int, record: Mapping[str, Any]) -> Item:
        if "__deleted" in record and is_deleted(record):
            return Item(line, {}, record, _DELETED)
        known = self._known(record)
        columns = known.columns
        self._tried += 1
        if not self._titled:
            self._titled = "title" in columns
            if not self._titled and self._tried >= _HOPELESS:
                raise self._hopeless()
        if known.maybe_error and (fault := fault_of_error(record)):
            return Item(line, {}, record, fault)
        fields = {}
        for field, column in columns.items():
            value = record[column] if column in record else at_path(record, column)
            fields[field] = value if value.__class__ is str else value_of(field, value)
        title = fields.get("title")
        if (title.__class__ is not str or not title.strip()) and not self._options.mapping:  # another name may have it
            fields["title"] = value_of("title", pick(record, {})[0].get("title"))
        if known.in_utc:
            fields[IN_UTC] = True
        if known.spare:
            read = lambda field, name: value_of(field, record[name])  # noqa: E731
            fill_missing(fields, known.spare, read, self._options.time_format)
        return Item(line, fields, record)

    def _known(self, record: Mapping[str, Any]) -> _Layout:
        """Where a record's fields stand."""
        keys = tuple(record)
        known = self._layouts.get(keys)
        if known is not None:
            return known
        if len(self._layouts) > _LAYOUTS:  # each record has other keys, so that layouts do not recur
            self._layouts.clear()
        plain = {field: column for field, column in self._options.mapping.items() if field not in self._paths}
        columns = find_known_columns(keys, plain, self._options.extra)
        for field, path in self._paths.items():
            if at_path(record, path) is not None:
                columns[field] = path
            else:
                columns.pop(field, None)
        spare = {
            field: [place._replace(at=keys[place.at]) for place in places]
            for field, places in spare_places(keys, self._options.mapping).items()
        }
        known = _Layout(columns, says_utc(columns.get("published_at", "")), spare, may_be_error(keys))
        if not self._paths:
            self._layouts[keys] = known
        if len(self._tally.names) < _NAMES:
            self._tally.names = list(dict.fromkeys([*self._tally.names, *map(str, keys)]))
        self._tally.columns = {**columns, **self._tally.columns}
        return known

    def _has_title(self, record: Mapping[str, Any]) -> bool:
        column = self._columns_quietly(record).get("title")
        if column is None:
            return False
        given = record[column] if column in record else at_path(record, column)
        if "title" not in self._options.mapping and holds_headline(given):  # the object wraps a headline
            return False
        value = value_of("title", given)
        if not self._options.mapping and not _is_text(value):  # another name may have the title
            value = value_of("title", pick(record, {})[0].get("title"))
        return isinstance(value, str | int | float) and not isinstance(value, bool) and bool(value)

    def _is_headline(self, value: Any) -> bool:
        return isinstance(value, Mapping) and self._has_title(value)

    def _columns_quietly(self, record: Mapping[str, Any]) -> dict[str, str]:
        found = find_known_columns(
            tuple(record), {k: v for k, v in self._options.mapping.items() if k not in self._paths}
        )
        if "title" in self._paths:
            found["title"] = self._paths["title"]
        return found

    def _holds_titles(self, elements: list[Any]) -> bool:
        objects = [element for element in elements[:LOOKED_AT] if isinstance(element, Mapping)]
        return any(self._has_title(self._unwrapped(element)) for element in objects)

    def _unwrapped(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record inside a wrapping object such as `{"_source": {...}}`; else the object itself."""
        return unwrapped(record, self._has_title) or self._nested(record) or record

    def _nested(self, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The one headline that the record holds under an unknown name, with what stands beside it."""
        paths = nested_paths(record, lambda fields: self._has_title(fields) and holds_headline(fields))
        return along(record, paths[0])[1] if len(paths) == 1 else None

    def _hopeless(self) -> SourceError:
        return no_title(self._tally.names, self._file)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _kind(value: Any) -> str:
    return type(value).__name__


def _is_empty_answer(document: Mapping[str, Any]) -> bool:
    """Whether a document is the answer of a search that found nothing."""
    inner = document.get("response", document)
    return isinstance(inner, Mapping) and any(inner.get(name) == [] for name in _RESULTS)
