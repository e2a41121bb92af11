"""What is wrong with the settings, told with the variable, setting or file, the value, and the way out."""

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as EnvironmentFault

from newstide.core.errors import SettingsError
from newstide.core.setting_types import SPAN_EXAMPLES
from newstide.core.text import shorten

_SECRET = ("password", "token", "url", "secret", "@", "://")  # what a value or its name holds that is not to be shown


@contextmanager
def told_plainly(file: Path) -> Iterator[None]:
    """Turns what the libraries raise while settings are read into `SettingsError`.

    Args:
        file: The settings file.
    """
    try:
        yield
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}.", "Correct it there.") from None
    except RecursionError:
        raise SettingsError(f"{file} is not TOML: its values are nested too deep.", "Correct it there.") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SettingsError(
            f"{file} is not UTF-8: byte {error.start} is 0x{byte:02x}.", "Save the settings file as UTF-8."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"The settings file {file} cannot be read: {error.strerror or error}.",
            "Make it readable, or name another with NEWSTIDE_CONFIG or --config.",
        ) from None
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in fault['loc'])} = {_show(fault)}: {_said(fault)}"
            for fault in error.errors()
        ]
        raise SettingsError("; ".join(lines) + ".", f"Correct it in {file}, the environment or the flags.") from None
    except EnvironmentFault as error:
        raise SettingsError(
            f"A variable cannot be read: {error}.", "Correct the variables that begin with NEWSTIDE_."
        ) from None


def require_file(file: Path, *, named: bool) -> None:
    """Raises `SettingsError` where a settings file that is there, or that is named, is no file."""
    if file.is_file() or not (named or os.path.lexists(file)):
        return
    what = "is a folder" if file.is_dir() else "is no ordinary file" if file.exists() else "does not exist"
    raise SettingsError(f"The settings file {file} {what}.", "Correct NEWSTIDE_CONFIG or --config, or move it away.")


def require_sound_variables(settings: type[BaseSettings]) -> None:
    """Raises `SettingsError` where a variable has an unknown name, or is to hold JSON and does not.

    pydantic-settings ignores the first, so that a typo would go unnoticed, and of the second names neither the variable
    nor the value.
    """
    known = _variables(settings)
    unknown = sorted(name for name in os.environ if name.startswith("NEWSTIDE_") and name not in known)
    if unknown:
        raise SettingsError(
            f"Unknown environment variables: {', '.join(unknown)}.", "`newstide doctor` lists the settings that exist."
        )
    for name, text in os.environ.items():
        if text and (example := _example(known.get(name.upper()))):
            _require_json(name, text, example)


def _variables(settings: type[BaseSettings]) -> dict[str, Any]:
    """The type of each variable that is read."""
    found: dict[str, Any] = {}
    for name, field in settings.model_fields.items():
        found[f"NEWSTIDE_{name}".upper()] = field.annotation
        if _is_group(field.annotation):
            parts = field.annotation.model_fields.items()  # type: ignore[union-attr]
            found.update({f"NEWSTIDE_{name}_{part}".upper(): inner.annotation for part, inner in parts})
    return found


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _example(kind: Any) -> str:
    """How a value of the type is written in JSON; empty where it is not written in JSON."""
    if get_origin(kind) is tuple:
        return '[{"name": "value"}]'
    return '{"name": "value"}' if get_origin(kind) is dict or _is_group(kind) else ""


def _require_json(name: str, text: str, example: str) -> None:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = "(hidden)" if _is_secret(f"{name} {text}") else repr(shorten(text, 60))
        place = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else "too deep"
        raise SettingsError(f"{name} = {shown} is not JSON: {place}.", f"Write it as {example}, or unset it.") from None


def _is_secret(text: str) -> bool:
    return any(word in text.casefold() for word in _SECRET)


def _said(fault: Any) -> str:
    """What is wrong with a value, in plain words where pydantic's speak of its own types."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return "there is no such setting; `newstide doctor` lists those there are"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"it is a group of settings: write [{fault['loc'][0]}] with a line for each"
        case "too_short" | "string_too_short":
            return f"it is shorter than {context['min_length']} characters"
        case "value_error":
            return str(context["error"])
        case kind if kind.startswith("time_delta"):
            return f"it is no span of time; {SPAN_EXAMPLES}"
    return str(fault["msg"])


def _show(fault: Any) -> str:
    secret = any(word in str(part) for part in fault["loc"] for word in ("password", "token", "url"))
    given = repr(fault.get("input"))
    return "(hidden)" if secret or "@" in given or isinstance(fault.get("input"), dict) else given
