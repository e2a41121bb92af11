"""What `newstide doctor` says of the embedding model: how fast it is here, and what it cannot read."""

import json
import time
from collections.abc import Mapping

from newstide.embedding import PACKAGED, Embedder
from newstide.embedding.scripts import script_name
from producers.sample import day_file

_FEW, _MEASURED = 8, 0.5  # headlines to begin with, and seconds that are enough


def rate(embedder: Embedder) -> float:
    """The model's headlines a second here, measured on more and more headlines for half a second."""
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
    """How many headlines of each script the model cannot read, in words; and which model can read them."""
    counted = ", ".join(f"{script_name(script)} {count:,}" for script, count in sorted(unreadable.items()))
    able = [name for name, scripts in PACKAGED.items() if name != model and set(unreadable) <= set(scripts)]
    way_out = (
        f"Run `newstide reembed --to {able[0]}`: that model reads them."
        if able
        else "Find a model that reads them, give it to `newstide reembed --to MODEL`, and set embedding.model to it."
    )
    return f"{model} cannot read these headlines, which join no story: {counted}.", way_out
