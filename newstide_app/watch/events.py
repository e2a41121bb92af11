"""Events of stories as watches read them: checked, since whoever may write to the topic may write anything."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError

from newstide.core.errors import InvalidHeadline, NoEvent
from newstide.core.headline import parse_time
from newstide.core.text import clean_plain, shorten
from newstide.core.watch_settings import EventKind

_LONGEST_TITLE = 2_000  # as a headline's
_MOST_NAMES = 100


def _line(text: str) -> str:
    return shorten(clean_plain(text), _LONGEST_TITLE)


def _names(names: Any) -> Any:
    return names[:_MOST_NAMES] if isinstance(names, list) else names


_Number = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_Line = Annotated[str, AfterValidator(_line)]
_Names = Annotated[tuple[_Line, ...], BeforeValidator(_names)]


class StoryEvent(BaseModel):
    """What happened to a story in a run; docs/architecture.md has the fields."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run: _Number
    at: str
    kind: EventKind
    story: _Number
    title: _Line = ""
    size: _Number = 0
    previous_size: _Number = 0
    parents: tuple[_Number, ...] = ()
    children: tuple[_Number, ...] = ()
    successor: int = -1
    languages: _Names = ()
    sources: _Names = ()
    importance: FiniteFloat | None = None
    quiet: _Line = ""

    @property
    def id(self) -> str:
        """The event's id, as it stands in the event."""
        return f"{self.run}/{self.story}/{self.kind}"

    @property
    def at_ms(self) -> int:
        """When the run decided, epoch ms."""
        return _milliseconds(self.at)

    @property
    def told_size(self) -> int:
        """Headlines of the story; of one that closed, those it had."""
        return self.size or self.previous_size


def read_event(value: bytes | None) -> StoryEvent:
    """An event from a message's value.

    Raises:
        NoEvent: The message of the topic is no event; the error says why.
    """
    try:
        event = StoryEvent.model_validate_json(value or b"")
        _milliseconds(event.at)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise NoEvent(f"{place}: {first['msg']}") from None
    return event


def _milliseconds(text: str) -> int:
    try:
        return parse_time(text)
    except InvalidHeadline:
        raise NoEvent(f"at: {shorten(text)!r} is no time") from None
