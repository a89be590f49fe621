"""Monte-Carlo tree search as arithmetic over node ids: no engine, no clock, no chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tree:
    """Visits and sums of values by node id; the root is 0. A node is open while it can still be expanded."""

    exploration: float = 0.1
    children: dict[int, list[int]] = field(default_factory=lambda: {0: []})
    parent: dict[int, int] = field(default_factory=dict)
    visits: dict[int, int] = field(default_factory=lambda: {0: 0})
    value: dict[int, float] = field(default_factory=lambda: {0: 0.0})
    shut: set[int] = field(default_factory=set)

    def grow(self, parent: int, nodes: Mapping[int, bool]) -> None:
        """Children of `parent`, with whether each is a leaf. A leaf is never expanded, and a node with nothing open
        beneath it is shut: so all children of an expansion come at once."""
        for node in nodes:
            self.children[parent].append(node)
            self.children[node] = []
            self.parent[node], self.visits[node], self.value[node] = parent, 0, 0.0
        for node, leaf in nodes.items():
            if leaf:
                self.close(node)

    def close(self, node: int) -> None:
        """Nothing more can come of a node; neither of its ancestors whose children are all shut."""
        self.shut.add(node)
        above = self.parent.get(node)
        if above is not None and all(child in self.shut for child in self.children[above]):
            self.close(above)

    def select(self) -> int | None:
        """The node to expand: down from the root by UCT (Kocsis & Szepesvari 2006) among children that are not shut;
        None when everything is."""
        node = 0
        while open_ones := [child for child in self.children[node] if child not in self.shut]:
            node = max(open_ones, key=self._bound)
        return None if node in self.shut else node

    def frontier(self) -> list[int]:
        """Open nodes without children, the root aside."""
        return [node for node, beneath in self.children.items() if node and not beneath and node not in self.shut]

    def backup(self, node: int, value: float) -> None:
        """Count a value in [0, 1] at a node and all above it."""
        at: int | None = node
        while at is not None:
            self.visits[at] += 1
            self.value[at] += value
            at = self.parent.get(at)

    def _bound(self, node: int) -> float:
        if not self.visits[node]:
            return math.inf
        mean = self.value[node] / self.visits[node]
        above = max(self.visits[self.parent[node]], 1)
        return mean + self.exploration * math.sqrt(math.log(above) / self.visits[node])
