"""Collections of schema 2 are brought up to date in place, also by a call that goes on where another was cut off."""

from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from newstide.core.errors import SchemaMismatch
from newstide.core.settings import MilvusSettings
from newstide.milvus import RunRow, open_store, schema
from newstide.milvus.upgrade import Upgraded, upgrade
from tests.harness.store_rows import CARD, DIM, headline_rows, story_frame

_NEW = ("titles", "challenged", "importance", "first_seen_at")


@pytest.fixture
def earlier(milvus_settings: MilvusSettings, monkeypatch: pytest.MonkeyPatch) -> MilvusSettings:
    """Collections as the version with schema 2 left them: five headlines, stories 3 and 7, run 1."""
    fields = schema._fields
    with monkeypatch.context() as before:
        before.setattr(schema, "SCHEMA_VERSION", "2")
        before.setattr(
            schema,
            "_fields",
            lambda kind: {name: of for name, of in fields(kind).items() if kind != "stories" or name not in _NEW},
        )
        store = open_store(milvus_settings, CARD)
        store.insert_headlines(headline_rows(5))
        store.upsert_stories(story_frame([7, 3]).drop(columns=list(_NEW)))
        store.insert_run(RunRow(1, np.zeros(DIM, np.float32), 0.5, 1, 1_234, counts={"newest": 4}))
        store.close()
    return milvus_settings


def contents(settings: MilvusSettings) -> dict[str, Any]:
    store = open_store(settings, CARD)
    try:
        stories = store.stories(centroids=True)
        assert store.count_headlines() == 5
        assert store.last_run() is not None
        stories["centroid"] = [vector.tolist() for vector in stories["centroid"]]
        return {str(row["cluster_label"]): row for row in stories.to_dict("records")}
    finally:
        store.close()


def test_stories_get_what_they_lack_and_keep_the_rest(earlier: MilvusSettings, milvus_client: MilvusClient) -> None:
    with pytest.raises(SchemaMismatch, match="schema 2; this newstide needs schema 3") as refused:
        open_store(earlier, None)
    assert "`newstide upgrade`" in refused.value.way_out
    assert upgrade(earlier) == Upgraded(models=1, stories=2)
    found = contents(earlier)
    for story in story_frame([7, 3]).to_dict("records"):
        own = found[str(story["cluster_label"])]
        assert all(own[name] == story[name] for name in ("title", "keywords", "parents", "size", "created_run"))
        assert own["centroid"] == pytest.approx(story["centroid"].tolist())
        assert (own["titles"], own["challenged"], own["importance"], own["first_seen_at"]) == ({}, [], 0.0, 1_234)
    assert upgrade(earlier) == Upgraded(models=0, stories=0)
    names = [name for name in milvus_client.list_collections() if name.startswith(earlier.prefix)]
    assert not [name for name in names if "schema" in name]


@pytest.mark.parametrize("step", range(9))
def test_cut_off_anywhere_it_goes_on(earlier: MilvusSettings, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    class Killed(BaseException):
        """As by SIGKILL."""

    left = [step]
    with monkeypatch.context() as killing:
        for name in ("rename_collection", "drop_collection", "alter_collection_properties", "alter_alias", "flush"):
            does = getattr(MilvusClient, name)

            def dying(*given: Any, _does: Any = does, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return _does(*given, **named)

            killing.setattr(MilvusClient, name, dying)
        try:
            upgrade(earlier)
        except Killed:
            pass
        else:
            assert step >= 7  # its requests that change something: the last steps may be more than there are
    upgrade(earlier)
    assert list(contents(earlier)) == ["3", "7"]
