"""What is installed beside a runtime's own JAX, and what is left alone."""

import pytest

from launch import fit_runtime

WANTED = fit_runtime.requirements("""
jax>=0.10.0,<0.12
clu>=0.0.12,<0.1  # small
tensorflow-cpu>=2.20,<2.22
numpy>=2.0,<3
other>=1; sys_platform == 'none'
""")
COLAB = {
  'jax': '0.10.1',
  'jaxlib': '0.10.1',
  'jax_cuda13_plugin': '0.10.1',
  'numpy': '2.1.3',
  'tensorflow': '2.20.0',
}


def version(name):
  return COLAB.get(name, '')


def test_jax_stays_and_tensorflow_knows_no_accelerator():
  missing = fit_runtime.lacking(WANTED, version)
  assert [one.name for one in missing] == ['clu', 'tensorflow-cpu']
  assert fit_runtime.pip_commands(missing, COLAB.items()) == [
    ['uninstall', '--yes', 'tensorflow'],
    [
      'install',
      '--quiet',
      'clu<0.1,>=0.0.12',
      'tensorflow-cpu<2.22,>=2.20',
      'jax-cuda13-plugin==0.10.1',
      'jax==0.10.1',
      'jaxlib==0.10.1',
      'numpy==2.1.3',
    ],
  ]


def test_nothing_to_do():
  here = {**COLAB, 'clu': '0.0.13', 'tensorflow-cpu': '2.21.0'}
  missing = fit_runtime.lacking(WANTED, lambda name: here.get(name, ''))
  assert missing == [] and fit_runtime.pip_commands(missing, here.items()) == []


@pytest.mark.parametrize('found, told', [('0.7.2', 'has jax 0.7.2, but'), ('', 'has jax not at')])
def test_another_jax_is_refused(found, told, capsys):
  with pytest.raises(SystemExit) as ended:
    fit_runtime.lacking(WANTED, lambda name: found if name == 'jax' else version(name))
  assert ended.value.code == 2 and told in capsys.readouterr().err
