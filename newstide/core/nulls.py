"""What programs write for a missing value, where it stands as a text."""

_WORDS = ("null", "nan", "none", "nat", "n/a", "nil", "undefined")

# Each as it stands, in any usual case; `\N` is MySQL's, `<NA>` is pandas', the rest in capitals are spreadsheets'.
NULLS = frozenset(
    form
    for word in (
        *_WORDS,
        *(f"<{word}>" for word in ("null", "na", "none")),
        *(f"({word})" for word in ("null", "none")),
    )
    for form in (word, word.upper(), word.capitalize())
) | frozenset(
    ["NaN", "NaT", "\\N", "-", "--", "#N/A", "#NA", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#DIV/0!", "#NUM!"]
)

LONGEST_NULL = max(map(len, NULLS))  # characters; a longer text needs no look
