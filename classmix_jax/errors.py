"""The exception for mistakes of the user."""

from collections.abc import Sequence


class UserError(Exception):
  """A mistake that the user can correct, in one sentence: file or field, finding, remedy.

  The programs in launch/ print the sentence and end with status 2. Any other exception is a bug of
  this project and keeps its traceback.

  Attributes:
    kind: plural noun phrase such as 'damaged files': the same mistake in several files is reported
      once. '' if only equal sentences are the same mistake.
  """

  def __init__(self, sentence: str, kind: str = ''):
    super().__init__(sentence)
    self.kind = kind

  def join(self, others: Sequence['UserError']) -> str:
    """Returns a sentence for this error and others of its kind; by default this one's."""
    del others
    return str(self)
