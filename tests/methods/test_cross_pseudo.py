"""Cross pseudo supervision by hand."""

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.methods.cross_pseudo import CrossPseudo, Targets
from classmix_jax.methods.labeled_loss import Labeled

# Probabilities of class 0: (3/4, 1/2 and a little) and (1/4, 3/4).
FIRST = jnp.array([[[LN3, 0.0], [1e-7, 0.0]]])
SECOND = jnp.array([[[-LN3, 0.0], [LN3, 0.0]]])


def terms(first=FIRST, second=SECOND):
  """One labelled and one unlabelled image of two pixels; the last unlabelled one is padding."""
  label = pixels(0, 255)
  labeled = Labeled(image(2), label, pixels(1.0, 0.0), jnp.float32(1.0), jnp.float32(1.0))
  valid = jnp.array([[[True, True]], [[True, False]]])
  targets = Targets(labeled, image(2), valid, jnp.float32(3.0))
  method = CrossPseudo(Fixed(), 2, lambda_cps=0.75)
  params = {'segmenter': first, 'second': second}
  return method.loss(params, {'segmenter': {}, 'second': {}}, targets)


def test_every_term():
  """The first sees (0, 0), the second (1, 0): that is what the other one learns."""
  loss, (_, result) = terms()
  expected = {
    'loss/sup': -np.log(0.75),
    'loss/sup_second': -np.log(0.25),
    # Pixel 0 of both images, then pixel 1 of the labelled one, void or not.
    'loss/cps': (2 * -np.log(0.25) + LN2) / 3 + (2 * -np.log(0.25) - np.log(0.75)) / 3,
  }
  for name, value in expected.items():
    np.testing.assert_allclose(result[name], value, rtol=1e-6, err_msg=name)
  np.testing.assert_allclose(
    loss,
    expected['loss/sup'] + expected['loss/sup_second'] + 0.75 * expected['loss/cps'],
    rtol=1e-6,
  )


def test_labels_of_the_other_network_are_given():
  """Each network's slope is that of fixed labels: p - y, by the sums above."""
  slope = jax.grad(lambda x: terms(first=x)[0])(FIRST)
  sup = np.array([0.75 - 1, 0.25])
  cps = np.array([0.75, 0.25 - 1])  # the second sees class 1 in pixel 0
  np.testing.assert_allclose(slope[0, 0], sup + 0.75 * 2 / 3 * cps, rtol=1e-5)
  np.testing.assert_allclose(slope[0, 1], 0.75 / 3 * np.array([-0.5, 0.5]), rtol=1e-5)
