"""Every module of every distribution imports without a warning, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SERVICES = sorted(
    file.parent.name for file in Path(__file__).parents[2].glob("services/*/src/*/__init__.py")
)
WALK = """
import importlib, pkgutil, sys
faults = {}
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}.", faults.setdefault):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except Exception as error:
                faults[module.name] = repr(error)
sys.exit("\\n".join(f"{name}: {fault}" for name, fault in faults.items()) or None)
"""


def test_all_modules_import_without_a_warning() -> None:
    assert len(SERVICES) >= 4
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WALK, "reclens", *SERVICES],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
