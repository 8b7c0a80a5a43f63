"""Pictures of a training. They need matplotlib (extra ``plot``), which is imported when one is drawn.

```text
style    the figure, its axes and colours, and how it is saved
curves   loss and metric over the epochs
```
"""

from nnx.plot.curves import curves
from nnx.plot.style import PlotUnavailable

__all__ = ["PlotUnavailable", "curves"]
