"""UCT over node ids."""

import math

from hypothesis import given
from hypothesis import strategies as st

from poise.search.tree import Tree


def test_unseen_children_come_first_and_then_the_best_bound():
    tree = Tree(exploration=1.0)
    tree.grow(0, {1: False, 2: False})
    tree.backup(1, 0.9)
    assert tree.select() == 2
    tree.backup(2, 0.1)
    assert tree.select() == 1
    assert tree.visits[0] == 2
    bound = 0.9 + math.sqrt(math.log(2))
    assert tree._bound(1) == bound


def test_a_neglected_child_is_tried_again():
    tree = Tree(exploration=1.0)
    tree.grow(0, {1: False, 2: False})
    tree.backup(2, 0.5)
    for _ in range(40):
        tree.backup(1, 0.6)
    assert tree.select() == 2


def test_leaves_are_never_chosen_and_shut_what_is_above():
    tree = Tree()
    tree.grow(0, {1: False, 3: False})
    tree.grow(1, {2: True})
    tree.backup(2, 1.0)
    assert tree.select() == 3
    tree.close(3)
    assert tree.select() is None


@given(st.permutations([True, False, False, True]))
def test_the_order_of_siblings_does_not_matter(leaves):
    tree = Tree()
    tree.grow(0, dict(enumerate(leaves, 1)))
    assert sorted(tree.frontier()) == [node for node, leaf in enumerate(leaves, 1) if not leaf]
    assert tree.select() in tree.frontier()


@given(
    st.lists(st.tuples(st.integers(0, 20), st.lists(st.booleans(), min_size=1, max_size=4)), max_size=30),
    st.floats(0, 1),
)
def test_visits_of_a_node_are_its_own_and_its_childrens(moves, value):
    tree, next_id = Tree(), 1
    own = {0: 0}
    for where, leaves in moves:
        parent = where % next_id
        if parent in tree.shut or tree.children[parent]:
            continue
        nodes = dict(enumerate(leaves, next_id))
        tree.grow(parent, nodes)
        for node in nodes:
            own[node] = 1
            tree.backup(node, value)
        next_id += len(nodes)
    for node, children in tree.children.items():
        assert tree.visits[node] == own[node] + sum(tree.visits[child] for child in children)
        assert 0 <= tree.value[node] <= tree.visits[node] + 1e-9
    chosen, frontier = tree.select(), tree.frontier()
    assert (chosen is None) == (not frontier and next_id > 1)
    assert chosen is None or chosen in frontier or chosen == 0
