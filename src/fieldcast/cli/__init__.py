"""The command line: one verb a job, each a thin face over one function of `fieldcast.workflows`."""

from fieldcast.cli._app import main

__all__ = ["main"]
