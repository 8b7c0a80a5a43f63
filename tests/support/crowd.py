"""Many processes that do the same at the same moment."""

import os
from collections.abc import Callable


def at_once(count: int, act: Callable[[int], str]) -> list[str]:
    """What each of so many processes says, all let go together; the error of one that failed."""
    start, go = os.pipe()
    children = []
    for number in range(count):
        answer, said = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(go)
                os.read(start, 1)  # until everybody is there: the other end is closed
                text = act(number)
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            os.write(said, text.encode())
            os._exit(0)
        os.close(said)
        children.append((child, answer))
    os.close(start)
    os.close(go)
    found = []
    for child, answer in children:
        with open(answer, encoding="utf-8") as file:
            found.append(file.read())
        os.waitpid(child, 0)
    return found
