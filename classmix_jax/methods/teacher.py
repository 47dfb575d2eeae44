"""A teacher beside the student: where it begins, and where its variables are."""

from classmix_jax.types import PyTree

# What is averaged in the entries of `method_state` and `model_state` that are no network's own.
AVERAGED = {'teacher': 'segmenter', 'classifier_teacher': 'classifier'}


def with_teacher(params: PyTree, model_state: PyTree) -> tuple[PyTree, PyTree, PyTree]:
  """Returns what a method's `init` returns, with a teacher that is a copy of the student."""
  return (
    params,
    {**model_state, 'teacher': model_state['segmenter']},
    {'teacher': params['segmenter']},
  )


def teacher_network(model_state: PyTree, method_state: PyTree) -> dict[str, PyTree]:
  """Returns the teacher as an entry of a method's `networks`."""
  return {'teacher': {'params': method_state['teacher'], 'batch_stats': model_state['teacher']}}
