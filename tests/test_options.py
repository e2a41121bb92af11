"""The flags of `newstide recluster` that say how to cluster."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from newstide.core.errors import SettingsError
from newstide.core.settings import ClusteringSettings, Settings
from newstide_app.cli.main import app
from newstide_app.cli.options import duration


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ClusteringSettings]:
    """The settings of clustering that a run started with these flags would have."""
    seen: list[Settings] = []
    monkeypatch.setenv("NEWSTIDE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("NEWSTIDE_MILVUS_URI", "http://127.0.0.1:1")

    def run_nothing(settings: Settings, **_: Any) -> None:
        seen.append(settings)

    monkeypatch.setattr("newstide_app.services.run.run_reclusterer", run_nothing)

    def invoke(*flags: str) -> ClusteringSettings:
        result = CliRunner().invoke(app, ["recluster", "--once", *flags])
        assert result.exit_code == 0, result.output
        return seen[-1].clustering

    return invoke


def test_the_flags_of_recluster_choose_window_selection_and_the_tutorial(
    chosen: Callable[..., ClusteringSettings],
) -> None:
    assert chosen() == ClusteringSettings()
    assert chosen("--window", "3d").window == timedelta(days=3)
    assert chosen("--window", "none").window is None
    assert chosen("--selection", "leaf").selection == "leaf"
    assert chosen("--neighbours", "20").graph_neighbours == 20
    assert chosen("--tutorial").tutorial is True


@pytest.mark.parametrize("flags", [("--selection", "best"), ("--window", "soon")])
def test_what_no_flag_can_be_is_refused(chosen: Callable[..., ClusteringSettings], flags: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["recluster", "--once", *flags])
    assert result.exit_code != 0
    assert flags[1] in result.output + str(result.exception)


@pytest.mark.parametrize("every", ["99999999999d", "40000d", "0s", "-1d", "²d", "abc", ""])
def test_a_flag_that_is_no_time_span_is_named_with_its_value(every: str) -> None:
    with pytest.raises(SettingsError) as caught:
        duration(every, "--every")
    assert f"--every {every!r}" in caught.value.message
    assert "write it as 30s, 5m, 6h or 7d" in str(caught.value).lower()


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (["headlines", "abc"], "abc"),
        (["export", "abc"], "abc"),
        (["stories", "--limit", "0"], "0"),
        (["dead-letters", "skip", "x"], "x"),
    ],
)
def test_a_number_that_is_none_is_named(command: list[str], value: str) -> None:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert f"'{value}': Input should be" in done.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["restore", "absent.backup", "--prefix", "a-b"], "milvus.prefix = 'a-b'"),
        (["reembed", "--to", "use-multilingual", "--text", "neither"], "neither"),
    ],
)
def test_a_setting_that_an_option_changes_is_refused_by_name(command: list[str], said: str) -> None:
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert not isinstance(done.exception, ValueError), done.exception
    assert said in " ".join((done.output + str(done.exception)).split())
