"""The foot of a run's page: facts about the run, and its parameters."""

from collections.abc import Mapping
from typing import Any

from clustering.map.layout import Layout
from newstide.core.settings import Settings
from newstide.milvus import RunRow


def run_facts(row: RunRow, model: str, layout: Layout, settings: Settings, seconds: float) -> dict[str, Any]:
    """The facts of a run, the most important first.

    Args:
        row: The run.
        model: The embedding model's name.
        layout: The run's map.
        settings: In force.
        seconds: What the run took, with the map, up to the writing of its page.

    Returns:
        Values by name: texts and numbers to show as they are; `kept`, the share (0 to 1) of rows that kept their story, or
        None; `parameters`, a dictionary of its own.
    """
    clustering = settings.clustering
    return {
        "model": model,
        "window": "everything" if clustering.window is None else _span(clustering.window.total_seconds()),
        "rows": f"{row.counts['rows']:,}",
        "duration": f"{seconds:.1f} s",
        "number": row.run,
        "kept": row.counts.get("kept"),
        "theta": round(row.theta, 4),
        "map": _map(layout),
        "map neighbours": _neighbours(layout, settings),
        "parameters": {
            f"{group}.{name}": value
            for group, values in (("clustering", clustering), ("layout", settings.layout))
            for name, value in values.model_dump(mode="json", exclude={"window"}).items()
        },
    }


def shown_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about a run as its page names them."""
    shown: list[tuple[str, str]] = []
    if share := stability_text(facts):
        shown.append(("kept their story", f"{share} of headlines"))
    for name, value in facts.items():
        if isinstance(value, Mapping):
            shown += shown_facts(value)
        elif name != "kept" and value is not None:
            shown.append((name.replace("_", " "), _said(value)))
    return shown


def stability_text(facts: Mapping[str, Any]) -> str | None:
    """`kept` in words, where it is known."""
    share = facts.get("kept")
    return f"{share * 100:.1f} %" if isinstance(share, int | float) else None


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _map(layout: Layout) -> str:
    how = "fitted anew" if layout.fresh else "renewed from the last"
    if layout.moved is None:
        return how
    return f"{how}; half of the headlines that were on it moved by less than {layout.moved:.3f} of its spread"


def _neighbours(layout: Layout, settings: Settings) -> str:
    """UMAP's n_neighbors, and what bounds it."""
    asked, listed = settings.layout.neighbours, settings.clustering.graph_neighbours
    if layout.neighbours == 0:
        return "principal components: too few headlines for UMAP"
    if layout.neighbours == asked:
        return str(asked)
    why = (
        f"the graph lists {listed} for each headline"
        if layout.neighbours == listed + 1
        else f"there are {len(layout.ids):,} headlines"
    )
    return f"{layout.neighbours}, not {asked}: {why}"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"
