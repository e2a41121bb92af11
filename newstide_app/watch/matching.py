"""Which events a watch is told of."""

from collections.abc import Sequence
from typing import Protocol

from newstide.core.errors import SettingsError
from newstide.core.language_means import primary_language
from newstide.core.watch_settings import WatchSettings
from newstide_app.queries.words import Words
from newstide_app.watch.events import StoryEvent


class Meanings(Protocol):
    """Says how alike titles are to the sentences of watches."""

    def deviations(self, watch: str, events: Sequence[StoryEvent]) -> list[float]:
        """For each event, by how many standard deviations above chance its title is alike to the watch's sentence."""
        ...


class Watch:
    """One watch: its settings, ready to be asked.

    Raises:
        SettingsError: A part of its words makes no sense, and would be passed over.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._words = None if settings.words is None else Words(settings.words)
        if self._words is not None and self._words.problem:
            raise SettingsError(
                f"In the words {settings.words!r} of the watch {self.name!r}, {self._words.problem}.",
                'Write words side by side where all are wanted: flood OR "high water" -insurance.',
            )
        self._languages = {language.casefold() for language in settings.languages}
        self._sources = {source.casefold() for source in settings.sources}

    def matching(self, events: Sequence[StoryEvent], meanings: Meanings | None = None) -> list[StoryEvent]:
        """The events that match, in their order; the meaning is asked last, since it is slow."""
        found = [event for event in events if self._matches(event)]
        if self.settings.meaning is None or not found:
            return found
        if meanings is None:
            return []
        alike = meanings.deviations(self.name, found)
        return [event for event, one in zip(found, alike, strict=True) if one >= self.settings.deviations]

    def _matches(self, event: StoryEvent) -> bool:
        wanted = self.settings
        if event.quiet or event.kind not in wanted.kinds or event.told_size < wanted.least_size:
            return False
        if wanted.least_importance is not None and (event.importance or 0.0) < wanted.least_importance:
            return False
        if self._languages and not any(self._speaks(language) for language in event.languages):
            return False
        if self._sources and self._sources.isdisjoint(source.casefold() for source in event.sources):
            return False
        return self._words is None or self._words.match([event.title])

    def _speaks(self, language: str) -> bool:
        tag = language.casefold()
        return tag in self._languages or primary_language(tag) in self._languages
