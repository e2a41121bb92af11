"""The bundled day of headlines: invented, with the true story of each, for the demo and the tests."""

import json
from importlib.resources import files
from pathlib import Path

from newstide.core.headline import derive_id


def day_file() -> Path:
    """The file of the day's 800 headlines: JSONL that `newstide produce` can send."""
    return Path(str(files(__package__) / "day.jsonl"))


def true_stories() -> dict[str, str]:
    """The true story of each of the day's headlines, by the headline's id in Milvus."""
    with day_file().open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {derive_id(row["url"], row["source"], row["title"], None): row["story_id"] for row in rows}
