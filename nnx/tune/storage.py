"""Where a search is kept: an SQLite file, or a PostgreSQL database that workers on any number of machines share."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnx.errors import ConfigError, NnxError
from nnx.tune.extra import TuneUnavailable, optuna, quiet

HEARTBEAT, GRACE = 10, 3
"""Seconds between two signs of life of a running trial; after how many missed ones it is put back."""

FILE, TRIES = "search.db", 5
BUSY = 300.0
"""Seconds that a write to SQLite waits for the others."""


def url_of(storage: str | None, directory: Path | None) -> str | None:
    """The URL for SQLAlchemy: the directory's SQLite file where none is given; None for a search in memory."""
    if storage is None:
        return None if directory is None else lite_url(directory / FILE)
    if "://" not in storage:
        raise ConfigError(
            expected="a database's URL",
            got=repr(storage),
            where="storage",
            fix="Write for example postgresql://user@host/database or sqlite:////home/me/search.db.",
        )
    scheme, _, rest = storage.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else storage


def lite_url(file: Path) -> str:
    """The URL of an SQLite file, whatever signs its name has."""
    from sqlalchemy.engine import URL

    return str(URL.create("sqlite", database=str(file.absolute())).render_as_string())


def lite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database."""
    from sqlalchemy.engine import make_url

    return Path(make_url(url).database or "") if url.startswith("sqlite:///") else None


def redacted(url: str) -> str:
    """The URL without its password, as it may be shown and written to files.

    >>> redacted("postgresql+psycopg://me:secret@host/search")
    'postgresql://me@host/search'
    """
    scheme, _, rest = url.partition("://")
    who, at, place = rest.rpartition("@")
    return f"{scheme.removesuffix('+psycopg')}://{who.partition(':')[0]}{at}{place}"


def check_heartbeat(seconds: Any) -> None:
    """``ConfigError`` unless a worker can give a sign of life that often."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
        raise ConfigError(
            expected="a whole number of seconds ≥ 1", got=repr(seconds), where="heartbeat", fix="10 is usual."
        )


def connect(url: str | None, heartbeat: int = HEARTBEAT) -> Any:
    """Optuna's storage at a URL, made ready for many writers at once.

    Errors: ``TuneUnavailable`` without Optuna or the database's driver, ``ConfigError`` where nothing answers.
    """
    library = optuna()
    check_heartbeat(heartbeat)
    if url is None:
        return library.storages.InMemoryStorage()
    import sqlalchemy

    lite = url.startswith("sqlite")
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY}} if lite else {"pool_pre_ping": True}
    opened: list[Any] = []
    options["pool_events"] = [(lambda connection, record: opened.append(connection), "connect")]
    for attempt in range(TRIES):
        try:
            with quiet():
                storage = library.storages.RDBStorage(
                    url, options, heartbeat_interval=heartbeat, grace_period=GRACE * heartbeat
                )
            break
        except ImportError:
            raise TuneUnavailable(
                f"the driver for {redacted(url)} is not installed",
                fix='For PostgreSQL run: python -m pip install "psycopg[binary]"',
            ) from None
        except (sqlalchemy.exc.SQLAlchemyError, library.exceptions.StorageInternalError) as error:
            # Two that come first at the same moment both make the tables: the second finds them at its next try.
            fault = error.__cause__ or error
            if attempt + 1 < TRIES and not isinstance(fault, sqlalchemy.exc.ArgumentError):
                time.sleep(0.2 * (attempt + 1))
                continue
            why = str(getattr(fault, "orig", None) or fault).strip().splitlines()
            raise ConfigError(
                f"the database cannot be used ({why[0] if why else type(fault).__name__})",
                where=redacted(url),
                fix="Check the URL, and that the server is up and lets you in.",
            ) from None
    if lite:
        _one_writer_at_a_time(storage.engine)
    shared = library.storages.get_storage(storage)
    shared.nnx_opened = (storage.engine, opened)  # for close: Optuna has no public way to it
    return shared


def _one_writer_at_a_time(engine: Any) -> None:
    """SQLite: take the lock when a transaction begins, not when it first writes.

    Otherwise two that have read and then want to write end in "database is locked" at once, for neither may wait for the
    other; and a trial could be taken twice, for SQLite has no SELECT … FOR UPDATE.
    """
    from sqlalchemy import event

    def opened(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself

    def begins(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", opened)
    event.listen(engine, "begin", begins)
    engine.dispose()  # connections that were opened before


def names(storage: Any) -> list[str]:
    """The studies in it."""
    return sorted(study.study_name for study in storage.get_all_studies())


def close(storage: Any) -> None:
    """Give the connections back."""
    if hasattr(storage, "nnx_opened"):
        engine, opened = storage.nnx_opened
        engine.dispose()
        for connection in opened:  # Optuna's look at the schema never gives its connection back to the pool
            with suppress(Exception):
                connection.close()


def only_name(storage: Any, url: str | None) -> str:
    """The name of the one study there; ``ConfigError`` if there are none or several."""
    known = names(storage)
    if len(known) == 1:
        return known[0]
    if not known:
        raise NnxError("there is no search in it", where=redacted(url or "memory"), fix="Start one first.")
    raise ConfigError(
        expected="the name of a search",
        got=f"none, and {len(known)} searches there: {', '.join(known[:8])}",
        where="study",
        fix="Name one: --study NAME.",
    )
