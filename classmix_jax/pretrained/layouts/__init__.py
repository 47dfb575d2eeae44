"""Layouts: how families of weights files name and order their tensors."""
