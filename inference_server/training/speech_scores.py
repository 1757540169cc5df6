"""How near predicted lips are to tracked ones: the numbers that the study of lip sync uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# of the 40 lip points (outer 20, inner 20; each from the picture's left corner along the lower lip)
CORNERS = (0, 10)
LOWEST, HIGHEST = 5, 15
INNER_LOWER, INNER_UPPER = (25, 24, 26), (35, 36, 34)  # middle, then both sides
CLOSED_BELOW = 0.12  # of the 95th percentile of opening
CLOSED_AT_LEAST = 0.015  # outer-eye distances
LONGEST_CLOSURE_S = 0.4  # longer ones are silence
SAME_EVENT_S = 0.08
FARTHEST_LAG_S = 0.4


def opening(lips: Array) -> Array:
    """(T,) height between the inner lips of (T, 40, 2 or 3), in outer-eye distances."""
    gaps = lips[:, INNER_LOWER, 1] - lips[:, INNER_UPPER, 1]
    return gaps @ np.array([0.5, 0.25, 0.25])


def width(lips: Array) -> Array:
    """(T,) distance of the mouth corners."""
    left, right = (lips[:, corner] for corner in CORNERS)
    return np.linalg.norm(left - right, axis=1)


def correlation(a: Array, b: Array) -> float:
    """Pearson's r; NaN where one of them does not move."""
    if min(a.std(), b.std()) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def score(heard: Array, seen: Array, fps: float) -> dict[str, float]:
    """Numbers for one clip, from lips (T, 40, 3) at the same frames.

    r_open, r_width, r_lower (lower lip), lmd (mean distance after the means are taken out, % of the
    outer-eye distance), ev_f1 (closures of at most 0.4 s, at the predicted quantile that closes as
    often as the reference), gain (deviation of opening), lag_ms (above 0: prediction late), jitter
    (acceleration).
    """
    length = min(len(heard), len(seen))
    heard, seen = np.asarray(heard[:length], float), np.asarray(seen[:length], float)
    open_heard, open_seen = opening(heard), opening(seen)
    moved = (heard - heard.mean(0) - seen + seen.mean(0))[..., :2]
    return {
        "r_open": correlation(open_heard, open_seen),
        "r_width": correlation(width(heard), width(seen)),
        "r_lower": correlation(heard[:, LOWEST, 1], seen[:, LOWEST, 1]),
        "lmd": 100 * float(np.linalg.norm(moved, axis=-1).mean()),
        "ev_f1": closure_f1(open_heard, open_seen, fps),
        "gain": float(open_heard.std() / (open_seen.std() + 1e-9)),
        "lag_ms": lag_ms(open_heard, open_seen, fps),
        "jitter": float(_acceleration(heard) / (_acceleration(seen) + 1e-9)),
    }


def _acceleration(lips: Array) -> float:
    return float(np.sqrt(np.square(np.diff(lips[..., :2], 2, axis=0)).mean()))


def closure_f1(heard: Array, seen: Array, fps: float) -> float:
    """F1 of brief closures, each met within 80 ms."""
    threshold = max(CLOSED_AT_LEAST, CLOSED_BELOW * float(np.percentile(seen, 95)))
    closed = seen < threshold
    share = closed.mean()
    limit = np.quantile(heard, share) if 0 < share < 1 else threshold
    guesses, events = _events(heard <= limit, fps), _events(closed, fps)
    free, hits = list(events), 0
    for guess in guesses:
        near = [event for event in free if abs(event - guess) <= SAME_EVENT_S * fps]
        if near:
            free.remove(min(near, key=lambda event: abs(event - guess)))
            hits += 1
    return 2 * hits / max(1, len(guesses) + len(events))


def _events(closed: npt.NDArray[np.bool_], fps: float) -> list[float]:
    """Middles of the closed runs that are brief and lie inside the clip."""
    borders = np.diff(np.concatenate([[0], closed.astype(int), [0]]))
    runs = zip(np.flatnonzero(borders == 1), np.flatnonzero(borders == -1), strict=True)
    longest = LONGEST_CLOSURE_S * fps
    return [
        (first + last - 1) / 2
        for first, last in runs
        if last - first <= longest and first > 0 and last < len(closed)
    ]


def lag_ms(heard: Array, seen: Array, fps: float) -> float:
    """Where the correlation peaks, between frames by a parabola; above 0 the prediction is late."""
    reach, length = round(FARTHEST_LAG_S * fps), len(heard)
    values = []
    for lag in range(-reach, reach + 1):
        a, b = (heard[lag:], seen[: length - lag]) if lag >= 0 else (heard[:lag], seen[-lag:])
        values.append(np.nan_to_num(correlation(a, b), nan=-1.0) if len(a) > 10 else -1.0)
    best = int(np.argmax(values))
    offset = 0.0
    if 0 < best < len(values) - 1:
        before, top, after = values[best - 1 : best + 2]
        bend = before - 2 * top + after
        offset = 0.5 * (before - after) / bend if abs(bend) > 1e-9 else 0.0
    return 1000 * (best - reach + offset) / fps


def by_person(
    rows: Sequence[tuple[str, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """Means of each person's clips, (person, scores) in; the person `all` is the mean of them."""
    people: dict[str, list[Mapping[str, float]]] = {}
    for person, scores in rows:
        people.setdefault(person, []).append(scores)
    names = list(rows[0][1])
    means = {
        person: {name: _mean([scored[name] for scored in scores]) for name in names}
        for person, scores in people.items()
    }
    means["all"] = {name: _mean([means[person][name] for person in people]) for name in names}
    return means


def _mean(values: Sequence[float]) -> float:
    """Mean of the numbers among them; NaN if there is none."""
    numbers = [value for value in values if np.isfinite(value)]
    return float(np.mean(numbers)) if numbers else float("nan")


def paired(a: Mapping[str, dict[str, float]], b: Mapping[str, dict[str, float]], name: str) -> str:
    """Mean difference a - b over people and its standard error, as text."""
    differences = np.array([a[person][name] - b[person][name] for person in a if person != "all"])
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return "n/a"
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{differences.mean():+.3f} +- {error:.3f}"
