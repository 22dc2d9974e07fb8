"""Write docs/reference/reason-codes.md from the registry; a test fails when the page is out of date."""

from __future__ import annotations

import argparse
from pathlib import Path

from fieldcast.ground import Reason

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "reason-codes.md"
HEAD = """# Reason codes

Whatever is unknown, refused, scaled or flagged in Fieldcast carries one of these codes. The registry is closed: a code
that is not here cannot be written. In tables a row's codes are joined by commas, sorted.

This page is written from `fieldcast.ground.Reason` by `tools/reason_codes.py`.

| code | what it says |
|---|---|
"""


def page() -> str:
    """The page as it should be now."""
    return HEAD + "".join(f"| `{reason}` | {reason.meaning} |\n" for reason in Reason)


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
