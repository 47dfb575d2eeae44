"""Weights of other projects, by the names that their tensors have there."""
