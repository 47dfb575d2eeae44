"""Trains one run, from its setup to the final table.

Synopsis:

    setup, weights = prepare(config, Path('runs/scenes-classmix'))
    result = run_training(setup, Path('runs/scenes-classmix'), weights)
    result['miou']
"""

from collections.abc import Callable, Mapping
import functools
from pathlib import Path
from typing import Any

from clu import parameter_overview
from flax.traverse_util import flatten_dict
import jax
import orbax.checkpoint as ocp

from classmix_jax.config.setup import Setup
from classmix_jax.data.source import Source
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.summary import conclude
from classmix_jax.pretrained.load import Weights
from classmix_jax.training.callbacks import Callbacks
from classmix_jax.training.collapse import CollapseMonitor
from classmix_jax.training.compilation_cache import keep_programs
from classmix_jax.training.evaluation_callback import EvaluationCallback
from classmix_jax.training.features import CachedFeatures, open_features
from classmix_jax.training.first_screen import first_screen
from classmix_jax.training.initial_state import initial_state, setup_creator
from classmix_jax.training.metric_logger import MetricLogger
from classmix_jax.training.nonfinite import NonFiniteWatch
from classmix_jax.training.paper_settings import fingerprint, run_settings
from classmix_jax.training.preemption import Stop
from classmix_jax.training.stages import CompileStage, stage_compiler, train_stage
from classmix_jax.training.start import check_start, write_start
from classmix_jax.training.unlabeled_gain import UnlabeledGain, middle_evaluation
from classmix_jax.types import PyTree, TrainState
from classmix_jax.workdir import checkpoint, layout, resume, run_files

OnEnd = Callable[[Path, Evaluator, Mapping[str, PyTree], Source], None]


def make_evaluator(setup: Setup, stop: Stop, features: CachedFeatures | None) -> Evaluator:
  """Returns the evaluator of a run, which `stop` may interrupt between two batches."""
  split = setup.split.labeled_hash, len(setup.split.labeled)
  return Evaluator(
    setup.dataset,
    setup.method.model,
    setup.devices,
    split,
    setup.method.confidence_threshold,
    **setup.evaluation._asdict(),
    stop=stop,
    read_features=features and features.val,
  )


def describe_start(
  setup: Setup,
  run: Path,
  state: TrainState,
  protocol: str,
  origin: Mapping[str, Any],
  *,
  verbose: bool,
) -> None:
  """Writes all settings to RUN/settings.txt and prints the most important ones.

  All settings are printed if `verbose`, and those that a paper has if the config claims one.
  """
  settings = run_settings(setup, state.params, protocol, origin)
  table = fingerprint(settings, setup.values['paper'])
  parameters = parameter_overview.get_parameter_overview(state.params, include_stats=False)
  run_files.write_text(layout.settings_path(run), f'{table}\n\n{parameters}\n')
  if verbose:
    print(parameters)
  if verbose or setup.values['paper']:
    print(table)
  count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  print('\n'.join(first_screen(setup, settings, protocol, count)))
  step = int(state.step)
  start = f'resumes after step {step}' if step else 'starts, all settings are in settings.txt'
  print(f'{run}: {start}', flush=True)


def open_logger(setup: Setup, run: Path, step: int) -> MetricLogger:
  """Returns the logger of a run that stands at a step, with the settings written."""
  logger = MetricLogger(
    run,
    steps=setup.schedule.steps,
    images_per_step=setup.batches.labeled + setup.batches.unlabeled,
    writing=jax.process_index() == 0,
  )
  logger.resume(step)
  settings = flatten_dict(setup.values, sep='.').items()
  logger.write_settings({key: x for key, x in settings if not key.startswith('paper.')})
  return logger


def first_unlabeled(setup: Setup) -> int:
  """Returns the first step that uses unlabelled images."""
  return next((stage.start for stage in setup.stages if stage.unlabeled), 0)


def make_callbacks(
  setup: Setup,
  run: Path,
  logger: MetricLogger,
  evaluator: Evaluator,
  manager: ocp.CheckpointManager,
  stop: Stop,
  on_step: Callable[[int], None],
  supervised_command: str,
) -> Callbacks:
  """Returns what follows each step of a run."""
  schedule = setup.schedule
  return Callbacks(
    schedule=schedule,
    stage_ends=tuple(stage.stop for stage in setup.stages),
    logger=logger,
    monitor=CollapseMonitor(setup.dataset.class_names),
    watch=NonFiniteWatch(run, setup.on_nan),
    evaluation=EvaluationCallback(run, setup.method, setup.dataset, evaluator, schedule.steps),
    gain=UnlabeledGain(
      run,
      setup.values,
      evaluator.description,
      steps=schedule.steps,
      middle=middle_evaluation(schedule.steps, schedule.eval_every, first_unlabeled(setup)),
      command=supervised_command,
      active=setup.batches.unlabeled > 0,
    ),
    manager=manager,
    stop=stop,
    on_step=on_step,
  )


def train_stages(
  setup: Setup,
  run: Path,
  state: TrainState,
  compile_stage: CompileStage,
  callbacks: Callbacks,
  features: CachedFeatures | None,
) -> TrainState:
  """Trains all stages from the step of `state`; saves and closes everything, even on errors."""
  try:
    if step := int(state.step):
      callbacks.evaluate_pending(step, state)
    for stage in setup.stages:
      if int(state.step) < stage.stop:
        state = train_stage(setup, run, stage, state, compile_stage, callbacks, features)
  finally:
    checkpoint.finish(callbacks.manager)
    callbacks.logger.close()
  return state


def conclude_run(
  setup: Setup, run: Path, state: TrainState, callbacks: Callbacks, on_end: OnEnd | None
) -> dict[str, Any]:
  """Prints the final table, draws predictions, calls `on_end`; returns the last evaluation."""
  evaluation = callbacks.evaluation
  networks = evaluation.networks(state)
  if evaluation.result is None:  # the run had finished before
    evaluation.evaluate(int(state.step), state)
    evaluation.write_result()
  assert evaluation.result is not None
  notes = callbacks.gain.describe(evaluation.result)
  conclude(run, evaluation.result, evaluation.evaluator, networks, notes=notes)
  if on_end is not None and jax.process_index() == 0:
    on_end(run, evaluation.evaluator, networks, setup.split.labeled)
  return evaluation.result


def run_training(
  setup: Setup,
  run: Path,
  weights: Weights | None = None,
  *,
  on_step: Callable[[int], None] = lambda step: None,
  stop: Stop | None = None,
  on_end: OnEnd | None = None,
  verbose: bool = False,
  supervised_command: str = '',
) -> dict[str, Any]:
  """Trains a run, or resumes it from its newest checkpoint; returns the last evaluation.

  Args:
    setup: see `prepare`.
    run: directory of the run; `workdir/layout.py` lists its files.
    weights: to start from, or None.
    on_step: called with the number of finished steps after every step.
    stop: whether the run saves and ends before its last step; None never stops.
    on_end: called with the directory, the evaluator, the networks and the labelled images after
      the last step, in process 0 only.
    verbose: whether all settings and parameters are printed at the start.
    supervised_command: printed where the run needs a supervised one beside it.

  Raises:
    UserError: the run cannot be written or resumed, an image is unreadable, or a step is
      non-finite.
    Stopped: the run has saved its state and ends because `stop` returned True.
  """
  stop = stop or Stop()
  compile_stage = stage_compiler(setup)
  tx, _ = compile_stage(setup.stages[0])
  create = setup_creator(setup, tx)
  with resume.convert_disk_errors(run):
    record = check_start(setup, run, weights, create)
  with resume.convert_disk_errors(run), resume.lock_run(run):
    if setup.deterministic:
      keep_programs(run, setup.devices[0].platform)
    manager = checkpoint.open_manager(run / 'checkpoints')
    stop.finish = functools.partial(checkpoint.finish, manager)
    state, origin = initial_state(setup, run, weights, manager, create)
    write_start(setup, run, record, origin)
    features = open_features(setup, state)
    evaluator = make_evaluator(setup, stop, features)
    describe_start(setup, run, state, evaluator.description, origin, verbose=verbose)
    logger = open_logger(setup, run, int(state.step))
    callbacks = make_callbacks(
      setup, run, logger, evaluator, manager, stop, on_step, supervised_command
    )
    state = train_stages(setup, run, state, compile_stage, callbacks, features)
    return conclude_run(setup, run, state, callbacks, on_end)
