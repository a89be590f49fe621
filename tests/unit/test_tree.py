"""UCT over node ids."""

import math

from hypothesis import given
from hypothesis import strategies as st

from poise.search.tree import Tree


def test_unseen_children_come_first_and_then_the_best_bound():
    tree = Tree(exploration=1.0)
    tree.add(1, 0)
    tree.add(2, 0)
    tree.backup(1, 0.9)
    assert tree.select() == 2
    tree.backup(2, 0.1)
    assert tree.select() == 1
    assert tree.visits[0] == 2
    bound = 0.9 + math.sqrt(math.log(2))
    assert tree._bound(1) == bound


def test_a_neglected_child_is_tried_again():
    tree = Tree(exploration=1.0)
    tree.add(1, 0)
    tree.add(2, 0)
    tree.backup(2, 0.5)
    for _ in range(40):
        tree.backup(1, 0.6)
    assert tree.select() == 2


def test_leaves_are_never_chosen_and_shut_what_is_above():
    tree = Tree()
    tree.add(1, 0)
    tree.add(2, 1, leaf=True)
    tree.add(3, 0)
    tree.backup(2, 1.0)
    assert tree.select() == 3
    tree.close(3)
    assert tree.select() is None


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1), st.booleans()), max_size=60))
def test_visits_of_a_node_are_its_own_and_its_childrens(moves):
    tree, next_id = Tree(), 1
    own = {0: 0}
    for where, value, leaf in moves:
        parent = where % next_id
        if parent in tree.shut:
            continue
        tree.add(next_id, parent, leaf=leaf)
        own[next_id] = 1
        tree.backup(next_id, value)
        next_id += 1
    for node, children in tree.children.items():
        assert tree.visits[node] == own[node] + sum(tree.visits[child] for child in children)
        assert 0 <= tree.value[node] <= tree.visits[node] + 1e-9
    chosen = tree.select()
    assert chosen is None or chosen not in tree.shut
