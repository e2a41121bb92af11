"""Which events a watch is told of, and what it says: conditions, texts for each kind of target, refused settings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from newstide.core.errors import NoEvent, SettingsError
from newstide.core.settings import Settings
from newstide.core.watch_settings import WatchSettings
from newstide_app.cli.main import app
from newstide_app.watch.alerts import Alert, as_document, as_text, key_of, subject
from newstide_app.watch.events import read_event
from newstide_app.watch.matching import Watch
from tests.harness.watching import HOSTILE_TITLE, as_event, made_event


def watch(**fields: Any) -> Watch:
    return Watch(WatchSettings(name="floods", kafka=({"topic": "alerts"},), **fields))


@pytest.mark.parametrize("words", ["", "  ", 'flood "high', "OR flood", "flood OR", "a OR OR b", "a OR -b", '""', "*"])
def test_words_of_which_a_part_would_be_passed_over_are_refused_with_the_value(words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        watch(words=words)
    assert f"In the words {words!r} of the watch 'floods'" in refused.value.message


def test_words_are_looked_for_in_the_title() -> None:
    events = [as_event(made_event(n, title=title)) for n, title in enumerate(["Floods in Valencia", "Flood insurance"])]
    assert watch(words="flood -insurance").matching(events) == events[:1]


@pytest.mark.parametrize(
    ("condition", "fields", "matches"),
    [
        ({"languages": ["en"]}, {"languages": ["de", "en-GB"]}, True),
        ({"languages": ["pt-BR"]}, {"languages": ["pt-PT"]}, False),
        ({"sources": ["BBC"]}, {"sources": ["bbc", "elpais.com"]}, True),
        ({"sources": ["bbc"]}, {"sources": []}, False),
        ({"least_size": 5}, {"size": 4}, False),
        ({"least_size": 5}, {"size": 5}, True),
        ({"least_importance": 2.0}, {"importance": 1.9}, False),
        ({"least_importance": 2.0}, {"importance": 2.0}, True),
        ({"least_importance": 2.0}, {}, False),
        ({"kinds": ["grown"]}, {}, False),
        ({}, {"quiet": "first run"}, False),
        ({"kinds": ["closed"], "least_size": 3}, {"kind": "closed", "size": 0, "previous_size": 3}, True),
        ({"meaning": "a flood"}, {}, False),
    ],
)
def test_every_condition_that_is_set_has_to_hold(
    condition: dict[str, Any], fields: dict[str, Any], matches: bool
) -> None:
    event = as_event(made_event(1) | fields)
    assert watch(**condition).matching([event]) == ([event] if matches else [])


def test_the_meaning_is_asked_only_for_what_else_matches_and_by_its_deviations() -> None:
    class Known:
        asked: list[str]

        def deviations(self, watch: str, events: Any) -> list[float]:
            assert watch == "floods"
            self.asked = [event.title for event in events]
            return [3.0, 3.5]

    known = Known()
    events = [as_event(made_event(n, title=title)) for n, title in enumerate(["Rain flood", "Sport", "Flood"])]
    found = watch(words="flood", meaning="high water", deviations=3.25).matching(events, known)
    assert known.asked == ["Rain flood", "Flood"]
    assert [event.title for event in found] == ["Flood"]


@pytest.mark.parametrize(
    "value",
    [None, b"", b"x", b"[]", b'{"run": 1}', json.dumps(made_event(1, kind="exploded")).encode(),
     json.dumps(made_event(1) | {"at": "soon"}).encode(), json.dumps(made_event(1) | {"run": "1\r\nX: y"}).encode()],
)  # fmt: skip
def test_what_is_no_event_is_refused(value: bytes | None) -> None:
    with pytest.raises(NoEvent):
        read_event(value)


HOSTILE = (
    "Flood\r\nBcc: all@example.org\u2028<!channel> @all *now* <http://evil.example|bank> https://evil.example [x](y)"
)


def hostile() -> Alert:
    event = as_event(made_event(3, title=HOSTILE_TITLE))
    return Alert(key_of("floods", event), "floods", "alert", (event,))


def test_a_headline_is_one_line_in_subjects_and_texts_and_no_part_of_the_key() -> None:
    alert = hostile()
    assert len(subject(alert).splitlines()) == len(as_text(alert).splitlines()) == 1
    assert alert.key.isascii()
    assert alert.key.isprintable()
    assert "Flood" not in alert.key


def test_in_slack_a_headline_formats_nothing_calls_nobody_and_links_nowhere() -> None:
    text = as_text(hostile(), "slack", "https://news.example")
    assert "<" not in text
    assert "&lt;!channel&gt;" in text
    assert [word for word in text.split() if "://" in word] == ["https://news.example/story/3"]


def test_in_mattermost_a_headline_formats_nothing_calls_nobody_and_links_nowhere() -> None:
    text = as_text(hostile(), "mattermost", "https://news.example")
    assert "@all" not in text
    assert r"\*now\*" in text
    assert r"\[x\]\(y\)" in text
    assert [word for word in text.split() if "://" in word] == ["https://news.example/story/3"]


def test_the_document_names_the_event_and_has_its_text_for_people_on_top() -> None:
    event = as_event(made_event(3, languages=["en"], sources=["bbc"], importance=2.5))
    document = as_document(Alert(key_of("floods", event), "floods", "alert", (event,)), "plain", "https://n.example/")
    assert document["id"] == "7/3/born"
    assert document["text"] == (
        "[floods] New story: Flood closes bridge 3 (4 headlines; en; bbc) https://n.example/story/3"
    )
    assert document["events"][0] == {
        "id": "7/3/born",
        "run": 7,
        "at": event.at,
        "kind": "born",
        "story": 3,
        "title": "Flood closes bridge 3",
        "size": 4,
        "previous_size": 0,
        "parents": [],
        "children": [],
        "successor": -1,
        "languages": ["en"],
        "sources": ["bbc"],
        "importance": 2.5,
        "link": "https://n.example/story/3",
    }
    reserved = {"username", "channel", "attachments", "type", "props", "icon_url", "blocks"}  # of Slack and Mattermost
    assert reserved.isdisjoint(document)


def test_a_digest_lists_fifty_and_counts_the_rest() -> None:
    events = tuple(as_event(made_event(n)) for n in range(60))
    lines = as_text(Alert("floods/digest/1", "floods", "digest", events)).splitlines()
    assert lines[0] == "[floods] 60 more, held back by the watch's limit an hour:"
    assert len(lines) == 52
    assert lines[-1] == "... and 10 more."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"webhook": [{"url": "ftp://x.example"}]}, "http or https"),
        ({"webhook": [{"url": "https://me:pw@x.example"}]}, "no login"),
        ({"webhook": [{"url": "https://x.example/a b"}]}, "no login and no space"),
        ({"webhook": [{}]}, "url or url_env"),
        ({"webhook": [{"url": "https://x.example", "url_env": "HOOK"}]}, "not both"),
        ({"webhook": [{"url_env": "NEWSTIDE_HOOK"}]}, "take another name"),
        ({"mail": [{"to": ["a@x.example\nBcc: b@x.example"]}]}, "no mail address"),
        ({"webhook": [{"url_env": "A"}, {"url_env": "B"}]}, "same name"),
        ({}, "at least one target"),
        ({"name": "a\nb", "webhook": [{"url_env": "A"}]}, "pattern"),
    ],
)
def test_a_watch_that_cannot_be_used_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WatchSettings(**{"name": "floods", **fields})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["watch"], "No watch is set"),
        (["watch", "--since", "1h"], "--since belongs to --dry-run"),
        (["watch", "--dry-run", "--test", "a"], "--test sends something"),
        (["watch", "--dry-run", "--since", "soon"], "it is no span of time"),
    ],
)
def test_what_the_command_cannot_do_is_said(
    arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, ["--data-dir", str(tmp_path), *arguments])
    assert isinstance(outcome.exception, SettingsError)
    assert reason in str(outcome.exception)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda watch: [watch, watch], "Two watches are named 'floods'"),
        (lambda watch: [watch | {"kafka": [{"topic": "story-events"}]}], "a topic of newstide's own"),
        (lambda watch: [watch | {"mail": [{"to": ["a@example.org"]}]}], "mail.host or mail.sender is not set"),
    ],
)
def test_watches_that_contradict_the_settings_are_refused(change: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Settings.load(watch=change({"name": "floods", "webhook": [{"url_env": "HOOK"}]}))
