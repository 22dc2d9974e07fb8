"""Dated files of execution costs, and a pointer to the one that counts.

    <folder>/<date>.json    profiles of one day; written whole or not at all, and never changed by another day
    <folder>/latest         the date that counts, as text

To restore an older calibration is to point at its file; nothing is deleted, and the next recalibration starts from what is
pointed at. A second recalibration of a day replaces that day's file.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.ground.files import write_whole
from fieldcast.trading.costs.profiles import ExecutionCosts

FOLDER = "execution_costs"
POINTER = "latest"


def write_costs(folder: Path, costs: ExecutionCosts) -> Path:
    """Write the file of `costs.as_of` and point at it; the path of the file.

    Raises
    ------
    OSError : the folder cannot be written or the disk is full; the old pointer stands
    """
    text = json.dumps(costs.as_dict(), indent=1, allow_nan=False, sort_keys=True)
    path = write_whole(folder / f"{costs.as_of.isoformat()}.json", text.encode())
    write_whole(folder / POINTER, costs.as_of.isoformat().encode())
    return path


def dates(folder: Path) -> tuple[date, ...]:
    """Days that have a file, ascending."""
    found = []
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            found.append(date.fromisoformat(path.stem))
        except ValueError:
            continue  # not one of ours
    return tuple(sorted(found))


def pointed_at(folder: Path) -> date | None:
    """The day that counts; None where nothing was ever calibrated.

    Raises
    ------
    IntegrityError : the pointer holds something else than a date
    """
    try:
        text = (folder / POINTER).read_text().strip()
    except FileNotFoundError:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise IntegrityError(f"expected a date in {folder / POINTER}, found {text!r}; restore a day to mend it") from None


def read_costs(folder: Path, day: date | None = None) -> ExecutionCosts | None:
    """The profiles of a day, or those that count; None where nothing was ever calibrated.

    Raises
    ------
    MissingData : there is no file of that day
    IntegrityError : the file is damaged, or is another day's
    """
    wanted = pointed_at(folder) if day is None else day
    if wanted is None:
        return None
    path = folder / f"{wanted.isoformat()}.json"
    try:
        values = json.loads(path.read_text())
        costs = ExecutionCosts.from_dict(values)
    except FileNotFoundError:
        there = ", ".join(str(one) for one in dates(folder)) or "none"
        raise MissingData(f"expected execution costs of {wanted} in {folder}, found those of: {there}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, InvalidInput) as error:
        raise IntegrityError(f"expected whole execution costs in {path}, found: {error}") from None
    if costs.as_of != wanted:
        raise IntegrityError(f"expected execution costs of {wanted} in {path}, found those of {costs.as_of}")
    return costs


def restore_costs(folder: Path, day: date) -> ExecutionCosts:
    """Point at the file of an earlier day, after reading it.

    Raises
    ------
    MissingData, IntegrityError : as in `read_costs`; the pointer stays
    """
    costs = read_costs(folder, day)
    assert costs is not None
    write_whole(folder / POINTER, day.isoformat().encode())
    return costs
