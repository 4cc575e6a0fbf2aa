"""Other programs that run the same models with the same weights: PyTorch eager for MiniAxion, llama.cpp for Llama.

`tools/dev/bench --baselines` installs and runs them; nothing else needs them.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runs import Run

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
REQUIREMENTS = HERE / "requirements.txt"
LLAMA_CPP = "llama-cpp-python==0.3.36"
"""Its source distribution carries the source of llama.cpp."""
ROUNDS = 3
"""Ours and theirs take turns so often: what else the machine does changes within minutes."""
TOKEN_WORK = ("decode", "prefill")
# PyTorch's wheels bring CUDA along; llama.cpp's build and its copy of the weights come on top.
NEEDED_DISK = 12 << 30
NEEDED_TOOLS = ("cmake", "ninja", "clang-22", "clang++-22")


class Missing(Exception):
    """A baseline that cannot be installed or run here; the text says what failed."""


class Baselines:
    """Installs a baseline when the first run needs it. What cannot be had is in `failures`, and asked for no more."""

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self._folder, self._say = folder / "baselines", say
        self._folder.mkdir(parents=True, exist_ok=True)
        self.failures: list[str] = []
        self._broken: set[str] = set()
        self._measured: set[Run] = set()

    def measure(self, run: Run, weights: Path, repeats: int, measure_ours: Callable[[Run, int], dict]) -> list[dict]:
        """What the baseline of this run gives, if it has one, beside what `measure_ours(run, repeats)` gives in turn.

        Ours has all threads, whatever the run says: theirs has the number that is best for it. So work that is listed for
        several numbers of threads is measured once.
        """
        run = dataclasses.replace(run, threads=_thread_counts()[-1])
        family = json.loads(run.model.read_text())["model_type"]
        program = {("miniaxion", "f32"): _torch, ("llama", "bf16"): _llama_cpp}.get((family, run.dtype))
        if not program or run.kind not in TOKEN_WORK or run.loops != 1 or program.__name__ in self._broken or run in self._measured:
            return []
        self._measured.add(run)
        try:
            attempts, ours = [], []
            for _ in range(ROUNDS):
                each = -(-repeats // ROUNDS)
                ours.append(measure_ours(run, each))
                attempts.append(program(self, run, weights, each))
            programs = {attempt["program"]: None for attempt in attempts[0]}
            return [_beside(run, ours, [[a for a in round if a["program"] == p] for round in attempts]) for p in programs]
        except (Missing, OSError) as error:
            self._broken.add(program.__name__)
            self.failures.append(f"{program.__doc__.split(':')[0]}: {error}")
            return []

    def python(self) -> Path:
        """A Python with the requirements."""
        venv = self._folder / "venv"
        stamp = venv / REQUIREMENTS.name
        if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
            self._require_disk()
            self._say(f"installing PyTorch and gguf into {venv}: about 5 GB")
            self.call([sys.executable, "-m", "venv", "--clear", venv])
            self.call([venv / "bin/pip", "install", "--quiet", "-r", REQUIREMENTS])
            shutil.copy(REQUIREMENTS, stamp)
        return venv / "bin/python3"

    def llama_bench(self) -> Path:
        """llama.cpp's own benchmark, built for this machine."""
        source, sdist = self._folder / "llama.cpp", self._folder / "llama-sdist"
        program = source / "build/bin/llama-bench"
        if not program.exists():
            self._require_disk()
            for tool in NEEDED_TOOLS:
                if not shutil.which(tool):
                    raise Missing(f"no {tool}: tools/dev/setup installs it")
            self._say(f"building llama.cpp in {source}: this takes a quarter of an hour")
            if not any(sdist.glob("*.tar.gz")):
                package = LLAMA_CPP.partition("==")[0]
                self.call([self.python().with_name("pip"), "download", "--quiet", "--no-deps", "--no-binary", package,
                           LLAMA_CPP, "-d", sdist])  # fmt: skip
            if not source.exists():
                self.call(["tar", "-xf", next(sdist.glob("*.tar.gz")), "-C", sdist])
                next(path for path in sdist.iterdir() if path.is_dir()).rename(source)
            options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER=clang-22", "-DCMAKE_CXX_COMPILER=clang++-22"]
            options += ["-DGGML_NATIVE=ON", "-DGGML_OPENMP=OFF", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_OPENSSL=OFF"]
            options += [f"-DLLAMA_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "SERVER")]
            self.call(
                ["nice", "cmake", "-G", "Ninja", "-S", source / "vendor/llama.cpp", "-B", source / "build", *options]
            )
            self.call(["nice", "cmake", "--build", source / "build", "--target", "llama-bench", "-j2"])
        return program

    def gguf(self, run: Run, weights: Path) -> Path:
        out = self._folder / f"{run.model.parent.name}-{run.model.stem}.gguf"
        if not out.exists() or out.stat().st_mtime < weights.stat().st_mtime:
            self._say(f"writing {out.name}")
            self.call([self.python(), HERE / "llama_gguf.py", run.model, weights, out])
        return out

    def call(self, command: list) -> tuple[str, int]:
        """Standard output and peak memory of a command. Raises Missing with its last words."""
        environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
        with (self._folder / "log").open("w+") as log:
            process = subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            if process.returncode:
                words = (log.read().strip() or output.strip()).splitlines()
                raise Missing(f"{Path(str(command[0])).name} failed: {words[-1] if words else process.returncode}")
        return output, usage.ru_maxrss * 1024

    def _require_disk(self) -> None:
        if shutil.disk_usage(self._folder).free < NEEDED_DISK:
            raise Missing(f"{self._folder}: expected {NEEDED_DISK >> 30} GB of free disk")


def _beside(run: Run, ours: list[dict], attempts: list[list[dict]]) -> dict:
    """A program's result by the number of threads that is best for it, from what each round gave for each of them."""
    best = min(zip(*attempts), key=lambda of_threads: statistics.median(_times(ours, of_threads)))
    times = _times(ours, best)
    samples = [rate for attempt in best for rate in attempt["rates"]]
    times_median = statistics.median(times)
    note = f"Treadle is {times_median:.2f} times as fast ({min(times):.2f} to {max(times):.2f})"
    if per_weight := best[0].get("bytes_per_weight"):
        note += f"; {per_weight:.2f} bytes a weight"
    return {
        "run": run.name,
        "model": str(run.model),
        "dtype": run.dtype,
        "work": run.work,
        "program": f"{best[0]['program']}, {best[0]['threads']} thread(s)",
        "tokens_per_second": statistics.median(samples),
        "spread": _spread(samples),
        # The same work needs the same bytes and operations.
        "share": statistics.median(own["share"] for own in ours) / times_median,
        "void": any(own["void"] for own in ours),
        "peak_memory": max(attempt["peak_memory"] for attempt in best),
        "times": times_median,
        "times_of_rounds": times,
        "note": note,
        "ours": ours,
        "attempts": attempts,
    }


def _times(ours: list[dict], theirs: tuple[dict, ...]) -> list[float]:
    """How many times as fast ours was, by round."""
    return [own["tokens_per_second"] / statistics.median(their["rates"]) for own, their in zip(ours, theirs)]


def _spread(samples: list[float]) -> float:
    samples, last = sorted(samples), len(samples) - 1
    return (samples[(last * 9 + 5) // 10] - samples[(last + 5) // 10]) / statistics.median(samples)


def _thread_counts() -> list[int]:
    return sorted({1, len(os.sched_getaffinity(0))})


def _torch(baselines: Baselines, run: Run, weights: Path, repeats: int) -> list[dict]:
    """PyTorch eager: a KV cache, on one thread and all."""
    attempts = []
    for threads in _thread_counts():
        command = [baselines.python(), HERE / "miniaxion_eager.py", run.model, weights, run.kind, run.length, run.tokens]
        output, peak = baselines.call([*command, repeats, threads])
        found = json.loads(output)
        tokens = run.tokens if run.kind == "decode" else run.length
        attempts.append({
            "program": f"PyTorch {found['version']} eager",
            "threads": threads,
            "rates": [tokens / seconds for seconds in found["seconds"]],
            "peak_memory": peak,
            "error": found["error"],
        })  # fmt: skip
    return attempts


def _llama_cpp(baselines: Baselines, run: Run, weights: Path, repeats: int) -> list[dict]:
    """llama.cpp: flash attention off and on, keys and values in bf16, each on one thread and all."""
    command = [baselines.llama_bench(), "-m", baselines.gguf(run, weights), "-o", "json", "-r", repeats]
    command += ["-t", ",".join(map(str, _thread_counts())), "-fa", "0,1", "-ctk", "bf16", "-ctv", "bf16", "-ngl", "0"]
    command += ["-p", 0, "-n", run.tokens, "-d", run.length] if run.kind == "decode" else ["-p", run.length, "-n", 0]
    output, peak = baselines.call(command)
    found = json.loads(output)
    if len(found) != 2 * len(_thread_counts()):
        raise Missing(f"llama-bench gave {len(found)} results of {2 * len(_thread_counts())}")
    return [
        {
            "program": f"llama.cpp, flash {'on' if result['flash_attn'] else 'off'}",
            "threads": result["n_threads"],
            "rates": result["samples_ts"],
            "peak_memory": peak,
            "bytes_per_weight": result["model_size"] / result["model_n_params"],
        }
        for result in found
    ]
