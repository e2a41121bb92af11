"""Time zones by the names that dates carry: IANA's, and the abbreviations that `docs/sending.md` lists."""

from collections.abc import Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

# Minutes east of UTC. Several zones share IST, CST, BST, AST, GST and others: the zone counts in which most news is dated.
ABBREVIATIONS: Mapping[str, int] = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "MEZ": 60,
    "MESZ": 120, "EET": 120, "EEST": 180, "MSK": 180, "TRT": 180, "GST": 240, "PKT": 300, "IST": 330, "NPT": 345,
    "ICT": 420, "WIB": 420, "HKT": 480, "SGT": 480, "MYT": 480, "PHT": 480, "AWST": 480, "WITA": 480, "WIT": 540,
    "JST": 540, "KST": 540, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
    "SAST": 120, "CAT": 120, "EAT": 180, "WAT": 60, "NST": -210, "NDT": -150, "AST": -240, "ADT": -180, "EST": -300,
    "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "AKST": -540,
    "AKDT": -480, "HST": -600, "BRT": -180, "ART": -180, "COT": -300, "PET": -300, "VET": -240,
}  # fmt: skip
# Zones whose summer time the name leaves open.
REGIONS: Mapping[str, str] = {
    "ET": "America/New_York",
    "CT": "America/Chicago",
    "MT": "America/Denver",
    "PT": "America/Los_Angeles",
}


@lru_cache(512)
def find_zone(name: str) -> tzinfo | None:
    """The zone of an abbreviation, whatever its case, or of an IANA name; None where no time zone has that name."""
    known = ABBREVIATIONS.get(name.upper())
    if known is not None:
        return timezone(timedelta(minutes=known)) if known else UTC
    try:
        return ZoneInfo(REGIONS.get(name.upper(), name))
    except (ValueError, OSError, LookupError):  # a folder of the data base is an OSError
        return None
