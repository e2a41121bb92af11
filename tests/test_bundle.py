"""The pages' scripts as modules, and the one script that they are put together to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clustering.pages import bundle


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules in the place of the pages' own."""
    folder = tmp_path / "assets" / "script"
    folder.mkdir(parents=True)
    monkeypatch.setattr(bundle, "files", lambda _package: tmp_path)
    bundle.script.cache_clear()
    return folder


@pytest.fixture(autouse=True)
def _forget() -> None:
    bundle.script.cache_clear()


@pytest.mark.parametrize("entry", ["page", "index", "live", "empty"])
def test_every_script_of_the_pages_holds_no_import_and_is_made_alike_each_time(entry: str) -> None:
    script = bundle.script(entry)
    bundle.script.cache_clear()
    assert bundle.script(entry) == script
    assert "\nimport " not in script
    assert "\nexport " not in script


def test_a_module_stands_once_and_after_those_it_imports(modules: Path) -> None:
    (modules / "words.js").write_text('export const word = "tide";\n')
    (modules / "dom.js").write_text('import { word } from "./words.js";\n\nexport const text = `${word}!`;\n')
    (modules / "page.js").write_text(
        'import {\n  text,\n} from "./dom.js";\nimport { word } from "./words.js";\n\nawait text.concat(word);\n'
    )
    assert bundle.script("page") == (
        '"use strict";\n(async () => {\nconst word = "tide";\nconst text = `${word}!`;\nawait text.concat(word);\n})();\n'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('import { gone } from "./other.js";\n', "page.js imports gone, which other.js does not export"),
        ('import { hidden } from "./other.js";\n', "page.js imports hidden, which other.js does not export"),
        ('import { shown } from "./other.js";\nfunction hidden() {}\n', "page.js and other.js both declare hidden"),
        ('import { shown } from "./nowhere.js";\n', "There is no module nowhere.js"),
        ('import { back } from "./round.js";\n', "page imports round imports page: this is a circle"),
        ('import { shown as seen } from "./other.js";\n', "page.js imports shown as seen"),
        ('import * as all from "./other.js";\n', "is not understood"),
        ('import { shown } from "https://elsewhere.example/a.js";\n', "is not understood"),
        ("export default 1;\n", "is not understood"),
    ],
)
def test_what_cannot_be_put_together_is_refused_by_name(text: str, said: str, modules: Path) -> None:
    (modules / "other.js").write_text("export const shown = 1;\nconst hidden = 2;\n")
    (modules / "round.js").write_text('import { shown } from "./page.js";\nexport const back = shown;\n')
    (modules / "page.js").write_text(text)
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        bundle.script("page")


def test_the_linter_finds_a_name_that_nobody_declares(tmp_path: Path) -> None:
    linter = shutil.which("oxlint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("oxlint is not installed here: `make lint` installs it")
    (tmp_path / "page.js").write_text("import { used, unused } from './words.js';\nused(undeclared);\n")
    (tmp_path / "words.js").write_text("export const used = () => {};\nexport const unused = 1;\n")
    config = Path(__file__).parents[1] / ".oxlintrc.json"
    found = subprocess.run(
        [linter, "--config", str(config), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert "'undeclared' is not defined" in found.stdout
    assert "'unused' is imported but never used" in found.stdout
