"""Search of hyper-parameters, on Optuna (extra ``tune``).

``nnx.tune(train, space)`` tries values and says which are the best; ``nnx tune`` does it for the settings of ``nnx train``.

======================  ==============================================================================
space.py ranges.py      what may be tried: names and ranges, and how they are drawn
stages.py sampler.py    where the next trials are drawn: coarse to fine, at random, or by TPE
study.py storage.py     the plan and the tickets of a search, and the database that keeps them
trial.py pruner.py      one trial: its values, its curve, and whether it is hopeless (ASHA)
worker.py jobs.py       who takes tickets: this process, processes here, workers elsewhere
search.py edges.py      what was found: the order, the importances, the ends of the ranges
begin.py                a search from its arguments to its result
door.py                 the object nnx.tune itself, which loads the rest when called
======================  ==============================================================================
"""

from nnx.tune.door import tune

__all__ = ["tune"]
