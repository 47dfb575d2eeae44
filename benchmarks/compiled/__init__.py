"""Compiles programs for accelerators that are not present, and analyses them."""
