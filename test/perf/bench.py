"""Measures what libraries do against what the machine can do: the program behind tools/dev/bench.

For every run of the lists (runs.py): weights are made where there are none, the model is compiled, and model-bench
measures the work and its ceiling in turn. Prints a line for each run and, with --json, writes all that was measured.
docs/HowTo/Measure.md says how to read it.
"""

import argparse
import dataclasses
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from math import prod
from pathlib import Path

import machine
import treadle
from baselines import Baselines
from runs import ELEMENT_BYTES, Run, read_runs
from treadle.random_weights import tensor_specs

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "test/perf/runs"
PUBLISHED = ("miniaxion", "neollm", "om", "llama", "nanohammer")
# The ceiling's buffer, activations, and what the system needs beside a model.
SPARE_MEMORY = 2 << 30
COMPILATIONS = 3
MOST_THREADS = 255


class Unable(Exception):
    """Something that keeps the whole measurement from being made; the text says what, and what to do."""


#
# Weights and libraries
#


class Workshop:
    """Makes what is measured, in a folder that keeps it from run to run."""

    def __init__(self, build: Path, folder: Path):
        self.build, self.folder = build, folder
        self.compiler = build / "bin/treadle-compile"
        self._capacities: dict[Path, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def weights(self, config: Path) -> Path:
        """Random weights in bf16, which f32 holds exactly: one file for both."""
        path = self.folder / f"{_stem(config)}.safetensors"
        if not path.exists() or path.stat().st_mtime < config.stat().st_mtime:
            _say(f"making {_size(_weight_bytes(config, 2))} of random weights for {config}")
            unfinished = path.with_suffix(".unfinished")
            treadle.random_weights(config, unfinished, dtype="bf16", progress="off")
            unfinished.rename(path)
        return path

    def library(self, run: Run) -> Path:
        """The library of a run, with external weights; as users compile it, unless the run needs more positions."""
        path = self.library_path(run)
        newest = max(file.stat().st_mtime for file in (self.build / "lib/libTreadle.so", self.weights(run.model)))
        if not path.exists() or path.stat().st_mtime < newest:
            _say(f"compiling {path.name}")
            self._compile(run, path, "--weights", self.weights(run.model), *self._context_options(run))
        return path

    def library_path(self, run: Run) -> Path:
        name = "-".join([_stem(run.model), run.dtype, *self._context_options(run)]).replace("--", "")
        return self.folder / f"{name}.so"

    def compile_alone(self, run: Run) -> tuple[float, int, int]:
        """Seconds, peak memory and bytes of a compilation without weights."""
        out = self.folder / "alone.so"
        start = time.monotonic()
        peak = self._compile(run, out)
        seconds = time.monotonic() - start
        size = out.stat().st_size
        out.unlink()
        return seconds, peak, size

    def _capacity(self, model: Path) -> int:
        """The positions that a config is compiled for by default; 0: no limit."""
        if model not in self._capacities:
            command = [self.compiler, model, "--to=model"]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            self._capacities[model] = int(re.search(r"\bcapacity = (\d+)", text)[1])
        return self._capacities[model]

    def _context_options(self, run: Run) -> tuple[str, ...]:
        capacity = self._capacity(run.model)
        return (f"--max-context={run.context}",) if capacity and run.context > capacity else ()

    def _compile(self, run: Run, out: Path, *options: str | Path) -> int:
        """Peak memory of the compiler."""
        command = [self.compiler, run.model, f"--dtype={run.dtype}", "--weights-mode=external", "-o", out, *options]
        process = subprocess.Popen([*command, "--progress=off"], stderr=subprocess.PIPE, text=True)
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Unable(f"{run.model} does not compile: {message.strip()}")
        return usage.ru_maxrss * 1024


def check_resources(workshop: Workshop, runs: Iterable[Run]) -> None:
    """Says what the runs need, and raises Unable where the machine has less."""
    wanted = {workshop.folder / f"{_stem(run.model)}.safetensors": _weight_bytes(run.model, 2) for run in runs}
    packed = {
        workshop.library_path(run).with_suffix(".weights"): _weight_bytes(run.model, ELEMENT_BYTES[run.dtype])
        for run in runs
        if run.kind != "compile"
    }
    disk = sum(size for path, size in (wanted | packed).items() if not path.exists())
    memory = max(packed.values(), default=0)
    memory += SPARE_MEMORY
    free_disk, free_memory = machine.free_disk(workshop.folder), machine.memory()["MemAvailable"]
    _say(f"needs {_size(disk)} more on disk ({_size(free_disk)} free) and {_size(memory)} of memory "
         f"({_size(free_memory)} available)")  # fmt: skip
    if disk + (1 << 30) > free_disk:
        raise Unable(f"{workshop.folder}: expected {_size(disk)} of free disk, got {_size(free_disk)}")
    if memory > free_memory:
        raise Unable(f"expected {_size(memory)} of available memory, got {_size(free_memory)}: choose smaller runs")


def _weight_bytes(config: Path, element_bytes: int) -> int:
    return element_bytes * sum(prod(spec.shape) for spec in tensor_specs(config).values())


def _stem(config: Path) -> str:
    return f"{config.parent.name}-{config.stem}"


#
# Measuring
#


def measure(workshop: Workshop, run: Run, repeats: int) -> dict:
    """What one run gave; its fields are those of ModelBench.cpp, and how it is called."""
    named = {
        "run": run.name,
        "model": str(run.model),
        "dtype": run.dtype,
        "work": run.work,
        "threads": 1 if run.kind == "compile" else run.threads,
    }
    if run.kind == "compile":
        samples = [workshop.compile_alone(run) for _ in range(min(repeats, COMPILATIONS))]
        seconds, peaks, sizes = zip(*samples)
        return {**named, **_seconds(seconds), "peak_memory": max(peaks), "library_bytes": max(sizes)}
    library = workshop.library(run)
    if run.kind == "open":
        samples = [_model_bench(workshop, run, library, {"kind": "open"}) for _ in range(repeats)]
        peak = max(sample["peak_memory"] for sample in samples)
        return {**named, **_seconds([sample["seconds"][0] for sample in samples]), "peak_memory": peak}
    work = {"kind": run.kind, "context": run.length, "repeats": repeats}
    work["tokens"] = run.tokens if run.kind == "decode" else run.length
    per_weight = library.with_suffix(".weights").stat().st_size / _weight_bytes(run.model, 1)
    return {**named, **_model_bench(workshop, run, library, work), "bytes_per_weight": per_weight}


def measure_until_quiet(workshop: Workshop, run: Run, repeats: int, again: int) -> dict:
    """A run that is void is made anew, up to `again` times; `voids` tells the spreads of the ceilings before the last."""
    voids = []
    while (result := measure(workshop, run, repeats)).get("void") and len(voids) < again:
        voids.append(result["ceiling"]["spread"])
        _say(f"{run.name}: void, the ceiling spreads by {voids[-1]:.0%}; once more")
    return {**result, "voids": voids}


def _seconds(samples: Iterable[float]) -> dict:
    samples = sorted(samples)
    median, last = statistics.median(samples), len(samples) - 1
    spread = (samples[(last * 9 + 5) // 10] - samples[(last + 5) // 10]) / median
    return {"median_seconds": median, "spread": spread, "seconds": samples}


def _model_bench(workshop: Workshop, run: Run, library: Path, work: dict) -> dict:
    description = workshop.folder / f"work-{os.getpid()}.json"
    description.write_text(json.dumps(work))
    command = [workshop.build / "bin/model-bench", description, library, "--bench", f"--threads={run.threads}"]
    command += [f"--loops={run.loops}", "--progress=off"]
    done = subprocess.run(command, capture_output=True, text=True)
    description.unlink()
    if done.returncode:
        raise Unable(f"{run.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


#
# Report
#


COLUMNS = {
    "run": -48,
    "tokens/s": 10,
    "spread": 8,
    "rate": 9,
    "": 9,
    "ceiling": 9,
    " spread": 8,
    "share": 8,
    "memory": 10,
}
HEADER = "".join(f"{name:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in COLUMNS.items()) + "  hash"


def line_of(result: dict) -> str:
    name = f"{'  ' + result['program'] if 'program' in result else result['run']:48}"
    memory = f"{_size(result['peak_memory']) if result.get('peak_memory') else '':>10}"
    if "tokens_per_second" not in result:
        size = f"  {_size(result['library_bytes'])} of code" if "library_bytes" in result else ""
        return f"{name}{result['median_seconds'] * 1e3:>8.1f} ms{result['spread']:>7.1%}{'':42}{memory}{size}"
    line = f"{name}{result['tokens_per_second']:>10,.1f}{result['spread']:>8.1%}"
    share = "void" if result["void"] else f"{result['share']:.1%}"
    if "program" in result:
        return f"{line}{'':35}{share:>8}{memory}  {result['note']}"
    ceiling = result["ceiling"]
    line += f"{result['rate']:>9.2f} {result['unit']:8}{ceiling['median']:>9.2f}{ceiling['spread']:>8.1%}{share:>8}"
    return f"{line}{memory}  {result['logits_hash']}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


#
# Command line
#


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/dev/bench", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUNS.json", help="run lists (all published models)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures here")
    parser.add_argument("--repeats", type=int, metavar="N", help="repeats of each run, instead of the lists'")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="threads of models and ceilings in each run, instead of the lists'")  # fmt: skip
    parser.add_argument("--again", type=int, default=2, metavar="N",
                        help="how often a void run is made anew, at most (2)")  # fmt: skip
    parser.add_argument("--only", default="", metavar="TEXT", help="only runs whose name contains this")
    parser.add_argument("--baselines", action="store_true", help="install and run PyTorch and llama.cpp as well")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", metavar="DIR", help="build/release")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/bench", metavar="DIR",
                        help="where weights, libraries and baselines are kept (build/bench)")  # fmt: skip
    options = parser.parse_args()
    options.runs = options.runs or [LISTS / f"{name}.json" for name in PUBLISHED]
    if any(number is not None and number < 1 for number in (options.threads, options.repeats)):
        parser.error("--threads and --repeats expect 1 or more")
    if (options.threads or 1) > MOST_THREADS:
        parser.error(f"--threads expects {MOST_THREADS} at most, as a library does")
    if options.again < 0:
        parser.error("--again expects 0 or more")
    return options


def bench(options: argparse.Namespace) -> bool:
    """Whether all that was asked for could be had."""
    runs = [run for path in options.runs for run in read_runs(path) if options.only in run.name]
    if options.threads:
        # Lists may have the same work on several numbers of threads.
        runs = list(dict.fromkeys(dataclasses.replace(run, threads=options.threads) for run in runs))
    if not runs:
        raise Unable("no run is left to be made")
    workshop = Workshop(options.build.resolve(), options.folder.resolve())
    check_resources(workshop, runs)
    about = machine.describe(workshop.build / "bin/model-bench", {run.threads for run in runs})
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    document = {"machine": about, "commit": commit.stdout.strip(), "results": []}
    print(f"{about['cpu']}, {about['cores']} cores, {about['kernel']}; load {about['load']:.1f}\n{HEADER}", flush=True)

    def note(result: dict) -> None:
        print(line_of(result), flush=True)
        document["results"].append(result)
        # Whatever breaks later, what has been measured is kept.
        if options.json:
            options.json.write_text(json.dumps(document, indent=1) + "\n")

    baselines = Baselines(workshop.folder, _say) if options.baselines else None
    for run in runs:
        repeats = options.repeats or run.repeats
        note(measure_until_quiet(workshop, run, repeats, options.again))
        if baselines:
            ours = functools.partial(measure, workshop)
            for theirs in baselines.measure(run, workshop.weights(run.model), repeats, ours):
                note(theirs)
    for failure in baselines.failures if baselines else []:
        print(f"missing: {failure}")
    if any(result.get("void") for result in document["results"]):
        print("void: the ceiling spreads by more than 15 %; run again on a quiet machine")
    return not (baselines and baselines.failures)


def main() -> int:
    try:
        return 0 if bench(parse_options()) else 1
    except subprocess.CalledProcessError as error:
        print(f"bench: error: {(error.stderr or str(error)).strip()}", file=sys.stderr)
        return 1
    except (Unable, ValueError, OSError) as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
