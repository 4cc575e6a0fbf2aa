"""Makes a folder that a machine with a GPU can run without a compiler or Python: suite.py FOLDER.

It holds a library of a tiny model for each family and dtype, with code for the CPU and for GPUs of LEVELS and a vector of
the float64 reference that `treadle-run --selftest` compares with; MiniAxion-0.9M with random weights, to be measured;
treadle-run; and `run`, which runs all of them (docs/HowTo/Measure.md).
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

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


def make(folder: Path, levels: str, families: list[str], rows: str | None, build: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    options = {"target": "cpu,cuda", "gpu": levels, "cpu": CPU, "rows": rows, "library": build / "lib/libTreadle.so"}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for family in families:
            case = FAMILIES[family].CASES[0]
            for dtype in DTYPES:
                home = scratch / f"{family}-{dtype}"  # which names the model
                home.mkdir()
                config, weights = case.write(home)
                golden = home / "golden.safetensors"
                write_golden(case, weights, dtype, golden)
                out = folder / f"{family}-{dtype}.so"
                treadle.compile(config, weights=weights, out=out, dtype=dtype, golden=golden, **options)
        if levels != "emulated":
            treadle.random_weights(MEASURED, scratch / "w.safetensors")
            for dtype in DTYPES:
                out = folder / f"bench-{MEASURED.parent.name}-{MEASURED.stem}-{dtype}.so"
                treadle.compile(MEASURED, weights=scratch / "w.safetensors", out=out, dtype=dtype, **options)
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
