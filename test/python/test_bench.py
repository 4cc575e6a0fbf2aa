"""The benchmark harness of test/perf runs. Its times are never looked at here."""

import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import treadle
from numpy.typing import NDArray
from treadle import _capi
from treadle.random_weights import tensor_specs

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "test/perf"))
import baselines  # noqa: E402
import bench as bench_module  # noqa: E402
from runs import Run, read_runs  # noqa: E402

Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """tools/dev/bench without building anything first."""
    build = request.config.getoption("--treadle-build").resolve()

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, ROOT / "test/perf/bench.py", "--build", build, "--folder", tmp_path / "bench"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
        return subprocess.run([*program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


def test_smoke(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = bench(ROOT / "test/perf/runs/smoke.json", "--json", out)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert {"cpu", "caches", "kernel", "ceilings"} <= set(document["machine"])
    results = {result["run"]: result for result in document["results"]}
    assert list(results) == [
        "miniaxion/tiny f32 decode 16",
        "miniaxion/tiny f32 prefill 64",
        "miniaxion/tiny f32 open",
        "miniaxion/tiny f32 compile",
        "om/tiny f32 decode 48",
        "om/tiny f32 prefill 64",
        "neollm/tiny bf16 decode 256",
    ]
    for name, result in results.items():
        assert re.search(rf"^{name} +[\d,.]+", done.stdout, re.M), done.stdout
        assert result["peak_memory"] > 0 and len(result["seconds"]) == 2 and result["spread"] >= 0
        if "ceiling" in result:
            assert result["tokens_per_second"] > 0 and result["ceiling"]["median"] > 0
            assert re.fullmatch("[0-9a-f]{16}", result["logits_hash"])

    # 4 tokens behind 16 see 18.5 positions on average; keys and values of 2 x 12 in 4 blocks, and the mask.
    weights = 4 * parameters("models/miniaxion/tiny.json")
    states = 18.5 * (4 * 2 * 2 * 12 * 4 + 1)
    found = results["miniaxion/tiny f32 decode 16"]["bytes_per_token"]
    assert found["weights"] == weights and found["turns"] == 0
    assert states <= found["states"] <= states + 64

    # The period of 24 tokens ends at 48: what is measured is right before its turn.
    assert results["om/tiny f32 decode 48"]["first"] == 44
    assert results["neollm/tiny bf16 decode 256"]["first"] == 256
    # A multiply-add for each weight of a matrix, more than attention needs.
    assert 2 * 64 * (weights / 4 - 97 * 48) < results["miniaxion/tiny f32 prefill 64"]["flops"] < 4 * 64 * weights / 4


def test_needs_of_turns(request: pytest.FixtureRequest, toys: Path, tmp_path: Path) -> None:
    """Periods of 8 tokens: 2 rows open one, 3 close it. Keys and mask take 33 bytes a row, ids 4, turns' states 80."""
    def measure(kind: str, tokens: int) -> dict:
        work = {"kind": kind, "context": 0, "tokens": tokens, "repeats": 1}
        (tmp_path / "work.json").write_text(json.dumps(work))
        program = request.config.getoption("--treadle-build").resolve() / "bin/model-bench"
        command = [program, tmp_path / "work.json", toys / "turns.so", "--bench", "--threads=1"]
        return json.loads(subprocess.check_output(command, text=True))

    found = measure("decode", 64)["bytes_per_token"]
    assert found["weights"] == 1000
    assert found["states"] == 33 * (2 + 4.5) + 2 * 4
    opened, closed = 2 * 33 + 80 + 200, (2 + 8 + 3) * 33 + 2 * 80 + 300
    assert found["turns"] == (8 * opened + 7 * closed) / 64

    keys = 16 * (8 * 2 + 8 * 9 / 2)
    assert measure("prefill", 128)["flops"] == 128 * 1000 + 10 * keys + 500 + 100 * (16 * 2 + 15 * 3)


def test_ceilings_have_the_threads_of_the_work(
    request: pytest.FixtureRequest, compile_library: Callable[..., str | None], tmp_path: Path
) -> None:
    """120 tokens run on the entry point of 128 rows, which deserves two threads where that of 16 does not."""
    config, weights, library = (tmp_path / name for name in ("config.json", "w.safetensors", "m.so"))
    tiny = json.loads((ROOT / "models/nanohammer/tiny.json").read_text())
    config.write_text(json.dumps(tiny | {"max_position_embeddings": 700}))
    treadle.random_weights(config, weights)
    compile_library(config, weights=weights, out=library)
    with treadle.load(library, threads=2) as model, model.session() as session:
        session.forward([1] * 120)
        called = [entry for entry, calls in session.entry_calls.items() if calls]
        expected = max(model.entry_threads[entry] for entry in called)
        assert expected > max(threads for (_, rows), threads in model.entry_threads.items() if rows <= 120)
    build = request.config.getoption("--treadle-build").resolve()
    (tmp_path / "work.json").write_text(json.dumps({"kind": "prefill", "context": 0, "tokens": 120, "repeats": 1}))
    command = [build / "bin/model-bench", tmp_path / "work.json", library, "--bench", "--threads=2"]
    assert json.loads(subprocess.check_output(command, text=True))["threads"] == expected


def test_rounds_of_a_baseline() -> None:
    """The machine is twice as fast in the second round: what is compared is of one round."""
    run = read_runs(ROOT / "test/perf/runs/smoke.json")[0]
    ours = [{"tokens_per_second": rate, "share": share, "void": False} for rate, share in ((30, 0.6), (60, 0.9), (33, 0.7))]

    def attempt(threads: int, *rates: float) -> dict[str, Any]:
        return {"program": "other", "threads": threads, "rates": rates, "peak_memory": threads}

    rounds = [[attempt(1, 10, 10), attempt(2, 14, 16)], [attempt(1, 20), attempt(2, 30)], [attempt(1, 11), attempt(2, 15)]]
    found = baselines._beside(run, ours, rounds)
    assert found["program"] == "other, 2 thread(s)" and found["peak_memory"] == 2
    assert found["times"] == 2 and found["times_of_rounds"] == [2, 2, 2.2]
    assert found["tokens_per_second"] == 15.5 and found["share"] == 0.35 and not found["void"]
    assert found["note"] == "Treadle is 2.00 times as fast (2.00 to 2.20)"
    assert baselines._beside(run, [own | {"void": True} for own in ours], rounds)["void"]


def test_a_baseline_meets_all_our_threads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(run for run in read_runs(ROOT / "test/perf/runs/llama.json") if run.kind == "prefill")
    attempt = {"program": "other", "threads": 1, "rates": [1.0], "peak_memory": 1}

    def llama(*_: object) -> list[dict]:
        "Stands in for llama.cpp."
        return [attempt]

    monkeypatch.setattr(baselines, "_llama_cpp", llama)
    monkeypatch.setattr(baselines, "_thread_counts", lambda: [1, 5])
    ours: list[tuple[int, int]] = []

    def measure(run: Run, repeats: int) -> dict:
        ours.append((run.threads, repeats))
        return {"tokens_per_second": 2.0, "share": 0.5, "void": False}

    programs = baselines.Baselines(tmp_path, print)
    (found,) = programs.measure(run, tmp_path, 7, measure)
    assert found["times"] == 2 and found["run"].endswith("5 threads") and ours == [(5, 3)] * 3
    assert programs.measure(dataclasses.replace(run, threads=5), tmp_path, 7, measure) == []


def test_a_void_run_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_runs(ROOT / "test/perf/runs/smoke.json")[0]

    def found(spreads: list[float], again: int) -> dict:
        results = ({"ceiling": {"spread": spread}, "void": spread > 0.15} for spread in spreads)
        monkeypatch.setattr(bench_module, "measure", lambda *_: next(results))
        return bench_module.measure_until_quiet(None, run, 1, again)

    assert found([0.1], 2) == {"ceiling": {"spread": 0.1}, "void": False, "voids": []}
    assert found([0.2, 0.3, 0.1, 0.0], 2) == {"ceiling": {"spread": 0.1}, "void": False, "voids": [0.2, 0.3]}
    assert found([0.2, 0.3, 0.4], 1) == {"ceiling": {"spread": 0.3}, "void": True, "voids": [0.2]}


def test_a_model_as_gguf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Writer:
        """Keeps what gguf's would write."""

        def __init__(self, out: str, architecture: str):
            self.facts: dict[str, Any] = {"out": out, "architecture": architecture}
            written.append(self)
            self.tensors: dict[str, NDArray] = {}

        def add_tensor(self, name: str, tensor: NDArray, raw_dtype: str | None = None) -> None:
            self.tensors[name] = tensor.view(raw_dtype or np.float32)

        def __getattr__(self, call: str) -> Callable[..., Any]:
            return lambda *given: self.facts.__setitem__(call, given)

    written: list[Writer] = []
    stand_in = ModuleType("gguf")
    vars(stand_in).update(
        GGUFWriter=Writer,
        LlamaFileType=SimpleNamespace(MOSTLY_BF16="bf16"),
        GGMLQuantizationType=SimpleNamespace(BF16="<u2"),
    )
    monkeypatch.setitem(sys.modules, "gguf", stand_in)
    monkeypatch.delitem(sys.modules, "baselines.llama_gguf", raising=False)
    llama_gguf = importlib.import_module("baselines.llama_gguf")

    weights = tmp_path / "w.safetensors"
    config = ROOT / "models/llama/tiny.json"
    treadle.random_weights(config, weights, dtype="bf16")
    llama_gguf.main(str(config), str(weights), "m.gguf")
    (writer,) = written
    values = json.loads(config.read_text())
    assert writer.facts["add_head_count_kv"] == (values["num_key_value_heads"],)
    assert writer.facts["write_tensors_to_file"] == ()
    assert ("rope_freqs.weight" in writer.tensors) == ("rope_scaling" in values)
    tensors = llama_gguf.read_bf16(weights)
    assert np.array_equal(writer.tensors["token_embd.weight"], tensors["model.embed_tokens.weight"])
    # Column 0 and column 0 of the second half are turned together: rows 0 and 1 of a head for llama.cpp.
    q, ours = writer.tensors["blk.0.attn_q.weight"], tensors["model.layers.0.self_attn.q_proj.weight"]
    head_dim = len(ours) // values["num_attention_heads"]
    assert np.array_equal(q[1], ours[head_dim // 2]) and np.array_equal(q[head_dim], ours[head_dim])


def test_a_baseline_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(baselines, "NEEDED_DISK", 1 << 60)
    said: list[str] = []
    found = baselines.Baselines(tmp_path, said.append)
    runs = read_runs(ROOT / "test/perf/runs/miniaxion.json") + read_runs(ROOT / "test/perf/runs/neollm.json")
    assert all(found.measure(run, tmp_path / "weights", 1, lambda run, repeats: {}) == [] for run in runs)
    folder = tmp_path / "baselines"
    assert found.failures == [f"PyTorch eager: {folder}: expected {1 << 30} GB of free disk"]
    assert said == []


def parameters(config: str) -> int:
    return sum(prod(spec.shape) for spec in tensor_specs(ROOT / config).values())


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("{", "{path}: Expecting property name"),
        ('{"runs": {}}', "{path}: /runs: expected a list, got {}"),
        ('{"runs": [{"model": "m.json"}]}', "{path}: /runs/0: expected 'dtypes', got [\"model\"]"),
        ('{"runs": [{"modell": 1}]}', "{path}: /runs/0/modell: expected one of dtypes, loops, model,"),
        (
            '{"runs": [{"model": "m.json", "dtypes": ["f32", "f8"], "work": ["open"]}]}',
            '{path}: /runs/0/dtypes/1: expected f32 or bf16, got "f8"',
        ),
        (
            '{"runs": [{"model": "m.json", "dtypes": ["f32"], "work": ["decode"]}]}',
            "{path}: /runs/0/work/0: expected 'decode N', 'prefill N', 'open' or 'compile', got \"decode\"",
        ),
        (
            '{"runs": [{"model": "m.json", "dtypes": ["f32"], "work": ["open"], "tokens": 0}]}',
            "{path}: /runs/0/tokens: expected a positive integer, got 0",
        ),
        ('{"runs": [{"model": 1, "dtypes": [], "work": []}]}', "{path}: /runs/0/model: expected a config file, got 1"),
        ('{"runs": [{"model": "m.json", "dtypes": 1, "work": []}]}', "{path}: /runs/0/dtypes: expected a list, got 1"),
        (
            '{"runs": [{"model": "m.json", "dtypes": [["f32"]], "work": []}]}',
            '{path}: /runs/0/dtypes/0: expected f32 or bf16, got ["f32"]',
        ),
        (
            '{"runs": [{"model": "m.json", "dtypes": [], "work": "open"}]}',
            '{path}: /runs/0/work: expected a list, got "open"',
        ),
        ('{"runs": []}', "no run is left to be made"),
    ],
)
def test_mistakes_in_a_list(bench: Bench, tmp_path: Path, runs: str, message: str) -> None:
    path = tmp_path / "runs.json"
    path.write_text(runs)
    done = bench(path)
    assert done.returncode == 1
    assert message.replace("{path}", str(path)) in done.stderr


def test_a_config_that_is_wrong(bench: Bench, tmp_path: Path) -> None:
    config = json.loads((ROOT / "models/llama/tiny.json").read_text())
    (tmp_path / "bad.json").write_text(json.dumps(config | {"hidden_act": "sine"}))
    runs = {"runs": [{"model": str(tmp_path / "bad.json"), "dtypes": ["f32"], "work": ["compile"]}]}
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    done = bench(tmp_path / "runs.json")
    assert done.returncode == 1
    assert "error: " in done.stderr and "/hidden_act: expected silu" in done.stderr


@pytest.mark.parametrize(
    ("config", "element_bytes", "unused"),
    [
        ("models/llama/1b.json", 2, ""),
        ("models/miniaxion/0.9m.json", 4, ""),
        ("models/neollm/110m.json", 4, ""),
        # All rows of the embedding but one; with n-grams of three tokens but three.
        ("models/nanohammer/1.5b.json", 4, "model.embed_tokens.weight"),
        ("models/om/356m.json", 4, "embedder.weight"),
    ],
)
def test_needed_weights(
    compile_library: Callable[..., str | None], tmp_path: Path, config: str, element_bytes: int, unused: str
) -> None:
    """The library and the reference's table of tensors agree on what a token needs."""
    dtype = {4: "f32", 2: "bf16"}[element_bytes]
    compile_library(ROOT / config, out=tmp_path / "m.so", dtype=dtype, rows=[1])
    info = _capi.ModelInfo()
    library = _capi.Library.load(tmp_path / "m.so")
    assert library.table.model_info(None, info) == 0
    found = json.loads(_capi.text(info.json))["work"]
    specs = tensor_specs(ROOT / config)
    if "open" in found:
        specs = {name: spec for name, spec in specs.items() if "state" not in name}
    elements = {name: prod(spec.shape) for name, spec in specs.items()}
    matrices = sum(size for name, size in elements.items() if len(specs[name].shape) > 1)
    if unused:
        rows = 3 if "open" in found else 1
        matrices -= elements[unused] - rows * specs[unused].shape[1]
    vectors = sum(size for name, size in elements.items() if len(specs[name].shape) < 2)
    assert found["token_weight_bytes"] == matrices * element_bytes + vectors * 4


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--threads=0", "--threads and --repeats expect 1 or more"),
        ("--threads=256", "--threads expects 255 at most, as a library does"),
        ("--again=-1", "--again expects 0 or more"),
    ],
)
def test_options_that_make_no_sense(bench: Bench, option: str, message: str) -> None:
    done = bench(option)
    assert done.returncode == 2 and done.stderr.endswith(f"error: {message}\n")
