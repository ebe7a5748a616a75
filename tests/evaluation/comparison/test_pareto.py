import math

from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.evaluation.comparison.pareto import pareto_frontier

few = st.integers(0, 5).map(float)


@given(st.lists(st.tuples(few, few), max_size=8))
def test_the_frontier_holds_exactly_what_no_other_point_dominates(points):
    by_label = {str(number): point for number, point in enumerate(points)}

    def dominates(a, b):
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    expected = {
        label
        for label, point in by_label.items()
        if not any(dominates(other, point) for other in points)
    }
    frontier = pareto_frontier(by_label)
    assert set(frontier) == expected
    assert len(frontier) == len(expected)
    costs = [by_label[label][0] for label in frontier]
    assert costs == sorted(costs)


def test_a_point_that_is_not_known_is_left_out():
    assert pareto_frontier({"a": (1, math.nan), "b": (2, 3)}) == ["b"]
    assert pareto_frontier({}) == []
