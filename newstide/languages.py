"""The language of headlines that do not say theirs.

Detection of a single title is right most of the time. Where it is wrong, little is lost: a language of few headlines is
centred by the mean of all (see `newstide.centring`).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

_SURE = 0.9  # probability below which a language counts as unknown
_SUBTAGS = {"zh-cn": "zh-CN", "zh-tw": "zh-TW"}


def detect_languages(titles: Sequence[str], languages: Sequence[str]) -> list[str]:
    """Fills in missing languages.

    Args:
        titles: (n,)
        languages: (n,) BCP 47 tags, empty where unknown.

    Returns:
        (n,) tags: those given, as they are; those missing, as detected, empty where that is unsure. The same title always
        gets the same language.
    """
    return [tag or _detect(title) for title, tag in zip(titles, languages, strict=True)]


def _detect(title: str) -> str:
    from langdetect.lang_detect_exception import LangDetectException

    detector = _profiles().create()
    detector.append(title)
    try:
        found = detector.get_probabilities()
    except LangDetectException:  # no letters in it
        return ""
    if not found or found[0].prob < _SURE:
        return ""
    return _SUBTAGS.get(found[0].lang, str(found[0].lang))


@cache
def _profiles() -> Any:
    """The library's languages, in a factory of our own with a fixed seed: its detection draws random numbers."""
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    factory.set_seed(0)
    return factory
