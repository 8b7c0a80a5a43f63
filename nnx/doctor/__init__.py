"""The doctor: says why a network does not learn, and what to do.

``nnx.doctor(model, train, val, loss=…)`` gives a report of verdicts; ``nnx.doctor.Watch`` looks on while ``nnx.fit`` runs.
A check is a row in the table of its moment: id, title, limits, remedy, source, and the function that measures.

====================  ==================================================================
verdict.py            Check, Finding, Verdict
rows.py subject.py    what is examined: data as they are, a copy of the model
walk.py measure.py    one call seen layer by layer; figures brought to the host together
data.py               D: missing.py (D1), splits.py (D5 D6 D10), leakage.py (D7)
initialisation.py     I: structure.py (I9), derivatives.py (I7 I8)
short_training.py     T: trial.py (training a copy), course.py (what its steps say), rates.py (T8)
during.py watch.py    R: whole runs, while they run
door.py               the object nnx.doctor itself, which loads the rest when called
examine.py report.py  order, causes, the page to read
====================  ==================================================================

``nnx.doctor`` is the object ``doctor`` in here and hides the package of the same name, as ``nnx.data.split`` hides its
file. Everything else is imported from the files above, such as ``from nnx.doctor.verdict import Verdict``.
"""

from nnx.doctor.door import doctor

__all__ = ["doctor"]
