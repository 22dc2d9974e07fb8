"""What can be wrong with the user's own code before a leak can be looked for."""

from __future__ import annotations

from fieldcast.ground import InvalidInput


class CodeFault(InvalidInput):
    """The user's code gives no columns that could be judged."""


class CodeNotFound(CodeFault):
    """The file or the function is not there, or there are several and none is named."""


class CodeRaised(CodeFault):
    """It raised an exception on the bars as they are."""


class WrongRows(CodeFault):
    """It did not return one value a bar."""


class NothingKnown(CodeFault):
    """Not one value of any column is known."""


class TookTooLong(CodeFault):
    """One computation took longer than the limit, and was stopped."""


class CodeDied(CodeFault):
    """Its process ended by itself: an exit, a crash, or memory."""


BY_KIND: dict[str, type[CodeFault]] = {"not_found": CodeNotFound, "raised": CodeRaised, "wrong_rows": WrongRows}
