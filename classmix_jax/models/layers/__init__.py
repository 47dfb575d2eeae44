"""Layers with the conventions of the original code bases, and fast ways to compute them."""
