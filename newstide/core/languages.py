"""Languages as files, feeds and messages name them: tags of BCP 47, codes of three letters, names as `English`."""

import re
from functools import cache, lru_cache

from newstide.core.time_names import LANGUAGES

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_LONGEST = 35  # characters of a tag


@lru_cache  # there are few languages, and every headline has one
def language_tag(text: str) -> str:
    """A BCP 47 tag with a lower-case primary subtag (`pt-BR`), or an empty string for what names no language.

    A code of three letters whose language has one of two gives way to that (`eng`: `en`), as BCP 47 wants it. The
    English name of a language, or its own name for itself, is read too.
    """
    text = text.strip()
    if not _TAG.fullmatch(text) or len(text) > _LONGEST:
        return _names().get(text.casefold(), "") if len(text) <= _LONGEST and any(map(str.isalpha, text)) else ""
    primary, *rest = text.replace("_", "-").split("-")
    primary = primary.lower()
    return "-".join([_short(primary) if len(primary) == 3 else primary, *rest])


def _short(code: str) -> str:
    from babel.core import get_global

    short: str = get_global("language_aliases").get(code, code)
    return short if len(short) == 2 else code


@cache
def _names() -> dict[str, str]:
    """Names of languages, without case, to their codes."""
    from babel import Locale

    own = {locale.languages.get(locale.language, ""): locale.language for locale in map(Locale.parse, LANGUAGES)}
    english = {name: code for code, name in Locale.parse("en").languages.items() if re.fullmatch("[a-z]{2,3}", code)}
    return {name.casefold(): code for name, code in {**own, **english}.items() if name}
