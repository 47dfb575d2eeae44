"""The teacher of a student: its first parameters and its variables."""

from classmix_jax.types import PyTree, TrainState


def add_teacher(params: PyTree, model_state: PyTree) -> tuple[PyTree, PyTree, PyTree]:
  """Returns `(params, model_state, method_state)` with a teacher copied from the student."""
  return (
    params,
    {**model_state, 'teacher': model_state['segmenter']},
    {'teacher': params['segmenter']},
  )


def teacher_network(state: TrainState) -> dict[str, PyTree]:
  """Returns the teacher as an entry of a method's `networks`."""
  variables = {'params': state.method_state['teacher'], 'batch_stats': state.model_state['teacher']}
  return {'teacher': variables}
