"""What ``gradcheck`` found, parameter by parameter."""

from dataclasses import dataclass

WIDTH = 80


@dataclass(frozen=True)
class Checked:
    """One parameter: the worst relative error |a − n| / max(|a|, |n|), where, and how much was looked at.

    ``at`` is an entry such as ``[3, 5]`` or a random direction. ``checked`` and ``skipped`` count directions and entries;
    skipped are those at a kink.
    """

    path: str
    order: int
    at: str
    analytic: float
    numeric: float
    error: float
    checked: int
    skipped: int


@dataclass(frozen=True)
class GradcheckReport:
    """All parameters checked. ``print(report)`` shows a table.

    ``fixed`` says that ``f`` draws random numbers, which were held fixed.
    """

    parameters: tuple[Checked, ...]
    method: str
    rtol: float
    fixed: bool = False

    @property
    def worst(self) -> Checked:
        """The parameter with the largest error."""
        return max(self.parameters, key=lambda row: row.error)

    @property
    def passed(self) -> bool:
        """Whether every error is within what is allowed."""
        return all(row.error <= self.rtol for row in self.parameters)

    @property
    def skipped(self) -> int:
        """How many directions and entries lay at a kink."""
        return sum(row.skipped for row in self.parameters)

    def __str__(self) -> str:
        paths = sorted({row.path for row in self.parameters})
        count = f"{len(paths)} parameter{'s' if len(paths) > 1 else ''}"
        verdict = "passed" if self.passed else "FAILED"
        lines = [f"gradcheck: {count}, {self.method} differences, allowed {self.rtol:.0e}: {verdict}"]
        names = {row: row.path if row.order == 1 else f"{row.path} (order {row.order})" for row in self.parameters}
        at = max(4, *(len(row.at) for row in self.parameters))
        name = min(max(9, *map(len, names.values())), WIDTH - at - 36)
        lines.append(f"{'parameter':<{name}}  {'worst error':>11}  {'at':<{at}}  {'checked':>7}  {'skipped':>7}")
        for row in self.parameters:
            note = "" if row.error <= self.rtol else "  *"
            lines.append(
                f"{_cut(names[row], name):<{name}}  {row.error:>11.1e}  {row.at:<{at}}  {row.checked:>7}  {row.skipped:>7}{note}"
            )
        if self.fixed:
            lines.append("The random draws of the function were held fixed.")
        if any(not row.checked and row.skipped for row in self.parameters):
            lines.append("Where nothing was checked every entry lies at a kink: move the point a little.")
        return "\n".join(lines)


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"
