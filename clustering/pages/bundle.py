"""The pages' scripts: ES modules with imports, put together to one script that a single file can hold.

Modules are put one after the other, each after those that it imports, in one function, where what they export is found
under its own name: the rules of ES modules, as long as no two modules use one name at their top level and no import
renames. Whatever breaks them is refused here, and `make lint` checks the modules themselves.
"""

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|let|class) )", re.MULTILINE)
_TOP = re.compile(r"^(?:export )?(?:async function|function|const|let|class) ([\w$]+)", re.MULTILINE)
_STRANGE = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


@cache
def script(entry: str) -> str:
    """The script of a page: a module of `assets/script` and all that it imports.

    Args:
        entry: The script's name, without `.js`.

    Raises:
        ValueError: A module is missing, imports what another does not export, imports in a circle, or takes a name that
            another has.
    """
    modules: dict[str, str] = {}
    _add(entry, modules, ())
    owner: dict[str, str] = {}
    for name, text in modules.items():
        for declared in _TOP.findall(text):
            if declared in owner:
                raise ValueError(f"{name}.js and {owner[declared]}.js both declare {declared}: rename one of them.")
            owner[declared] = name
    parts = [_EXPORT.sub("", _IMPORT.sub("", text)).strip() for text in modules.values()]
    return '"use strict";\n(async () => {\n' + "\n".join(parts) + "\n})();\n"


def _add(name: str, modules: dict[str, str], importers: tuple[str, ...]) -> None:
    """Adds a module after those that it imports."""
    if name in modules:
        return
    if name in importers:
        raise ValueError(f"{' imports '.join([*importers, name])}: this is a circle.")
    text = _read(name)
    for names, imported in _IMPORT.findall(text):
        _add(imported, modules, (*importers, name))
        exported = set(_TOP.findall("\n".join(_exporting(modules[imported]))))
        if missing := {one.strip() for one in names.split(",") if one.strip()} - exported:
            raise ValueError(f"{name}.js imports {', '.join(sorted(missing))}, which {imported}.js does not export.")
    if strange := _STRANGE.search(_EXPORT.sub("", _IMPORT.sub("", text))):
        raise ValueError(
            f'{name}.js: {strange.group()!r} is not understood: write `import {{ name }} from "./module.js";`, and'
            " `export` before a function, const, let or class."
        )
    modules[name] = text


def _exporting(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("export ")]


def _read(name: str) -> str:
    try:
        return (files("clustering.pages") / "assets" / "script" / f"{name}.js").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"There is no module {name}.js in clustering/pages/assets/script.") from None
