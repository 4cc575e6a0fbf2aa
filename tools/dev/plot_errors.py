"""The program behind tools/dev/plot-errors."""

import json
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import treadle
from error_curve import decoded, error_curve, table
from treadle import _safetensors
from treadle.reference import FAMILIES

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def main(build: str, config: str, out: str, tokens: str = "4096") -> None:
    fields, ids = json.loads(Path(config).read_text()), np.random.default_rng(0)
    reference = FAMILIES[fields["model_type"]]
    ids = ids.integers(0, fields["vocab_size"], int(tokens))
    with tempfile.TemporaryDirectory() as folder:
        weights, library = f"{folder}/w.safetensors", f"{folder}/m.so"
        treadle.random_weights(config, weights, dtype="f32")
        treadle.compile(config, weights=weights, out=library, max_context=len(ids), library=f"{build}/lib/libTreadle.so")
        tensors = _safetensors.load(weights)
        with treadle.load(library) as model:
            found = decoded(model.session(), ids)
    expected = reference(fields, tensors).forward(ids)[0]
    curves = {
        "library": error_curve(found, expected),
        "NumPy float32": error_curve(reference(fields, tensors, np.float32).forward(ids)[0], expected),
    }
    print(*table(curves), sep="\n")
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, curve in curves.items():
        axes.loglog(*zip(*curve), marker="o", label=name, base=2)
    axes.set_yscale("log")
    axes.set_xlabel("tokens decoded")
    axes.set_ylabel("largest error / largest logit")
    axes.set_title(f"{config}, against float64")
    axes.legend()
    figure.savefig(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
