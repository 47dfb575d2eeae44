"""The one exception that a user sees as a sentence."""


class UserError(Exception):
  """A mistake that the user can mend: one sentence that says what and where.

  The programs in launch/ print the sentence and end with status 2; everything
  else that escapes is a defect of this project and keeps its traceback.
  """
