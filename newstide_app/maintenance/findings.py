"""What `newstide doctor` finds, and what one check hands on to the next."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from newstide.core.settings import Settings
from newstide.milvus import Store

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined: `fail` keeps newstide from working, `warn` will or may; `way_out` is the next step."""

    name: str
    status: Status
    seen: str
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything examined, and the settings in force."""

    findings: tuple[Finding, ...]
    settings: dict[str, Any]

    @property
    def well(self) -> bool:
        """Whether nothing fails."""
        return all(finding.status != "fail" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "well": self.well,
            "findings": [asdict(finding) for finding in self.findings],
            "settings": self.settings,
        }


@dataclass
class Visit:
    """What one check hands on to the next."""

    settings: Settings
    kafka: bool = False
    topics: dict[str, int] = field(default_factory=dict)  # name to partitions
    behind: int = 0  # messages that the group has not done with
    members: int = 0  # of the group
    store: Store | None = None


def span(seconds: float) -> str:
    """A length of time for people: `3 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
