"""Splits of the rows into training, validation and test parts.

The training part fits the model, the validation part rates models against each other, and the test part is looked
at once, for the final figure.  Validation and test rows are drawn alike, so they follow one distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradloom.errors import DataError, OptionError
from gradloom.records import dataclass

Fractions = tuple[float, float, float]

SMALL, LARGE = 10_000, 1_000_000
HELD_OUT_SMALL, HELD_OUT_LARGE = 0.2, 0.01

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, int64 and ascending; no row is in two parts.

    Attributes:
        train: rows to fit on.
        validation: rows to choose models by.
        test: rows for the final figure; none in a fold of :func:`k_fold`.
        notes: what a user should know about this split, a sentence each.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def default_fractions(rows: int) -> Fractions:
    """Shares of training, validation and test by the size of the data.

    60/20/20 up to 10,000 rows; from there the held-out shares fall as a power of the size, to 98/1/1 at a
    million rows: 10,000 rows are enough to tell two models apart, and the model learns from the rest.

    Args:
        rows: number of rows.
    """
    if rows <= SMALL:
        return (0.6, 0.2, 0.2)
    if rows >= LARGE:
        return (0.98, 0.01, 0.01)
    exponent = math.log(HELD_OUT_LARGE / HELD_OUT_SMALL) / math.log(LARGE / SMALL)
    held_out = HELD_OUT_SMALL * (rows / SMALL) ** exponent
    return (1 - 2 * held_out, held_out, held_out)


def split(
    rows: int,
    fractions: Sequence[float] | None = None,
    *,
    stratify: np.ndarray | Sequence[object] | None = None,
    seed: int = 0,
) -> Split:
    """A random split.

    Args:
        rows: number of rows.
        fractions: shares of training, validation and test, in all at most 1 (the rest stays unused);
            :func:`default_fractions` if None.  A share of 0 leaves that part empty.
        stratify: class of each row.  Each part then holds each class in its share, to less than one row; a class
            too small for all parts goes to the training part first.
        seed: the same seed gives the same split.

    Raises:
        OptionError: the fractions are not shares.
        DataError: there are too few rows for a part, or ``stratify`` does not hold classes.
    """
    shares = _checked_fractions("split", rows, fractions)
    groups, names = _classes("split", rows, stratify)
    random = _generator(seed)
    shuffled = [random.permutation(group) for group in groups]
    counts = _apportion([len(group) for group in groups], shares)
    ends = np.cumsum(counts, axis=1)
    parts = [
        np.sort(
            np.concatenate([group[end[p] - count[p] : end[p]] for group, end, count in zip(shuffled, ends, counts)])
        )
        for p in range(len(PARTS))
    ]
    _require_rows("split", rows, shares, parts)
    return Split(*parts, notes=(*_note_on_test(shares), *_notes_on_classes(names, counts, shares)))


def split_by_time(times: np.ndarray, fractions: Sequence[float] | None = None) -> Split:
    """A split by time, without shuffling: the model learns from the past and is rated on what came after.

    Rows of one time stay in one part, the later one, so every training row is older than every validation row, and
    that than every test row.

    Args:
        times: time of each row: dates or numbers, shape (rows,), in any order.
        fractions: shares of training, validation and test; :func:`default_fractions` if None.  If they come to less
            than 1, the oldest rows stay unused.

    Raises:
        OptionError: the fractions are not shares.
        DataError: a time is missing, or there are too few rows or too few different times for a part.
    """
    times = _checked_times(np.asarray(times))
    rows = len(times)
    shares = _checked_fractions("split_by_time", rows, fractions)
    (counts,) = _apportion([rows], shares)
    order = np.argsort(times, kind="stable")
    in_order = times[order]
    cuts = [rows - int(counts[p:3].sum()) for p in range(3)]
    # A cut inside a run of equal times moves to the start of the run.
    starts = [int(np.searchsorted(in_order, in_order[cut])) if cut < rows else rows for cut in cuts]
    parts = [np.sort(order[start:end]) for start, end in zip(starts, [*starts[1:], rows])]
    _require_rows("split_by_time", rows, shares, parts)
    return Split(*parts, notes=_note_on_test(shares))


def k_fold(
    rows: int, k: int = 5, *, stratify: np.ndarray | Sequence[object] | None = None, seed: int = 0
) -> list[Split]:
    """Folds for cross-validation: each row is in the validation part of exactly one of them.

    Args:
        rows: number of rows.
        k: number of folds.
        stratify: class of each row; each fold then holds each class in its share, to less than one row.
        seed: the same seed gives the same folds.

    Raises:
        OptionError: ``k`` is less than 2.
        DataError: there are fewer rows than folds, or ``stratify`` does not hold classes.
    """
    if k < 2:
        raise OptionError("k_fold", rule="k must be 2 or more", got=str(k))
    if k > rows:
        raise DataError(
            "k_fold",
            rule="there must be at least as many rows as folds",
            got=f"{rows} rows and k={k}",
            fix=f"Use k={rows} (leave one out) or less." if rows > 1 else "",
        )
    groups, names = _classes("k_fold", rows, stratify)
    random = _generator(seed)
    # Dealt out class after class like cards, so that no fold gets two more of a class than another.
    dealt = np.concatenate([random.permutation(group) for group in groups])
    fold_of = np.empty(rows, dtype=np.int64)
    fold_of[dealt] = np.arange(rows) % k
    small = [(name, len(group)) for name, group in zip(names, groups) if len(group) < k]
    notes = tuple(f"Class {name!r} has {_rows(size)}: {k - size} of {k} folds rate without it." for name, size in small)
    nothing = np.empty(0, dtype=np.int64)
    return [Split(np.flatnonzero(fold_of != f), np.flatnonzero(fold_of == f), nothing, notes) for f in range(k)]


def _checked_fractions(who: str, rows: int, fractions: Sequence[float] | None) -> Fractions:
    if fractions is None:
        return default_fractions(rows)
    shown = ", ".join(f"{share:g}" for share in fractions)
    if len(fractions) != len(PARTS):
        raise OptionError(
            who,
            rule="fractions are the three shares of training, validation and test",
            got=f"({shown})",
            fix="Write a share of 0 for a part that you do not want.",
        )
    train, validation, test = (float(share) for share in fractions)
    if not all(0 <= share <= 1 for share in fractions) or train == 0 or train + validation + test > 1 + 1e-9:
        raise OptionError(
            who,
            rule="fractions must be from 0 to 1, that of training above 0, and together at most 1",
            got=f"({shown})",
        )
    return train, validation, test


def _checked_times(times: np.ndarray) -> np.ndarray:
    if times.ndim != 1 or times.dtype.kind not in "iufM" or len(times) == 0:
        got = f"an array of {times.dtype} of shape {times.shape}"
        raise DataError("split_by_time", rule="each row needs a time, a date or a number", got=got)
    missing = np.flatnonzero(times != times)  # NaN and NaT differ from themselves
    if len(missing):
        raise DataError("split_by_time", rule="each row needs a time", got=f"a missing one in row {missing[0] + 1}")
    return times


def _classes(who: str, rows: int, stratify: np.ndarray | Sequence[object] | None) -> tuple[list[np.ndarray], list[str]]:
    """Row numbers of each class, and the names of the classes; all rows are one class if ``stratify`` is None."""
    if rows < 1:
        raise DataError(who, rule="there must be rows to split", got=f"{rows} rows")
    if stratify is None:
        return [np.arange(rows)], ["(all)"]
    labels = np.asarray(stratify)
    if labels.shape != (rows,):
        raise DataError(who, rule="stratify needs one class a row", got=f"{rows} rows and shape {labels.shape}")
    members: dict[object, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        if label is None or label != label:
            raise DataError(who, rule="stratify needs a class in every row", got=f"a missing one in row {row + 1}")
        members.setdefault(label, []).append(row)
    if len(members) > max(2, rows / 2):
        raise DataError(
            who,
            rule="stratify needs classes, each with several rows",
            got=f"{len(members)} different values in {rows} rows",
            fix="Leave stratify out when the target is a quantity.",
        )
    return [np.array(group) for group in members.values()], [str(label) for label in members]


def _apportion(sizes: Sequence[int], shares: Fractions) -> np.ndarray:
    """Rows of each class in each part, shape (classes, 3 parts + unused), none a whole row off its exact share.

    Each part gets its share of a class rounded down; the rows left over go, one a part, to the parts that are
    furthest behind over all classes so far.
    """
    exact_shares = np.array([*shares, max(0.0, 1 - sum(shares))])
    exact_shares[exact_shares < 1e-9] = 0.0
    exact_shares /= exact_shares.sum()
    behind = np.zeros(len(exact_shares))
    counts = np.zeros((len(sizes), len(exact_shares)), dtype=np.int64)
    for size, count in zip(sizes, counts):
        exact = np.round(exact_shares * size, 6)  # 0.6 * 5 must not come out as 2.9999 and be rounded down
        count += np.floor(exact).astype(np.int64)
        if count[0] == 0 and exact[0] > 0 and count.sum() < size:
            count[0] = 1  # a class that training lacks can never be predicted
        behind += exact - count
        may_grow = exact > count
        for _ in range(size - int(count.sum())):
            part = int(np.argmax(np.where(may_grow, behind, -np.inf)))
            count[part] += 1
            behind[part] -= 1
            may_grow[part] = False
    return counts


def _require_rows(who: str, rows: int, shares: Fractions, parts: Sequence[np.ndarray]) -> None:
    for name, share, part in zip(PARTS, shares, parts):
        if share > 0 and len(part) == 0:
            raise DataError(
                who,
                rule=f"the {name} part must have at least one row",
                got=f"a share of {share:g} of {rows} rows",
                fix="Give it a greater share or more rows, or a share of 0 if you do not want it.",
            )


def _note_on_test(shares: Fractions) -> tuple[str, ...]:
    if shares[2] > 0:
        return ()
    return (
        "There is no test part: the validation score picks the model, so it is no unbiased estimate of how "
        "the model does on new data.",
    )


def _notes_on_classes(names: Sequence[str], counts: np.ndarray, shares: Fractions) -> tuple[str, ...]:
    """A sentence for each class that is too small to be in every part."""
    notes = []
    for name, count in zip(names, counts):
        lacking = [part for part, share, rows in zip(PARTS, shares, count) if share > 0 and rows == 0]
        if lacking and len(names) > 1:
            size = _rows(int(count.sum()))
            notes.append(f"Class {name!r} has only {size}: there is none in the {' and '.join(lacking)} part.")
    return tuple(notes)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise OptionError("split", rule="the seed must be 0 or more", got=str(seed))
    return np.random.Generator(np.random.Philox(seed))
