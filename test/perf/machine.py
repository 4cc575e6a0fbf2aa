"""What a measurement was made on."""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "bf16")


def describe(model_bench: Path, threads: set[int]) -> dict:
    """Processor, caches, memory and kernel, and the ceilings on these numbers of threads."""
    return {
        "cpu": _cpu_field("model name") or platform.machine(),
        "family": f"{_cpu_field('cpu family')}.{_cpu_field('model')}",
        "cores": len(os.sched_getaffinity(0)),
        "features": [flag for flag in FLAGS if flag in _cpu_field("flags").split()],
        "caches": _caches(),
        "memory": memory()["MemTotal"],
        "kernel": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "ceilings": [
            json.loads(subprocess.check_output([model_bench, "ceilings", str(count)], text=True)) for count in sorted(threads)
        ],
    }


def memory() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {key.rstrip(":"): int(value) * 1024 for key, value, *_ in lines}


def free_disk(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _cpu_field(name: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _caches() -> dict[str, str]:
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = size
    return found
