"""Runs a library that was compiled with --sanitize=address and --weights-mode=external.

    sanitized.py CONFIG LIBRARY            every loop count, whole and in pieces, masked, to the last position
    sanitized.py CONFIG LIBRARY --control  a read of forbidden weights, which has to end the process

The address sanitizer knows the caller's buffers. It cannot know that a mapped file ends before its last page does, or
that a tensor ends before the next one begins: everything in the mapping that is no tensor is poisoned by hand, with
padding behind vectors, and the page behind the mapping is made inaccessible. Sessions are poisoned ones: states and
arenas lie between inaccessible pages and hold signalling NaNs until they are written.
"""

import ctypes
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import treadle

PAGE = 4096
PROT_NONE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 0, 0x2, 0x20, 0x100000

process = ctypes.CDLL(None, use_errno=True)
process.mmap.restype = ctypes.c_void_p
process.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def poison(begin: int, end: int) -> None:
    process.__asan_poison_memory_region(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin))


def mapping(path: Path) -> int:
    """Where the file is mapped as a whole."""
    found = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    assert len(found) == 1, found
    begin, end = (int(address, 16) for address in found[0][0].split("-"))
    assert end - begin == -(-path.stat().st_size // PAGE) * PAGE
    return begin


def used_bytes(header: dict, vector_width: int) -> Iterator[tuple[int, int]]:
    """What kernels may read, in order. Panels are read whole; a vector is padded to a cache line."""
    for name, tensor in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [0])):
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        if "norm" not in name:
            yield begin, end if name != "gate" else begin + 4
            continue
        stride = 4 * tensor["shape"][-1]
        for slot in range(begin, end, stride):
            yield slot, slot + 4 * vector_width


def fence(library: Path, vector_width: int, forbidden: str | None) -> None:
    path = library.with_suffix(".weights")
    file, size = mapping(path), path.stat().st_size
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    data = file + 8 + length
    assert data % 64 == 0
    free = file
    for begin, end in used_bytes(header, vector_width):
        poison(free, data + begin)
        free = data + end
    page_end = file + -(-size // PAGE) * PAGE
    assert free <= file + size
    poison(free, page_end)
    if forbidden:
        begin, end = header[forbidden]["data_offsets"]
        poison(data + begin, data + end)
    # Fails where another mapping is already there.
    process.mmap(page_end, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)


def ragged(count: int, seed: int) -> list[int]:
    generator, pieces = np.random.default_rng(seed), list[int]()
    while sum(pieces) < count:
        pieces.append(min(int(generator.choice([1, 2, 7, 15, 16, 17, 33, 127, 129])), count - sum(pieces)))
    return pieces


def run(session: treadle.Session, ids: np.ndarray, mask: np.ndarray | None, pieces: list[int]) -> bytes:
    logits, start = [], 0
    for count in pieces:
        piece = slice(start, start + count)
        # Into a block of its own size, behind which the sanitizer watches.
        logits.append(session.forward(ids[piece], None if mask is None else mask[piece], logits="all"))
        start += count
    whole = np.concatenate(logits)
    assert np.isfinite(whole).all()
    return whole.tobytes()


def main(config: Path, library: Path, *control: str) -> None:
    width = json.loads(config.read_text())["d_model"]
    with treadle.load(library) as model:
        fence(library, width, "final_norm" if control else None)
        count, vocabulary = model.info["context"], model.info["vocab_size"]
        ids = np.random.default_rng(1).integers(0, vocabulary, count)
        ids[:2] = 0, vocabulary - 1
        masks = None, (np.arange(count) >= 2) & (np.arange(count) % 9 != 8)
        for loops in range(1, model.info["max_loops"] + 1):
            for mask in masks:

                def bits(pieces: list[int]) -> bytes:
                    return run(model.session(loops=loops, poison=True), ids, mask, pieces)  # noqa: B023

                expected = bits([count])
                for pieces in ([1] * count, ragged(count, loops), ragged(count, 10 + loops)):
                    assert bits(pieces) == expected, (loops, pieces)
        session = model.session(context=24, on_full="recompute", poison=True)
        assert len(session.forward(ids[:30], logits="all")) == 30
        print(f"passed: {count} positions, {loops} loops, {vocabulary} ids")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), *sys.argv[3:])
