"""Every setting, its default and its meaning.

Values come from `newstide.toml`, then from environment variables (`NEWSTIDE_KAFKA_BOOTSTRAP_SERVERS`, that is: the
group, an underscore, the name), then from the command line; the later one wins. Unknown names are errors.
"""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from newstide.core.errors import SettingsError
from newstide.core.setting_types import (
    SMOOTHING,
    Address,
    Age,
    ColumnName,
    Duration,
    EmbeddedText,
    Group,
    HeadlineField,
    Port,
    Seed,
    Strength,
    TimeZone,
    Wait,
    Window,
)
from newstide.core.settings_faults import require_file, require_sound_variables, told_plainly
from newstide.core.watch_settings import MailSettings, WatchingSettings, WatchSettings

DEFAULT_MODEL = "multilingual-e5-small"  # of embeddings, for new collections
DEFAULT_TEXT: EmbeddedText = "both"


class KafkaSettings(Group):
    """The address of Kafka, and the names of the topics. Without `bootstrap_servers`, a local Apache Kafka is used."""

    bootstrap_servers: Address = Field(None, description="host:port, comma-separated; empty: a local Kafka")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_keypassword: SecretStr | None = Field(None, description="password of the key, where the key has one")
    topic: str = "headlines"
    dead_letter_topic: str = "headlines.dead-letter"
    events_topic: str = "story-events"
    lease_topic: str = "recluster-lease"
    group: str = Field("newstide", description="consumer group of `newstide consume`")
    partitions: int = Field(4, ge=1, description="number of partitions of topics that newstide creates")
    replication_factor: int = Field(1, ge=1, description="replicas of topics that newstide creates")
    dead_letter_retention: Duration = timedelta(days=30)
    compression: Literal["lz4", "zstd", "snappy", "gzip", "none"] = "lz4"
    delivery_timeout: Duration = timedelta(minutes=2)
    local_port: Port = Field(9092, description="port of the local Kafka; a free port where this one is taken")
    local_heap_mb: int = Field(256, ge=128, description="heap of the local Kafka's Java process")


class MilvusSettings(Group):
    """The address of Milvus. Without `uri`, a local Milvus Lite server is used."""

    uri: Address = Field(None, description="http://host:19530, https://... with a token; empty: Milvus Lite")
    token: SecretStr | None = Field(None, description="user:password or API key")
    ssl_cafile: Path | None = Field(
        None, description="https: authority of the server's certificate; empty: those this machine trusts"
    )
    ssl_certfile: Path | None = Field(None, description="https: newstide's own certificate, if the server wants one")
    ssl_keyfile: Path | None = None
    database: str = "default"
    prefix: str = Field("", pattern=r"^[A-Za-z_]?[A-Za-z0-9_]*$", description="put before every collection's name")
    timeout: Duration = timedelta(seconds=30)
    description_bytes: int = Field(32_000, ge=256, le=65_535)
    local_port: Port = Field(19530, description="port of Milvus Lite; a free port where this one is taken")


class EmbeddingSettings(Group):
    """The model that turns a headline into a vector."""

    model: str | None = Field(
        None,
        description="multilingual-e5-small, use-multilingual, bge-m3 or sentence-transformers:NAME_OR_PATH; empty: the "
        f"model of the existing collections, else {DEFAULT_MODEL}",
    )
    text: EmbeddedText | None = Field(
        None,
        description="both (title, and title with description), title+description, title; empty: as `model`, else both",
    )
    path: str | None = Field(None, description="folder or hub name of bge-m3's weights; empty: BAAI/bge-m3")
    batch_size: int = Field(64, ge=1, le=4096, description="texts that the model embeds in one call")
    max_tokens: int = Field(128, ge=8, le=8192, description="longer texts are cut (transformer models)")
    device: str = Field("cpu", description="cpu, cuda, cuda:0 (transformer models)")
    fp16: bool = Field(False, description="half precision (transformer models on a GPU)")
    hub_timeout: Duration = Field(timedelta(seconds=10), description="time to wait for the model hub's answer")


class ConsumerSettings(Group):
    """The consumer: the loop from topic to Milvus."""

    batch_size: int = Field(1024, ge=1, le=4096, description="headlines read and committed together")
    linger: Wait = Field(timedelta(milliseconds=200), description="longest wait for a batch to fill")
    max_message_bytes: int = Field(65_536, ge=1024, description="larger messages, also unpacked, are dead letters")
    timezone: TimeZone = Field("UTC", description="time zone of times that name no zone, or an unknown one")
    fields: dict[HeadlineField, ColumnName] = Field(
        default_factory=dict,
        description='field to the name that producers use, as { title = "Ueberschrift", source = "desk.name" }',
    )


class ClusteringSettings(Group):
    """What is clustered and how. `tutorial` overrides the others with the Milvus tutorial's behaviour."""

    window: Window = Field(timedelta(days=7), description="span before the newest headline; none: no limit")
    neighbours: int = Field(30, ge=2, le=1000, description="k of the top-k graph")
    spare_neighbours: int = Field(10, ge=0, le=1000, description="neighbours in reserve for rows that leave")
    searcher: Literal["auto", "exact", "cells", "milvus"] = "auto"
    exact_rows: int = Field(200_000, ge=1, description="auto: most rows for exact blocks on Milvus Lite; above, cells")
    memory_mb: int = Field(1024, ge=64, description="memory of one block of the exact searcher")
    recall_sample: int = Field(200, ge=0, description="cells, milvus: lists that each run checks by a fresh search")
    recall_floor: float = Field(0.95, ge=0, le=1, description="cells, milvus: recall below which the graph is rebuilt")
    selection: Literal["calibrated", "eom", "leaf"] = "calibrated"
    min_samples: int = Field(1, ge=1, description="min_samples of the mutual-reachability tree")
    min_cluster_size: int = Field(2, ge=2)
    deduplicate: bool = Field(True, description="titles equal but for case and punctuation are one point")
    centre: bool = Field(True, description="subtract each language's mean vector")
    smoothing: Strength = Field(
        SMOOTHING, description="calibrated: how far points are pulled to their neighbours; 0: not"
    )
    time_weight: float = Field(0.2, ge=0, le=1, description="lambda of the damping by distance in time; 0: no damping")
    time_scale: Duration = Field(timedelta(days=7), description="tau of the damping by distance in time")
    deviations: float = Field(1.75, ge=0, description="theta = mean + this many sd of random pairs' similarity")
    size_exponent: float = Field(1.3125, ge=0, description="exponent of a cluster's size in the calibrated selection")
    theta_drift: float = Field(0.02, ge=0, description="theta is kept until it has drifted by more than this")
    inertia: float = Field(0.2, ge=0, description="bonus in mean similarity for stories of the last run")
    seed: Seed = 42
    tutorial: bool = Field(False, description="cluster exactly as the Milvus tutorial does")

    @property
    def graph_neighbours(self) -> int:
        """Neighbours a row of the graph: the tutorial asks for 50 hits, of which one is the row itself."""
        return max(self.neighbours, 49) if self.tutorial else self.neighbours


class LayoutSettings(Group):
    """The map's UMAP, with the tutorial's parameters."""

    neighbours: int = Field(80, ge=2, description="n_neighbors of UMAP; bounded by the graph's k")
    min_dist: float = Field(0.1, ge=0, le=1)
    refit_share: float = Field(0.3, ge=0, le=1, description="a fresh fit when more than this share of rows is new")
    update_epochs: int = Field(50, ge=1, description="epochs when started from the last map")
    seed: Seed = 42


class PageSettings(Group):
    """The HTML pages."""

    enabled: bool = Field(True, description="draw a map and write a page at each run; labels are written either way")
    directory: Path | None = Field(None, description="folder of the pages; empty: `snapshots` in the data folder")
    max_points: int = Field(50_000, ge=100, description="most points that a page draws")
    keep_all: Age = Field(timedelta(days=1), description="how long every page is kept; none: for ever")
    keep_hourly: Age = Field(
        timedelta(days=14), description="how long one page an hour is kept, then one a day; none: one an hour for ever"
    )
    host: str = Field("127.0.0.1", description="address `newstide web` binds")
    port: Port = Field(8000, description="port that `newstide web` binds")
    token: SecretStr | None = Field(None, min_length=16, description="token of `newstide web`, 16 characters or more")
    allowed_hosts: str = Field("", description="host names besides localhost, comma-separated; *: any")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s@?#]+)?$",
        description="address at which readers find these pages: https://news.example",
    )
    feed_token: SecretStr | None = Field(
        None, min_length=16, description="password of feeds (HTTP Basic), since readers of feeds keep no cookies"
    )
    languages: str = Field(
        "", description="languages of titles, comma-separated, the first that a story has: de,en; empty: its main title"
    )
    most_items: int = Field(500, ge=1, le=10_000, description="most rows in one answer of the API")
    longest_query: int = Field(500, ge=1, le=10_000, description="most characters of a search text")
    most_listeners: int = Field(200, ge=1, description="most open pages that are told of new runs")

    @property
    def title_languages(self) -> tuple[str, ...]:
        """`languages`, one by one."""
        return tuple(tag.strip() for tag in self.languages.split(",") if tag.strip())


class LimitSettings(Group):
    """What a headline may claim. The lengths of its other texts are those of Milvus' columns (`headline.py`)."""

    description: int = Field(
        8_000, ge=0, le=65_535, description="most characters of a description; see milvus.description_bytes"
    )
    ahead: Wait = Field(
        timedelta(hours=1),
        le=timedelta(days=3650),
        description="how far a headline's time may be ahead of its message's, and that ahead of the clock",
    )


class FeedSettings(Group):
    """The resources that reading a feed may take, since strangers write feeds."""

    max_bytes: int = Field(2 * 1024 * 1024, ge=1024, description="largest size of a feed, unpacked")
    timeout: Duration = Field(timedelta(seconds=60), description="longest time of one fetch altogether")
    redirects: int = Field(5, ge=0, le=20)
    max_entries: int = Field(5_000, ge=1, le=100_000, description="how many entries of a feed are read: the first ones")
    parse_seconds: int = Field(10, ge=1, le=600, description="CPU time for parsing one feed")
    parse_mb: int = Field(1024, ge=256, description="memory of the process that parses a feed")


class MonitoringSettings(Group):
    """`/metrics`, `/healthz` and `/readyz` of each service."""

    host: str = Field("127.0.0.1", description="address that the endpoints bind; everyone who reaches it may read them")
    port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="0: /healthz alone; empty: consumer 9464, reclusterer 9465, producer 9466, web 9467, watch 9468, +5",
    )
    look_every: Duration = Field(timedelta(seconds=15), description="time between two looks at Kafka and Milvus")
    silence: Duration = Field(timedelta(minutes=5), description="silence after which a service counts as dead")
    missed_runs: float = Field(3, gt=0, description="age at which a last good run is too old, in --every")


class Settings(BaseSettings):
    """All settings of one newstide installation."""

    model_config = SettingsConfigDict(
        env_prefix="NEWSTIDE_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        env_ignore_empty=True,  # `NEWSTIDE_KEEP=` in a file of variables means: not set
    )

    config: Path = Field(Path("newstide.toml"), description="the settings file; a file that is named must exist")
    data_dir: Path = Field(default_factory=lambda: user_data_path("newstide"), description="folder of newstide's data")
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("newstide"),
        description="folder of Kafka's jars and the converted model",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    keep: Window = Field(None, description="span before the newest headline; older ones are removed")
    keep_at_most: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a run removes nothing where more than this share of all headlines, and over 1,000, are too old",
    )
    kafka: KafkaSettings = KafkaSettings()
    milvus: MilvusSettings = MilvusSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    limits: LimitSettings = LimitSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    layout: LayoutSettings = LayoutSettings()
    pages: PageSettings = PageSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    feeds: FeedSettings = FeedSettings()
    watch: tuple[WatchSettings, ...] = Field((), description="what is looked for, and who is told; [[watch]] tables")
    watching: WatchingSettings = WatchingSettings()
    mail: MailSettings = MailSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then the file that one of them names."""
        named = {**env_settings(), **init_settings()}
        file = Path(named.get("config", cls.model_fields["config"].default))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Reads the settings in force.

        Args:
            **overrides: Values that win over file and environment; groups as nested dictionaries
                (`clustering={"window": "3d"}`).

        Raises:
            SettingsError: A setting is wrong; the message names the setting, the value and what is allowed.
        """
        require_sound_variables(cls)
        named = overrides.get("config") or os.environ.get("NEWSTIDE_CONFIG")
        file = Path(named or cls.model_fields["config"].default)
        with told_plainly(file):
            require_file(file, named=bool(named))
            settings = cls(**overrides)
        require_keep_covers_window(settings)
        require_sound_watches(settings)
        return settings

    @property
    def snapshots_dir(self) -> Path:
        """Where the pages lie."""
        return self.pages.directory or self.data_dir / "snapshots"

    def updated(self, **groups: Any) -> Self:
        """A copy with some values replaced; groups as dictionaries of what changes. Validated like `load`."""
        values = self.model_dump()
        for name, value in groups.items():
            values[name] = {**values[name], **value} if isinstance(value, dict) else value
        return type(self).model_validate(values)


def require_keep_covers_window(settings: Settings) -> None:
    """Raises `SettingsError` where headlines would be removed that are still being clustered."""
    keep, window = settings.keep, settings.clustering.window
    if keep is not None and (window is None or keep < window):
        day = timedelta(days=1)
        shown = "none (everything)" if window is None else f"{window / day:g} days"
        raise SettingsError(
            f"keep = {keep / day:g} days is shorter than clustering.window = {shown}: "
            "headlines would be removed that are still being clustered.",
            "Set a longer keep, or a window of at most that length.",
        )


def require_sound_watches(settings: Settings) -> None:
    """Raises `SettingsError` where watches contradict one another or the other settings."""
    names = [watch.name for watch in settings.watch]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"Two watches are named {twice[0]!r}.", "Give each watch a name of its own.")
    kafka = settings.kafka
    own = {kafka.topic, kafka.dead_letter_topic, kafka.events_topic, kafka.lease_topic}
    for watch in settings.watch:
        for target in watch.kafka:
            if target.topic in own:
                raise SettingsError(
                    f"The watch {watch.name!r} would write to {target.topic!r}, a topic of newstide's own.",
                    "Name another topic.",
                )
        if watch.mail and (settings.mail.host is None or settings.mail.sender is None):
            raise SettingsError(
                f"The watch {watch.name!r} sends mails, but mail.host or mail.sender is not set.",
                "Set both under [mail].",
            )


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process these very settings, secrets among them.

    Unset variables are left out; so is the settings file, which is handed on with `--config`.
    """
    variables = {}
    for name, value in settings:
        if name == "config":
            continue
        parts = {f"{name}_{part}": one for part, one in value} if isinstance(value, BaseModel) else {name: value}
        variables.update({f"NEWSTIDE_{part}".upper(): _written(part, one) for part, one in parts.items()})
    return {name: text for name, text in variables.items() if text is not None}


def _written(name: str, value: Any) -> str | None:
    if value is None:
        return "none" if name in {"clustering_window", "pages_keep_all", "pages_keep_hourly"} else None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f}s"
    if isinstance(value, tuple):
        return json.dumps([one.model_dump(exclude_defaults=True) for one in value], default=_plain) if value else None
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
