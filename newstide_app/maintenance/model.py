"""What `newstide doctor` says of the embedding model: how fast it is here, and what it cannot read."""

import json
import time
from collections.abc import Mapping

from newstide.embedding import PACKAGED, Embedder
from newstide.embedding.scripts import script_name
from producers.sample import day_file

_FEW, _MEASURED = 8, 0.5  # headlines to begin with, and seconds that are enough


def rate(embedder: Embedder) -> float:
    """Headlines a second, by ever more of them until half a second is spent."""
    titles = [json.loads(line)["title"] for line in day_file().read_text(encoding="utf-8").splitlines()]
    embedder.encode(titles[:_FEW])  # the first call may be slower
    size, spent = _FEW, 0.0
    while True:
        started = time.perf_counter()
        embedder.encode(titles[:size])
        took = time.perf_counter() - started
        spent += took
        if spent > _MEASURED or size >= len(titles):
            return size / took
        size = min(4 * size, len(titles))


def unread(model: str, unreadable: Mapping[str, int]) -> tuple[str, str]:
    """What the model cannot read, counts by script, in words; and which model can."""
    counted = ", ".join(f"{script_name(script)} {count:,}" for script, count in sorted(unreadable.items()))
    able = [name for name, scripts in PACKAGED.items() if name != model and set(unreadable) <= set(scripts)]
    way_out = (
        f"`newstide reembed --to {able[0]}`: it reads them."
        if able
        else "Find a model that does, `newstide reembed --to sentence-transformers:NAME`, and set embedding.model to it."
    )
    return f"{model} cannot read these headlines, which join no story: {counted}.", way_out
