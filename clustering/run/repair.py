"""Before a run: finishes, as its plan says, an earlier run that was cut off while it wrote or before its page was there."""

from clustering.run.graph import current_graph
from clustering.run.plan import Plan, carry_out
from clustering.run.publish import publish
from clustering.run.report import RunReport, finished
from clustering.run.window import COLUMNS
from clustering.run.workplace import Workplace, now_ms, timed
from newstide.core import logs
from newstide.core.errors import PlanDamaged, StoreLimit, StoreRefused
from newstide.milvus import filters

log = logs.get("reclusterer")


def finish_what_was_cut_off(place: Workplace) -> RunReport | None:
    """Carries out the plan of a run that was cut off; None where there is no plan, or none that can be carried out.

    Raises:
        DeliveryError: Kafka does not acknowledge the events.
        RunFailed: Another reclusterer holds the lease by now.
    """
    try:
        content = place.store.unfinished.read()
        if content is None:
            return None
        plan = Plan.decode(content)
    except PlanDamaged as error:
        log.warning("a run that was cut off is forgotten: another version made it, or it is damaged", reason=str(error))
        place.store.unfinished.clear()
        return None
    last = place.store.last_run()
    run = plan.row.run
    written = last is not None and (last.run, last.started_at) == (run, plan.row.started_at)
    if not written and (run != (0 if last is None else last.run) + 1 or plan.model != place.store.card.fingerprint):
        log.warning("a run that was cut off is forgotten: its headlines or collections are no longer there", number=run)
        place.store.unfinished.clear()
        return None
    seconds = dict(plan.row.durations)
    place.lease.require()
    try:
        with timed(seconds, "write"):
            if not written:
                carry_out(plan, place.store, place.settings.kafka, now_ms(), place.lease)
        report = _with_page(place, plan, seconds)
    except (StoreLimit, StoreRefused) as error:
        log.warning("a run that was cut off is forgotten: Milvus refuses it", number=run, reason=str(error))
        place.store.unfinished.clear()
        return None
    place.lease.require()
    place.store.unfinished.clear()
    log.info("finished a run that was cut off", number=run)
    return report


def _with_page(place: Workplace, plan: Plan, seconds: dict[str, float]) -> RunReport:
    """Makes the page of a run whose labels are written; the rows are those that a run has labelled."""
    where = filters.all_of(plan.where, filters.LABELLED)
    rows = place.store.headlines(where, COLUMNS).drop_duplicates("id").sort_values("id", ignore_index=True)
    if rows.empty:
        return finished(plan, seconds, None)
    with timed(seconds, "map"):
        current = current_graph(place, plan.where, rows, plan.row.run)
        page = publish(place, current, rows, plan, seconds, place.store.stories(filters.OPEN, centroids=True))
    return finished(plan, seconds, page, current.searcher, current.report)
