"""What must be there before anything is installed: a Python that is new enough, venv, and the system's libgomp.

Prints the one command that installs what is missing, and exits 1. Standard library only.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import sys

OLDEST = (3, 11)


def libgomp_command() -> str | None:
    """The command that installs the OpenMP runtime which LightGBM's wheel needs; None where it is there."""
    if sys.platform == "darwin":
        for name in (
            "libomp.dylib",
            "/opt/homebrew/opt/libomp/lib/libomp.dylib",
            "/usr/local/opt/libomp/lib/libomp.dylib",
        ):
            try:
                ctypes.CDLL(name)
            except OSError:
                continue
            return None
        return "brew install libomp"
    if sys.platform != "linux":
        return None
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        for tool, command in (
            ("apt-get", "sudo apt-get install -y libgomp1"),
            ("dnf", "sudo dnf install -y libgomp"),
            ("apk", "sudo apk add libgomp"),
            ("pacman", "sudo pacman -S --noconfirm gcc-libs"),
        ):
            if shutil.which(tool):
                return command
        return "install your system's package of libgomp (the GNU OpenMP runtime)"
    return None


def problems() -> list[str]:
    """What is missing, each with what to do about it."""
    found = []
    if sys.version_info < OLDEST:
        found.append(
            f"expected Python {OLDEST[0]}.{OLDEST[1]} or newer, found {sys.version.split()[0]}; "
            "run make with PYTHON=python3.11 (or newer)"
        )
    if importlib.util.find_spec("ensurepip") is None:
        found.append("expected Python's venv with pip, found none; run: sudo apt-get install -y python3-venv")
    if command := libgomp_command():
        found.append(f"expected the system library libgomp (LightGBM needs it), found none; run: {command}")
    return found


if __name__ == "__main__":
    for problem in (missing := problems()):
        print(problem, file=sys.stderr)
    raise SystemExit(1 if missing else 0)
