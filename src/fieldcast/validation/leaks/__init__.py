"""The leak test of the user's own code: which column looks ahead, when, how far, and why."""

from fieldcast.validation.leaks.detect import check_leaks
from fieldcast.validation.leaks.faults import (
    CodeDied,
    CodeFault,
    CodeNotFound,
    CodeRaised,
    NothingKnown,
    TookTooLong,
    WrongRows,
)
from fieldcast.validation.leaks.report import Cause, ColumnSeen, Example, Finding, Kind, LeakReport, Outcome
from fieldcast.validation.leaks.runner import CallRunner, FileRunner, Runner

__all__ = [
    "CallRunner",
    "Cause",
    "CodeDied",
    "CodeFault",
    "CodeNotFound",
    "CodeRaised",
    "ColumnSeen",
    "Example",
    "FileRunner",
    "Finding",
    "Kind",
    "LeakReport",
    "NothingKnown",
    "Outcome",
    "Runner",
    "TookTooLong",
    "WrongRows",
    "check_leaks",
]
