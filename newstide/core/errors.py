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
    """A feed's server says that it has ended (410)."""


class FeedRefused(SourceError):
    """A feed's server answers with an error status.

    Args:
        message: What it answers.
        way_out: What the reader can do about it.
        retry_after: Seconds for which it asks to be left alone; 0 where it does not say.
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
        passing: Whether it may be there later; not where it answers, and refuses, or is not configured.
    """

    def __init__(self, message: str, way_out: str = "", *, passing: bool = True) -> None:
        super().__init__(message, way_out)
        self.passing = passing


class BrokerUnavailable(Unavailable):
    """Kafka cannot be reached, or a local one cannot be started."""


class StoreUnavailable(Unavailable):
    """Milvus cannot be reached, or a local one cannot be started."""


class EmptyStore(NewstideError):
    """There are no collections yet: nothing has ever been ingested."""


class StoreSlow(StoreUnavailable):
    """Milvus did not answer in time; whether it is there is not known, and its other answers may be on their way."""


class StoreLimit(NewstideError):
    """What is to be written or searched for is nothing that Milvus holds (NaN, a wrong length, too many hits): not sent."""


class StoreRefused(NewstideError):
    """Milvus answers, and refuses a request that repeating would not mend."""


class RowsMissing(NewstideError):
    """Headlines that must be in Milvus are not there: they were removed meanwhile."""


class UnknownStory(NewstideError):
    """There is no story of that number."""


class SchemaMismatch(NewstideError):
    """A collection in Milvus was made by another version of newstide, or by something else."""


class ModelMismatch(NewstideError):
    """The collection holds vectors of another model, dimension or weights than the embedder makes."""


class EmbedderError(NewstideError):
    """An embedding model cannot be loaded, or makes vectors that cannot be right."""


class DownloadError(NewstideError):
    """Something newstide fetches (Kafka's jars) could not be had, or is not what it should be."""


class BackupDamaged(NewstideError):
    """A file is no backup, is cut off or changed, or is of another version."""


class InvalidGraph(NewstideError, ValueError):
    """Neighbour lists or parameters that no clustering can be made of; also a ``ValueError``."""


class CacheDamaged(NewstideError):
    """A cache on disk is missing a part, fails its checksum, or belongs to another model or version."""


class PlanDamaged(NewstideError):
    """What a run was about to write when it was cut off cannot be read: another version wrote it, or it is damaged."""


class RunFailed(NewstideError):
    """A reclustering run could not finish; the last good labels and page stay in place."""
