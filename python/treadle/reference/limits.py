"""The numbers that a config may hold, as the compiler has them: a test holds this table against models/schema.json."""

from collections.abc import Mapping

MAX_ITEMS = 64
"""Of a list of numbers."""
MAX_CHOICES = 512
"""Of a list of words."""

LIMITS: Mapping[str, tuple[float, float]] = {
    # A dense decoder
    "vocab_size": (1, 1 << 24),
    "hidden_size": (1, 1 << 16),
    "intermediate_size": (1, 1 << 20),
    "num_hidden_layers": (1, 512),
    "num_attention_heads": (1, 1 << 12),
    "num_key_value_heads": (1, 1 << 12),
    "head_dim": (2, 1 << 14),
    "max_position_embeddings": (1, 1 << 24),
    "rms_norm_eps": (1e-20, 1),
    "rope_theta": (1, 1e12),
    "rope_scaling/factor": (1, 1e6),
    "rope_scaling/low_freq_factor": (1e-6, 1e6),
    "rope_scaling/high_freq_factor": (1e-6, 1e6),
    "rope_scaling/original_max_position_embeddings": (1, 1 << 24),
    # MiniAxion
    "d_model": (2, 1 << 16),
    "n_heads": (1, 1 << 12),
    "n_kv_heads": (1, 1 << 12),
    "n_layers": (1, 512),
    "n_shared_layers": (1, 512),
    "d_ff": (1, 1 << 20),
    "lora_rank": (1, 1 << 16),
    "lora_scale": (1e-6, 1e6),
    "max_seq_len": (1, 1 << 24),
    "n_thinking_steps": (0, 256),
    # NanoHammer
    "state_hidden_size": (2, 1 << 16),
    "num_state_heads": (1, 1 << 12),
    "state_rope_theta": (1, 1e12),
    "state_norm_eps": (1e-20, 1),
    "state_mlp_ratio": (1, 256),
    "state_lag": (0, 1),
    # NeoLLM
    "linear_conv_kernel_dim": (2, 16),
    "linear_num_key_heads": (1, 1 << 12),
    "linear_key_head_dim": (1, 1 << 10),
    "linear_num_value_heads": (1, 1 << 12),
    "linear_value_head_dim": (1, 1 << 10),
    "partial_rotary_factor": (1e-6, 1),
    "fan_ratio": (1e-6, 0.5),
    "gpas_per_layer": (1, 2),
    # Om
    "num_layers": (1, 512),
    "vocab_adj": (1, 1 << 24),
    "dim_input": (1, 1 << 16),
    "dim_hidden": (1, 1 << 20),
    "dims_key": (1, 1 << 16),
    "dims_value": (1, 1 << 16),
    "num_heads": (1, 1 << 12),
    "segment_len": (1, 1 << 20),
    "state_len": (1, 1 << 16),
    "position_embedders/dim": (1, 1 << 16),
    "position_embedders/seq_len": (1, 1 << 24),
    "position_embedders/num_dims": (1, 64),
    "position_embedders/dim_embedding_pct": (1e-6, 1),
    "position_embedders/base": (1, 1e12),
    "betas": (1e-6, 1e6),
    "num_iters": (1, 256),
    "attn_proj_rank": (-1, 1 << 16),
    "init_convs": (1, 64),
    "final_mlp_multiplier": (1, 64),
    "pad_token_id": (0, (1 << 24) - 1),
}
