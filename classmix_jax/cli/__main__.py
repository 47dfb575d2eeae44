"""Runs `python -m classmix_jax.cli`, which is `classmix-jax` without the script."""

from classmix_jax.cli.start import main

if __name__ == '__main__':
  main()
