"""A pytest plugin for the official suite: the failures that the inner library has itself, each with its reason.

The file is read as follows: a comment is the reason of the test ids below it. Such a test must fail, or the run fails;
a test whose reason begins with "Sometimes" may pass, for it needs a lucky draw of Hypothesis to fail. An id that no test
has fails the run as well, so the list cannot grow old.
"""

from pathlib import Path

import pytest

SOMETIMES = "Sometimes"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--expected-failures", metavar="FILE", help="test ids under comments that give the reason")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    expected = read(Path(config.getoption("--expected-failures")).read_text(encoding="utf-8"))
    found = set()
    for item in items:
        reason = expected.get(item.nodeid)
        if reason is not None:
            found.add(item.nodeid)
            item.add_marker(pytest.mark.xfail(reason=reason, strict=not reason.startswith(SOMETIMES)))
    everything = not (config.option.keyword or config.option.markexpr) and config.args == ["array_api_tests"]
    if everything and found != set(expected):
        raise pytest.UsageError("no test has these ids:\n" + "\n".join(sorted(set(expected) - found)))


def read(text: str) -> dict[str, str]:
    """Test id -> reason.

    >>> read("# It rounds.\\na::b\\n\\n# Sometimes it overflows.\\nc::d")
    {'a::b': 'It rounds.', 'c::d': 'Sometimes it overflows.'}
    """
    reasons, reason = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            reason = line.removeprefix("#").strip()
        elif line.strip():
            if not reason:
                raise pytest.UsageError(f"an expected failure without a reason: {line}")
            reasons[line.strip()] = reason
    return reasons
