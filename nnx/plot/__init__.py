"""Pictures of a training. They need matplotlib (extra ``plot``), which is imported when one is drawn.

Each function computes numbers, draws them where it is given a ``path`` (PNG, SVG or PDF by its name), and gives the numbers
back; ``numbers.save("loss.csv")`` writes them as CSV.

```text
curves       loss and metric over the epochs
surface      the loss along random directions through the weights
trajectory   the path of the weights in the plane of its principal directions
boundary     decision regions over two features, or two principal components
contour      a function of two numbers, with paths upon it
landscape    directions and slices of the loss, as numbers
table        numbers as CSV
style        the figure, its axes and colours, and how it is saved
```
"""

from nnx.plot.boundary import Regions, boundary
from nnx.plot.contour import contour
from nnx.plot.curves import curves
from nnx.plot.landscape import Landscape, Lines, Plane, random_directions
from nnx.plot.style import PlotUnavailable
from nnx.plot.surface import surface
from nnx.plot.table import Numbers
from nnx.plot.trajectory import Route, trajectory

__all__ = [
    "Landscape", "Lines", "Numbers", "Plane", "PlotUnavailable", "Regions", "Route", "boundary", "contour", "curves",
    "random_directions", "surface", "trajectory",
]  # fmt: skip
