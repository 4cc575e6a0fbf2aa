"""Measures one linear through the whole pipeline, on one thread.

    tools/dev/bench-matrix            # builds what is needed, then runs this

For each size and storage type: writes a model of an embedding and four equal linears, so
that the weights are larger than any cache, as text of the `model` phase, compiles it, and lets `matrix-bench` (MatrixBench.cpp) measure a row
against read bandwidth and 128 rows against the multiply-add peak. Prints a table and, with
--json, writes everything that was measured.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

COPIES = 4
BYTES = {"f32": 4, "bf16": 2}

MODEL = """
module attributes {{treadle.model = #treadle.model<family = "matrix", vocabulary = 64,
    hidden = {k}, capacity = 256, config_capacity = 256, max_loops = 1, config_loops = 1,
    eos = [], info = "{{}}">}} {{
  treadle.weight @table : !treadle.weight<64x{k}x{t}, panels> from ["table"]
  treadle.weight @matrix : !treadle.weight<{k}x{k}x{t}, panels> slots [{copies}] from [{names}]
  treadle.weight @logits : !treadle.weight<64x{k}x{t}, panels> from ["logits"]
  treadle.state @mask : !treadle.state<append, 256xi8>
  func.func @forward(%ids: tensor<?xi32>, %mask: tensor<?xi8>, %position: index, %valid: index,
      %loops: index) -> tensor<?x{k}xf32>
      attributes {{treadle.entry = #treadle.entry<forward, rows = 0>}} {{
    %m = treadle.get_state @mask : !treadle.state<append, 256xi8>
    treadle.append %mask, %m at %position valid %valid
      : tensor<?xi8>, !treadle.state<append, 256xi8>
    %e = treadle.get_weight @table : !treadle.weight<64x{k}x{t}, panels>
    %x = treadle.embedding %ids, %e
      : (tensor<?xi32>, !treadle.weight<64x{k}x{t}, panels>) -> tensor<?x{k}xf32>
    %y = treadle.loop %i max {copies} carry (%c = %x) : tensor<?x{k}xf32> {{
      %w = treadle.get_weight @matrix[%i] : !treadle.weight<{k}x{k}x{t}, panels>
      %n = treadle.linear %c, %w
        : (tensor<?x{k}xf32>, !treadle.weight<{k}x{k}x{t}, panels>) -> tensor<?x{k}xf32>
      treadle.yield %n : tensor<?x{k}xf32>
    }}
    return %y : tensor<?x{k}xf32>
  }}
  func.func @head(%hidden: tensor<?x{k}xf32>) -> tensor<?x64xf32>
      attributes {{treadle.entry = #treadle.entry<head, rows = 0>}} {{
    %h = treadle.get_weight @logits : !treadle.weight<64x{k}x{t}, panels>
    %y = treadle.linear %hidden, %h
      : (tensor<?x{k}xf32>, !treadle.weight<64x{k}x{t}, panels>) -> tensor<?x64xf32>
    return %y : tensor<?x64xf32>
  }}
}}
"""


def measure(build: Path, size: int, dtype: str, folder: Path) -> dict:
    """Compiles a `size` x `size` linear and returns what matrix-bench printed."""
    model, weights, library = (folder / f"m{ext}" for ext in (".mlir", ".safetensors", ".so"))
    matrices = [f"matrix.{i}" for i in range(COPIES)]
    model.write_text(MODEL.format(k=size, t=dtype, copies=COPIES, names=", ".join(f'"{name}"' for name in matrices)))
    random = np.random.default_rng(0)
    scale = np.float32(size**-0.5)
    save_file(
        {
            "table": random.standard_normal((64, size), dtype=np.float32),
            **{
                name: random.standard_normal((size, size), dtype=np.float32) * scale
                for name in matrices
            },
            "logits": random.standard_normal((64, size), dtype=np.float32) * scale,
        },
        weights,
    )
    compiler = build / "bin" / "treadle-compile"
    subprocess.run(
        [compiler, "--from=model", model, f"--weights={weights}", "--weights-mode=external",
         "-o", library],
        check=True,
    )  # fmt: skip
    bench = [build / "bin" / "matrix-bench", library, str(COPIES * size), str(size)]
    bench.append(str(BYTES[dtype]))
    return json.loads(subprocess.run(bench, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    results = []
    print(f"{'work':34}{'median':>10}{'spread':>9}{'ceiling':>10}{'spread':>9}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for size, kind in ((4096, "decode"), (2048, "rows_128")):
            for dtype in BYTES:
                figures = measure(options.build, size, dtype, Path(folder))[kind]
                name = f"{kind} {size}x{size} {dtype} ({figures['unit']})"
                results.append({"name": name, **figures})
                print(
                    f"{name:34}{figures['median']:10.1f}{figures['spread']:9.1%}"
                    f"{figures['ceiling']:10.1f}{figures['ceiling_spread']:9.1%}"
                    f"{figures['ratio']:8.1%}"
                )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
