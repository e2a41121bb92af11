"""What the API's answers look like; its OpenAPI document is made of these."""

from typing import Any

from pydantic import BaseModel, Field


class StoryName(BaseModel):
    """A story as others refer to it."""

    cluster_label: int
    title: str
    size: int
    status: str


class Story(BaseModel):
    """A story. Times are ISO 8601 in UTC."""

    cluster_label: int = Field(description="The story's number, which never changes its meaning.")
    title: str = Field(description="The story's most central headline, in a wanted language where it has one.")
    title_language: str = Field(description="Language of the title where it was wanted and found, else empty.")
    titles: dict[str, str] = Field(description="The most central headline in each language.")
    keywords: list[str]
    languages: list[str] = Field(description="Most frequent first.")
    sources: list[str] = Field(description="Most frequent first.")
    size: int = Field(description="Headlines in the window.")
    previous_size: int = Field(description="Headlines in the window a run before.")
    importance: float = Field(description="By sources, languages, and how much of it is new.")
    first_seen_at: str = Field(description="When the run decided in which it was born.")
    first_published_at: str
    last_published_at: str
    reach: float = Field(description="Least similarity of a new headline that gets this label on arrival.")
    status: str = Field(description="open or closed.")
    parents: list[int]
    successor: int = Field(description="The story that this one went into; -1 = none.")
    created_run: int
    updated_run: int


class Headline(BaseModel):
    """A headline with its label."""

    id: str
    title: str
    source: str
    language: str
    published_at: str = Field(description="ISO 8601 in UTC.")
    url: str
    cluster_label: int = Field(description="The headline's story; -1 = in none.")
    label_probability: float = Field(description="How firmly the headline belongs to the story, 0 to 1.")
    label_run: int = Field(description="The run that last wrote the label; 0 = given on arrival.")


class Hit(Headline):
    """A headline that a search found."""

    similarity: float = Field(description="Cosine of the text's and the headline's vectors.")


class Run(BaseModel):
    """A finished run."""

    run: int
    theta: float = Field(description="Similarity at which headlines tell the same story.")
    status: str
    started_at: str
    finished_at: str
    parameters: dict[str, Any]
    counts: dict[str, Any] = Field(
        description="rows, new, stories, noise, born, reopened, grown, merged, split, closed ..."
    )
    durations: dict[str, float] = Field(description="Seconds a step.")
    page: str | None = Field(description="Address of its map, relative to this one's, where it is still there.")


class Timeline(BaseModel):
    """How many headlines were published in each step of time."""

    begin: str
    step_seconds: int
    counts: list[int]


class Lineage(BaseModel):
    """Where a story came from and what became of it."""

    parents: list[StoryName]
    children: list[StoryName] = Field(description="Born from it.")
    absorbed: list[StoryName] = Field(description="Went into it.")
    successor: StoryName | None = Field(description="It went into this one.")


class Change(BaseModel):
    """One event of a story, as on the topic `story-events`."""

    id: str = Field(description="run/story/kind")
    run: int
    at: str = Field(description="When the run decided.")
    newest_at: str = Field(description="When the newest headline was published that the run saw.")
    kind: str = Field(description="born, reopened, grown, merged, split, closed or retitled.")
    story: int
    title: str
    previous_titles: dict[str, str] = Field(description="retitled: by language, what was replaced; '': the own title.")
    size: int
    previous_size: int
    importance: float
    languages: list[str]
    sources: list[str]
    parents: list[int]
    children: list[int]
    successor: int


class Changes(BaseModel):
    """What happened to stories, newest first."""

    items: list[Change]
    total: int
    stories: dict[str, int] = Field(description="How many stories each kind of event happened to.")
    next: str | None = Field(description="Address of the next page, relative to this one's; null at the end.")


class SourceShare(BaseModel):
    """A source of a story; the first to tell it comes first."""

    source: str
    headlines: int
    first_published_at: str


class NearStory(StoryName):
    """Another story that is near in meaning."""

    similarity: float = Field(description="Cosine of the two stories' centroids.")


class Stories(BaseModel):
    """A page of stories."""

    items: list[Story]
    total: int
    next: str | None = Field(description="Address of the next page, relative to this one's; null at the end.")


class Headlines(BaseModel):
    """A page of headlines, newest first."""

    items: list[Headline]
    next: str | None = Field(description="Address of the next page, relative to this one's; null at the end.")


class Hits(BaseModel):
    """Headlines nearest in meaning, best first."""

    items: list[Hit]
    next: str | None = Field(description="Address of the next page, relative to this one's; null at the end.")


class Runs(BaseModel):
    """A page of runs, newest first."""

    items: list[Run]
    total: int
    next: str | None = Field(description="Address of the next page, relative to this one's; null at the end.")


class StoryDetail(BaseModel):
    """A story with its history, lineage, timeline, sources, nearest other stories and newest headlines."""

    story: Story
    lineage: Lineage
    timeline: Timeline | None = Field(description="Null where the story has no headlines (any more).")
    history: list[Change] = Field(description="What happened to it, oldest first.")
    sources: list[SourceShare]
    nearest: list[NearStory] = Field(description="Open stories, nearest first.")
    headlines: Headlines
