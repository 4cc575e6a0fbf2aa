"""Writes the toy model's packed weights and what its program says of them.

    toy_weights.py [--seed=N] WEIGHTS_FILE INCLUDE_FILE
"""

import argparse
import hashlib
import json
import random
import struct

VOCAB, WIDTH = 37, 8


def container(data: bytes) -> tuple[bytes, int]:
    """The safetensors container, and where its data start."""
    header = {
        "__metadata__": {"content_sha256": hashlib.sha256(data).hexdigest()},
        "embedding": {
            "dtype": "F32",
            "shape": [VOCAB, WIDTH],
            "data_offsets": [0, len(data)],
        },
    }
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + data, 8 + len(text)


def c_bytes(digest: bytes) -> str:
    return "{" + ", ".join(str(byte) for byte in digest) + "}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("weights_file")
    parser.add_argument("include_file")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    values = [generator.uniform(-1, 1) for _ in range(VOCAB * WIDTH)]
    data = struct.pack(f"<{len(values)}f", *values)
    file, header_size = container(data)
    digest = hashlib.sha256(data)
    digest_offset = file.index(digest.hexdigest().encode())
    header = bytearray(file[:header_size])
    header[digest_offset : digest_offset + 64] = b"0" * 64
    with open(options.weights_file, "wb") as output:
        output.write(file)
    with open(options.include_file, "w") as output:
        output.write(
            f"""#define TOY_FILE_SIZE {len(file)}
#define TOY_HEADER_SIZE {header_size}
#define TOY_DIGEST_OFFSET {digest_offset}
#define TOY_HEADER_DIGEST {c_bytes(hashlib.sha256(header).digest())}
#define TOY_CONTENT_DIGEST {c_bytes(digest.digest())}
#define TOY_WEIGHTS_FILE "{options.weights_file}"
"""
        )


if __name__ == "__main__":
    main()
