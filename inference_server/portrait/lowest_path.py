"""The cheapest way through a table, column by column, by dynamic programming."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def lowest_path(cost: npt.NDArray[np.floating], bend: float) -> npt.NDArray[np.int64]:
    """Choose one step in each column so that the sum of costs and bends is least.

    Args:
        cost: (columns, steps).
        bend: price of moving by one step from a column to the next; more is not allowed.

    Returns:
        (columns,) chosen step of each column.
    """
    columns, steps = cost.shape
    total = np.array(cost[0], np.float64)
    came_from = np.zeros((columns, steps), np.int64)
    for column in range(1, columns):
        before = np.stack(
            [np.append(np.inf, total[:-1]) + bend, total, np.append(total[1:], np.inf) + bend]
        )
        choice = before.argmin(0)
        came_from[column] = np.arange(steps) + choice - 1
        total = before.min(0) + cost[column]
    path = np.zeros(columns, np.int64)
    path[-1] = total.argmin()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came_from[column, path[column]]
    return path
