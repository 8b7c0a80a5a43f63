"""Pictures of a training. They need matplotlib (extra ``plot``), which is imported when one is drawn.

Each function computes numbers, draws them where it is given a ``path`` (PNG, SVG or PDF by its name), and gives the numbers
back; ``numbers.save("loss.csv")`` writes them as CSV.

```text
curves       loss and metric over the epochs
surface      the loss along random directions through the weights
trajectory   the path of the weights in the plane of its principal directions
activations  what each layer gives, dead and saturated units
gradients    the gradient of each parameter
range_test   the loss over a learning rate that rises
ratios       how far each parameter moves in a step, for its size
weights      histograms, and the first layer as images
confusion    which class was taken for which
boundary     decision regions over two features, or two principal components
search       the curves of all trials of nnx.tune, and how much each setting matters
contour      a function of two numbers, with paths upon it
landscape    directions and slices of the loss, as numbers
table        numbers as CSV
style        the figure, its axes and colours, and how it is saved; letters has fonts for other writings
```
"""

from nnx.plot import search
from nnx.plot.activations import Activations, activations
from nnx.plot.boundary import Regions, boundary
from nnx.plot.confusion import Confusion, confusion
from nnx.plot.contour import contour
from nnx.plot.curves import Curves, curves
from nnx.plot.gradients import Gradients, gradients
from nnx.plot.landscape import Landscape, Lines, Plane, random_directions
from nnx.plot.range_test import Range, range_test
from nnx.plot.ratios import Ratios, ratios
from nnx.plot.style import PlotUnavailable
from nnx.plot.surface import surface
from nnx.plot.table import Numbers
from nnx.plot.trajectory import Route, trajectory
from nnx.plot.weights import Weights, weights

__all__ = [
    "Activations", "Confusion", "Curves", "Gradients", "Landscape", "Lines", "Numbers", "Plane", "PlotUnavailable", "Range", "Ratios", "Regions",
    "Route", "Weights", "activations", "boundary", "confusion", "contour", "curves", "gradients", "random_directions", "range_test", "ratios",
    "search", "surface", "trajectory", "weights",
]  # fmt: skip
