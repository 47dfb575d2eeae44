"""Which packages pip installs beside the JAX of a runtime."""

import pytest

from launch import fit_runtime

REQUIREMENTS = fit_runtime.parse_requirements("""
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


def test_jax_is_pinned_and_tensorflow_replaced():
  unmet = fit_runtime.find_unmet(REQUIREMENTS, version)
  assert [item.name for item in unmet] == ['clu', 'tensorflow-cpu']
  assert fit_runtime.pip_commands(unmet, COLAB.items()) == [
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
  unmet = fit_runtime.find_unmet(REQUIREMENTS, lambda name: here.get(name, ''))
  assert unmet == [] and fit_runtime.pip_commands(unmet, here.items()) == []


@pytest.mark.parametrize('jax, error', [('0.7.2', 'has jax 0.7.2, but'), ('', 'has no jax, but')])
def test_another_jax_is_refused(jax, error, capsys):
  with pytest.raises(SystemExit) as ended:
    fit_runtime.find_unmet(REQUIREMENTS, lambda name: jax if name == 'jax' else version(name))
  assert ended.value.code == 2 and error in capsys.readouterr().err
