"""Make the environments of the engines that cannot live beside Fieldcast: .venv-peers/{zipline,nautilus,lumibot}, pinned.

    python tools/peers_environment.py [FOLDER] [NAME ...]
    export FIELDCAST_PEERS=$PWD/.venv-peers

They want pandas below 3. Each environment is stamped with what it was made from and made again only where that has changed; one
that cannot be made is named, the others are made all the same, and the exit code is 1. Standard library only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PINS: dict[str, tuple[str, ...]] = {
    "zipline": ("zipline-reloaded==3.2.1", "exchange-calendars==4.13.2", "pandas==2.3.3", "numpy==2.4.6"),
    "nautilus": ("nautilus_trader==1.221.0", "pandas==2.3.3", "numpy==2.4.6"),
    "lumibot": ("lumibot==4.6.30", "pandas==2.3.3", "numpy==2.4.6"),
}


def stamp_of(name: str) -> str:
    """What an environment is made from: its pins and the Python that makes it."""
    return hashlib.sha256(repr((PINS[name], sys.version)).encode()).hexdigest()


def make(folder: Path, name: str) -> bool:
    """Make one environment unless it is there and made from the same; False where it could not be made."""
    place = folder / name
    stamp = place / "made-from"
    if stamp.exists() and stamp.read_text() == stamp_of(name) and (place / "bin" / "python").exists():
        print(f"{name}: there")
        return True
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: could not be made\n{done.stderr[-1500:]}", file=sys.stderr)
        return False
    stamp.write_text(stamp_of(name))
    print(f"{name}: made with {', '.join(PINS[name])}")
    return True


def main(arguments: list[str]) -> int:
    names = [one for one in arguments if one in PINS]
    folders = [one for one in arguments if one not in PINS]
    if len(folders) > 1:
        print(f"expected one folder and names out of {', '.join(PINS)}, found {', '.join(arguments)}", file=sys.stderr)
        return 2
    folder = Path(folders[0] if folders else ".venv-peers").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    made = [make(folder, name) for name in names or PINS]
    return 0 if all(made) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
