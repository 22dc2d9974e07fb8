"""Trust: every byte hashed again, the index held against what was written, and made again from the files themselves."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from fieldcast.data import _pending
from fieldcast.data._footer import StoredFile, inspect
from fieldcast.data._index import Change, Index
from fieldcast.data._layout import Unit, parse_path
from fieldcast.data._lease import leased
from fieldcast.data._objects import TEMPORARY, Files, LocalFiles
from fieldcast.data.store import Problem, RebuildReport, VerifyReport
from fieldcast.ground import IntegrityError
from fieldcast.ledger import Database
from fieldcast.market import TABLES

_THREADS = max(2, os.cpu_count() or 1)


def verify(files: Files, index: Index) -> VerifyReport:
    """See `Store.verify`. Takes no lock: what a writer replaces meanwhile is looked at again."""
    noted = _noted(files)
    kept, sealed = index.sealed()
    problems = _problems(files, kept, sealed)
    on_disk = _stored(files, ".parquet")
    noted |= _noted(files)
    now = index.known([*on_disk, *(problem.path for problem in problems)])
    problems = [problem for problem in problems if problem.path in now]
    for path in on_disk:
        if path not in now and path not in noted and files.exists(path) and not _superseded(path, kept.values()):
            problems.append(Problem(path, "expected an index entry for this file, found none; rebuild the index"))
    return VerifyReport(len(kept), tuple(sorted(problems, key=lambda problem: problem.path)))


def _problems(files: Files, kept: Mapping[str, StoredFile], sealed: Mapping[str, str]) -> list[Problem]:
    """What is wrong with each file; every thread takes the next one when it is done with its last."""
    waiting, found = deque(_largest_first(kept.values())), []

    def work() -> None:
        while waiting:
            try:
                file = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            problem = _problem(files, file, sealed[file.path])
            if problem is not None:
                found.append(problem)

    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(work) for _ in range(_THREADS)]:
            done.result()
    return found


def _problem(files: Files, kept: StoredFile, seal: str) -> Problem | None:
    """What is wrong with a file, or with what the index says of it."""
    try:
        sha256 = files.sha256(kept.path)
    except FileNotFoundError:
        return Problem(kept.path, f"expected the file {kept.path}, found none")
    except OSError as error:
        return Problem(kept.path, f"expected {kept.path} to be readable, found: {error}")
    name = parse_path(kept.path)
    if name is None or name != (kept.unit, kept.generation, kept.sha256[:16]):
        return Problem(kept.path, f"expected the index to agree with the name of {kept.path}; rebuild the index")
    if sha256[:16] != name[2] or sha256 != kept.sha256:
        return Problem(kept.path, f"expected SHA-256 {kept.sha256} for {kept.path}, found {sha256}: its bytes changed")
    if kept.entry_sha256 != seal:
        return Problem(kept.path, f"expected the index to agree with the footer of {kept.path}; rebuild the index")
    return None


def _largest_first(kept: Iterable[StoredFile]) -> list[StoredFile]:
    """So that no thread is left alone with a large file at the end."""
    return sorted(kept, key=lambda file: file.rows, reverse=True)


def _noted(files: Files) -> set[str]:
    """Files of writes that are not done."""
    return {path for note in _pending.notes(files) for path in (*_pending.leftovers(files, note), *note.removed)}


def _stored(files: Files, ending: str) -> list[str]:
    """Files in the folders of the tables; what else stands beside them (features, trials) is not the store's."""
    folders = sorted({name.split("/", 1)[0] for name in TABLES})
    return [name for folder in folders for name in files.list(folder, deep=True) if name.endswith(ending)]


def _superseded(path: str, kept: Iterable[StoredFile]) -> bool:
    """True for an older generation of a unit than the index holds."""
    parsed = parse_path(path)
    return parsed is not None and any(file.unit == parsed[0] and file.generation > parsed[1] for file in kept)


def footers(files: Files) -> dict[str, StoredFile]:
    """What the index should hold, as the files themselves say: the newest generation of each unit.

    Raises
    ------
    IntegrityError : a file that counts is damaged, or is none of the store's
    """
    newest: dict[Unit, tuple[int, str]] = {}
    for path in _stored(files, ".parquet"):
        parsed = parse_path(path)
        if parsed is None:
            raise IntegrityError(f"expected only files of the store, found {path}; move it elsewhere")
        newest[parsed[0]] = max(newest.get(parsed[0], (0, "")), (parsed[1], path))
    with ThreadPoolExecutor(_THREADS) as pool:
        return {file.path: file for file in pool.map(lambda found: inspect(files, found[1]), newest.values())}


def rebuild(files: Files, index: Index, db: Database) -> RebuildReport:
    """See `Store.rebuild_index`."""
    with _pending.writing(files), leased(files, db) as lease:
        kept, sealed = index.sealed()
        _settle(files, index, empty=not kept)
        found = footers(files)
        removed = sorted(kept.keys() - found.keys())
        added = sorted(found.keys() - kept.keys())
        changed = sorted(
            path for path in kept.keys() & found.keys() if kept[path] != found[path] or found[path].entry_sha256 != sealed[path]
        )
        if removed or added or changed:
            replaced = {kept[path].unit: path for path in (*removed, *changed)}
            changes = [_change(kept[path], replaced.pop(kept[path].unit), found) for path in (*removed, *changed)]
            taken = {change.new.path for change in changes if change.new is not None}
            changes += [Change(found[path].unit, None, found[path], ()) for path in added if path not in taken]
            with db.begin(label="rebuild") as session:
                if lease is not None:
                    lease.confirm(session)
                index.change(session, changes)
        if lease is not None:
            lease.renew()
        for path in set(_stored(files, ".parquet")) - found.keys():
            files.delete(path)  # older generations
    return RebuildReport(len(found), tuple(added), tuple(removed), tuple(changed))


def _change(kept: StoredFile, old: str, found: dict[str, StoredFile]) -> Change:
    """A unit's entry in the index, in place of which its newest file comes."""
    new = next((file for file in found.values() if file.unit == kept.unit), None)
    instruments = kept.spans.keys() | (new.spans.keys() if new else set())
    return Change(kept.unit, old, new, tuple(sorted(instruments)))


def _settle(files: Files, index: Index, *, empty: bool) -> None:
    """Finish or undo what killed writers left behind."""
    for note in _pending.notes(files):
        if empty or _pending.is_older(index, note):
            _pending.undo_without_index(files, note)
        else:
            _pending.settle_one(files, index, note)
    if isinstance(files, LocalFiles):
        _pending.settle_former(files, index, index_lost=empty)
    for name in _stored(files, TEMPORARY):
        files.delete(name)
