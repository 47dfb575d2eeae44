"""What XLA makes of a program for accelerators that need not be there."""
