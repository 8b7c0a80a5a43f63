"""Parity: whether backends compute the same, how closely, and where they part.

=============  ==================================================================
door.py        the function ``nnx.parity``, which loads the rest when called
tiers.py       what is allowed for one operation: exact, ulp, scaled
watch.py       one step, operation by operation, in lockstep with the reference
runs.py        the same model, batches and draws on one backend
compare.py     rows: layers, gradients, steps
report.py      the page to read
=============  ==================================================================

``nnx.parity`` is the function and hides the package of the same name; the rest is imported from these files.
"""

from nnx.parity.door import parity

__all__ = ["parity"]
