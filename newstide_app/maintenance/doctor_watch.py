"""What `newstide doctor` says of watches: whether they can be used, and how their targets fare."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from newstide_app.maintenance.findings import Finding, Visit, span
from newstide_app.watch.matching import Watch
from newstide_app.watch.outbox import Outbox, outbox_file
from newstide_app.watch.targets import targets_of

_FULL = 0.5  # share of a target's queue from which on it is nearly full


def look_at_watches(visit: Visit) -> Iterator[Finding]:
    """Each watch and target by its name; neither an address nor a secret is shown."""
    settings = visit.settings
    if not settings.watch:
        return
    for one in settings.watch:
        Watch(one)
    with ExitStack() as closing:
        targets_of(settings, closing)
    names = [name for watch in settings.watch for name in watch.target_names]
    file = outbox_file(settings.data_dir)
    if not file.exists():
        yield Finding(
            "watches",
            "warn",
            f"{len(settings.watch)} watches are set, but `newstide watch` has never run on {settings.data_dir}.",
            "Start `newstide watch`; `newstide up` does.",
        )
        return
    outbox = Outbox(file)
    try:
        states = outbox.states(names)
    finally:
        outbox.close()
    for name, state in states.items():
        seen = f"{state.delivered:,} delivered, {state.waiting:,} waiting"
        seen += f", {state.dropped:,} dropped" * bool(state.dropped) + f", {state.refused:,} refused" * bool(
            state.refused
        )
        if state.failing_since is not None:
            age = span(time.time() - state.failing_since)
            yield Finding(
                f"watch {name}",
                "warn",
                f"fails since {age}: {state.reason}; {seen}",
                f"Mend the target, then try it: newstide watch --test '{name.rpartition('/')[0]}'.",
            )
        elif state.waiting > _FULL * settings.watching.queue:
            yield Finding(f"watch {name}", "warn", f"its queue is filling: {seen}", "See watching.queue, most_an_hour.")
        else:
            yield Finding(f"watch {name}", "ok", seen)
