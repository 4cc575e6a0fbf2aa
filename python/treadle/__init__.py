"""Treadle: an ahead-of-time compiler for language models."""

from treadle import reference

__all__ = ["reference"]
