"""`newstide upgrade`: the collections of an earlier version are brought up to date in place, while nobody writes."""

from newstide.core.errors import NewstideError
from newstide.core.settings import Settings
from newstide.milvus.upgrade import Upgraded
from newstide.milvus.upgrade import upgrade as upgrade_collections
from newstide_app.maintenance.reembed import writers_at_work


def upgrade(settings: Settings) -> Upgraded:
    """Brings the collections up to date. Cut off, the same call goes on.

    Raises:
        NewstideError: A consumer or a reclusterer is at work.
        SchemaMismatch: There is no way in place from what is there.
        BrokerUnavailable: Kafka is configured and cannot say who is at work.
    """
    if at_work := writers_at_work(settings.kafka):
        raise NewstideError(
            f"{' and '.join(at_work).capitalize()} at work on these collections.",
            "Stop consumers and reclusterers, and give the same command again.",
        )
    return upgrade_collections(settings.milvus)
