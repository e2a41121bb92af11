"""Settings: where they come from, who wins, and what a mistake says."""

from datetime import timedelta
from pathlib import Path

import pytest

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
