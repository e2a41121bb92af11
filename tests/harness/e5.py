"""What the tests of multilingual-e5-small give it, and a process of its own that loads it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from newstide.core.settings import EmbeddingSettings

SETTINGS = EmbeddingSettings(model="multilingual-e5-small")
ODD = [
    "",
    "?",
    "  two  spaces ",
    "ﬁne ｆｕｌｌ width ① ½",
    "Zurich\u0301 Z\u200burich",
    "🎉👩‍👩‍👧‍👦 party",
    "ߒߞߏ ߛߓߍ",
    "العربية والعبرية עברית",
    "한국어 뉴스",
    "\t tabs\tand\nlines",
]
LONG = [
    "The council met again on Tuesday about the bridge. " * 70,
    "議会は火曜日に再び橋について協議した。" * 60,
    "z " * 1_200,
]


def run(script: str, **variables: str) -> str:
    """What a script prints that loads the model in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script_of(script)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout


def script_of(script: str) -> str:
    return (
        "import sys\nfrom pathlib import Path\nfrom newstide.core.errors import EmbedderError\n"
        "from newstide.core import logs\n"
        "from newstide.core.settings import EmbeddingSettings\nfrom newstide.embedding.e5 import load\n"
        "logs.configure('info', json=False)\n" + textwrap.dedent(script)
    )


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())
