"""What numbers configs may hold: the compiler's limits, and refusals in every family."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from treadle import reference
from treadle.reference.limits import LIMITS

ROOT = Path(__file__).parents[3]
ALIASES = {"scaling_factors", "init_ngrams"}


def numbers(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, tuple[float, float]]]:
    """Every field with limits, a member of an object behind a slash."""
    for key, field in schema.get("properties", {}).items():
        item = field.get("items", field)
        if "maximum" in item:
            yield path + key, (item["minimum"], item["maximum"])
        yield from numbers(item, f"{path}{key}/")


def test_limits_are_the_compilers() -> None:
    found: dict[str, tuple[float, float]] = {}
    for family in json.loads((ROOT / "models/schema.json").read_text())["oneOf"]:
        for key, limits in numbers(family):
            assert found.setdefault(key, limits) == limits, key
    assert {key: limits for key, limits in found.items() if key not in ALIASES} == LIMITS


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_every_family_reads_them(family: str) -> None:
    config = json.loads((ROOT / f"models/{family}/tiny.json").read_text())
    schemas = json.loads((ROOT / "models/schema.json").read_text())["oneOf"]
    schema = next(s for s in schemas if s["title"] == family)
    read = reference.FAMILIES[family].Config.from_dict
    read(config | {"eos_token_id": []})
    vocabulary = config.get("vocab_size", 128256)
    for value, place in ((vocabulary, ""), ([0, vocabulary], "/1"), (True, ""), ([0] * 65, "")):
        with pytest.raises(ValueError, match=f"^/eos_token_id{place}: expected"):
            read(config | {"eos_token_id": value})
    for key, (least, most) in numbers(schema):
        step, _, member = key.partition("/")
        if step in ALIASES or member or "items" in schema["properties"][key]:
            continue
        for value in (least - 1, most + 1):
            with pytest.raises(ValueError, match=f"^/{key}: expected"):
                read(config | {key: value})
