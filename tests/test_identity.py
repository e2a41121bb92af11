"""Stories stay themselves: on the bundled day, run by run, and on real headlines when a few more come in."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from clustering.stories.lineage import Event, label_stability
from newstide.core.settings import EmbeddingSettings, Settings
from newstide.embedding import load_embedder
from newstide_app.evaluation import read_labelled
from producers.sample import day_file
from tests.harness.bundled_day import EVENTS, EXCEPTIONS, SURVIVALS
from tests.harness.day_runs import in_six_runs
from tests.harness.relabelled import relabelled

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """One run of the day: its labels of the headlines it sees, theirs of the run before, and what they are about."""

    before: Labels
    after: Labels
    events: tuple[Event, ...]
    truth: npt.NDArray[np.object_]

    def was(self, number: int) -> str:
        return majority(self.truth[self.before == number])

    def now(self, number: int) -> str:
        return majority(self.truth[self.after == number])

    def living_on(self) -> list[int]:
        return sorted(set(self.before.tolist()) & set(self.after.tolist()) - {-1})


def majority(truth: npt.NDArray[np.object_]) -> str:
    """What more than half is about; `?` where that is nothing."""
    ((story, count),) = Counter(truth.tolist()).most_common(1)
    return str(story) if 2 * count > len(truth) else "?"


def replayed(rows: pd.DataFrame, vectors: Vectors) -> list[Step]:
    """The day in six runs, each with a sixth more of its headlines, by the steps of production: graph kept, theta kept."""
    truth = rows["story_id"].to_numpy(object)
    runs = in_six_runs(rows, vectors, Settings().clustering)
    return [Step(run.before, run.after, run.events, truth[run.inside]) for run in runs]


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    return read_labelled(Path(day_file()), needs_time=True)


@pytest.fixture(scope="module")
def embedded(day: pd.DataFrame) -> Vectors:
    texts = (day["title"] + "\n" + day["description"]).str.strip()
    model = {"model": "use-multilingual"}  # whose vectors are the same on every processor, as far as a reader could see
    return load_embedder(Settings().updated(embedding=model).embedding).encode(texts.tolist())


@pytest.fixture(scope="module")
def steps(day: pd.DataFrame, embedded: Vectors) -> list[Step]:
    return replayed(day, embedded)


def survivals(steps: list[Step]) -> dict[int, list[str]]:
    """By run, what each story is about that lives on under its number and stays about the same."""
    return {
        run: sorted(step.was(at) for at in step.living_on() if step.was(at) == step.now(at) != "?")
        for run, step in enumerate(steps[1:], 2)
    }


def exceptions(steps: list[Step]) -> set[tuple[int, str]]:
    """Run, and what a story was about that lives on under its number as something else."""
    return {
        (run, step.was(at))
        for run, step in enumerate(steps, 1)
        for at in step.living_on()
        if step.was(at) not in ("?", step.now(at))
    }


def told(steps: list[Step]) -> list[tuple[int, str, str, str]]:
    """All merges, splits and ends, by what they are about."""
    found = []
    for run, step in enumerate(steps, 1):
        for event in step.events:
            if event.kind == "merged":
                parents = ", ".join(sorted(map(step.was, event.parents)))
                found.append((run, "merged", step.was(event.story), parents))
            elif event.kind == "split":
                parts = ", ".join(sorted(map(step.now, (event.story, *event.children))))
                found.append((run, "split", step.was(event.story), parts))
            elif event.kind == "closed" and event.successor >= 0:
                found.append((run, "closed into", step.was(event.story), step.now(event.successor)))
            elif event.kind == "closed":
                found.append((run, "closed", step.was(event.story), ""))
    return sorted(found)


def test_every_survival_of_the_bundled_day_is_one_that_a_reader_expects(steps: list[Step]) -> None:
    assert survivals(steps) == {run: text.split() for run, text in SURVIVALS.items()}
    assert exceptions(steps) == {(run, topic) for run, topics in EXCEPTIONS.items() for topic in topics}


def test_every_merge_split_and_end_of_the_bundled_day_is_one_that_a_reader_expects(steps: list[Step]) -> None:
    assert told(steps) == EVENTS


def test_a_number_goes_where_most_of_its_headlines_go(steps: list[Step]) -> None:
    """Also where nobody could say what a story is about; headlines that are in no story any more go nowhere."""
    for step in steps:
        for number in step.living_on():
            now = Counter(step.after[step.before == number].tolist())
            now.pop(-1, None)
            assert now[number] == max(now.values())


def blurred(day: pd.DataFrame, embedded: Vectors, by: float, seed: int) -> list[Step]:
    """The day once each number of each vector is off by about so much."""
    vectors = embedded + by * np.random.default_rng(seed).standard_normal(embedded.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return replayed(day, vectors.astype(np.float32))


def named(events: list[tuple[int, str, str, str]]) -> list[tuple[int, str, str, str]]:
    """Those of stories of which a reader could say what they are about."""
    return [event for event in events if event[2] != "?"]


@pytest.mark.parametrize("seed", range(3))
def test_the_last_digits_of_the_vectors_change_nothing_that_a_reader_sees(
    day: pd.DataFrame, embedded: Vectors, seed: int
) -> None:
    """Processors differ by a tenth of this."""
    steps = blurred(day, embedded, 1e-5, seed)
    assert survivals(steps) == {run: text.split() for run, text in SURVIVALS.items()}
    assert exceptions(steps) == {(run, topic) for run, topics in EXCEPTIONS.items() for topic in topics}
    assert named(told(steps)) == named(EVENTS)


@pytest.mark.parametrize("seed", range(3))
def test_vectors_that_are_off_by_ten_times_that_change_one_story_at_most(
    day: pd.DataFrame, embedded: Vectors, seed: int
) -> None:
    """One whose headlines are about one thing by a single headline more than half may be about nothing."""
    steps = blurred(day, embedded, 1e-4, seed)
    for run, found in survivals(steps).items():
        expected, there = Counter(SURVIVALS[run].split()), Counter(found)
        assert (expected - there).total() + (there - expected).total() <= 1
    assert len(exceptions(steps) ^ {(run, topic) for run, topics in EXCEPTIONS.items() for topic in topics}) <= 1
    assert named(told(steps)) == named(EVENTS)


@pytest.mark.parametrize("most", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_hundredth_more_headlines_leave_almost_every_label_as_it_was(real_headlines: Path, most: int) -> None:
    rows = read_labelled(real_headlines / "uci_stories.parquet", needs_time=False)
    rows = rows.sample(min(most, len(rows)), random_state=7).sort_values("id").reset_index(drop=True)
    vectors = load_embedder(EmbeddingSettings(model="use-multilingual")).encode(rows["title"].tolist())
    settings = Settings().updated(clustering={"time_weight": 0.0}).clustering
    ((before, after),) = relabelled(rows, vectors, settings, draw=0)
    kept = label_stability(before, after, before[before >= 0].tolist())
    assert kept is not None
    assert kept >= 0.995
