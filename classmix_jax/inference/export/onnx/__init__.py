"""Writes traced functions as ONNX models."""
