"""shard.py WEIGHTS FOLDER: the tensors of a safetensors file, dealt out to three shards with an index."""

import json
import sys
from pathlib import Path

from treadle import _safetensors

tensors = _safetensors.load(sys.argv[1])
folder = Path(sys.argv[2])
folder.mkdir()
weight_map = {name: f"model-{i % 3 + 1:05}-of-00003.safetensors" for i, name in enumerate(tensors)}
for shard in sorted(set(weight_map.values())):
    names = [name for name in tensors if weight_map[name] == shard]
    entries = {name: ("F32", tensors[name].shape) for name in names}
    _safetensors.save(folder / shard, entries, (tensors[name] for name in names))
(folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
