"""What the entry points of a model need: bytes of weights, operations of matrices and attention.

Read off the compiler's own `program` phase, so that no family needs a formula here. The result is the "work" of
tools/treadle-run/Traffic.h:

    token_weight_bytes   weights that a row and its logits need, each once; of an embedding that is not the head as
                         well, one row for each token that is looked up
    attended             append states that attention reads whole
    forward, head, open, close
                         weight_bytes; flops and loop_flops: operations of matrices a row, and more for each pass of
                         the loop; key_flops and loop_key_flops: operations of attention a row and key, likewise

A multiply-add is two operations. Norms, activations and recurrences are not counted.
"""

import re
import subprocess
from collections import defaultdict
from math import prod
from pathlib import Path

BYTES = {"f32": 4, "bf16": 2}

_WEIGHT = re.compile(r"treadle\.weight @(\S+) : !treadle\.weight<(?:([\dx]+)x)?(\w+), \w+>(?: slots \[([\d, ]+)\])?")
_ENTRY = re.compile(r"func\.func @\w+\(.*#treadle\.entry<(\w+), rows = (\d+)>")
_REFERENCE = re.compile(r"%(\S+) = treadle\.get_(?:weight|state) @([\w.]+)")
_LOOP = re.compile(r"treadle\.loop %\w+ (to %\w+ )?max (\d+)")
_ATTRIBUTE = re.compile(r"(\w+) = (\d+) : i64")
_TENSOR = re.compile(r"tensor<\d+x(\d+)x\w+>")
_OPERATION = re.compile(r"(?:%\S+ = )?treadle\.(\w+)\(?(.*)")


def counts_of(compiler: Path, config: Path, dtype: str) -> tuple[dict, int]:
    """The work of a config's model, and the positions that it is compiled for by default; 0: no limit."""
    command = [compiler, config, f"--dtype={dtype}", "--to=program", "--rows=1"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return parse(text), int(re.search(r"\bcapacity = (\d+)", text)[1])


def parse(text: str) -> dict:
    """The work of a module of the `program` phase, compiled for one row."""
    weights, entries = {}, {}
    for line in text.splitlines():
        if found := _WEIGHT.search(line):
            name, shape, element, slots = found.groups()
            dims = [int(dim) for dim in shape.split("x")] if shape else []
            weights[name] = _Weight(dims, BYTES[element], prod(map(int, (slots or "1").split(","))))
        elif found := _ENTRY.search(line):
            entries[found[1]] = entry = _Entry(weights)
        elif entries:
            entry.read(line.strip())
    forward, head = entries["forward"], entries["head"]
    whole = forward.whole | head.whole
    rows = defaultdict(int)
    for table, tokens in forward.looked_up.items():
        if table not in whole:
            rows[table] = tokens * weights[table].row_bytes
    return {
        "token_weight_bytes": sum(weights[name].bytes for name in whole) + sum(rows.values()),
        "attended": sorted(set().union(*(entry.attended for entry in entries.values()))),
        **{name: entry.result() for name, entry in entries.items()},
    }


class _Weight:
    def __init__(self, dims: list[int], element_bytes: int, slots: int):
        self.bytes = prod(dims) * element_bytes * slots
        self.row_bytes = prod(dims[1:]) * element_bytes


class _Entry:
    """One function, read line by line."""

    def __init__(self, weights: dict[str, _Weight]):
        self._weights = weights
        self._names: dict[str, str] = {}
        # How often the regions around a line run, and whether once more for each pass of the model's loop.
        self._trips = [(1, False)]
        self.whole: set[str] = set()
        self.looked_up: dict[str, int] = defaultdict(int)
        self.attended: set[str] = set()
        self.flops = {"flops": 0, "loop_flops": 0, "key_flops": 0, "loop_key_flops": 0}

    def result(self) -> dict:
        return {"weight_bytes": sum(self._weights[name].bytes for name in self.whole), **self.flops}

    def read(self, line: str) -> None:
        if found := _REFERENCE.search(line):
            self._names[found[1]] = found[2]
        elif found := _LOOP.search(line):
            trips, looped = self._trips[-1]
            self._trips.append((trips, True) if found[1] else (trips * int(found[2]), looped))
        elif line.startswith("}"):
            if len(self._trips) > 1:
                self._trips.pop()
        elif found := _OPERATION.match(line):
            self._operation(found[1], found[2], dict(_ATTRIBUTE.findall(line)))

    def _add(self, kind: str, flops: int) -> None:
        trips, looped = self._trips[-1]
        self.flops[("loop_" if looped else "") + kind] += trips * flops

    def _operation(self, name: str, rest: str, attributes: dict[str, str]) -> None:
        operands = [self._names[o] for o in re.findall(r"%([\w#]+)", rest.split(" : ")[0]) if o in self._names]
        weights = [name for name in operands if name in self._weights]
        if name in ("embedding", "ngram_embedding"):
            # The tokens of n-grams are those before this one, which larger n-grams share.
            window = int(attributes.get("window", 1))
            self.looked_up[weights[0]] = max(self.looked_up[weights[0]], window)
            return
        self.whole.update(weights)
        if name in ("linear", "joint_linear"):
            source, _, results = rest.rpartition("->")
            width, columns = int(_TENSOR.search(source)[1]), _TENSOR.findall(results)
            self._add("flops", 2 * width * sum(map(int, columns)) // int(attributes.get("groups", 1)))
        elif name == "attention":
            keys, values, *_ = [int(width) for width in re.findall(r"append, \d+x(\d+)x", rest.split(" : ", 1)[1])]
            heads, kv_heads = int(attributes["heads"]), int(attributes["kv_heads"])
            lane = " lane " in rest and not re.search(r"\bown\b", rest)
            self._add("key_flops", 2 * heads * (keys + values) // kv_heads * (2 if lane else 1))
            self.attended.update(name for name in operands if name not in self._weights)
