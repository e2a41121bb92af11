"""Groups of headlines in JSON files: sections, feeds and folders, whose titles are no headlines."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.reading import rows, titles, told, write

ONE = {"title": "Mill shuts", "url": "https://v.example/1"}
TWO = {"title": "Mill opens", "url": "https://v.example/2"}
THREE = {"title": "Match lost", "url": "https://v.example/3"}
ALL = [one["title"] for one in (ONE, TWO, THREE)]
GROUPS: dict[str, list[dict[str, Any]]] = {
    "sections": [{"title": "World", "articles": [ONE, TWO]}, {"title": "Sport", "articles": [THREE]}],
    "described": [
        {"title": "World", "description": "From afar", "id": 1, "articles": [ONE, TWO]},
        {"title": "Sport", "description": "From the lake", "id": 2, "articles": [THREE]},
    ],
    "feeds": [{"title": "Velm Post", "items": [ONE, TWO]}, {"title": "Pell Post", "items": [THREE]}],
    "deeper": [{"title": "World", "pages": {"first": {"news": [ONE, TWO]}}}, {"title": "Sport", "more": [THREE]}],
    "folders": [
        {"title": "menu", "dateAdded": 1, "children": [{"title": "Velm", "children": [ONE]}, TWO]},
        {"title": "toolbar", "dateAdded": 2, "children": [THREE]},
    ],
    "titles alone": [
        {"headline": "World", "articles": [{"headline": ALL[0]}, {"headline": ALL[1]}]},
        {"headline": "Sport", "articles": [{"headline": ALL[2]}]},
    ],
}


@pytest.mark.parametrize("where", ["array", "document", "lines", "pretty"])
@pytest.mark.parametrize("kind", GROUPS)
def test_the_headlines_in_groups_are_read_and_the_groups_titles_are_none(tmp_path: Path, kind: str, where: str) -> None:
    groups = GROUPS[kind]
    content = {
        "array": json.dumps(groups),
        "document": json.dumps({"date": "2026-10-12", "sections": groups}),
        "lines": "\n".join(map(json.dumps, groups)),
        "pretty": json.dumps({"title": "", "children": groups}, indent=1),
    }[where]
    items, tally = told(write(tmp_path / "a.json", content))
    assert [row.headline.title for row in rows(items)] == ALL
    assert (tally.rejected, "headlines stand in groups, whose titles are none" in tally.notes) == (0, True)


def test_what_a_group_says_fills_its_headlines_and_what_is_no_group_among_them_is_read(tmp_path: Path) -> None:
    groups = [
        {"title": "World", "source": "Velm", "articles": [ONE, {**TWO, "source": "Pell"}]},
        {"title": "Sport", "articles": []},
        {"title": "Sky", "articles": [THREE]},
        {"title": "Dam holds", "url": "https://v.example/4"},
    ]
    items, tally = told(write(tmp_path / "a.json", json.dumps(groups)))
    found = [(row.headline.title, row.headline.source) for row in rows(items)]
    assert found == [(ALL[0], "Velm"), (ALL[1], "Pell"), (ALL[2], ""), ("Dam holds", "")]
    ((what, counted),) = tally.left_out.items()
    assert (what, counted.count, counted.example[:11]) == ("group without headlines", 1, "'Sport' in ")


@pytest.mark.parametrize(
    "held",
    [
        {"url": "https://v.example/a", "articles": [ONE]},
        {"date": "2026-10-12", "stories": {"all": [ONE]}},
        {"description": "Long ago", "chapters": [{"title": "One"}]},
    ],
)
@pytest.mark.parametrize("lines", [True, False])
def test_headlines_that_hold_others_are_read_and_the_others_are_named(
    tmp_path: Path, held: dict[str, Any], lines: bool
) -> None:
    records = [{"title": title, **held} for title in ("Ferry sails", "Bridge shut")]
    content = "\n".join(map(json.dumps, records)) if lines else json.dumps({"news": records})
    items, tally = told(write(tmp_path / "a.json", content))
    assert [row.headline.title for row in rows(items)] == ["Ferry sails", "Bridge shut"]
    (note,) = [note for note in tally.notes if "--records" in note]
    path = note.partition("--records ")[2].split()[0]
    named = "articles" in held, "stories" in held
    assert path == ("" if lines else "news.") + {(True, False): "articles", (False, True): "stories.all"}.get(
        named, "chapters"
    )
    assert titles(write(tmp_path / "a.json", content), records=path) != []


@pytest.mark.parametrize("name", ["tags", "keywords", "authors", "related", "relatedStories", "categories", "images"])
@pytest.mark.parametrize("own", [{}, {"url": "https://v.example/a"}])
def test_what_belongs_to_a_headline_makes_no_group_of_it(tmp_path: Path, name: str, own: dict[str, str]) -> None:
    records = [{"title": title, **own, name: [THREE]} for title in ALL[:2]]
    items, tally = told(write(tmp_path / "a.json", json.dumps({"articles": records})))
    assert [row.headline.title for row in rows(items)] == ALL[:2]
    assert not [note for note in tally.notes if "--records" in note]


@pytest.mark.parametrize("first", [None, "", " "])
def test_a_title_under_another_name_is_found_in_every_layout(tmp_path: Path, first: str | None) -> None:
    records = [{"title": first, "headline": title} for title in ALL]
    for document in ({"articles": records}, [{"_source": one} for one in records], {"a": {"b": records}}):
        assert titles(write(tmp_path / "a.json", json.dumps(document))) == ALL
    lines = "\n".join(json.dumps({"_source": one}) for one in records)
    assert titles(write(tmp_path / "a.jsonl", lines)) == ALL


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt"])
def test_only_line_breaks_end_a_line_of_json(tmp_path: Path, mark: str, name: str) -> None:
    lines = [json.dumps({"title": f"Mill{mark} shuts"}, ensure_ascii=False), '{"title": "cut', json.dumps(THREE)]
    for end in ("\n", "\r\n", "\r"):
        items, tally = told(write(tmp_path / name, end.join(lines)))
        assert [row.headline.title for row in rows(items)] == ["Mill shuts", "Match lost"]
        assert tally.rejected == 1
