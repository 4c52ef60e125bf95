"""Places on the map: callers left of callees, nobody on another's place, and what stands stays."""

from hypothesis import given
from hypothesis import strategies as st

from callgraph.records import Workload
from sink_exporter.graph import EXTERNAL
from sink_exporter.page_layout import Cell, place_boxes, place_newcomer
from sink_exporter.page_places import Group, PagePlaces
from tests.graphs import workload

calls = st.integers(1, 40).flatmap(
    lambda count: st.tuples(
        st.just(count), st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=120)
    )
)


@given(calls)
def test_every_box_has_a_place_of_its_own(drawn):
    cells = place_boxes(*drawn)
    assert len(cells) == len(set(cells)) == drawn[0]


@given(calls, st.randoms())
def test_the_order_of_the_calls_does_not_matter(drawn, random):
    count, pairs = drawn
    shuffled = [*pairs, *pairs[::2]]
    random.shuffle(shuffled)
    assert place_boxes(count, shuffled) == place_boxes(count, pairs)


def test_callers_stand_left_of_what_they_call():
    columns = [cell.column for cell in place_boxes(4, [(0, 1), (1, 2), (0, 3), (3, 2)])]
    assert columns == [0, 1, 2, 1]


def test_a_circle_is_cut_and_still_drawn():
    assert len(set(place_boxes(3, [(0, 1), (1, 2), (2, 0)]))) == 3


def test_a_large_knot_is_folded_to_about_a_square():
    pairs = [(a, b) for a in range(60) for b in range(60) if a != b]
    cells = place_boxes(60, pairs)
    assert max(cell.column for cell in cells) < 15


def test_a_newcomer_stands_right_of_its_callers_below_the_others():
    taken = [Cell(0, 0), Cell(1, 0), Cell(1, 1)]
    assert place_newcomer([Cell(0, 0)], taken) == Cell(1, 2)
    assert place_newcomer([], []) == Cell(0, 0)


def test_what_stands_keeps_its_place_when_others_come():
    workloads = [workload("a"), workload("b"), workload("c", "other")]
    places = PagePlaces()
    places.lay_out(workloads, [(0, 1), (0, 2)])
    before = list(places.cells), list(places.group_cells)
    workloads += [workload("d"), workload("e", "third")]
    assert list(places.extend(workloads, [(0, 3), (2, 4)])) == [3, 4]
    assert (places.cells[:3], places.group_cells[:2]) == before
    assert len(set(places.cells[:2] + places.cells[3:4])) == 3
    assert places.groups[2] == Group("c", "third")
    assert places.group_cells[2] not in before[1]


def test_hosts_of_one_domain_share_a_place():
    hosts = [Workload(cluster="c", namespace="", kind=EXTERNAL, name=name) for name in ("a.x.com", "b.x.com", "y.org")]
    places = PagePlaces()
    places.lay_out([workload("a"), *hosts], [(0, 1), (0, 2), (0, 3)])
    assert places.cells[1] == places.cells[2] != places.cells[3]
    places.extend([workload("a"), *hosts, replace_name(hosts[0], "new.x.com")], [(0, 4)])
    assert places.cells[4] == places.cells[1]


def replace_name(host, name):
    return Workload(cluster=host.cluster, namespace="", kind=EXTERNAL, name=name)
