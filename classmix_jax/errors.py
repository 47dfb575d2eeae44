"""The exception for mistakes of the user."""


class UserError(Exception):
  """A mistake that the user can correct, in one sentence: file or field, finding, remedy.

  The programs in launch/ print the sentence and end with status 2. Any other exception is a bug of
  this project and keeps its traceback.
  """
