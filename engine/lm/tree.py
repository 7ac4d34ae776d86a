"""Token sequences as a tree: what several begin with is in it once, and one forward of a model computes all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


class TokenTree:
    """Every node is a token after those of its ancestors; a parent comes before its children."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.parents: list[int] = []
        """-1 of a node that begins a sequence"""
        self.positions: list[int] = []
        """of each token in its sequence"""
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Sequence[int]) -> list[int]:
        """The node of each token of a sequence, added where it is missing."""
        path, node = [], -1
        for position, token in enumerate(ids):
            child = self._children.setdefault((node, token), len(self.ids))
            if child == len(self.ids):
                self.ids.append(token)
                self.parents.append(node)
                self.positions.append(position)
            node = child
            path.append(node)
        return path

    def seen(self) -> NDArray[np.bool_]:
        """What each node attends to, itself and its ancestors: ``(nodes, nodes)``."""
        seen = np.eye(len(self), dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen

    def paths(self) -> Iterator[list[int]]:
        """The nodes of every sequence that is no beginning of another, those that share most beside each other."""
        inner = set(self.parents)
        paths = []
        for node in range(len(self)):
            if node not in inner:
                path = [node]
                while (parent := self.parents[path[-1]]) >= 0:
                    path.append(parent)
                paths.append(path[::-1])
        yield from sorted(paths)
