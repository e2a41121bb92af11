"""New is new: what outnumbers a story and is outside its reach is born beside it; the two stay apart while they differ."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clustering.neighbours import ExactSearcher, update_graph
from clustering.run.reclusterer import recluster
from clustering.stories.clusters import Clusters, cluster_rows
from clustering.stories.lineage import Lineage, match
from clustering.stories.naming import name_stories
from clustering.stories.newcomers import Pairs, pairs_apart, part_newcomers
from newstide.core.headline import Headline
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, PageSettings, Settings
from newstide.embedding import ModelCard, load_embedder
from newstide.milvus import HeadlineRow, Store, open_store

Numbers = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

THETA = 0.3
_DIM = 24


def about(topic: int, count: int, *, also: tuple[int, float] = (0, 0.0), seed: int = 0) -> Vectors:
    """(count, 24) unit rows about a topic, each with its own words; `also` is another topic and how much it is in them."""
    rng = np.random.default_rng((seed, topic, count))
    vectors = 0.25 * rng.standard_normal((count, _DIM)) / np.sqrt(_DIM)
    vectors[:, topic] += 1
    vectors[:, also[0]] += also[1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors, np.float32)


def numbers(*runs: tuple[int, int]) -> Numbers:
    """The label of each row, from (label, how many)."""
    return np.concatenate([np.full(count, label, np.int64) for label, count in runs])


def events(lineage: Lineage) -> list[tuple[str, int, tuple[int, ...], tuple[int, ...], int]]:
    return [(event.kind, event.story, event.parents, event.children, event.successor) for event in lineage.events]


def test_headlines_that_outnumber_a_story_and_are_out_of_its_reach_are_born_beside_it() -> None:
    """Five headlines about an old bridge, twelve about one that has just collapsed, five about something else."""
    vectors = np.concatenate([about(1, 5), about(2, 12), about(3, 5)])
    clusters, stories = numbers((0, 17), (1, 5)), numbers((7, 5), (-1, 12), (8, 5))
    parted = part_newcomers(clusters, stories, vectors, THETA)
    assert parted.labels.tolist() == numbers((0, 5), (2, 12), (1, 5)).tolist()
    lineage = match(stories, parted.labels, {7, 8}, 50, parted=parted.born)
    assert lineage.labels.tolist() == numbers((7, 5), (50, 12), (8, 5)).tolist()
    assert events(lineage) == [("born", 50, (7,), (), -1), ("split", 7, (), (50,), -1)]
    assert pairs_apart(parted, lineage) == ((7, 50),)


def test_a_story_of_which_one_headline_is_left_closes_and_names_what_outnumbers_it() -> None:
    vectors = np.concatenate([about(1, 6), about(2, 12)])
    clusters, stories = numbers((-1, 5), (0, 13)), numbers((7, 6), (-1, 12))
    parted = part_newcomers(clusters, stories, vectors, THETA)
    lineage = match(stories, parted.labels, {7}, 50, parted=parted.born)
    assert lineage.labels.tolist() == numbers((-1, 5), (50, 13)).tolist()
    assert events(lineage) == [("born", 50, (7,), (), -1), ("closed", 7, (), (), 50)]
    assert pairs_apart(parted, lineage) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(about(1, 12), about(2, 12), id="as many as the story's own"),
        pytest.param(about(1, 5), about(2, 12, also=(1, 0.6)), id="within its reach"),
        pytest.param(about(1, 5), about(1, 12, seed=1), id="more of the same"),
    ],
)
def test_what_is_no_more_than_the_story_or_within_its_reach_is_more_of_it(old: Vectors, new: Vectors) -> None:
    clusters, stories = numbers((0, len(old) + len(new))), numbers((7, len(old)), (-1, len(new)))
    parted = part_newcomers(clusters, stories, np.concatenate([old, new]), THETA)
    assert (parted.labels.tolist(), parted.born) == (clusters.tolist(), {})


@pytest.mark.parametrize("of_the_new", [0.25, 0.35, 0.5])
def test_the_reach_that_counts_is_the_one_that_the_story_is_named_with(of_the_new: float) -> None:
    old, new = about(1, 30), about(2, 40, also=(1, of_the_new))
    vectors, stories = np.concatenate([old, new]), numbers((7, 30), (-1, 40))
    frame = pd.DataFrame({"title": "x", "source": "", "language": "en", "published_at": 0}, index=range(70))
    named = name_stories(np.where(stories == 7, 7, -1), vectors, frame, THETA).iloc[0]
    centre = new.mean(axis=0)
    outside = centre @ named["centroid"] / np.linalg.norm(centre) < named["reach"]
    assert bool(part_newcomers(numbers((0, 70)), stories, vectors, THETA).born) == outside


def test_newcomers_that_one_of_two_merging_stories_reaches_are_not_born() -> None:
    vectors = np.concatenate([about(1, 5), about(2, 4), about(2, 12, seed=1)])
    clusters, stories = numbers((0, 21)), numbers((7, 5), (8, 4), (-1, 12))
    assert part_newcomers(clusters, stories, vectors, THETA).born == {}


def test_a_few_strays_of_a_story_that_is_elsewhere_are_not_parted_from_what_they_joined() -> None:
    vectors = np.concatenate([about(1, 10), about(2, 6)])
    clusters, stories = numbers((0, 8), (1, 8)), numbers((7, 10), (-1, 6))
    assert part_newcomers(clusters, stories, vectors, THETA).born == {}


def test_two_stories_stay_apart_for_six_runs_and_merge_once_their_mean_similarity_reaches_theta() -> None:
    """All is one cluster, run by run, while a headline comes in for each story; the last forty are about both."""
    topics, stories, next_number = [(1, 0.0)] * 5 + [(2, 0.0)] * 12, numbers((7, 5), (-1, 12)), 50
    pairs: Pairs = ()
    told = []
    for run in range(1, 9):
        if run > 1:
            topics += [(1, 0.0), (2, 0.0)] if run < 7 else [(2, 1.0)] * 40 if run == 7 else []
            stories = np.concatenate([stories, numbers((-1, len(topics) - len(stories)))])
        vectors = np.concatenate([about(topic, 1, also=(1, also), seed=at) for at, (topic, also) in enumerate(topics)])
        parted = part_newcomers(np.zeros(len(topics), np.int64), stories, vectors, THETA, pairs)
        lineage = match(stories, parted.labels, set(stories.tolist()) - {-1}, next_number, parted=parted.born)
        stories, next_number, pairs = lineage.labels, lineage.next_number, pairs_apart(parted, lineage)
        told.append([event.kind for event in lineage.events if event.kind != "grown"])
        if run < 7:
            assert pairs == ((7, 50),)
            assert stories.tolist() == [7 if topic == 1 else 50 for topic, _ in topics]
    assert told == [["born", "split"], [], [], [], [], [], [], ["merged", "closed"]]
    assert pairs == ()


def test_a_pair_of_which_one_story_is_out_of_sight_is_kept_until_one_of_them_ends() -> None:
    vectors, stories, clusters = about(1, 5), numbers((7, 5)), numbers((0, 5))
    parted = part_newcomers(clusters, stories, vectors, THETA, [(7, 50)])
    assert pairs_apart(parted, match(stories, parted.labels, {7}, 60)) == ((7, 50),)
    assert pairs_apart(parted, match(stories, parted.labels, {7, 50}, 60)) == ()  # 50 closes


rows = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(-1, 4)),
        arrays(np.int64, n, elements=st.integers(-1, 5)),
        st.integers(0, 2**16),
        st.floats(0, 1),
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1]), max_size=4),
    )
)


@given(rows)
@example(
    given=(  # two of seven of a story's headlines meet two of another and three new ones
        numbers((0, 5), (1, 7)),
        numbers((0, 7), (1, 2), (-1, 3)),
        0,
        0.0,
        [],
    )
)
@example(  # the story that new ones are parted from goes at the same time into one that is larger elsewhere
    given=(numbers((0, 9), (-1, 4)), numbers((1, 3), (0, 2), (-1, 4), (0, 4)), 0, 1.0, [])
)
def test_no_row_is_lost_and_nothing_changes_but_that_clusters_are_parted(
    given: tuple[Numbers, Numbers, int, float, list[tuple[int, int]]],
) -> None:
    raw, stories, seed, theta, apart = given
    clusters = np.where(raw >= 0, np.unique(np.append(raw, -1), return_inverse=True)[1][:-1] - 1, -1)
    vectors = np.random.default_rng(seed).standard_normal((len(raw), 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    before = clusters.copy()
    parted = part_newcomers(clusters, stories, vectors, theta, apart)
    assert (clusters == before).all()
    assert ((parted.labels >= 0) == (clusters >= 0)).all()
    assert set(parted.labels.tolist()) - {-1} == set(range(int(parted.labels.max(initial=-1)) + 1))
    for cluster in set(parted.labels.tolist()) - {-1}:
        assert len(set(clusters[parted.labels == cluster].tolist())) == 1  # no two are joined
    known = {tuple(pair) for pair in apart}
    stayed = [at for at in set(clusters.tolist()) - {-1} if not set(stories[clusters == at].tolist()) - {-1}]
    for cluster in stayed:  # without a story, there is nothing to part from
        assert len(set(parted.labels[clusters == cluster].tolist())) == 1
    assert set(parted.apart) <= known
    lineage = match(stories, parted.labels, set(stories.tolist()) - {-1}, 10, parted=parted.born)
    told = {event.story: event for event in lineage.events if event.kind == "born"}
    ends = {event.story: event.successor for event in lineage.events if event.kind == "closed"}
    for cluster, story in parted.born.items():
        number = int(lineage.story_of_cluster[cluster])
        assert story in told[number].parents
        # it goes on, ends in what was born, or went where its rows are now
        assert story not in ends or ends[story] >= 10 or ends[story] in lineage.labels[stories == story]
    assert all(not set(pair) & set(ends) for pair in pairs_apart(parted, lineage))


def made(topic: int, count: int, dim: int, *, also: float = 0.0, seed: int = 0) -> Vectors:
    """(count, dim) unit rows about a topic, half noise, and of topic 1 as much as `also`; topic 0 is noise alone."""
    rng = np.random.default_rng((seed, topic, count))
    vectors = rng.standard_normal((count, dim)) / np.sqrt(dim)
    if topic:
        vectors[:, topic] += 1
        vectors[:, 1] += also
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


# Size counts for so much that the tree's best cut joins two events, and no two rows of noise are a story.
LARGE = {"size_exponent": 3.0, "smoothing": 1.0, "deviations": 2.0}


def clustered(vectors: Vectors, titles: list[str], previous: Numbers, apart: Pairs = ()) -> Clusters:
    settings = ClusteringSettings(window=None, **LARGE)
    frame = pd.DataFrame({"title": titles, "language": "en", "published_at": 0})
    frame["id"] = [f"{at:032x}" for at in range(len(frame))]
    graph, _ = update_graph(
        None,
        frame["id"].tolist(),
        lambda ids: vectors[[int(id_, 16) for id_ in ids]],
        ExactSearcher(),
        k=settings.graph_neighbours,
        spare=settings.spare_neighbours,
    )
    return cluster_rows(graph, frame, settings, previous=previous, apart=apart)


def test_a_new_copy_of_an_old_headline_stays_with_it_and_probabilities_are_of_the_parts() -> None:
    vectors = np.concatenate([made(0, 150, 384), made(1, 5, 384), made(2, 12, 384, also=0.2)])
    vectors = np.concatenate([vectors, vectors[150:152]])
    titles = [f"Headline number {at}" for at in range(167)]
    previous = numbers((-1, 150), (7, 5), (-1, 14))
    found = clustered(vectors, [*titles, *titles[150:152]], previous)
    assert len(found.parted.born) == 1
    assert len(set(found.labels[150:155].tolist() + found.labels[167:].tolist())) == 1
    assert len(set(found.labels[155:167].tolist())) == 1
    assert found.labels[150] != found.labels[155]
    assert (found.probabilities[150:] > 0).all()


def test_a_real_run_bears_what_is_new_and_the_next_ones_keep_the_two_apart(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings
) -> None:
    """Three runs on Milvus with made vectors: an old story; twelve about another event; one more for each."""
    settings = Settings(
        data_dir=tmp_path,
        kafka=kafka_settings,
        milvus=milvus_settings,
        clustering=ClusteringSettings(window=None, **LARGE),
        pages=PageSettings(enabled=False),
    )
    card = load_embedder(settings.embedding).card
    put(settings, card, "bridge", made(1, 5, card.dim))
    put(settings, card, "noise", made(0, 150, card.dim))
    recluster(settings)
    (old,) = set(labels_of(settings, "bridge"))
    put(settings, card, "collapse", made(2, 12, card.dim, also=0.2))
    second = recluster(settings)
    assert (second.events["born"], second.events["split"]) == (1, 1)
    (new,) = set(labels_of(settings, "collapse"))
    assert set(labels_of(settings, "bridge")) == {old}
    store = open_store(settings.milvus, None)
    try:
        assert store.stories_by_number([new])["parents"].tolist() == [[old]]
        assert counts_of(store)["apart"] == [[old, new]]
    finally:
        store.close()
    put(settings, card, "bridge again", made(1, 1, card.dim, seed=1))
    put(settings, card, "collapse again", made(2, 1, card.dim, also=0.2, seed=1))
    third = recluster(settings)
    assert "merged" not in third.events
    assert set(labels_of(settings, "bridge")) == {old}
    assert set(labels_of(settings, "collapse")) == {new}


def put(settings: Settings, card: ModelCard, about_what: str, vectors: Vectors) -> None:
    """Inserts headlines with these vectors, as the consumer would, without a label."""
    some = [
        Headline(
            id=as_id(f"{about_what} {at}"), title=f"{about_what} {at}", source="made", published_at=1_790_000_000_000
        )
        for at in range(len(vectors))
    ]
    store = open_store(settings.milvus, card)
    try:
        store.insert_headlines([HeadlineRow(one, vector, 1) for one, vector in zip(some, vectors, strict=True)])
    finally:
        store.close()


def as_id(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def labels_of(settings: Settings, begin: str) -> list[int]:
    store = open_store(settings.milvus, None)
    try:
        found = store.headlines("", ["id", "title", "cluster_label"])
    finally:
        store.close()
    return found.loc[found["title"].str.startswith(begin), "cluster_label"].astype(int).tolist()


def counts_of(store: Store) -> Mapping[str, Any]:
    last = store.last_run()
    assert last is not None
    return last.counts
