"""Every error newstide raises on purpose: what is wrong, with which value, and what to do next.

The command line prints the message and the way out, without a traceback; anything else that escapes is a bug.
"""


class NewstideError(Exception):
    """Base of all deliberate errors.

    Args:
        message: What is wrong, naming the offending value.
        way_out: What the reader can do about it; shown on a line of its own.
    """

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.message} {self.way_out}".strip()


class SettingsError(NewstideError):
    """A setting is missing, unknown, out of range or contradicts another."""


class InvalidHeadline(NewstideError):
    """A message or a file's row is not a headline; the message is the reason that stands on the dead letter."""


class SourceError(NewstideError):
    """A file or feed cannot be read as headlines at all (not: one bad row of it)."""


class FeedGone(SourceError):
    """A feed's server says that the feed has ended (410)."""


class FeedRefused(SourceError):
    """A feed's server answers with an error status.

    Args:
        message: What the server answers.
        way_out: What the reader can do about it.
        retry_after: Seconds after which the server wants to be asked again; 0 where it names none.
    """

    def __init__(self, message: str, way_out: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(message, way_out)
        self.retry_after = retry_after


class DeliveryError(NewstideError):
    """Kafka did not acknowledge something that was sent."""


class Unavailable(NewstideError):
    """A server cannot be reached.

    Args:
        message: What is wrong, naming the address.
        way_out: What the reader can do about it.
        passing: Whether waiting may help; False where the server refuses newstide, or no server is configured.
    """

    def __init__(self, message: str, way_out: str = "", *, passing: bool = True) -> None:
        super().__init__(message, way_out)
        self.passing = passing


class BrokerUnavailable(Unavailable):
    """Kafka cannot be reached, or a local one cannot be started."""


class StoreUnavailable(Unavailable):
    """Milvus cannot be reached, or a local one cannot be started."""


class EmptyStore(NewstideError):
    """Milvus has no collections of newstide yet: nothing has ever been ingested."""


class StoreSlow(StoreUnavailable):
    """Milvus did not answer one request in time; the connection's other requests may still be answered."""


class StoreLimit(NewstideError):
    """A request was not sent, because no Milvus server would take it (NaN, a wrong length, too many hits)."""


class StoreRefused(NewstideError):
    """Milvus refused a request, and would refuse the same request again."""


class RowsMissing(NewstideError):
    """Headlines that must be in Milvus are not there: they were removed meanwhile."""


class UnknownStory(NewstideError):
    """There is no story of that number."""


class SchemaMismatch(NewstideError):
    """A collection in Milvus was made by another version of newstide, or by something else."""


class ModelMismatch(NewstideError):
    """The collection holds vectors of another model, dimension or weights than the embedder makes."""


class EmbedderError(NewstideError):
    """An embedding model cannot be loaded, or makes invalid vectors."""


class DownloadError(NewstideError):
    """A download (of Kafka's jars) failed, or a downloaded file has a wrong checksum."""


class BackupDamaged(NewstideError):
    """A file is no backup, is cut off or changed, or is of another version."""


class InvalidGraph(NewstideError, ValueError):
    """Neighbour lists or parameters are invalid, so that nothing can be clustered; also a ``ValueError``."""


class CacheDamaged(NewstideError):
    """A cache on disk is missing a part, fails its checksum, or belongs to another model or version."""


class PlanDamaged(NewstideError):
    """The plan of an interrupted run cannot be read: another version wrote the plan, or the plan is damaged."""


class RunFailed(NewstideError):
    """A reclustering run could not finish; the last good labels and page stay in place."""


class NoEvent(NewstideError):
    """A message of the topic of events tells of no story."""


class Undelivered(NewstideError):
    """A target did not take an alert.

    Args:
        message: Why; neither an address nor a secret stands in it, since logs, metrics and `doctor` show it.
        refused: Whether the alert itself is refused, so that others may still go.
        wait: Seconds that the target asks us to wait; 0 where it names none.
    """

    def __init__(self, message: str, *, refused: bool = False, wait: float = 0.0) -> None:
        super().__init__(message)
        self.refused = refused
        self.wait = wait
