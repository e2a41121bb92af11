"""A plan comes back as it was written, and what is no plan is said, whatever it is."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.run.plan import Plan
from clustering.stories.lineage import Event
from newstide.core.errors import PlanDamaged
from newstide.milvus import LanguageMean, RunRow, schema

VECTOR = np.array([0.6, 0.8], np.float32)
STORY: dict[str, Any] = {
    "cluster_label": np.int64(7),
    "centroid": VECTOR,
    "title": "A title \N{SNOWMAN}",
    "titles": {"en": "A title"},
    "challenged": [],
    "importance": np.float32(1.5),
    "first_seen_at": 3,
    "keywords": ["word"],
    "languages": ["en"],
    "sources": ["Paper"],
    "size": 2,
    "previous_size": 0,
    "first_published_at": 1,
    "last_published_at": 2,
    "reach": np.float32(0.5),
    "status": "open",
    "parents": [3],
    "successor": -1,
    "former_ids": [],
    "created_run": 1,
    "updated_run": 2,
}
COUNTS = {"rows": 2, "new": 2, "changed": 2, "too_old": 0, "stories": 1, "noise": 0, "newest": np.int64(2)}
PLAN = Plan(
    row=RunRow(run=2, mean=VECTOR, theta=0.5, started_at=1, finished_at=2, parameters={"window": None}, counts=COUNTS),
    model="weights",
    where="published_at > 0",
    ids=["a", "b"],
    labels=np.array([7, -1]),
    probabilities=np.array([1, 0.25], np.float32),
    stories=pd.DataFrame([STORY]),
    events=(Event("born", 7, 2, 0, parents=(3,)),),
    means=[LanguageMean("", VECTOR, 2, 2)],
)


def test_a_plan_comes_back_as_it_was_written() -> None:
    back = Plan.decode(PLAN.encode())
    assert set(STORY) == {*schema.columns("stories"), "centroid"}
    assert (back.ids, back.labels.tolist(), back.probabilities.tolist()) == (["a", "b"], [7, -1], [1, 0.25])
    assert (back.events, back.where, back.model) == (PLAN.events, PLAN.where, PLAN.model)
    assert np.array_equal(back.row.mean, VECTOR)
    assert np.array_equal(back.means[0].mean, VECTOR)
    assert np.array_equal(back.stories["centroid"][0], VECTOR)
    assert json.loads(back.encode()) == json.loads(PLAN.encode())
    nothing = replace(
        PLAN, ids=[], labels=PLAN.labels[:0], probabilities=PLAN.probabilities[:0], stories=PLAN.stories[:0], events=()
    )
    empty = Plan.decode(nothing.encode())
    assert list(empty.stories.columns)
    assert not len(empty.stories)


def test_a_plan_that_an_earlier_version_wrote_is_read() -> None:
    content = json.loads(PLAN.encode())
    for name in ("titles", "challenged", "importance", "first_seen_at"):
        del content["stories"][0][name]
    del content["events"][0]["previous_titles"]
    story = Plan.decode(json.dumps(content).encode()).stories.iloc[0]
    assert (story["titles"], story["challenged"], story["importance"], story["first_seen_at"]) == ({}, [], 0.0, 2)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


@settings(max_examples=300, deadline=None)
@given(number=st.integers(0, 10_000), other=_JSON, gone=st.booleans())
def test_whatever_is_changed_in_a_plan_it_is_read_or_said_to_be_damaged(number: int, other: Any, gone: bool) -> None:
    content = json.loads(PLAN.encode())
    places = _places(content)
    container, key = places[number % len(places)]
    if gone:
        del container[key]
    else:
        container[key] = other
    with suppress(PlanDamaged):  # and nothing else is raised
        Plan.decode(json.dumps(content).encode()).encode()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"null", b"[]", b"{}", b'"x"', b"[" * 100_000, b'{"row": {"run": 2}}', b"9" * 5_000]
)
def test_what_is_no_plan_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(PlanDamaged, match="The plan of an interrupted run cannot be read"):
        Plan.decode(content)


def test_the_reason_names_the_place() -> None:
    content = json.loads(PLAN.encode())
    content["stories"][0]["cluster_label"] = 2**63
    with pytest.raises(PlanDamaged, match=r"stories\.0\.cluster_label"):
        Plan.decode(json.dumps(content).encode())
