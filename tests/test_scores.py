"""How right labels are, as a whole and for a part of the headlines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newstide_app.demo import DemoReport, score_lines
from newstide_app.scores import f1_by, score

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 3), st.sampled_from(["en", "de"])), min_size=1)


def by_definition(truth: list[str], labels: list[int], own: list[int]) -> float:
    """Bagga and Baldwin, headline by headline."""
    precision, recall = [], []
    for row in own:
        together = {row} | {other for other, label in enumerate(labels) if label == labels[row] >= 0}
        story = {other for other, name in enumerate(truth) if name == truth[row]}
        precision.append(len(together & story) / len(together))
        recall.append(len(together & story) / len(story))
    p, r = np.mean(precision), np.mean(recall)
    return float(2 * p * r / (p + r))


@settings(deadline=None)
@given(PAIRS)
def test_scores_are_those_of_the_definition_for_all_and_for_each_language(rows: list[tuple[str, int, str]]) -> None:
    truth, labels, languages = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    own = np.array(labels, np.int64)
    assert score(truth, own).f1 == pytest.approx(by_definition(truth, labels, list(range(len(rows)))))
    for language, (f1, number) in f1_by(languages, truth, own).items():
        of = [row for row, tag in enumerate(languages) if tag == language]
        assert number == len(of)
        assert f1 == pytest.approx(by_definition(truth, labels, of))


def test_the_largest_language_stands_first() -> None:
    assert list(f1_by(["de", "en", "en"], ["a", "b", "b"], np.array([0, 1, 1]))) == ["en", "de"]


def test_the_demo_says_what_its_score_means_and_scores_each_language() -> None:
    languages = {"en": (0.7, 500), "de": (0.55, 100), "": (0.5, 2)}
    report = DemoReport(602, [{}] * 40, 0.25, 0.61, 0.83, 0.48, languages, 0.7, "page", 63.2, [])
    text = "\n".join(score_lines(report))
    assert "B-cubed F1 0.61, AMI 0.70; 1 is perfect" in text
    assert "83% belongs there on average; of what belongs there, 48% is found" in text
    assert "en 0.70 (500), de 0.55 (100), unknown 0.50 (2)" in text
