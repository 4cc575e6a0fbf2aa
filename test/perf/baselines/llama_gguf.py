"""Writes a Llama config and its bf16 weights as a BF16 GGUF without a vocabulary: llama_gguf.py CONFIG WEIGHTS OUT."""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from treadle.reference.decoder_config import DecoderConfig

LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def main(config_path: str, weights: str, out: str) -> None:
    config = DecoderConfig.from_dict(json.loads(Path(config_path).read_text()))
    tensors = read_bf16(Path(weights))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_tokenizer_model("no_vocab")

    if config.scaling:
        half = config.head_dim // 2
        frequencies = [config.rope_theta ** (-j / half) for j in range(half)]
        slower = [frequency / config.scaling.scale(frequency) for frequency in frequencies]
        writer.add_tensor("rope_freqs.weight", np.array(slower, np.float32))
    add(writer, "token_embd.weight", tensors["model.embed_tokens.weight"])
    add(writer, "output_norm.weight", tensors["model.norm.weight"])
    if not config.tie_word_embeddings:
        add(writer, "output.weight", tensors["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        for source, target in LAYER_TENSORS.items():
            tensor = tensors[f"model.layers.{layer}.{source}.weight"]
            rotated = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(target)
            add(writer, f"blk.{layer}.{target}.weight", interleave(tensor, rotated) if rotated else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_bf16(path: Path) -> dict[str, NDArray[np.uint16]]:
    """The bits of a safetensors file that holds bf16 alone, mapped."""
    data = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        if entry["dtype"] != "BF16":
            raise ValueError(f"{path}: {name}: expected BF16, got {entry['dtype']}")
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        found[name] = data[begin:end].view(np.uint16).reshape(entry["shape"])
    return found


def interleave(tensor: NDArray[np.uint16], heads: int) -> NDArray[np.uint16]:
    """Rows of a projection whose halves are rotated as pairs, as llama.cpp pairs them: 2j and 2j + 1."""
    outputs, inputs = tensor.shape
    return tensor.reshape(heads, 2, outputs // heads // 2, inputs).swapaxes(1, 2).reshape(outputs, inputs)


def add(writer: gguf.GGUFWriter, name: str, bits: NDArray[np.uint16]) -> None:
    if bits.ndim == 1:
        writer.add_tensor(name, (bits.astype(np.uint32) << 16).view(np.float32))
    else:
        raw = np.ascontiguousarray(bits).view(np.uint8)
        writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)


if __name__ == "__main__":
    main(*sys.argv[1:])
