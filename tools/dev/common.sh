# What the scripts of tools/dev share. Source it; it changes to the root of the repository.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# step <what>: announces a step with the seconds since the script began.
step() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# fail <what> <what to do>: one line, and out.
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Where the CUDA toolkit's assembler may be, if nowhere else: its own place, or that of tools/dev/setup.
export PATH=$PATH:/usr/local/cuda/bin:$PWD/build/cuda/nvidia/cu13/bin
