"""Programs run for what they cost."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# A process starts out with the most memory that its parent had, so a small one stands between.
_BETWEEN = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Run:
    """What one run of a program came to."""

    code: int
    """The exit code, or minus the signal that ended it."""
    text: str
    """What it wrote to standard error."""
    seconds: float
    """Of processor time."""
    resident: float
    """The most bytes that were in memory at a time."""


def run(*command: str | Path) -> Run:
    between = [sys.executable, "-I", "-S", "-c", _BETWEEN, *map(os.fspath, command)]
    result = subprocess.run(between, capture_output=True, text=True, check=True)
    code, seconds, resident = json.loads(result.stdout.splitlines()[-1])
    return Run(code, result.stderr, seconds, resident)
