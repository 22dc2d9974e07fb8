"""Named points at which a test can kill the process.

`fail_point(name)` does nothing unless the environment variable `FIELDCAST_FAULT` equals `name`; then the process ends
with SIGKILL, as if the power had gone. The ledger calls it around every write transaction:

    before:commit:<label>   all is flushed, nothing is committed
    after:commit:<label>    committed; the JSON-lines twin and the anchor do not know of it yet
    before:anchor:<label>   the twin is written and synced, the anchor still names the older head
"""

from __future__ import annotations

import os
import signal

VARIABLE = "FIELDCAST_FAULT"


def fail_point(name: str) -> None:
    """End the process with SIGKILL where `FIELDCAST_FAULT` names this point."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
