"""Defines and parses the flag --config of the command-line programs.

Synopsis:

    CONFIG = define_config('A file of configs/.')
    CONFIG.value.steps
"""

from collections.abc import Sequence
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags

OVERRIDE = '--config.'


def define_config(text: str, values: flags.FlagValues = flags.FLAGS) -> flags.FlagHolder:
  """Defines --config and an override --config.FIELD=VALUE for each field in a flag table."""
  return config_flags.DEFINE_config_file('config', None, text, flag_values=values)


def config_file() -> str:
  """Returns the path behind --config, with the arguments after its colon."""
  return config_flags.get_config_filename(flags.FLAGS['config'])


def load_without_overrides(arguments: Sequence[str]) -> dict[str, Any] | None:
  """Loads the file behind --config and ignores all overrides; None if the flag is missing."""
  values = flags.FlagValues()
  define_config('', values)
  # ml_collections reads overrides from sys.argv itself.
  command_line, sys.argv = sys.argv, [a for a in arguments if not a.startswith(OVERRIDE)]
  try:
    values(sys.argv, known_only=True)
    return values.config and values.config.to_dict()
  finally:
    sys.argv = command_line
