"""How a process of the command line ends: quickly, and with everything written."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit, gc, sys
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 1_000))      # registered first: runs last
from fieldcast.cli import main
left_open = open(sys.argv[1], "w")
left_open.write("kept")
sys.argv = ["fieldcast", "version"]
main()
"""


def test_nothing_is_lost_where_no_cycles_are_looked_for_at_the_end(tmp_path) -> None:
    kept = tmp_path / "kept.txt"
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(kept)], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-2:] == ["frozen", "True"]
    assert kept.read_text() == "kept"
