"""What a run did: for `--json`, a log line and one sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from clustering.neighbours import GraphReport
from clustering.run.plan import Plan
from clustering.stories.lineage import Event


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did. `status` says whether it ran at all; `run` is then the last run's number."""

    status: Literal["finished", "nothing new", "no headlines"]
    run: int
    rows: int = 0
    new: int = 0
    changed: int = 0
    too_old: int = 0
    ahead: int = 0  # headlines that are dated ahead of the clock
    clock_behind: bool = False  # whether that are most, so that the clock is wrong
    due: int = 0  # headlines older than `keep` that were not deleted, since they are so many
    stories: int = 0
    written: int = 0  # rows of `stories` that say something new
    noise_share: float = 0.0
    theta: float = 0.0
    arrivals_kept: float | None = None  # share of labels on arrival that the run keeps; None where there was none
    searcher: str = ""
    recall: float | None = None
    searched: int = 0
    rebuilt: bool = False
    reason: str = ""
    events: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    page: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """For a log line."""
        if self.status != "finished":
            return {"status": self.status, "number": self.run}
        odd = [name for name in ("too_old", "ahead", "due") if getattr(self, name)]
        shown = ("rows", "new", "changed", "stories", "noise_share", *odd)
        return {
            "number": self.run,
            **{name: getattr(self, name) for name in shown},
            **self.events,
            "seconds": round(sum(self.seconds.values()), 1),
        }

    def describe(self) -> str:
        """One sentence."""
        if self.status == "no headlines":
            return "There are no headlines yet."
        if self.status == "nothing new":
            return f"No headline is new since run {self.run}; the run changed nothing.{self._left_out()}"
        events = ", ".join(f"{count} {kind}" for kind, count in self.events.items()) or "no changes"
        return (
            f"Run {self.run}: {self.rows:,} headlines ({self.new:,} new) in {self.stories:,} stories ({events}), "
            f"{self.noise_share:.0%} in none; {sum(self.seconds.values()):.1f} s.{self._left_out()}"
        )

    def _left_out(self) -> str:
        """Sentences about headlines that the run left out or did not delete."""
        said = []
        if self.too_old:
            said.append(
                f"{self.too_old:,} headlines are older than the window, which ends with the newest headline, and are in no "
                "run: `--window none` or a longer one takes them in."
            )
        if self.clock_behind:
            said.append(
                f"This machine's clock is behind {self.ahead:,} headlines, which is most of them: correct it. "
                "Until then the window ends where the last run's did."
            )
        elif self.ahead:
            said.append(f"{self.ahead:,} headlines are dated ahead of this machine's clock; they move no window.")
        if self.due:
            said.append(
                f"{self.due:,} headlines are older than `keep`, too large a share: the run deleted none. "
                "`newstide prune` shows and deletes them."
            )
        return "".join(f" {sentence}" for sentence in said)


def finished(
    plan: Plan, seconds: Mapping[str, float], page: Path | None, searcher: str = "", graph: GraphReport | None = None
) -> RunReport:
    """The report of a run that was carried out; without `graph`, none had to be made."""
    counts = plan.row.counts
    return RunReport(
        "finished",
        plan.row.run,
        rows=counts["rows"],
        new=counts["new"],
        changed=counts["changed"],
        too_old=counts["too_old"],
        ahead=counts.get("ahead", 0),
        clock_behind=counts.get("clock_behind", False),
        stories=counts["stories"],
        written=len(plan.stories),
        noise_share=round(counts["noise"] / counts["rows"], 4),
        theta=round(plan.row.theta, 4),
        arrivals_kept=_share_kept(counts.get("arrivals", {})),
        searcher=searcher,
        recall=None if graph is None else graph.recall,
        searched=0 if graph is None else graph.searched,
        rebuilt=graph is not None and graph.rebuilt,
        reason="" if graph is None else graph.reason,
        events=count_by_kind(plan.events),
        seconds={step: round(value, 3) for step, value in seconds.items()},
        page=str(page or ""),
    )


def _share_kept(arrivals: Mapping[str, int]) -> float | None:
    labelled = arrivals.get("labelled", 0)
    return round(arrivals["kept"] / labelled, 4) if labelled else None


def count_by_kind(events: Sequence[Event]) -> dict[str, int]:
    """How many events of each kind there are, in the events' order."""
    return dict(Counter(event.kind for event in events))
