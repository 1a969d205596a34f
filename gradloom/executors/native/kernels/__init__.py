"""Kernels: one file a family of loops."""
