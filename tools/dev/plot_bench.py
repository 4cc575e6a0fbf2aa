"""The program behind tools/dev/plot-bench."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
# The same results give the same file.
matplotlib.rcParams["svg.hashsalt"] = "treadle"
from matplotlib import pyplot  # noqa: E402

TITLES = {"decode": "read bandwidth", "prefill": "peak of multiply-adds"}


def main(results: str, folder: str = ".") -> None:
    document = json.loads(Path(results).read_text())
    Path(folder).mkdir(parents=True, exist_ok=True)
    for kind, ceiling in TITLES.items():
        runs = [result for result in document["results"] if result.get("work", "").startswith(kind)]
        if runs:
            out = Path(folder) / f"bench-{kind}.svg"
            draw(document, runs, f"{kind}: per cent of {ceiling}", out)
            print(out)


def draw(document: dict, runs: list[dict], title: str, out: Path) -> None:
    """Bars from the top down, in the order in which they were measured; void ones are hatched, baselines grey."""
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.25 * len(runs)), layout="constrained")
    # A baseline follows the run of ours that it goes with.
    names = [run.get("program", run["run"]) for run in runs]
    shares = [100 * run.get("share", 0) for run in runs]
    bars = axes.barh(range(len(runs)), shares, color=["0.6" if "program" in run else "C0" for run in runs])
    for run, share, bar in zip(runs, shares, bars):
        if run.get("void"):
            bar.set_hatch("//")
        rate = run["tokens_per_second"]
        label = f"{rate:,.{0 if rate >= 100 else 1}f} tokens/s" + (", void" if run.get("void") else "")
        axes.annotate(label, (share, bar.get_y() + bar.get_height() / 2), (4, 0),
                      textcoords="offset points", va="center", fontsize="small")  # fmt: skip
    axes.set_yticks(range(len(runs)), names)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlim(0, max(140, 1.3 * max(shares)))
    axes.set_xticks(range(0, 101, 20))
    axes.axvline(100, color="0.3", linewidth=0.8)
    axes.set_xlabel(f"% of what {document['machine']['cpu']} does on as many threads")
    axes.set_title(title)
    figure.savefig(out, metadata={"Date": None})
    # So that the file may be committed.
    out.write_text("\n".join(line.rstrip() for line in out.read_text().splitlines()) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
