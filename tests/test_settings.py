"""Settings: where they come from, who wins, and what a mistake says."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from newstide.core.errors import SettingsError
from newstide.core.headline import DEFAULTS
from newstide.core.setting_types import parse_duration
from newstide.core.settings import MilvusSettings, Settings, as_environment


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_command_line_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "newstide.toml").write_text('[clustering]\nneighbours = 11\nwindow = "1d"\nseed = 1\n')
    monkeypatch.setenv("NEWSTIDE_CLUSTERING_WINDOW", "2d")
    monkeypatch.setenv("NEWSTIDE_CLUSTERING_SEED", "2")
    settings = Settings.load(clustering={"seed": 3}).clustering
    assert (settings.neighbours, settings.window, settings.seed) == (11, timedelta(days=2), 3)


def test_groups_are_reached_by_plain_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("NEWSTIDE_DATA_DIR", "/srv/newstide")
    settings = Settings.load()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.snapshots_dir == Path("/srv/newstide/snapshots")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1.5h", timedelta(hours=1.5)),
        ("2w", timedelta(days=14)),
    ],
)
def test_durations_are_written_as_people_write_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("line", ["window = 3", 'window = "3"', 'window = "banana"', 'window = "soon"', "window = 0.5"])
def test_a_span_that_is_none_or_has_no_unit_is_refused_with_how_to_write_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "newstide.toml").write_text(f"[clustering]\n{line}\n")
    with pytest.raises(SettingsError, match=r"clustering\.window = .*write it as 30s, 5m, 6h or 7d"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusterin = 1", "clusterin = 1: there is no such setting"),
        ('pages = "x"', r"pages = 'x': it is a group of settings: write \[pages\]"),
        ('[pages]\ntoken = "short"', "it is shorter than 16 characters"),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_in_plain_words(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "newstide.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        Settings.load()


def test_a_window_can_be_none() -> None:
    assert Settings.load(clustering={"window": "none"}).clustering.window is None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"clustering": {"window": "soon"}}, ["clustering.window", "soon"]),
        ({"clustering": {"neighbours": 1}}, ["clustering.neighbours", "1"]),
        ({"clustering": {"selection": "best"}}, ["clustering.selection", "calibrated"]),
        ({"kafka": {"bootstrap": "x"}}, ["kafka.bootstrap"]),
        ({"embedding": {"batch_size": "many"}}, ["embedding.batch_size", "many"]),
    ],
)
def test_a_mistake_names_the_setting_and_the_value(overrides: dict[str, dict[str, object]], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**overrides)
    assert all(word in str(caught.value) for word in words)


def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_KAFKA_BOOTSTRAP_SERVER", "x")
    with pytest.raises(SettingsError, match="NEWSTIDE_KAFKA_BOOTSTRAP_SERVER"):
        Settings.load()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEWSTIDE_KEEP", "NEWSTIDE_PAGES_TOKEN", "NEWSTIDE_MONITORING_PORT", "NEWSTIDE_CONFIG"):
        monkeypatch.setenv(name, "")
    assert Settings.load() == Settings()


def test_a_file_that_is_named_on_the_command_line_beats_the_one_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("newstide", "desk", "night"):
        (tmp_path / f"{name}.toml").write_text(f'[kafka]\ntopic = "{name}"\n')
    assert Settings.load().kafka.topic == "newstide"
    monkeypatch.setenv("NEWSTIDE_CONFIG", "desk.toml")
    assert Settings.load().kafka.topic == "desk"
    chosen = Settings.load(config=Path("night.toml"))
    assert (chosen.kafka.topic, chosen.config) == ("night", Path("night.toml"))
    assert "NEWSTIDE_CONFIG" not in as_environment(chosen)


def test_a_broken_or_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "newstide.toml").write_text("[clustering\n")
    with pytest.raises(SettingsError, match=r"newstide\.toml is not TOML"):
        Settings.load()
    monkeypatch.setenv("NEWSTIDE_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(SettingsError, match=r"absent\.toml does not exist"):
        Settings.load()


def test_secrets_are_in_no_repr_dump_or_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_KAFKA_SASL_PASSWORD", "tell-nobody")
    settings = Settings.load(milvus={"token": "tell-nobody"})
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "tell-nobody"
    assert "tell-nobody" not in repr(settings) + str(settings.model_dump(mode="json"))
    with pytest.raises(SettingsError) as caught:
        Settings.load(milvus={"token": ["tell-nobody"]})
    assert "tell-nobody" not in str(caught.value)


@pytest.mark.parametrize(
    ("group", "name", "address"),
    [
        ("milvus", "uri", "http://desk:tell-nobody@milvus:19530"),
        ("milvus", "uri", "desk:tell-nobody@milvus"),
        ("milvus", "uri", "https://tell-nobody@milvus"),
        ("kafka", "bootstrap_servers", "desk:tell-nobody@kafka:9092"),
    ],
)
def test_a_login_in_an_address_is_refused_and_not_repeated(
    group: str, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=rf"{group}\.{name} = \(hidden\).*milvus\.token") as caught:
        Settings.load(**{group: {name: address}})
    with pytest.raises(ValueError, match="holds a login") as built:
        MilvusSettings(uri=address)
    with pytest.raises(ValueError, match="holds a login") as changed:
        Settings().updated(**{group: {name: address}})
    assert "tell-nobody" not in f"{caught.value} {built.value} {changed.value}"
    monkeypatch.setenv(f"NEWSTIDE_{group}_{name}".upper(), address)
    with pytest.raises(SettingsError) as loaded:
        Settings.load()
    assert "tell-nobody" not in str(loaded.value)


def test_the_limits_of_a_headline_are_settings_with_the_defaults_that_its_contract_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = Settings.load().limits
    assert (limits.description, limits.ahead) == (DEFAULTS.description, DEFAULTS.ahead)
    monkeypatch.setenv("NEWSTIDE_LIMITS_AHEAD", "2d")
    assert Settings.load().limits.ahead == timedelta(days=2)
    monkeypatch.setenv("NEWSTIDE_LIMITS_AHEAD", "-1")
    with pytest.raises(SettingsError, match=r"limits\.ahead = '-1'"):
        Settings.load()
    monkeypatch.delenv("NEWSTIDE_LIMITS_AHEAD")
    with pytest.raises(SettingsError, match=r"feeds\.max_entries = 0"):
        Settings.load(feeds={"max_entries": 0})


def test_an_updated_copy_keeps_everything_else() -> None:
    settings = Settings.load(kafka={"sasl_password": "secret"}, clustering={"seed": 7})
    updated = settings.updated(milvus={"uri": "http://127.0.0.1:1"}, clustering={"neighbours": 12})
    assert updated.clustering.seed == 7
    assert updated.clustering.neighbours == 12
    assert updated.kafka.sasl_password == settings.kafka.sasl_password
    assert settings.milvus.uri is None


def test_another_process_can_be_given_the_very_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(
        clustering={"window": None, "time_scale": "36h", "tutorial": True},
        kafka={"sasl_password": "secret", "bootstrap_servers": "a:1,b:2"},
        pages={"directory": "/srv/pages"},
        data_dir="/srv/newstide",
    )
    for name, text in as_environment(settings).items():
        monkeypatch.setenv(name, text)
    assert Settings.load() == settings


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("NEWSTIDE_CONSUMER_FIELDS", "abc", '{"name": "value"}'),
        ("NEWSTIDE_CONSUMER", "abc", '{"name": "value"}'),
        ("NEWSTIDE_WATCH", "abc", '[{"name": "value"}]'),
        ("NEWSTIDE_WATCH", "[" * 100_000, '[{"name": "value"}]'),
        ("NEWSTIDE_LIMITS", "[1]", "Correct it"),
        ("NEWSTIDE_KEEP", "99999999999d", "Correct it"),
        ("NEWSTIDE_KEEP", "40000d", "Correct it"),
        ("NEWSTIDE_KEEP", "1" * 400 + "w", "Correct it"),
        ("NEWSTIDE_KEEP", "²d", "Correct it"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_the_way_out(
    name: str, value: str, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_KAFKA_TOPIC", "abc")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert name.removeprefix("NEWSTIDE_").lower() in caught.value.message.lower()
    assert value[:10] in caught.value.message
    assert way_out in caught.value.way_out


def test_a_variable_that_is_no_json_and_may_hold_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_KAFKA", '{"sasl_password": "tell-nobody')
    with pytest.raises(SettingsError, match=r"NEWSTIDE_KAFKA = \(hidden\) is not JSON") as caught:
        Settings.load()
    assert "tell-nobody" not in str(caught.value)


@pytest.mark.parametrize("named", [False, True])
def test_a_settings_file_that_cannot_be_read_is_named(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "newstide.toml"
    if named:
        monkeypatch.setenv("NEWSTIDE_CONFIG", str(file))
    file.write_bytes('[kafka]\ntopic = "Ü"\n'.encode("cp1252"))
    with pytest.raises(SettingsError, match=r"newstide\.toml is not UTF-8: byte 17 is 0xdc"):
        Settings.load()
    file.write_text(f"watch = {'[' * 10_000}")
    with pytest.raises(SettingsError, match=r"newstide\.toml is not TOML: .*too deep"):
        Settings.load()
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsError, match=r"newstide\.toml is a folder"):
        Settings.load()
    file.rmdir()
    file.symlink_to(tmp_path / "gone.toml")
    with pytest.raises(SettingsError, match=r"newstide\.toml does not exist"):
        Settings.load()


def test_a_settings_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "newstide.toml").write_text("")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(SettingsError, match=r"newstide\.toml cannot be read: Permission denied"):
        Settings.load()


ZERO_IS_NONE = {"consumer.linger", "limits.ahead", "pages.keep_all", "pages.keep_hourly"}


def settings_of_type(*kinds: object) -> list[tuple[str, str]]:
    """Group and name of each setting of these types; the group is empty for a setting of none."""
    found = []
    for group, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts = field.annotation.model_fields.items()
            found += [(group, name) for name, part in parts if part.annotation in kinds]
        elif field.annotation in kinds:
            found.append(("", group))
    return found


def given(group: str, name: str, value: object) -> dict[str, object]:
    return {group: {name: value}} if group else {name: value}


@pytest.mark.parametrize(("group", "name"), settings_of_type(timedelta, timedelta | None))
def test_no_time_span_is_negative_endless_or_zero_where_zero_is_no_span(group: str, name: str) -> None:
    full = f"{group}.{name}".strip(".")
    for value in ("-1d", -1, "-PT1S", "99999999999d", "P99999D", float("nan"), float("inf"), 10**30):
        with pytest.raises(SettingsError, match=rf"{full} = "):
            Settings.load(**given(group, name, value))
    if full not in ZERO_IS_NONE:
        with pytest.raises(SettingsError, match=rf"{full} = '0s'.*not longer than zero"):
            Settings.load(**given(group, name, "0s"))
    else:
        assert Settings.load(**given(group, name, "0s"))


@pytest.mark.parametrize(("group", "name"), settings_of_type(float))
@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_are_finite(group: str, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} = '{value}': .*finite"):
        Settings.load(**given(group, name, value))


def test_the_numbers_of_a_watch_are_finite() -> None:
    watch = {"name": "floods", "kafka": [{"topic": "alerts"}]}
    for name in ("deviations", "least_importance"):
        with pytest.raises(SettingsError, match=rf"watch.0.{name} = inf: .*finite"):
            Settings.load(watch=[{**watch, name: float("inf")}])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"consumer": {"fields": {"title": ""}}}, r"consumer\.fields\.title = '': .*blank"),
        ({"consumer": {"fields": {"title": " "}}}, r"consumer\.fields\.title = ' ': .*blank"),
        ({"kafka": {"bootstrap_servers": "   "}}, r"kafka\.bootstrap_servers = '   ': .*blank"),
        ({"kafka": {"bootstrap_servers": " , "}}, r"kafka\.bootstrap_servers = ' , ': .*blank"),
        ({"milvus": {"uri": "\t"}}, r"milvus\.uri = '\\t': .*blank"),
        ({"layout": {"seed": -1}}, r"layout\.seed = -1: .*greater than or equal to 0"),
        ({"clustering": {"seed": 2**32}}, r"clustering\.seed = 4294967296: .*less than"),
    ],
)
def test_blank_names_and_addresses_and_seeds_that_no_generator_takes_are_refused(
    overrides: dict[str, dict[str, object]], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.load(**overrides)
