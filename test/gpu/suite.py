"""Makes a folder that a machine with a GPU can run without a compiler or Python: suite.py FOLDER.

It holds a library of a tiny model for each family and dtype, and of a wider one, with code for the CPU and for GPUs of
LEVELS and a vector of the float64 reference that `treadle-run --selftest` compares with; MiniAxion-0.9M with random weights,
to be measured; treadle-run; and `run`, which runs all of them (docs/HowTo/Measure.md).
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "test/python"))
import treadle  # noqa: E402
from cases import FAMILIES, Case  # noqa: E402
from judge import bf16_tolerance, f32_tolerance, relative_error  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

LEVELS = "sm_80,sm_90a"
DTYPES = ("f32", "bf16")
TOKENS = 40
MEASURED = ROOT / "models/miniaxion/0.9m.json"
# What tiny models have not: enough rows and outputs for the largest tiles of products on tensor cores, and a context of
# several spans of keys, which a decode step gives to blocks of their own. The self-test runs some more tokens than rows.
WIDE = {"intermediate_size": 1792, "max_position_embeddings": 1024}
WIDE_ROWS = "1,16,640"
# What the GPU's kernels are made from differs from the CPU's where that multiplies bf16 by itself.
CPU = "x86-64-v3"


def write_golden(case: Case, weights: Path, dtype: str, out: Path) -> None:
    """Logits of a masked window, and what a library may differ from them."""
    random = np.random.default_rng(case.seed)
    ids = random.integers(0, case.config["vocab_size"], min(TOKENS, case.context)).astype(np.int32)
    mask = (random.uniform(size=len(ids)) < 0.8).astype(np.uint8)

    def logits(storage: str, precision: type = np.float64) -> np.ndarray:
        return case.logits(case.reference(weights, precision, storage), ids, mask)

    expected = logits(dtype)
    if dtype == "f32":
        tolerance = f32_tolerance(relative_error(logits("f32", np.float32), expected))
    else:
        tolerance = bf16_tolerance(relative_error(expected, logits("f32")))
    vector = {"ids": ids, "mask": mask, "logits": expected.astype(np.float32)}
    vector["loops"] = np.array([case.loops], np.int32)
    vector["tolerance"] = np.array([tolerance], np.float32)
    save_file(vector, out)


def write_library(case: Case, dtype: str, folder: Path, name: str, **options: Any) -> None:
    """The library of a case, with a vector of the reference."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / name  # which names the model
        home.mkdir()
        config, weights = case.write(home)
        golden = home / "golden.safetensors"
        write_golden(case, weights, dtype, golden)
        treadle.compile(config, weights=weights, out=folder / f"{name}.so", dtype=dtype, golden=golden, **options)


def make(folder: Path, levels: str, families: list[str], rows: str | None, build: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    options = {"target": "cpu,cuda", "gpu": levels, "cpu": CPU, "rows": rows, "library": build / "lib/libTreadle.so"}
    for dtype in DTYPES:
        for family in families:
            write_library(FAMILIES[family].CASES[0], dtype, folder, f"{family}-{dtype}", **options)
        if levels == "emulated":
            continue
        tiny = FAMILIES["llama"].CASES[0]
        wide = replace(tiny, config=tiny.config | WIDE, context=WIDE["max_position_embeddings"])
        write_library(wide, dtype, folder, f"llama-wide-{dtype}", **options | {"rows": WIDE_ROWS})
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch) / "w.safetensors"
            treadle.random_weights(MEASURED, weights)
            out = folder / f"bench-{MEASURED.parent.name}-{MEASURED.stem}-{dtype}.so"
            treadle.compile(MEASURED, weights=weights, out=out, dtype=dtype, **options)
    shutil.copy(build / "bin/treadle-run", folder)
    shutil.copy(Path(__file__).with_name("run"), folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="suite.py", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--families", default=",".join(FAMILIES), metavar="LIST", help="instead of all")
    parser.add_argument("--levels", default=LEVELS, help=f"GPU levels ({LEVELS})")
    parser.add_argument("--rows", help="row counts of the entry points (the compiler's)")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", metavar="DIR", help="build/release")
    options = parser.parse_args()
    make(options.folder, options.levels, options.families.split(","), options.rows, options.build.resolve())


if __name__ == "__main__":
    main()
