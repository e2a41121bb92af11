"""The JSON API over a real Milvus Lite with two runs of real headlines."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import jsonschema
import pandas as pd
import pytest

from newstide.core.errors import UnknownStory
from newstide.core.headline import parse_time
from newstide.core.settings import PageSettings, Settings
from newstide.core.text import iso_time
from newstide.milvus import Store
from newstide_app.queries import StoryFilter, chosen_stories, story_lineage
from newstide_app.web.shared_store import Reader
from tests.harness.newsroom import add_headlines
from tests.harness.services import opened
from tests.harness.web import get, served

HOSTILE = 'x" or id != "'


@pytest.fixture(scope="module")
def client(newsroom: Settings) -> Iterator[httpx.Client]:
    """Beside the labelled headlines lie three that no run has seen, one of a source that is up to no good."""
    late = "2026-10-13T23:59:00Z"
    add_headlines(
        newsroom,
        [
            {"title": f"Late news of {thing}", "source": HOSTILE, "published_at": late, "id": f'{thing} " \\ or 1==1'}
            for thing in ("one thing", "another", "a third")
        ],
    )
    with served(newsroom) as client:
        yield client


@pytest.fixture(scope="module")
def store(newsroom: Settings) -> Iterator[Store]:
    with opened(newsroom) as store:
        yield store


def all_pages(client: httpx.Client, path: str, **parameters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page = get(client, path, **parameters)
    for _ in range(1000):
        assert len(page["items"]) <= parameters["limit"]
        items += page["items"]
        if page["next"] is None:
            return items
        page = get(client, urljoin(path, page["next"]))
    raise AssertionError("paging does not end")


def newest_first(store: Store, where: str = "") -> list[str]:
    frame = store.headlines(where, ["id", "published_at"])
    ids: list[str] = frame.sort_values(["published_at", "id"], ascending=[False, True])["id"].tolist()
    return ids


def test_the_document_describes_every_answer(client: httpx.Client) -> None:
    document = get(client, "/api/openapi.json")
    assert set(document["paths"]) == {
        "/api/stories",
        "/api/stories/{label}",
        "/api/headlines",
        "/api/search",
        "/api/changes",
        "/api/runs",
    }
    largest = get(client, "/api/stories", limit=1)["items"][0]["cluster_label"]
    asked = {
        "/api/stories": "/api/stories?status=all",
        "/api/stories/{label}": f"/api/stories/{largest}",
        "/api/headlines": "/api/headlines",
        "/api/search": "/api/search?q=fire",
        "/api/runs": "/api/runs",
    }
    for path, example in asked.items():
        assert set(document["paths"][path]) == {"get"}
        answers = document["paths"][path]["get"]["responses"]
        schema = answers["200"]["content"]["application/json"]["schema"]
        found = get(client, example)
        jsonschema.validate(found, {**schema, "components": document["components"]})
        assert found.get("items", [None])
        wrong = client.get(path.replace("{label}", str(largest)), params={"nonsense": 1})
        assert wrong.status_code == 422
        problem = answers["422"]["content"]["application/problem+json"]["schema"]
        jsonschema.validate(wrong.json(), {**problem, "components": document["components"]})


def test_stories_come_largest_first_a_page_at_a_time(client: httpx.Client, store: Store) -> None:
    there = store.stories('status == "open"').sort_values(["size", "cluster_label"], ascending=[False, True])
    found = all_pages(client, "/api/stories", limit=7)
    assert [story["cluster_label"] for story in found] == there["cluster_label"].tolist()
    assert get(client, "/api/stories", limit=1)["total"] == len(there)
    first = there.iloc[0]
    assert found[0]["title"] == first["title"]
    assert found[0]["keywords"] == list(first["keywords"])
    assert found[0]["first_published_at"] == iso_time(int(first["first_published_at"]))
    assert not {"centroid", "former_ids"} & set(found[0])
    latest = [story["last_published_at"] for story in get(client, "/api/stories", sort="latest")["items"]]
    assert latest == sorted(latest, reverse=True)


def test_stories_are_filtered_by_language_source_and_time(client: httpx.Client, store: Store) -> None:
    open_stories = store.stories('status == "open"')
    language = max((tag for row in open_stories["languages"] for tag in row if tag != "en"), default="en")
    found = get(client, "/api/stories", language=language, limit=500)["items"]
    assert {story["cluster_label"] for story in found} == {
        int(label)
        for label, row in zip(open_stories["cluster_label"], open_stories["languages"], strict=True)
        if language in row
    }
    assert get(client, "/api/stories", source="no such source")["items"] == []
    middle = int(open_stories["last_published_at"].median())
    since = get(client, "/api/stories", since=iso_time(middle), limit=500)["items"]
    assert len(since) == (open_stories["last_published_at"] >= middle).sum()
    until = get(client, "/api/stories", until=middle, limit=500)["items"]
    assert len(until) == (open_stories["first_published_at"] < middle).sum()
    pair = [int(label) for label in open_stories["cluster_label"].head(2)]
    assert sorted(story["cluster_label"] for story in get(client, "/api/stories", label=pair)["items"]) == sorted(pair)


def test_a_story_comes_with_lineage_timeline_and_headlines(client: httpx.Client, store: Store) -> None:
    story = get(client, "/api/stories", limit=1)["items"][0]
    found = get(client, f"/api/stories/{story['cluster_label']}", limit=3)
    assert found["story"] == story
    where = f"cluster_label == {story['cluster_label']}"
    ids = newest_first(store, where)
    assert [headline["id"] for headline in found["headlines"]["items"]] == ids[:3]
    following = get(client, urljoin(f"/api/stories/{story['cluster_label']}", found["headlines"]["next"]))
    assert [headline["id"] for headline in following["items"]] == ids[3:6]
    timeline = found["timeline"]
    assert sum(timeline["counts"]) == len(ids) == story["size"]
    assert len(timeline["counts"]) <= 60
    first = store.headlines(where, ["published_at"])["published_at"].min()
    assert 0 <= first - parse_time(timeline["begin"]) < timeline["step_seconds"] * 1000
    assert set(found["lineage"]) == {"parents", "children", "absorbed", "successor"}


def test_a_story_names_those_it_came_from_and_went_into() -> None:
    def story(label: int, status: str, parents: list[int], successor: int) -> dict[str, Any]:
        return {
            "cluster_label": label,
            "title": f"story {label}",
            "titles": {"de": f"Geschichte {label}"},
            "size": 3,
            "status": status,
            "parents": parents,
            "successor": successor,
        }

    stories = pd.DataFrame([story(1, "open", [], -1), story(2, "closed", [1], 3), story(3, "open", [1], -1)])

    def numbers(named: list[dict[str, Any]]) -> list[int]:
        return [one["cluster_label"] for one in named]

    first, second, third = (story_lineage(stories, label) for label in (1, 2, 3))
    assert (numbers(first["children"]), first["parents"], first["successor"]) == ([2, 3], [], None)
    assert second["successor"] == {"cluster_label": 3, "title": "story 3", "size": 3, "status": "open"}
    assert (numbers(third["parents"]), numbers(third["absorbed"])) == ([1], [2])
    with pytest.raises(UnknownStory, match="no story 4"):
        story_lineage(stories, 4)
    german = story_lineage(stories, 3, ["fr", "de-AT"])
    assert [one["title"] for one in german["parents"]] == ["Geschichte 1"]


def test_growth_counts_what_is_new_and_ties_go_by_number() -> None:
    stories = pd.DataFrame(
        {
            "cluster_label": [1, 2, 3],
            "size": [9, 5, 5],
            "previous_size": [9, 1, 1],
            "status": "open",
            "last_published_at": 0,
            "importance": [1.0, 3.0, 2.0],
            "first_seen_at": [5, 4, 6],
        }
    )
    assert chosen_stories(stories, StoryFilter(), "importance")["cluster_label"].tolist() == [2, 3, 1]
    assert chosen_stories(stories, StoryFilter(), "seen")["cluster_label"].tolist() == [3, 1, 2]
    assert chosen_stories(stories, StoryFilter(), "growth")["cluster_label"].tolist() == [2, 3, 1]
    assert chosen_stories(stories, StoryFilter(), "number")["cluster_label"].tolist() == [3, 2, 1]


@pytest.mark.parametrize("limit", [1, 37, 500])
def test_headlines_come_newest_first_each_once(client: httpx.Client, store: Store, limit: int) -> None:
    where = "" if limit > 1 else 'language == "de"'
    parameters = {} if limit > 1 else {"language": "de"}
    found = all_pages(client, "/api/headlines", limit=limit, **parameters)
    assert [headline["id"] for headline in found] == newest_first(store, where)


def test_headlines_are_filtered(client: httpx.Client, store: Store) -> None:
    frame = store.headlines("", ["id", "published_at", "source", "language", "cluster_label", "label_run"])
    some = frame.iloc[len(frame) // 2]
    middle = int(frame["published_at"].median())

    def ids(**parameters: Any) -> set[str]:
        return {headline["id"] for headline in all_pages(client, "/api/headlines", limit=100, **parameters)}

    def those(mask: Any) -> set[str]:
        return set(frame.loc[mask, "id"])

    assert ids(source=some["source"]) == those(frame["source"] == some["source"])
    assert ids(language=["de", "fr"]) == those(frame["language"].isin(["de", "fr"]))
    assert ids(since=iso_time(middle)) == those(frame["published_at"] >= middle)
    assert ids(until=middle) == those(frame["published_at"] < middle)
    assert ids(label=-1) == ids(state="noise") == those(frame["cluster_label"] < 0)
    assert ids(state="story") == those(frame["cluster_label"] >= 0)
    assert ids(state="provisional") == those(frame["label_run"] == 0)
    assert len(ids(state="provisional")) >= 3
    assert ids(state="story", language="en", until=middle) == those(
        (frame["cluster_label"] >= 0) & (frame["language"] == "en") & (frame["published_at"] < middle)
    )


def test_a_value_stays_a_value(client: httpx.Client) -> None:
    found = all_pages(client, "/api/headlines", limit=1, source=HOSTILE)
    assert [headline["source"] for headline in found] == [HOSTILE] * 3
    assert get(client, "/api/headlines", source='" or cluster_label >= -1 or source == "')["items"] == []
    assert get(client, "/api/headlines", language="en\\")["items"] == []


def test_search_finds_by_meaning_within_the_filters(client: httpx.Client, store: Store) -> None:
    found = get(client, "/api/search", q="wildfire in a forest", limit=5)["items"]
    assert len(found) == 5
    similarities = [hit["similarity"] for hit in found]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] > 0.3
    title = store.headlines('language == "en" and cluster_label >= 0', ["id", "title"]).iloc[0]
    assert title["id"] in [hit["id"] for hit in get(client, "/api/search", q=title["title"], limit=3)["items"]]
    german = get(client, "/api/search", q=title["title"], language="de", limit=10)["items"]
    assert german
    assert {hit["language"] for hit in german} == {"de"}
    paged = all_pages(client, "/api/search", q="football", language="de", limit=9)
    assert len({hit["id"] for hit in paged}) == len(paged) == store.count_headlines('language == "de"')


def test_runs_come_newest_first_with_their_maps(client: httpx.Client, store: Store, newsroom: Settings) -> None:
    runs = all_pages(client, "/api/runs", limit=1)
    assert [run["run"] for run in runs] == store.runs()["run"].tolist()[::-1]
    assert runs[-1]["counts"]["rows"] == 250
    assert runs[-1]["page"] == "../run-000001.html"
    assert client.get(urljoin("/api/runs", runs[-1]["page"])).status_code == 200
    assert (
        urljoin("https://news.example/maps/api/runs", runs[-1]["page"]) == "https://news.example/maps/run-000001.html"
    )


def test_an_answer_that_is_known_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/api/stories")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/api/stories", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/stories?limit=2", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200
    head = client.head("/api/stories")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])


@pytest.mark.parametrize(
    ("path", "status", "parameter", "words"),
    [
        ("/api/stories?limit=0", 422, "limit", "greater than or equal to 1"),
        ("/api/stories?limit=501", 422, "limit", "'501'"),
        ("/api/stories?limit=many", 422, "limit", "'many'"),
        ("/api/stories?status=ajar", 422, "status", "'ajar'"),
        ("/api/stories?sort=colour", 422, "sort", "'colour'"),
        ("/api/stories?offset=-1", 422, "offset", "'-1'"),
        ("/api/stories?statu=open", 422, "statu", "no parameter 'statu'"),
        ("/api/stories/999999", 404, None, "no story 999999"),
        ("/api/stories/seven", 422, "label", "'seven'"),
        ("/api/headlines?since=yesterday", 422, "since", "'yesterday' is not a time"),
        ("/api/headlines?since=2026-10-13T00:00:00", 422, "since", "is not a time"),
        ("/api/headlines?since=2000&until=1000", 422, "since", "not before until '1000'"),
        ("/api/headlines?cursor=AAAA", 422, "cursor", "'AAAA'"),
        ("/api/headlines?cursor=WzEsIDJd", 422, "cursor", "begin without a cursor"),
        ("/api/headlines?label=-2", 422, "label", "'-2'"),
        ("/api/headlines?label=99999999999999999999", 422, "label", "99999999999999999999"),
        ("/api/headlines?source=" + "x" * 301, 422, "source", "at most 300"),
        ("/api/headlines?" + "&".join(["language=de"] * 101), 422, "language", "at most 100"),
        ("/api/search", 422, "q", "missing"),
        ("/api/search?q=%20", 422, "q", "no word"),
        ("/api/search?q=" + "x" * 501, 422, "q", "at most 500"),
        ("/api/search?q=fire&offset=16384", 422, "offset", "'16384'"),
        ("/api/nothing", 404, None, "nothing at /api/nothing"),
    ],
)
def test_a_mistake_is_one_shape_that_names_the_value(
    client: httpx.Client, path: str, status: int, parameter: str | None, words: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    assert problem.get("parameter") == parameter
    assert words in problem["detail"] + problem.get("way_out", "")
    assert len(problem["detail"]) < 400


def test_the_examples_of_the_documentation_are_true(client: httpx.Client) -> None:
    text = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    examples = re.findall(r"curl -s 'http://127\.0\.0\.1:8000([^']+)'\n```\n```json\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 7
    largest = get(client, "/api/stories", limit=1)["items"][0]["cluster_label"]
    for path, shown in examples:
        answer = client.get(path.replace("/stories/3", f"/stories/{largest}")).json()
        assert holds(json.loads(shown), answer), path
    named = set(re.findall(r"NEWSTIDE_PAGES_([A-Z_]+)", text))
    assert named <= {name.upper() for name in PageSettings.model_fields}


def holds(example: Any, answer: Any) -> bool:
    """Whether every field that the example shows is there, of the same type."""
    if isinstance(example, dict):
        return isinstance(answer, dict) and all(
            name in answer and holds(example[name], answer[name]) for name in example
        )
    if isinstance(example, list):
        return isinstance(answer, list) and all(holds(example[0], one) for one in answer[:1] if example)
    return example is None or answer is None or isinstance(answer, type(example))


def test_what_nobody_foresaw_is_the_same_shape_and_tells_no_secret(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide_app.web.story_routes.story_records", lambda *_: 1 // 0)
    answer = client.get("/api/stories?limit=77")  # which nobody has asked within the last second
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "division" not in answer.text


def test_stories_taken_down_between_two_runs_are_soon_gone(newsroom: Settings, store: Store) -> None:
    reader = Reader(newsroom)
    there = reader.stories(store)
    assert reader.stories(store) is there
    assert reader._stories is not None
    reader._stories = (reader._stories[0], reader._stories[1] - 11, reader._stories[2])
    assert reader.stories(store) is not there


def test_nothing_can_be_written(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/stories", "/api/headlines", "/", "/latest.html", "/events"):
            assert client.request(method, path).status_code == 405
